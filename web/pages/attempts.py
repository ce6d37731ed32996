"""The runs of a ticket: each attempt beside the others, and one attempt on a page of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from fastapi import APIRouter
from sqlmodel import Session, col, func, select
from starlette.responses import Response

from dispatcher import runs
from dispatcher.changes import Stats
from dispatcher.errors import NotFound
from dispatcher.models import Check, ItemRow, Project, Run, SessionRow, Ticket
from dispatcher.runstats import run_stats
from web.pages.forms import NOTHING
from web.pages.frame import frame, show
from web.schemas import RunOut
from web.site import Here, Number
from web.views import runs_out

router = APIRouter()

COMPARED = 20
"""Runs that are shown beside each other, the newest."""


class Attempt(NamedTuple):
    """A run with what belongs to it; `waited` is in seconds, from its queueing to its claim."""

    run: RunOut
    stats: Stats | None
    checks: list[Check]
    session: str | None
    items: int
    waited: float | None


@router.get("/tickets/{key}/runs", name="runs")
def runs_page(site: Here, key: str, part: str | None = None) -> Response:
    """Each attempt beside the others, the newest first."""
    with site.database.reading() as db:
        row, context = frame(db, key)
        found = attempts(db, row, runs.list_runs(db, ticket=row, limit=COMPARED))
    earlier = len(context["ticket"].runs) - len(found)
    most = {
        "seconds": max((one.run.seconds or 0 for one in found), default=0),
        "tokens": max((one.run.prompt_tokens + one.run.completion_tokens for one in found), default=0),
    }
    return show("ticket/runs.html", "runs", context, NOTHING, part, attempts=found, earlier=earlier, most=most)


@router.get("/tickets/{key}/runs/{number}", name="attempt")
def attempt_page(site: Here, key: str, number: Number, part: str | None = None) -> Response:
    """One attempt, with the prompt that it was given."""
    with site.database.reading() as db:
        row, context = frame(db, key)
        run = db.exec(select(Run).where(Run.ticket_id == row.id, Run.number == number)).first()
        if run is None:
            raise NotFound(f"{row.key} has no run {number}", "its runs are listed on its tab Runs", "number")
        found = attempts(db, row, [run])[0]
    more: dict[str, Any] = {"attempt": found, "prompt": run.prompt, "ended_by": run.ended_by, "fault": run.fault_text}
    return show("ticket/attempt.html", "runs", context, NOTHING, part, **more)


def attempts(db: Session, ticket: Ticket, rows: list[Run]) -> list[Attempt]:
    """The runs with their diff stats, checks and sessions."""
    ids = [run.id for run in rows]
    project = db.get_one(Project, ticket.project_id)
    changed = run_stats(Path(project.path), rows)
    checks = list(db.exec(select(Check).where(col(Check.run_id).in_(ids)).order_by(col(Check.id))))
    roots = select(SessionRow).where(col(SessionRow.run_id).in_(ids), col(SessionRow.parent_id).is_(None))
    sessions = {row.run_id: row for row in db.exec(roots)}
    numbers = select(ItemRow.session_id, func.count()).where(col(ItemRow.session_id).in_([row.id for row in sessions.values()]))
    items = dict(db.exec(numbers.group_by(col(ItemRow.session_id))).all())
    found = []
    for run, out in zip(rows, runs_out(db, rows), strict=True):
        session = sessions.get(out.id)
        found.append(
            Attempt(
                run=out,
                stats=changed.get(out.id),
                checks=[check for check in checks if check.run_id == out.id],
                session=session.native_id if session else None,
                items=items.get(session.id or 0, 0) if session else 0,
                waited=(run.claimed_at - run.created_at).total_seconds() if run.claimed_at else None,
            )
        )
    return found
