"""People and what they may do, for administrators; and for everybody their own sessions and tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from sqlmodel import Session
from starlette.responses import Response

from dispatcher import access, credentials
from dispatcher.errors import DispatcherError, Invalid
from dispatcher.models import User
from web import cookies
from web.access import Me, changing
from web.api.access import link_out, revoke, users_out
from web.errors import problem_of
from web.pages.forms import NOTHING, Entered, Fields, to
from web.render import page
from web.site import Here, Number, Site
from web.who import Who

router = APIRouter()

ABOUT = {
    "viewer": "reads the board, tickets, transcripts and changes",
    "member": "also files, assigns, answers, comments, reviews and merges",
    "admin": "also sets up projects, endpoints and agents, and adds people",
}
LASTING = (("1", "1 hour"), ("24", "1 day"), ("72", "3 days"), ("168", "1 week"))
DAYS = (("30", "30 days"), ("90", "90 days"), ("365", "1 year"), ("", "Until it is revoked"))


@router.get("/people", name="people")
def people_page(site: Here) -> Response:
    """Everybody who may enter."""
    return _people(site)


@router.post("/people")
def add_person(request: Request, site: Here, form: Fields) -> Response:
    """Add somebody; the page that follows has the login link, this once."""
    try:
        with changing(site) as db:
            user = access.add_user(db, form.get("name", ""), form.get("role", ""))
            made = credentials.make_link(db, user, _hours(form))
    except DispatcherError as error:
        return _people(site, Entered(problem_of(error), "add", form))
    return _person(request, site, user.name, link=link_out(user, made).path)


@router.get("/people/{name}", name="person")
def person_page(request: Request, site: Here, name: str) -> Response:
    """One person: role, sessions and tokens."""
    return _person(request, site, name)


@router.post("/people/{name}/role")
def set_role(request: Request, site: Here, name: str, form: Fields) -> Response:
    """Give another role."""
    return _do(request, site, name, "role", form, lambda db, user: access.set_role(db, user, form.get("role", "")))


@router.post("/people/{name}/disable")
def disable(request: Request, site: Here, name: str, form: Fields) -> Response:
    """Shut out."""
    return _do(request, site, name, "state", form, access.disable)


@router.post("/people/{name}/enable")
def enable(request: Request, site: Here, name: str, form: Fields) -> Response:
    """Let in again."""
    return _do(request, site, name, "state", form, access.enable)


@router.post("/people/{name}/logout")
def log_person_out(request: Request, site: Here, name: str, form: Fields) -> Response:
    """End all sessions of somebody."""
    return _do(request, site, name, "sessions", form, credentials.log_out)


@router.post("/people/{name}/credentials/{number}/end")
def end_credential(request: Request, site: Here, name: str, number: Number, form: Fields) -> Response:
    """End one session or token."""
    return _do(request, site, name, "sessions", form, lambda db, user: revoke(db, user, number))


@router.post("/people/{name}/link")
def make_link(request: Request, site: Here, name: str, form: Fields) -> Response:
    """Make a login link, shown this once."""
    try:
        with changing(site) as db:
            user = access.get_user(db, name)
            path = link_out(user, credentials.make_link(db, user, _hours(form))).path
    except DispatcherError as error:
        return _person(request, site, name, Entered(problem_of(error), "link", form))
    return _person(request, site, name, link=path)


@router.post("/people/{name}/tokens")
def make_token(request: Request, site: Here, name: str, form: Fields) -> Response:
    """Make a token, shown this once."""
    return _token(request, site, name, form, own=False)


@router.get("/me", name="me")
def my_page(request: Request, site: Here, me: Me) -> Response:
    """One's own sessions and tokens."""
    return _person(request, site, me.name, own=True)


@router.post("/me/tokens")
def make_my_token(request: Request, site: Here, me: Me, form: Fields) -> Response:
    """Make a token of one's own, shown this once."""
    return _token(request, site, me.name, form, own=True)


@router.post("/me/credentials/{number}/end")
def end_mine(request: Request, site: Here, me: Me, number: Number, form: Fields) -> Response:
    """End one of one's own sessions or tokens; this browser's is a logout."""
    answer = _do(request, site, me.name, "sessions", form, lambda db, user: revoke(db, user, number), own=True)
    if number == me.credential_id:
        answer = to(cookies.LOGIN)
        cookies.drop(answer, request.scope, site.settings, session=True)
    return answer


@router.post("/me/logout")
def log_out_everywhere(request: Request, site: Here, me: Me) -> Response:
    """End all one's own sessions."""
    with changing(site) as db:
        credentials.log_out(db, access.get_user(db, me.name))
    answer = to(cookies.LOGIN)
    cookies.drop(answer, request.scope, site.settings, session=True)
    return answer


def _people(site: Site, entered: Entered = NOTHING) -> Response:
    with site.database.reading() as db:
        users = users_out(db, access.list_users(db))
    return page("access/people.html", entered.status, users=users, entered=entered, about=ABOUT, lasting=LASTING)


def _person(
    request: Request, site: Site, name: str, entered: Entered = NOTHING, *, own: bool = False, link: str = "", token: str = ""
) -> Response:
    """Somebody's page, with a link or a token that was just made, or a form that was refused."""
    with site.database.reading() as db:
        user = access.get_user(db, name)
        context: dict[str, Any] = {
            "user": users_out(db, [user])[0],
            "sessions": credentials.list_credentials(db, user, "session"),
            "tokens": credentials.list_credentials(db, user, "token"),
            "alone": [one.name for one in access.administrators(db)] == [user.name],
        }
    who: Who = request.scope["who"]
    shown = {"link": f"{_origin(request, site)}{link}" if link else "", "token": token, "url": _origin(request, site)}
    choices: dict[str, Any] = {"about": ABOUT, "lasting": LASTING, "days": DAYS}
    base = "/me" if own else f"/people/{user.name}"
    return page(
        "access/person.html",
        entered.status,
        entered=entered,
        own=own,
        base=base,
        current=who.credential_id,
        may_manage=who.by != "token",
        **context,
        **shown,
        **choices,
    )


def _do(  # noqa: PLR0917 - what a form's handler has
    request: Request,
    site: Site,
    name: str,
    at: str,
    form: dict[str, str],
    use_case: Callable[[Session, User], object],
    *,
    own: bool = False,
) -> Response:
    try:
        with changing(site) as db:
            use_case(db, access.get_user(db, name))
    except DispatcherError as error:
        return _person(request, site, name, Entered(problem_of(error), at, form), own=own)
    return to("/me" if own else f"/people/{name.strip().lower()}")


def _token(request: Request, site: Site, name: str, form: dict[str, str], *, own: bool) -> Response:
    try:
        days = form.get("days", "")
        with changing(site) as db:
            user = access.get_user(db, name)
            made = credentials.make_token(db, user, form.get("label", ""), _number(days, "days") if days else None)
    except DispatcherError as error:
        return _person(request, site, name, Entered(problem_of(error), "token", form), own=own)
    return _person(request, site, name, own=own, token=made.secret)


def _hours(form: dict[str, str]) -> timedelta:
    return timedelta(hours=_number(form.get("hours", "24"), "hours"))


def _number(text: str, field: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise Invalid(f"{text[:20]!r} is no number", "choose one of the list", field)
    return int(text)


def _origin(request: Request, site: Site) -> str:
    """Where this site is for the browser that asks."""
    scheme = "https" if cookies.is_secure(request.scope, site.settings) else "http"
    return f"{scheme}://{request.headers['host']}"
