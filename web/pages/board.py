"""The board: its columns, whole or page by page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response

from dispatcher import activity, agents, board, moves, projects, search
from dispatcher.errors import Invalid
from dispatcher.states import OPEN_TICKET, TICKET_STATES, TicketState
from web.pages.filters import Filter, Shown, filter_of
from web.pages.forms import NOTHING, Entered, to
from web.pages.start import wanted
from web.pages.wrong import Wrong, cut, in_filter, sentence
from web.render import page
from web.schemas import TicketOut
from web.site import Here, Site
from web.views import tickets_out

__all__ = ["filter_of", "router", "show_board"]

router = APIRouter()

COLUMN = 12
"""Tickets of one column that are sent at first, and with each page more."""
MOST = 400
"""Tickets of one column that a refreshed board gets again at most."""

_SEEN = re.compile(r"([a-z]+)\.(\d{1,4})")


class Column(NamedTuple):
    """One column of the board; `total` counts what is not sent too, `more` is the mark that the next page begins behind."""

    state: str
    tickets: list[TicketOut]
    total: int
    more: str


@router.get("/", name="board")
def board_page(  # noqa: PLR0917 - each is a field of the query
    request: Request,
    site: Here,
    shown: Shown,
    part: str | None = None,
    column: str = "",
    after: str = "",
    seen: str = "",
    open: str = "",
) -> Response:
    """The board; with `column` only that, from behind the mark `after`. `seen` tells how many cards are there already."""
    if not request.url.query and wanted(site):
        return to("/start")
    return show_board(site, shown, part=part, only=column, after=after if column else "", seen=_seen(seen), opened=open[:40])


def show_board(
    site: Site,
    shown: Filter,
    entered: Entered = NOTHING,
    *,
    part: str | None = None,
    only: str = "",
    after: str = "",
    seen: dict[str, int] | None = None,
    opened: str = "",
) -> Response:
    """The board, with a form that was refused where there is one."""
    with site.database.reading() as db:
        # The cursor first: what happens while the rest is read, the page is then told of.
        cursor = activity.newest(db)
        counts = search.count_by_state(db, shown.wanted)
        found = sum(counts.values())
        wrong = in_filter(db, shown, empty=not found)
        whole = [("The whole board", shown.address())]
        if only and only not in TICKET_STATES:
            wrong.append(Wrong("column", f"There is no column {cut(only)}.", whole))
            only = after = ""
        states = [state for state in TICKET_STATES if state == only] or _states(shown)
        sizes = {state: min(max((seen or {}).get(state, 0), COLUMN), MOST) for state in states}
        try:
            columns = _columns(db, shown, sizes, counts, after)
        except Invalid as error:
            wrong.append(Wrong("after", sentence(error.message), whole))
            columns = _columns(db, shown, sizes, counts, "")
        context: dict[str, Any] = {
            "cursor": cursor,
            "columns": columns,
            "found": found,
            "cancelled": counts["cancelled"],
            "wrong": wrong,
        }
        if part is None:
            context |= _frame(db, shown)
    return page(
        "board/board.html", entered.status, part=part, shown=shown, entered=entered, only=only, opened=opened, **context
    )


def _frame(db: Session, shown: Filter) -> dict[str, Any]:
    """What stands around the columns."""
    return {
        "projects": projects.list_projects(db),
        "agents": agents.known_agents(db),
        "labels": search.labels_in_use(db, shown.project),
        "moves": moves.table(),
        "tickets": sum(board.count_states(db).values()),
    }


def _states(shown: Filter) -> list[TicketState]:
    """The columns: those that tickets found can be in, the cancelled ones where somebody wants to see them."""
    named = [term for term in shown.wanted.terms if term.name == "state"]
    possible = shown.wanted.states() if named else {*OPEN_TICKET, "done"}
    if shown.show == "cancelled":
        possible = possible | {"cancelled"}
    return [state for state in TICKET_STATES if state in possible] or list(OPEN_TICKET)


def _columns(db: Session, shown: Filter, sizes: Mapping[TicketState, int], counts: dict[str, int], after: str) -> list[Column]:
    """The columns with so many tickets at most of each."""
    rows = {
        state: search.tickets(db, shown.wanted, state=state, limit=size + 1, after=after or None) if counts[state] else []
        for state, size in sizes.items()
    }
    sent = {state: found[: sizes[state]] for state, found in rows.items()}
    # All at once: it costs a few queries, however many columns there are.
    out = {ticket.key: ticket for ticket in tickets_out(db, [ticket for found in sent.values() for ticket in found])}
    return [
        Column(
            state,
            [out[ticket.key] for ticket in sent[state]],
            counts[state],
            search.mark(sent[state][-1]) if len(rows[state]) > sizes[state] else "",
        )
        for state in sizes
    ]


def _seen(text: str) -> dict[str, int]:
    """`backlog.80,done.120` as numbers by state."""
    return {state: int(number) for state, number in _SEEN.findall(text[:200])}
