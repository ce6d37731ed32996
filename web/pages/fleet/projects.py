"""Projects: one's page with what its repository says; add, edit, remove."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from dispatcher import activity, projects
from dispatcher.errors import DispatcherError
from dispatcher.git import Repository
from dispatcher.merging import METHODS
from dispatcher.models import Project
from dispatcher.prompts import Workflow
from dispatcher.repositories import find_repositories
from dispatcher.sandboxes import MEANINGS, Reach, lines, reach_of
from web.errors import Problem, problem_of
from web.pages.fleet.fields import attempt
from web.pages.forms import NOTHING, Entered, Fields, Scripted, to
from web.render import page
from web.site import Here, Site
from web.views import project_out

router = APIRouter()

FIELDS = ("path", "name", "default_branch", "check_command", "setup_command", "merge_method", "sandbox")
LISTS = ("read", "write", "hosts", "setup_hosts")
"""What the sandbox lets in, each a text with an entry a line."""


@dataclass(frozen=True)
class Look:
    """What a repository says of itself, or why it cannot be looked at."""

    path: str = ""
    key: str = ""
    branch: str = ""
    branches: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    taken: str = ""
    """The project that has it already."""
    problem: Problem | None = None


@router.get("/fleet/add/project")
def add_project_page(site: Here) -> Response:
    """The form for another project."""
    return show_form(site, None)


@router.post("/fleet/projects/look")
def look(site: Here, form: Fields, scripted: Scripted) -> Response:
    """The form, with what the repository at the path that was typed says."""
    seen = look_at(site, form.get("path", ""))
    # What was typed stays in the form.
    return show_form(site, None, Entered(None, "project", form), seen=seen, part="look" if scripted else None)


@router.post("/fleet/projects/suggest")
def suggest(site: Here, form: Fields) -> Response:
    """The form, with repositories of this machine to choose from."""
    with site.database.reading() as db:
        taken = {project.path for project in projects.list_projects(db)}
    found = [str(path) for path in find_repositories(Path.home()) if str(path) not in taken]
    return show_form(site, None, Entered(None, "project", form), suggested=found)


@router.post("/fleet/projects")
def add_project(site: Here, form: Fields) -> Response:
    """Add a project."""
    added = add(site, form)
    return show_form(site, None, added) if isinstance(added, Entered) else to(f"/fleet/projects/{added.key}")


@router.get("/fleet/projects/{key}", name="project")
def project_page(site: Here, key: str, part: str | None = None) -> Response:
    """One project."""
    with site.database.reading() as db:
        cursor = activity.newest(db)
        project = projects.get_project(db, key)
        shown = project_out(db, project)
    notes, workflow, problem = read(project)
    context = {"project": shown, "notes": notes, "workflow": workflow, "problem": problem, "cursor": cursor}
    return page("fleet/project.html", part=part, place="/fleet", **context)


@router.get("/fleet/projects/{key}/edit")
def edit_project_page(site: Here, key: str) -> Response:
    """The form with what the project is set to."""
    return show_form(site, key)


@router.post("/fleet/projects/{key}/edit")
def edit_project(site: Here, key: str, form: Fields) -> Response:
    """Change a project."""
    given: dict[str, Any] = {name: form[name] for name in FIELDS if name in form}
    try:
        projects.edit_project(site.database, key, reach=_reach(form), **given)
    except DispatcherError as error:
        return show_form(site, key, Entered(problem_of(error), "project", form))
    return to(f"/fleet/projects/{key.upper()}")


@router.get("/fleet/projects/{key}/remove")
def remove_project_page(site: Here, key: str) -> Response:
    """Asks, and tells what goes and what stays."""
    return show_remove(site, key)


@router.post("/fleet/projects/{key}/remove")
def remove_project(site: Here, key: str, form: Fields) -> Response:
    """Let a project go; the key has to be typed."""
    try:
        if form.get("confirm", "").strip().upper() != key.upper():
            text = f"type {key.upper()} to remove the project"
            return show_remove(
                site, key, Entered(Problem(422, text, "its records cannot be brought back", "confirm"), "remove", form)
            )
        projects.remove_project(site.database, site.settings, key)
    except DispatcherError as error:
        return show_remove(site, key, Entered(problem_of(error), "remove", form))
    return to("/fleet#projects")


def add(site: Site, form: dict[str, str]) -> Project | Entered:
    """Add the project that a form describes; fields that are empty are left to the repository."""
    given: dict[str, Any] = {name: form[name] for name in (*FIELDS, "key") if form.get(name, "").strip()}
    given = {"path": "", "sandbox": site.settings.sandbox} | given
    return attempt(site, "project", form, lambda db: projects.add_project(db, reach=_reach(form), **given))


def _reach(form: dict[str, str]) -> Reach | None:
    """What the form lets in; None for one without those fields."""
    if not any(name in form for name in LISTS):
        return None
    return Reach.model_validate({name: lines(form.get(name, "")) for name in LISTS})


def look_at(site: Site, path: str) -> Look:
    """What the repository at a path says; never raises for what a person typed."""
    try:
        repository = projects.look(path.strip())
        branches, head = projects.branches_of(repository)
        branch = head if head in branches else (branches or [""])[0]
        notes = projects.repository_notes(repository, branch) if branch else ["it has no commit yet: commit something first"]
    except DispatcherError as error:
        return Look(path=path, problem=problem_of(error))
    return _told(site, repository, branch, branches, notes)


def _told(site: Site, repository: Repository, branch: str, branches: list[str], notes: list[str]) -> Look:
    path = str(repository.checkout)
    with site.database.reading() as db:
        taken = next((project.key for project in projects.list_projects(db) if project.path == path), "")
        key = projects.suggested_key(db, repository)
    return Look(path=path, key=key, branch=branch, branches=branches, notes=notes, taken=taken)


def read(project: Project) -> tuple[list[str], Workflow | None, Problem | None]:
    """Notes and policy of the repository, and what is wrong with it."""
    try:
        notes = projects.project_notes(project)
    except DispatcherError as error:
        return [], None, problem_of(error)
    try:
        return notes, projects.project_workflow(project), None
    except DispatcherError as error:
        return notes, None, problem_of(error)


def show_form(
    site: Site,
    key: str | None,
    entered: Entered = NOTHING,
    *,
    seen: Look | None = None,
    suggested: list[str] | None = None,
    part: str | None = None,
) -> Response:
    """The form for a new project, or for the one of that key."""
    row = None
    if key is not None:
        with site.database.reading() as db:
            row = projects.get_project(db, key)
        seen = seen or look_at(site, row.path)
    context: dict[str, Any] = {"row": row, "seen": seen, "suggested": suggested, "methods": METHODS}
    context |= {"tiers": MEANINGS, "tier": row.sandbox if row else site.settings.sandbox}
    context |= {"reach": reach_of(row.reach if row else {})}
    return page("fleet/project_form.html", entered.status, part=part, entered=entered, place="/fleet", **context)


def show_remove(site: Site, key: str, entered: Entered = NOTHING) -> Response:
    """The question before a project is removed."""
    with site.database.reading() as db:
        shown = project_out(db, projects.get_project(db, key))
    return page("fleet/project_remove.html", entered.status, project=shown, entered=entered, place="/fleet")
