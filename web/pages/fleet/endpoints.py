"""Endpoints: one's page with its health, load and history; add, edit, test, retire, remove."""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from sqlmodel import Session
from starlette.responses import Response

from dispatcher import activity, checking, endpoints, retiring
from dispatcher.discovery import Found
from dispatcher.errors import DispatcherError, Invalid, NotFound
from dispatcher.models import Endpoint
from web.errors import problem_of
from web.fleet_views import endpoint_view, findings, history
from web.pages.fleet.fields import attempt, whole
from web.pages.fleet.overview import fleet_after
from web.pages.forms import NOTHING, Entered, Fields, Scripted, to
from web.render import page
from web.site import Here, Site

router = APIRouter()

FIELDS = ("base_url", "model", "key_env")
NUMBERS = ("context_length", "output_length", "slots")

log = logging.getLogger(__name__)


@router.get("/fleet/add/endpoint")
def add_endpoint_page(site: Here) -> Response:
    """The form for another endpoint."""
    return show_form(site, None)


@router.post("/fleet/endpoints/discover")
async def discover(site: Here) -> Response:
    """The same form, with the model servers that answer on this machine."""
    found = await site.inventory.servers(anew=True)
    return await run_in_threadpool(show_form, site, None, found=found)


@router.post("/fleet/endpoints")
async def add_endpoint(site: Here, form: Fields) -> Response:
    """Add an endpoint, and check it at once."""
    added = await add(site, form)
    if isinstance(added, Entered):
        return await run_in_threadpool(show_form, site, None, added)
    return to(f"/fleet/endpoints/{added.name}")


@router.get("/fleet/endpoints/{name}", name="endpoint")
def endpoint_page(site: Here, name: str, hours: str = "", part: str | None = None) -> Response:
    """One endpoint."""
    return show_endpoint(site, name, hours=hours, part=part)


@router.get("/fleet/endpoints/{name}/edit")
def edit_endpoint_page(site: Here, name: str) -> Response:
    """The form with what the endpoint is set to."""
    return show_form(site, name)


@router.post("/fleet/endpoints/{name}/edit")
async def edit_endpoint(site: Here, name: str, form: Fields) -> Response:
    """Change an endpoint."""
    try:
        await endpoints.check_address(form.get("base_url", ""))
    except DispatcherError as error:
        return await run_in_threadpool(show_form, site, name, Entered(problem_of(error), "endpoint", form))
    return await run_in_threadpool(_edit, site, name, form)


def _edit(site: Site, name: str, form: dict[str, str]) -> Response:

    def change(db: Session) -> Endpoint:
        return endpoints.edit_endpoint(db, endpoints.get_endpoint(db, name), **values(form))

    changed = attempt(site, "endpoint", form, change)
    return show_form(site, name, changed) if isinstance(changed, Entered) else to(f"/fleet/endpoints/{name}")


@router.post("/fleet/endpoints/{name}/check")
async def check_endpoint(site: Here, name: str, form: Fields, scripted: Scripted) -> Response:
    """Test an endpoint: it takes seconds, or minutes where the model is loaded first, and goes on in the background."""
    entered = NOTHING
    try:
        await begin_check(site, name)
    except DispatcherError as error:
        entered = Entered(problem_of(error), f"check-{name}", form)
    if form.get("back") == "fleet":
        return await run_in_threadpool(lambda: fleet_after(site, entered, "endpoints", scripted=scripted))
    if not scripted and not entered.problem:
        return to(f"/fleet/endpoints/{name}")
    part = "health" if scripted else None
    return await run_in_threadpool(lambda: show_endpoint(site, name, entered, part=part))


@router.get("/fleet/endpoints/{name}/remove")
def remove_endpoint_page(site: Here, name: str) -> Response:
    """Asks, and tells what happens."""
    return show_remove(site, name)


@router.post("/fleet/endpoints/{name}/remove")
def remove_endpoint(site: Here, name: str, form: Fields) -> Response:
    """Remove an endpoint that was never used."""
    done = attempt(site, "remove", form, lambda db: endpoints.remove_endpoint(db, endpoints.get_endpoint(db, name)))
    return show_remove(site, name, done) if isinstance(done, Entered) else to("/fleet#endpoints")


@router.post("/fleet/endpoints/{name}/retire")
def retire_endpoint(site: Here, name: str, form: Fields) -> Response:
    """Offer an endpoint no more."""
    done = attempt(site, "remove", form, lambda db: retiring.retire_endpoint(db, name))
    return show_remove(site, name, done) if isinstance(done, Entered) else to(f"/fleet/endpoints/{name}")


@router.post("/fleet/endpoints/{name}/restore")
def restore_endpoint(site: Here, name: str, form: Fields) -> Response:
    """Bring a retired endpoint back."""
    done = attempt(site, "restore", form, lambda db: retiring.restore_endpoint(db, name))
    return show_endpoint(site, name, done) if isinstance(done, Entered) else to(f"/fleet/endpoints/{name}")


def show_endpoint(site: Site, name: str, entered: Entered = NOTHING, *, hours: str = "", part: str | None = None) -> Response:
    """An endpoint's page, or one part of it."""
    with site.database.reading() as db:
        cursor = activity.newest(db)
        view = endpoint_view(db, name)
        past = history(db, hours, endpoint=view.row.id) if part in (None, "history") else None
    context = {"it": view, "findings": findings(view.row), "history": past, "at": f"/fleet/endpoints/{name}"}
    return page("fleet/endpoint.html", entered.status, part=part, entered=entered, cursor=cursor, place="/fleet", **context)


def show_form(site: Site, name: str | None, entered: Entered = NOTHING, *, found: list[Found] | None = None) -> Response:
    """The form for a new endpoint, or for the one of that name; `found` are servers to choose from."""
    with site.database.reading() as db:
        row = endpoints.get_endpoint(db, name) if name is not None else None
        known = {endpoint.base_url: endpoint.name for endpoint in endpoints.list_endpoints(db, retired=True)}
        names = {server.base_url: endpoints.free_name(db, server.product) for server in found or []}
    context: dict[str, Any] = {"row": row, "found": found, "known": known, "names": names}
    return page("fleet/endpoint_form.html", entered.status, entered=entered, place="/fleet", **context)


def show_remove(site: Site, name: str, entered: Entered = NOTHING) -> Response:
    """The question before an endpoint is removed or retired."""
    with site.database.reading() as db:
        view = endpoint_view(db, name)
        removable = retiring.removable(db, view.row)
    context: dict[str, Any] = {
        "it": view,
        "removable": removable,
        "in_use": view.users,
        "at": f"/fleet/endpoints/{view.row.name}",
    }
    return page("fleet/endpoint_remove.html", entered.status, entered=entered, place="/fleet", **context)


async def add(site: Site, form: dict[str, str]) -> Endpoint | Entered:
    """Register what a form names and begin its check. Without a model, the server's only one is taken."""
    try:
        given = form
        await endpoints.check_address(form.get("base_url", ""))
        if not form.get("model", "").strip():
            given = form | {"model": await _only_model(form)}
        added = await run_in_threadpool(_add, site, given)
        await begin_check(site, added.name)
    except DispatcherError as error:
        return Entered(problem_of(error), "endpoint", form)
    return added


async def begin_check(site: Site, name: str) -> None:
    """Check an endpoint in the background; raises `NotFound`, and `Conflict` while a check is under way."""

    def begin() -> Endpoint:
        with site.database.transaction() as db:
            return checking.begin(db, name)

    endpoint = await run_in_threadpool(begin)
    site.jobs.spawn(_check(site, endpoint))


def values(form: dict[str, str]) -> dict[str, Any]:
    """What a form says of an endpoint, for the use cases; raises `Invalid`."""
    texts = {field: form[field] for field in FIELDS if field in form}
    return texts | {field: whole(form, field) for field in NUMBERS if form.get(field, "").strip()}


async def _check(site: Site, endpoint: Endpoint) -> None:
    name, done = endpoint.name, False

    async def say(step: str) -> None:
        await run_in_threadpool(_write, site, checking.tell, name, step)

    try:
        health = await endpoints.check(endpoint, say=say)
        await run_in_threadpool(_record, site, name, health)
        done = True
    except NotFound:
        done = True  # it was removed meanwhile
    finally:
        if not done:
            # Also when the site ends: a cancelled task may not wait for a thread.
            _write(site, checking.break_off, name)


def _write(site: Site, use_case: Any, *args: Any) -> None:
    with site.database.transaction() as db:
        use_case(db, *args)


def _record(site: Site, name: str, health: endpoints.Health) -> None:
    with site.database.transaction() as db:
        endpoints.record_health(db, endpoints.get_endpoint(db, name), health)


def _add(site: Site, form: dict[str, str]) -> Endpoint:
    with site.database.transaction() as db:
        name = form.get("name", "").strip() or endpoints.free_name(db, _product(form))
        return endpoints.add_endpoint(db, name=name, **{"base_url": "", "model": ""} | values(form))


def _product(form: dict[str, str]) -> str:
    """What an endpoint without a name is called after: the host of its address."""
    host = re.sub(r"^\w+://", "", form.get("base_url", "")).partition("/")[0].partition(":")[0]
    return "local" if host in ("127.0.0.1", "localhost", "") else host


async def _only_model(form: dict[str, str]) -> str:
    """The one model of the server; raises `Invalid` with what is wrong there, or with the models to choose from."""
    url = endpoints.checked_url(form.get("base_url", ""))
    models = await endpoints.models_at(url, form.get("key_env", ""))
    if len(models) == 1:
        return models[0]
    shown = endpoints.named(models, 20) if models else "none: load or pull one there"
    raise Invalid("name the model that it shall use", f"the server has {shown}", "model")
