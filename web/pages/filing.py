"""A new ticket: its form, as a page and in a dialog of the board, with the project's templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlmodel import Session
from starlette.responses import HTMLResponse, Response

from dispatcher import activity, agents, board, projects, search
from dispatcher.errors import DispatcherError, NotFound
from dispatcher.models import Project
from dispatcher.templating import Template, templates
from web.errors import problem_of
from web.pages.forms import NOTHING, Entered, Fields, Scripted, to
from web.pages.toasts import toast
from web.render import page
from web.site import Here, Site

router = APIRouter()


@router.get("/tickets/new", name="new")
def new_page(
    site: Here, project: Annotated[str, Query(max_length=100)] = "", template: str = "", part: str | None = None
) -> Response:
    """The form of a new ticket, begun as the template is where one is named."""
    return _show(site, {"project": project, "template": template}, part=part)


@router.post("/tickets")
def file_ticket(site: Here, form: Fields, scripted: Scripted) -> Response:
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
        return _show(site, form, Entered(problem_of(error), "new", form), part="new" if scripted else None)
    if not scripted:
        return to(f"/tickets/{ticket.key}")
    words = f"{ticket.key} filed" + (f" and assigned to {form['agent']}" if form.get("agent") else "")
    return HTMLResponse(toast(words), 201, {"X-Ticket": ticket.key})


def _show(site: Site, given: Mapping[str, str], entered: Entered = NOTHING, *, part: str | None = None) -> Response:
    with site.database.reading() as db:
        context: dict[str, Any] = {
            "cursor": activity.newest(db),
            "projects": projects.list_projects(db),
            "agents": agents.list_agents(db),
            "labels": search.labels_in_use(db),
        }
        project = _project(db, given.get("project", ""), context["projects"])
    # git is asked outside of the transaction.
    found = templates(project) if project is not None else []
    chosen = next((one for one in found if one.path == given.get("template") and not one.problem), None)
    values = _begun(chosen) | {name: value for name, value in entered.values.items() if value}
    context |= {"project": project, "templates": found, "chosen": chosen, "values": values}
    return page("board/new.html", entered.status, part=part, entered=entered, **context)


def _project(db: Session, key: str, known: list[Project]) -> Project | None:
    """The project that was asked for, or the first; an unknown one is the first too, where nothing was filed yet."""
    try:
        return projects.get_project(db, key) if key else next(iter(known), None)
    except NotFound:
        return next(iter(known), None)


def _begun(template: Template | None) -> dict[str, str]:
    if template is None:
        return {}
    return {"title": template.title, "body": template.body, "labels": ", ".join(template.labels)}
