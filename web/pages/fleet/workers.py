"""Workers: those that are gone can be forgotten."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from dispatcher import roster
from web.pages.fleet.fields import attempt
from web.pages.fleet.overview import fleet_after
from web.pages.forms import NOTHING, Fields, Scripted
from web.site import Here

router = APIRouter()


@router.post("/fleet/workers/forget")
def forget(site: Here, form: Fields, scripted: Scripted) -> Response:
    """Take a dead worker off the list."""
    done = attempt(site, "workers", form, lambda db: roster.forget(db, form.get("name", "")))
    return fleet_after(site, done or NOTHING, "workers", scripted=scripted)
