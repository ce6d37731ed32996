"""Agents: one's page with its settings and what it did; add, edit, retire, remove."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlmodel import Session
from starlette.responses import Response

import adapters
from dispatcher import activity, agents, endpoints, retiring, usage
from dispatcher.models import Agent, Endpoint
from web.fleet_views import DAY, agent_view, history
from web.pages.fleet.fields import attempt, seconds, whole
from web.pages.forms import NOTHING, Entered, Fields, to
from web.render import page
from web.site import Here, Site

router = APIRouter()

TEXTS = ("harness", "endpoint", "model", "instructions")


@router.get("/fleet/add/agent")
def add_agent_page(site: Here) -> Response:
    """The form for another agent."""
    return show_form(site, None)


@router.post("/fleet/agents")
def add_agent(site: Here, form: Fields) -> Response:
    """Add an agent."""
    added = add(site, form)
    return show_form(site, None, added) if isinstance(added, Entered) else to(f"/fleet/agents/{added.name}")


@router.get("/fleet/agents/{name}", name="agent")
def agent_page(site: Here, name: str, hours: str = "", part: str | None = None) -> Response:
    """One agent."""
    return show_agent(site, name, hours=hours, part=part)


@router.get("/fleet/agents/{name}/edit")
def edit_agent_page(site: Here, name: str) -> Response:
    """The form with what the agent is set to."""
    return show_form(site, name)


@router.post("/fleet/agents/{name}/edit")
def edit_agent(site: Here, name: str, form: Fields) -> Response:
    """Change an agent."""

    def change(db: Session) -> Agent:
        return agents.edit_agent(db, agents.get_agent(db, name), **values(form))

    changed = attempt(site, "agent", form, change)
    return show_form(site, name, changed) if isinstance(changed, Entered) else to(f"/fleet/agents/{name}")


@router.get("/fleet/agents/{name}/remove")
def remove_agent_page(site: Here, name: str) -> Response:
    """Asks, and tells what happens."""
    return show_remove(site, name)


@router.post("/fleet/agents/{name}/remove")
def remove_agent(site: Here, name: str, form: Fields) -> Response:
    """Remove an agent that was never used."""
    done = attempt(site, "remove", form, lambda db: agents.remove_agent(db, agents.get_agent(db, name)))
    return show_remove(site, name, done) if isinstance(done, Entered) else to("/fleet#agents")


@router.post("/fleet/agents/{name}/retire")
def retire_agent(site: Here, name: str, form: Fields) -> Response:
    """Assign no more to an agent."""
    done = attempt(site, "remove", form, lambda db: retiring.retire_agent(db, name))
    return show_remove(site, name, done) if isinstance(done, Entered) else to(f"/fleet/agents/{name}")


@router.post("/fleet/agents/{name}/restore")
def restore_agent(site: Here, name: str, form: Fields) -> Response:
    """Bring a retired agent back."""
    done = attempt(site, "restore", form, lambda db: retiring.restore_agent(db, name))
    return show_agent(site, name, done) if isinstance(done, Entered) else to(f"/fleet/agents/{name}")


def add(site: Site, form: dict[str, str]) -> Agent | Entered:
    """Add the agent that a form describes."""

    def make(db: Session) -> Agent:
        return agents.add_agent(db, name=form.get("name", "").strip(), **{"harness": "", "endpoint": ""} | values(form))

    return attempt(site, "agent", form, make)


def values(form: dict[str, str]) -> dict[str, Any]:
    """What a form says of an agent, for the use cases; raises `Invalid`."""
    texts: dict[str, Any] = {field: form[field] for field in TEXTS if field in form}
    times = {field: seconds(form, field) for field in ("max_seconds", "max_silence")}
    counts = {field: whole(form, field) for field in ("max_tokens", "max_turns")}
    if "max_tokens" in form and counts["max_tokens"] is None:
        counts["max_tokens"] = 0  # emptied: any number
    return texts | {field: value for field, value in (times | counts).items() if value is not None}


def show_agent(site: Site, name: str, entered: Entered = NOTHING, *, hours: str = "", part: str | None = None) -> Response:
    """An agent's page, or one part of it."""
    with site.database.reading() as db:
        context: dict[str, Any] = {"cursor": activity.newest(db)}
        view = agent_view(db, name)
        number = view.row.id or 0
        context |= {"it": view, "tickets": agents.open_tickets(db, view.row), "ended": usage.ended(db, number, 30 * DAY)}
        context["history"] = history(db, hours, agent=number) if part in (None, "history") else None
    at = f"/fleet/agents/{name}"
    return page("fleet/agent.html", entered.status, part=part, entered=entered, place="/fleet", at=at, **context)


def show_form(site: Site, name: str | None, entered: Entered = NOTHING) -> Response:
    """The form for a new agent, or for the one of that name."""
    with site.database.reading() as db:
        row = agents.get_agent(db, name) if name is not None else None
        own = db.get_one(Endpoint, row.endpoint_id) if row is not None else None
        choice = endpoints.list_endpoints(db)
        live = agents.live_tickets(db, row) if row is not None else []
    if own is not None and own.retired_at is not None:
        choice = [own, *choice]
    context: dict[str, Any] = {"row": row, "own": own, "choice": choice, "harnesses": sorted(adapters.HARNESSES), "live": live}
    usable = {found.name for found in site.inventory.harnesses() if found.used is not None}
    return page("fleet/agent_form.html", entered.status, entered=entered, usable=usable, place="/fleet", **context)


def show_remove(site: Site, name: str, entered: Entered = NOTHING) -> Response:
    """The question before an agent is removed or retired."""
    with site.database.reading() as db:
        view = agent_view(db, name)
        removable = retiring.removable(db, view.row)
        tickets, live = agents.open_tickets(db, view.row), agents.live_tickets(db, view.row)
    context: dict[str, Any] = {"it": view, "removable": removable, "tickets": tickets, "live": live, "in_use": []}
    at = f"/fleet/agents/{view.row.name}"
    return page("fleet/agent_remove.html", entered.status, entered=entered, place="/fleet", at=at, **context)
