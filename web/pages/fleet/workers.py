"""Workers: those that are gone can be forgotten."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from dispatcher import roster
from web.pages.fleet.fields import attempt
from web.pages.fleet.overview import show_fleet
from web.pages.forms import NOTHING, Entered, Fields, Scripted, to
from web.site import Here

router = APIRouter()


@router.post("/fleet/workers/forget")
def forget(site: Here, form: Fields, scripted: Scripted) -> Response:
    """Take a dead worker off the list."""
    done = attempt(site, "workers", form, lambda db: roster.forget(db, form.get("name", "")))
    if scripted or isinstance(done, Entered):
        return show_fleet(site, done or NOTHING, "workers" if scripted else None)
    return to("/fleet#workers")
