"""The checks of a ticket's runs."""

from __future__ import annotations

from fastapi import APIRouter
from sqlmodel import Session, col, select
from starlette.responses import Response

from dispatcher.models import Check, Run, Ticket
from web.pages.forms import NOTHING
from web.pages.frame import frame, show
from web.site import Here, Number

router = APIRouter()


@router.get("/tickets/{key}/checks", name="checks")
def checks_page(site: Here, key: str, run: Number | None = None, part: str | None = None) -> Response:
    """The checks of the newest run that has any, or of the run that is asked for."""
    with site.database.reading() as db:
        row, context = frame(db, key)
        checked = _checked(db, row)
        chosen = run if run in checked else max(checked, default=None)
        checks = list(db.exec(select(Check).where(Check.run_id == chosen).order_by(col(Check.id))))
    numbers = {one.id: one for one in context["ticket"].runs}
    picks = [numbers[number] for number in sorted(checked, reverse=True) if number in numbers]
    asked = numbers.get(run) if run is not None else None
    return show(
        "ticket/checks.html",
        "checks",
        context,
        NOTHING,
        part,
        checks=checks,
        picks=picks,
        chosen=numbers.get(chosen or 0),
        asked=asked,
    )


def _checked(db: Session, ticket: Ticket) -> set[int]:
    """The runs that have checks."""
    return set(db.exec(select(Check.run_id).join(Run).where(Run.ticket_id == ticket.id)))
