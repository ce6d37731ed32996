"""API: the board: order within a column, several tickets at once, and what new tickets can begin as."""

from __future__ import annotations

from fastapi import APIRouter

from dispatcher import bulk, ordering, projects, search
from dispatcher.templating import Template, templates
from web.api.tickets import act
from web.errors import problem_of
from web.schemas import ErrorBody, TicketOut
from web.schemas_board import Bulk, BulkOut, BulkResult, Place
from web.site import Here

router = APIRouter(tags=["tickets"])


@router.post("/tickets/bulk", summary="Do the same to many tickets")
def act_on_many(site: Here, body: Bulk) -> BulkOut:
    """Each in a transaction of its own: one that cannot be done holds up no other, and its result says why."""
    results = bulk.act(site.database, body.action, body.keys, agent=body.agent, label=body.label)
    return BulkOut(results=[_result(one) for one in results])


@router.post("/tickets/{key}/place", summary="Put into order")
def place(site: Here, key: str, body: Place) -> TicketOut:
    """Put a ticket right below, or above, another one of its column."""
    return act(site, key, lambda db, ticket: ordering.place(db, ticket, after=body.after, before=body.before))


@router.get("/labels", summary="List the labels in use")
def list_labels(site: Here, project: str = "") -> list[str]:
    """Every label that a ticket has, those of most tickets first."""
    with site.database.reading() as db:
        return search.labels_in_use(db, project)


@router.get("/projects/{key}/templates", summary="List a project's templates for new tickets")
def list_templates(site: Here, key: str) -> list[Template]:
    """Markdown files of its default branch: `.dispatcher/templates/*.md` and `.github/ISSUE_TEMPLATE/*.md`."""
    with site.database.reading() as db:
        project = projects.get_project(db, key)
    return templates(project)


def _result(one: bulk.Result) -> BulkResult:
    if one.error is None:
        return BulkResult(key=one.key, changed=one.changed, error=None)
    told = problem_of(one.error)
    return BulkResult(
        key=one.key, changed=False, error=ErrorBody(message=told.message, hint=told.hint, field=told.field, code=told.code)
    )
