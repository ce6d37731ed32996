"""The first run: from nothing to the first ticket, a step at a time; what is done is read from the database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from sqlmodel import Session, col, select
from starlette.responses import Response

from dispatcher import activity, agents, board, endpoints, projects, roster
from dispatcher.discovery import Found
from dispatcher.models import Agent, Endpoint, Project, Ticket
from dispatcher.repositories import find_repositories
from web.fleet_views import endpoint_views
from web.pages.fleet import agents as agent_forms
from web.pages.fleet import endpoints as endpoint_forms
from web.pages.fleet import harnesses as harness_forms
from web.pages.fleet import projects as project_forms
from web.pages.fleet.fields import attempt
from web.pages.fleet.overview import harness_rows
from web.pages.forms import NOTHING, Entered, Fields, to
from web.render import page
from web.site import Here, Site
from web.who import me

router = APIRouter()


class Step(NamedTuple):
    """One step: whether it is done, and whether it is the one to do now."""

    name: str
    done: bool
    current: bool


def needed(db: Session) -> bool:
    """Whether nothing can be worked on yet: a project, an endpoint or an agent is missing, and no ticket was filed ever."""
    in_use = [
        select(Project.id),
        select(Endpoint.id).where(col(Endpoint.retired_at).is_(None)),
        select(Agent.id).where(col(Agent.retired_at).is_(None)),
    ]
    missing = any(db.exec(query.limit(1)).first() is None for query in in_use)
    return missing and db.exec(select(Ticket.id).limit(1)).first() is None


def wanted(site: Site) -> bool:
    """Whether the board leads here: an administrator asks, and there is nothing that could work."""
    who = me()
    if who is None or not who.may("admin"):
        return False
    with site.database.reading() as db:
        return needed(db)


@router.get("/start", name="start")
async def start_page(site: Here, look: bool = False, part: str | None = None) -> Response:
    """The steps, with the model servers that answer on this machine."""
    return await show_start(site, look=look, part=part)


@router.post("/start/endpoint")
async def add_endpoint(site: Here, form: Fields) -> Response:
    """Take a model server that was found, or one by its address."""
    return await _next(site, await endpoint_forms.add(site, form))


@router.post("/start/harness")
async def install_harness(site: Here, form: Fields) -> Response:
    """Install a harness, in the background."""
    entered = await run_in_threadpool(harness_forms.begin, site, form.get("name", ""), form)
    return await _next(site, replace(entered, at="harness") if entered.problem else None)


@router.post("/start/agent")
async def add_agent(site: Here, form: Fields) -> Response:
    """Put harness and endpoint together as an agent."""
    return await _next(site, await run_in_threadpool(agent_forms.add, site, form))


@router.post("/start/project")
async def add_project(site: Here, form: Fields) -> Response:
    """Take a repository under care."""
    return await _next(site, await run_in_threadpool(project_forms.add, site, form))


@router.post("/start/suggest")
async def suggest(site: Here, form: Fields) -> Response:
    """The steps, with repositories of this machine to choose from; or with the one that was chosen."""
    if form.get("chosen"):
        return await show_start(site, Entered(None, "project", form | {"path": form["chosen"]}))
    found = await run_in_threadpool(find_repositories, Path.home())
    return await show_start(site, Entered(None, "project", form), suggested=[str(path) for path in found])


@router.post("/start/ticket")
async def file_ticket(site: Here, form: Fields) -> Response:
    """File the first ticket, assigned at once."""

    def file(db: Session) -> Ticket:
        return board.file_ticket(
            db,
            project=form.get("project", ""),
            title=form.get("title", ""),
            body=form.get("body", ""),
            agent=form.get("agent") or None,
        )

    filed = await run_in_threadpool(attempt, site, "ticket", form, file)
    return await show_start(site, filed) if isinstance(filed, Entered) else to(f"/tickets/{filed.key}")


async def show_start(
    site: Site,
    entered: Entered = NOTHING,
    *,
    look: bool = False,
    suggested: list[str] | None = None,
    part: str | None = None,
) -> Response:
    """The page of steps, with a form that was refused where there is one."""
    found = await site.inventory.servers(anew=look)
    return await run_in_threadpool(_show, site, entered, found, suggested, part)


async def _next(site: Site, done: object) -> Response:
    """The page again, where nothing was refused at what comes next."""
    return await show_start(site, done) if isinstance(done, Entered) else to("/start#next")


def _show(site: Site, entered: Entered, found: list[Found], suggested: list[str] | None, part: str | None) -> Response:
    harnesses = harness_rows(site)
    with site.database.reading() as db:
        context: dict[str, Any] = {
            "cursor": activity.newest(db),
            "endpoints": endpoint_views(db, retired=False),
            "agents": agents.list_agents(db),
            "projects": projects.list_projects(db),
            "tickets": db.exec(select(Ticket.id).limit(1)).first() is not None,
            "working": any(roster.alive(worker) for worker in roster.list_workers(db)),
            "known": {row.base_url: row.name for row in endpoints.list_endpoints(db, retired=True)},
            "names": {server.base_url: endpoints.free_name(db, server.product) for server in found},
        }
    context["steps"] = {step.name: step for step in _steps(context, harnesses)}
    context |= {"found": found, "harnesses": harnesses, "suggested": suggested, "place": ""}
    return page("fleet/start.html", entered.status, part=part, entered=entered, **context)


def _steps(context: dict[str, Any], harnesses: list[dict[str, Any]]) -> list[Step]:
    done = {
        "endpoint": bool(context["endpoints"]),
        "harness": any(entry["row"].used for entry in harnesses),
        "agent": bool(context["agents"]),
        "project": bool(context["projects"]),
        "ticket": context["tickets"],
    }
    first = next((name for name, ready in done.items() if not ready), "")
    return [Step(name, ready, name == first) for name, ready in done.items()]
