"""The board: its columns, filing and assigning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from sqlmodel import Session
from starlette.responses import Response

from dispatcher import activity, agents, board, projects
from dispatcher.errors import DispatcherError
from dispatcher.states import OPEN_TICKET
from web.errors import problem_of
from web.pages.forms import NOTHING, Entered, Fields, to
from web.render import page
from web.schemas import TicketOut
from web.site import Here, Site
from web.views import tickets_out

router = APIRouter()

COLUMN = 100
"""Tickets of one column that the board shows."""


@dataclass(frozen=True)
class Filter:
    """What of the board is shown."""

    project: str = ""
    q: str = ""


class Column(NamedTuple):
    """One column of the board; `total` counts what is not shown too."""

    state: str
    tickets: list[TicketOut]
    total: int


@router.get("/", name="board")
def board_page(
    site: Here, project: Annotated[str, Query(max_length=100)] = "", q: Annotated[str, Query(max_length=500)] = ""
) -> Response:
    """The board."""
    return show_board(site, Filter(project, q))


@router.post("/tickets")
def file_ticket(site: Here, form: Fields) -> Response:
    """File a ticket."""
    labels = [label.strip() for label in form.get("labels", "").split(",") if label.strip()]
    try:
        with site.database.transaction() as db:
            ticket = board.file_ticket(
                db,
                project=form.get("project", ""),
                title=form.get("title", ""),
                body=form.get("body", ""),
                labels=labels,
                agent=form.get("agent") or None,
            )
    except DispatcherError as error:
        return show_board(site, filter_of(form), Entered(problem_of(error), "new", form))
    return to(f"/tickets/{ticket.key}")


def show_board(site: Site, shown: Filter, entered: Entered = NOTHING) -> Response:
    """The board, with a form that was refused where there is one."""
    with site.database.reading() as db:
        # The cursor first: what happens while the rest is read, the page is then told of.
        context: dict[str, Any] = {
            "cursor": activity.newest(db),
            "columns": [_column(db, state, shown) for state in (*OPEN_TICKET, "done")],
            "projects": projects.list_projects(db),
            "agents": agents.list_agents(db),
            "cancelled": board.count_states(db, shown.project or None)["cancelled"],
        }
    return page("board/board.html", entered.status, shown=shown, entered=entered, **context)


def filter_of(form: dict[str, str]) -> Filter:
    """What the board showed when a form on it was sent."""
    return Filter(form.get("shown_project", ""), form.get("q", ""))


def _column(db: Session, state: str, shown: Filter) -> Column:
    rows = board.list_tickets(
        db,
        project=shown.project or None,
        state=state,
        query=shown.q or None,
        limit=COLUMN + 1,
        newest_first=state == "done",
    )
    total = len(rows)
    if total > COLUMN and not shown.q:
        total = board.count_states(db, shown.project or None)[state]
    return Column(state, tickets_out(db, rows[:COLUMN]), total)
