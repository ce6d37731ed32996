"""Finding tickets: words and qualifiers as people type them, as conditions that the database answers.

    parser label:bug -label:wontfix agent:coder state:review,blocked key:WEB-1 project:WEB "last line"

Each word has to be in the title or the description, or be the ticket's key, the beginning of it, or its number. A minus sign
before a word or a qualifier takes out what matches. A qualifier that is not one of ours is a word as any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, exists, false, func, not_, or_, true
from sqlmodel import Session, col, select

from dispatcher.errors import Invalid
from dispatcher.models import Agent, Project, Ticket
from dispatcher.states import OPEN_TICKET, TICKET_STATES

NOBODY = "none"
"""`agent:none` finds what is assigned to nobody, `label:none` what has no label."""

SETS: dict[str, tuple[str, ...]] = {"open": OPEN_TICKET, "closed": ("done", "cancelled")}
"""What `state:` (or `is:`) takes beside the states themselves."""

CLOSED = SETS["closed"]
TERMS = 50
"""So many words and qualifiers are looked at."""

_TERM = re.compile(r'(?P<minus>-)?(?:(?P<name>[A-Za-z]+):)?(?:"(?P<quoted>[^"]*)"?|(?P<bare>\S+))')
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]{1,9}-\d*")


@dataclass(frozen=True)
class Term:
    """One word, or one qualifier with its values, of which any may match."""

    name: str
    values: tuple[str, ...]
    without: bool = False


@dataclass(frozen=True)
class Wanted:
    """What is looked for. `wrong` tells what of it cannot be, as the value of a state that there is not; it finds nothing."""

    terms: tuple[Term, ...] = ()
    wrong: tuple[str, ...] = field(default=())

    def states(self) -> set[str]:
        """The states that tickets found can have."""
        found: set[str] = set(TICKET_STATES)
        for term in self.terms:
            if term.name == "state":
                named = {state for value in term.values for state in SETS.get(value, (value,))}
                found = found - named if term.without else found & named
        return found

    @property
    def plain(self) -> bool:
        """Whether it wants nothing beyond one project."""
        return not self.wrong and all(term.name == "project" and not term.without for term in self.terms)


def parse(text: str) -> Wanted:
    """What was typed, as terms; never raises, since people type one character after the other."""
    terms: list[Term] = []
    wrong: list[str] = []
    for match in list(_TERM.finditer(text))[:TERMS]:
        term = _term(match)
        if term is None:
            continue
        terms.append(term)
        if term.name == "state":
            wrong += [f"there is no state {one!r}" for one in term.values if one not in TICKET_STATES and one not in SETS]
    return Wanted(tuple(terms), tuple(wrong))


def _term(match: re.Match[str]) -> Term | None:
    """One match as a term; None for what has no value yet, as "label:" while it is being typed."""
    name = (match["name"] or "").lower()
    name = "state" if name == "is" else name
    value = match["quoted"] if match["quoted"] is not None else match["bare"]
    if name in _CONDITIONS and name != "word":
        whole = name == "label" and match["quoted"] is not None
        values = tuple(part for part in ([value] if whole else value.split(",")) if part)
        values = tuple(part.lower() for part in values) if name == "state" else values
    else:
        text = match[0][1:] if match["minus"] else match[0]
        begun = text.endswith(":") and (text[:-1].lower() in _CONDITIONS or text[:-1].lower() == "is")
        name, values = "word", (text.replace('"', ""),) if not begun else ()
    return Term(name, values, match["minus"] is not None) if any(values) else None


def wanted(
    query: str = "", *, project: str = "", state: str = "", agent: str = "", label: str = "", strict: bool = False
) -> Wanted:
    """What was typed and what was chosen beside it; with `strict` raises `Invalid` for what cannot be."""
    found = parse(query)
    given = {"project": project, "state": state, "agent": agent, "label": label}
    chosen = tuple(Term(name, (value,)) for name, value in given.items() if value)
    found = replace(found, terms=(*chosen, *found.terms))
    if state and state not in TICKET_STATES and state not in SETS:
        found = replace(found, wrong=(f"there is no state {state!r}", *found.wrong))
    if strict and found.wrong:
        raise Invalid(found.wrong[0], f"choose one of: {', '.join((*TICKET_STATES, *SETS))}", "state")
    return found


class Placed(Protocol):
    """What tells a ticket's place in its column."""

    @property
    def key(self) -> str:
        """As `WEB-12`."""

    @property
    def state(self) -> str:
        """One of the ticket's states."""

    @property
    def position(self) -> float:
        """Among those that are open, the least first."""

    @property
    def closed_at(self) -> datetime | None:
        """When it was done or cancelled."""


def tickets(
    db: Session,
    looked_for: Wanted,
    *,
    state: str | None = None,
    limit: int = 200,
    offset: int = 0,
    after: str | None = None,
    newest_first: bool = False,
) -> list[Ticket]:
    """The tickets found, in the order of the board, or the newest change first.

    A closed state's column has the last closed first. `after` is the `mark` of a ticket: those behind it in that order, which
    stays right while tickets come and go.
    """
    query = select(Ticket).where(conditions(db, looked_for))
    if state is not None:
        query = query.where(Ticket.state == state)
    if newest_first:
        query = query.order_by(col(Ticket.updated_at).desc(), col(Ticket.id).desc())
    elif state in CLOSED:
        query = query.order_by(col(Ticket.closed_at).desc(), col(Ticket.id).desc())
    else:
        query = query.order_by(col(Ticket.position), col(Ticket.id))
    if after:
        query = query.where(_behind(after, state in CLOSED))
    return list(db.exec(query.offset(offset).limit(limit)))


def count_by_state(db: Session, looked_for: Wanted) -> dict[str, int]:
    """How many tickets are found in each state."""
    query = select(Ticket.state, func.count()).where(conditions(db, looked_for)).group_by(Ticket.state)
    counts = {str(state): int(count) for state, count in db.exec(query)}
    return {state: counts.get(state, 0) for state in TICKET_STATES}


def unknown(db: Session, looked_for: Wanted) -> list[tuple[str, str]]:
    """What it names that there is not: `project`, `agent` or `label`, and the name. What is only taken out is not looked at."""
    known: dict[str, set[str]] = {}
    found: dict[tuple[str, str], None] = {}
    for term in looked_for.terms:
        if term.name not in _NAMES or term.without:
            continue
        names = known.setdefault(term.name, {name.casefold() for name in _NAMES[term.name](db)})
        missing = [value for value in term.values if value.casefold() not in names]
        found |= {(term.name, value): None for value in missing if value != NOBODY or term.name == "project"}
    return list(found)


def labels_in_use(db: Session, project: str = "") -> list[str]:
    """Every label that a ticket has, those of most tickets first."""
    value = _labels(db)
    query = select(value, func.count()).select_from(Ticket).join(value.table, true()).group_by(value)
    if project:
        query = query.join(Project, col(Ticket.project_id) == col(Project.id)).where(Project.key == project.upper())
    found = db.exec(query).all()
    return [str(label) for label, _ in sorted(found, key=lambda row: (-row[1], str(row[0]).lower()))]


def order(ticket: Placed) -> float:
    """Where a ticket stands in its column: the least first. A closed state's has the last closed first."""
    if ticket.state in CLOSED and ticket.closed_at is not None:
        return -ticket.closed_at.timestamp()
    return ticket.position


def mark(ticket: Placed) -> str:
    """The ticket's place in its column, for `after`. The place stays also when the ticket leaves it."""
    return f"{order(ticket)!r}:{ticket.key}"


def conditions(db: Session, looked_for: Wanted) -> ColumnElement[bool]:
    """What a ticket has to fulfil."""
    if looked_for.wrong:
        return false()
    return and_(true(), *(_condition(db, term) for term in looked_for.terms))


def _condition(db: Session, term: Term) -> ColumnElement[bool]:
    found = or_(*(_CONDITIONS[term.name](db, value) for value in term.values))
    return not_(found) if term.without else found


def _word(db: Session, word: str) -> ColumnElement[bool]:
    found = [_contains(db, column, word) for column in (Ticket.title, Ticket.body)]
    if word.isascii() and word.isdigit() and len(word) < 10:
        found.append(col(Ticket.number) == int(word))
    if _KEY.fullmatch(word):
        found.append(_key(db, word))
    return or_(*found)


def _contains(db: Session, column: Any, text: str) -> ColumnElement[bool]:
    if db.get_bind().dialect.name == "sqlite" and not text.isascii():
        # SQLite folds the case of ASCII only; the function is ours (dispatcher/db.py) and slower, so it is for the rest.
        return func.instr(func.casefold(column), text.casefold()) > 0
    return col(column).icontains(text, autoescape=True)


def _key(_db: Session, value: str) -> ColumnElement[bool]:
    return col(Ticket.key).startswith(value.upper(), autoescape=True)


def _state(_db: Session, value: str) -> ColumnElement[bool]:
    return col(Ticket.state).in_(SETS.get(value, (value,)))


def _project(_db: Session, value: str) -> ColumnElement[bool]:
    return col(Ticket.project_id).in_(select(Project.id).where(Project.key == value.upper()))


def _agent(_db: Session, value: str) -> ColumnElement[bool]:
    if value == NOBODY:
        return col(Ticket.agent_id).is_(None)
    # Not a plain `in`: that is NULL for a ticket without an agent, and so is its opposite.
    named = select(Agent.id).where(func.lower(Agent.name) == value.lower(), col(Agent.id) == col(Ticket.agent_id))
    return exists(named.correlate(Ticket))


def _label(db: Session, value: str) -> ColumnElement[bool]:
    label = _labels(db)
    has = select(1).select_from(label.table)
    if value == NOBODY:
        return not_(exists(has.correlate(Ticket)))
    return exists(has.where(_same(db, label, value)).correlate(Ticket))


def _same(db: Session, column: Any, text: str) -> ColumnElement[bool]:
    if db.get_bind().dialect.name == "sqlite" and not text.isascii():
        return func.casefold(column) == text.casefold()
    return func.lower(column) == func.lower(text)


def _labels(db: Session) -> Any:
    """The ticket's labels as rows: both databases unfold JSON, each by a function of its own."""
    unfold = func.json_each if db.get_bind().dialect.name == "sqlite" else func.json_array_elements_text
    rows = unfold(Ticket.labels).table_valued("value", name="one_label")
    return (rows if db.get_bind().dialect.name == "sqlite" else rows.render_derived()).c.value


def _behind(after: str, closed: bool) -> ColumnElement[bool]:
    place, _, key = after.partition(":")
    try:
        # As `order` has it. A double holds a time of this age to a quarter of a microsecond, so it comes back as it was.
        at = datetime.fromtimestamp(-float(place), UTC) if closed else float(place)
    except (ValueError, OverflowError, OSError) as error:
        raise Invalid(f"{after[:40]!r} is no place in a column", "open the board anew", "after") from error
    row = select(Ticket.id).where(Ticket.key == key).scalar_subquery()
    if closed:
        return or_(col(Ticket.closed_at) < at, and_(col(Ticket.closed_at) == at, col(Ticket.id) < row))
    return or_(col(Ticket.position) > at, and_(col(Ticket.position) == at, col(Ticket.id) > row))


_NAMES: dict[str, Callable[[Session], Sequence[str]]] = {
    "project": lambda db: db.exec(select(Project.key)).all(),
    "agent": lambda db: db.exec(select(Agent.name)).all(),
    "label": labels_in_use,
}

_CONDITIONS: dict[str, Any] = {
    "word": _word,
    "label": _label,
    "agent": _agent,
    "state": _state,
    "key": _key,
    "project": _project,
}
