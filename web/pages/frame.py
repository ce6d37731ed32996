"""What every tab of a ticket's page stands in: its head, its actions, and the tabs themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlmodel import Session, func, select
from starlette.responses import Response

from dispatcher import activity, agents, board, projects
from dispatcher.errors import NotFound
from dispatcher.models import Project, Ticket
from dispatcher.states import LIVE_RUN
from web.mentions import project_keys
from web.pages.forms import NOTHING, Entered
from web.pages.offers import offers
from web.render import page
from web.schemas import TicketDetail
from web.views import ticket_detail
from web.who import me

TABS = {"": "Conversation", "transcript": "Transcript", "changes": "Changes", "checks": "Checks", "runs": "Runs"}
"""The tabs by the last part of their address."""


class Totals(NamedTuple):
    """What all runs of a ticket took; times in seconds."""

    runs: int
    seconds: float
    prompt_tokens: int
    completion_tokens: int


def frame(db: Session, key: str) -> tuple[Ticket, dict[str, Any]]:
    """A ticket, and the context of its page's frame; raises `NotFound` with what may have become of it."""
    # The cursor first: what happens while the rest is read, the page is then told of.
    cursor = activity.newest(db)
    row = _find(db, key)
    ticket = ticket_detail(db, row, said=False)
    live = next((run for run in ticket.runs if run.state in LIVE_RUN), None)
    person = me()
    return row, {
        "cursor": cursor,
        "ticket": ticket,
        "project": projects.get_project(db, ticket.project),
        "project_key": ticket.project,
        "project_keys": project_keys(db),
        "agents": agents.list_agents(db),
        "labels": [],
        "live": live,
        "offers": offers(ticket, live),
        "totals": _totals(ticket),
        "may_act": person is None or person.may("member"),
        "tabs": TABS,
    }


def show(
    template: str, tab: str, context: dict[str, Any], entered: Entered = NOTHING, part: str | None = None, /, **more: Any
) -> Response:
    """A tab of a ticket's page: a template that extends `ticket/frame.html`, or only the block `part` of it."""
    return page(template, entered.status, part=part, tab=tab, entered=entered, **context, **more)


def _find(db: Session, key: str) -> Ticket:
    try:
        return board.get_ticket(db, key)
    except NotFound as error:
        raise NotFound(f"there is no ticket {key[:40]}", _fate(db, key), "key") from error


def _fate(db: Session, key: str) -> str:
    """What may have become of a ticket that there is not."""
    name = key.strip().upper().rpartition("-")[0]
    project = db.exec(select(Project).where(Project.key == name)).first()
    if project is None:
        return f"no project has the key {name[:20]}; a project that is removed takes its tickets with it" if name else ""
    last = db.exec(select(func.max(Ticket.number)).where(Ticket.project_id == project.id)).one()
    return f"the newest ticket of {project.name} is {name}-{last}" if last else f"there is no ticket in {project.name} yet"


def _totals(ticket: TicketDetail) -> Totals:
    own = ticket.runs
    return Totals(
        runs=len(own),
        seconds=sum(run.seconds or 0 for run in own),
        prompt_tokens=sum(run.prompt_tokens for run in own),
        completion_tokens=sum(run.completion_tokens for run in own),
    )
