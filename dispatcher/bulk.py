"""The same for many tickets: each in a transaction of its own, so that one that cannot be done holds up no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

from sqlmodel import Session

from dispatcher import board
from dispatcher.db import Database
from dispatcher.errors import Conflict, DispatcherError, Invalid
from dispatcher.models import Ticket

Action = Literal["assign", "withdraw", "label", "unlabel", "cancel", "reopen"]
ACTIONS: tuple[Action, ...] = get_args(Action)
MOST = 1000


class Result(NamedTuple):
    """What became of one ticket; `error` None for done. `changed` is False where it was so already."""

    key: str
    error: DispatcherError | None = None
    changed: bool = True


def act(database: Database, action: str, keys: Sequence[str], *, agent: str = "", label: str = "") -> list[Result]:
    """Do `action` to each ticket, in the order given; `assign` takes `agent`, `label` and `unlabel` take `label`.

    Raises `Invalid` for what would be wrong for every ticket; what is wrong for one is in its result.
    """
    use_case = _use_case(action, agent.strip(), label.strip())
    keys = list(dict.fromkeys(key.strip().upper() for key in keys if key.strip()))
    if not keys:
        raise Invalid("no ticket is chosen", "choose one or more tickets", "keys")
    if len(keys) > MOST:
        raise Invalid(f"{len(keys):,} tickets are chosen; {MOST:,} is the limit", "choose fewer", "keys")
    return [_one(database, key, use_case) for key in keys]


def _one(database: Database, key: str, use_case: Callable[[Session, Ticket], bool]) -> Result:
    try:
        with database.transaction() as db:
            ticket = board.get_ticket(db, key)
            db.refresh(ticket, with_for_update=True)
            return Result(ticket.key, changed=use_case(db, ticket))
    except DispatcherError as error:
        return Result(key, error)


def _use_case(action: str, agent: str, label: str) -> Callable[[Session, Ticket], bool]:
    if action not in ACTIONS:
        raise Invalid(f"{action!r} is nothing to do with tickets", f"choose one of: {', '.join(ACTIONS)}", "action")
    if action == "assign":
        if not agent:
            raise Invalid("no agent is named", "choose the agent", "agent")
        return lambda db, ticket: _assign(db, ticket, agent)
    if action in ("label", "unlabel"):
        if not label:
            raise Invalid("no label is named", "write the label", "label")
        board.check_labels([label])
        return lambda db, ticket: _label(db, ticket, label, add=action == "label")
    plain: dict[str, Callable[[Session, Ticket], None]] = {
        "withdraw": board.withdraw,
        "cancel": board.cancel,
        "reopen": board.reopen,
    }
    return lambda db, ticket: plain[action](db, ticket) is None


def _assign(db: Session, ticket: Ticket, agent: str) -> bool:
    if ticket.state not in ("backlog", "blocked"):
        raise Conflict(
            f"{ticket.key} is {ticket.state}: it cannot be assigned now", "assign tickets of the backlog or blocked ones"
        )
    board.assign(db, ticket, agent)
    return True


def _label(db: Session, ticket: Ticket, label: str, *, add: bool) -> bool:
    """Labels are told apart without regard to case, and kept as they were first written."""
    others = [one for one in ticket.labels if one.casefold() != label.casefold()]
    if add == (len(others) < len(ticket.labels)):
        return False
    board.edit_ticket(db, ticket, labels=[*ticket.labels, label] if add else others)
    return True
