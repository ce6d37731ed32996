"""The overview of the fleet: all of it at one glance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session
from starlette.responses import Response

from dispatcher import activity, projects
from web.fleet_views import agent_views, endpoint_views, worker_views
from web.pages.forms import NOTHING, Entered, to
from web.render import page
from web.site import Here, Site
from web.views import project_out

router = APIRouter()

PARTS = ("endpoints", "agents", "workers", "harnesses", "projects")


@router.get("/fleet", name="fleet")
def fleet_page(site: Here, part: str | None = None) -> Response:
    """Everything that works here, or one part of it."""
    return show_fleet(site, part=part)


def show_fleet(site: Site, entered: Entered = NOTHING, part: str | None = None) -> Response:
    """The overview; of what is asked for alone, only that is read."""
    looks: dict[str, Callable[[Session], Any]] = {
        "endpoints": endpoint_views,
        "agents": agent_views,
        "workers": worker_views,
        "projects": lambda db: [project_out(db, project) for project in projects.list_projects(db)],
    }
    with site.database.reading() as db:
        # The cursor first: what happens while the rest is read, the page is then told of.
        context: dict[str, Any] = {"cursor": activity.newest(db)}
        context |= {name: look(db) for name, look in looks.items() if part in (None, name)}
    if part in (None, "harnesses"):
        context["harnesses"] = harness_rows(site)
    return page("fleet/overview.html", entered.status, part=part, entered=entered, place="/fleet", **context)


def fleet_after(site: Site, entered: Entered, part: str, *, scripted: bool) -> Response:
    """The answer to a form of the overview: that part of it, or without scripts the place there, or what was refused."""
    if scripted or entered.problem:
        return show_fleet(site, entered, part if scripted else None)
    return to(f"/fleet#{part}")


def harness_rows(site: Site) -> list[dict[str, Any]]:
    """Every harness of this machine, with its install that is under way or was done last."""
    return [{"row": row, "job": site.jobs.get(f"install {row.name}")} for row in site.inventory.harnesses()]
