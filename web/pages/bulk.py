"""The same for many tickets, chosen on the board."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, Request
from sqlmodel import col, select
from starlette.responses import HTMLResponse, Response

from dispatcher import bulk, search
from dispatcher.errors import DispatcherError
from dispatcher.models import Ticket
from web.errors import problem_of
from web.pages.filters import sent_from
from web.pages.forms import Entered, Scripted, to
from web.pages.toasts import Undo, toast
from web.render import page
from web.site import Here, Site

router = APIRouter()

_DONE = {
    "assign": "assigned to {agent}",
    "withdraw": "taken back to the backlog",
    "label": "labelled {label}",
    "unlabel": "rid of the label {label}",
    "cancel": "cancelled",
    "reopen": "back in the backlog",
}
_UNDO = {"assign": "withdraw", "label": "unlabel", "unlabel": "label", "cancel": "reopen"}


class Chosen(NamedTuple):
    """A form about several tickets."""

    form: dict[str, str]
    keys: list[str]


async def _chosen(request: Request) -> Chosen:
    """The form's fields, and the keys: a field `key` for each, or all in `keys` by commas."""
    async with request.form(max_files=0, max_fields=2100) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        keys = [value for value in form.getlist("key") if isinstance(value, str)]
    named = [*keys, *fields.get("keys", "").split(",")]  # a ticket that is named in both ways counts once
    return Chosen(fields, list(dict.fromkeys(key.strip().upper() for key in named if key.strip())))


@router.post("/tickets/bulk")
def act(request: Request, site: Here, chosen: Annotated[Chosen, Depends(_chosen)], scripted: Scripted) -> Response:
    """Assign, label or cancel the chosen tickets; to cancel, `confirm` has to be how many they are."""
    form, keys = chosen
    shown = sent_from(request, form)
    action = form.get("action", "")
    if action == "cancel" and form.get("confirm") != str(len(keys)) and 0 < len(keys) <= bulk.MOST:
        return _ask(site, chosen, scripted, shown.query())
    try:
        results = bulk.act(site.database, action, keys, agent=form.get("agent", ""), label=form.get("label", ""))
    except DispatcherError as error:
        entered = Entered(problem_of(error), "bulk", form)
        return page(
            "board/bulk.html",
            entered.status,
            part="bulk" if scripted else None,
            entered=entered,
            results=[],
            back=shown.query(),
            words="",
            keys=keys,
        )
    words = _DONE[action].format(agent=form.get("agent", ""), label=form.get("label", "").strip())
    failed = [one for one in results if one.error is not None]
    if scripted:
        return HTMLResponse(_told(results, action, words, form), 200)
    if not failed:
        return to(shown.address())
    return page("board/bulk.html", 409, entered=Entered(), results=results, back=shown.query(), words=words, keys=keys)


def _ask(site: Site, chosen: Chosen, scripted: bool, back: str) -> Response:
    """What cancelling them will do, before it is done."""
    with site.database.reading() as db:
        rows = {ticket.key: ticket for ticket in db.exec(select(Ticket).where(col(Ticket.key).in_(chosen.keys)))}
    found = [rows[key] for key in chosen.keys if key in rows]
    tickets = [ticket for ticket in found if ticket.state not in search.CLOSED]
    part = "cancel" if scripted else None
    return page("board/bulk_cancel.html", part=part, tickets=tickets, others=len(chosen.keys) - len(tickets), back=back)


def _told(results: list[bulk.Result], action: str, words: str, form: dict[str, str]) -> str:
    """The messages: what was done, with its undo, and what could not be, ticket by ticket."""
    done = [one.key for one in results if one.error is None and one.changed]
    same = [one.key for one in results if one.error is None and not one.changed]
    failed = [one for one in results if one.error is not None]
    parts = []
    if done or same:
        count = f"{len(done)} {'ticket' if len(done) == 1 else 'tickets'}"
        hint = f"{len(same)} had it so already." if same else ""
        parts.append(toast(f"{count} {words}", undo=_undo(action, done, form), hint=hint))
    if failed:
        lines = [f"{one.key}: {one.error.message}" for one in failed if one.error is not None]
        more = [f"and {len(lines) - 10} more"] if len(lines) > 10 else []
        parts.append(toast(f"{len(failed)} could not be {words}", error=True, hint="; ".join([*lines[:10], *more])))
    return "".join(parts)


def _undo(action: str, done: list[str], form: dict[str, str]) -> Undo | None:
    if action not in _UNDO or not done:
        return None
    return Undo("/tickets/bulk", {"action": _UNDO[action], "keys": ",".join(done), "label": form.get("label", "")})
