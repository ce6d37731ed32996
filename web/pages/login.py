"""Logging in by a link, and logging out.

Opening a link uses nothing up, so that a preview of it in a chat does no harm: its secret goes from the address into a cookie,
and the button on the page that follows logs in.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dispatcher import credentials
from dispatcher.errors import LoginRefused
from dispatcher.models import User
from web import cookies
from web.access import changing
from web.errors import Problem, problem_of
from web.pages.forms import Fields
from web.refusals import later, local
from web.render import page, render
from web.site import Here, Site
from web.who import Who

router = APIRouter()

Text = Annotated[str, Query(max_length=4000)]

_BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
_NAMES = {"Edg": "Edge", "OPR": "Opera"}
_SYSTEMS = {word: word for word in ("Windows", "iPhone", "iPad", "Android")} | {"Mac OS X": "macOS", "Linux": "Linux"}


@router.get("/login", name="login")
def login_page(request: Request, site: Here, token: Text = "", next: Text = "/", tried: bool = False) -> Response:
    """Where a login link leads, and everybody who has not logged in."""
    back = local(next)
    scope, settings = request.scope, site.settings
    if token:
        answer: Response = RedirectResponse(_address(back), 303)
        cookies.set_pending(answer, scope, settings, _secret(token))
        return answer
    pending, who = cookies.pending_of(scope, settings), scope["who"]
    if who is not None and not pending:
        return RedirectResponse(back, 303)
    if not tried and not pending and request.headers.get("sec-fetch-site") not in ("same-origin", "none"):
        # Who follows a link from elsewhere comes without the strict cookie; a step of our own brings it along.
        return HTMLResponse(render("access/again.html", address=_address(back, tried="1")))
    return _show(request, site, back, pending)


@router.post("/login")
def log_in(request: Request, site: Here, form: Fields) -> Response:
    """Exchange a link for a session."""
    scope, settings, gate = request.scope, site.settings, site.gate
    back = local(form.get("next", "/"))
    address = cookies.peer(scope, settings)
    if wait := max(gate.failures.wait(address), gate.all_failures.wait("")):
        return later(scope, wait)
    secret = _secret(form.get("token", "")) or cookies.pending_of(scope, settings)
    if not secret:
        problem = Problem(422, "there is no login link yet", "paste the link that you were given", "token", "invalid")
        return _page(request, None, back, problem)
    who: Who | None = scope["who"]
    try:
        with changing(site) as db:
            made = credentials.redeem(db, secret, browser_of(request.headers.get("user-agent", "")))
            if who is not None and who.by == "session" and who.credential_id is not None:
                credentials.revoke(db, *credentials.get_credential(db, who.credential_id))
    except LoginRefused as error:
        gate.failures.take(address)
        gate.all_failures.take("")
        return _page(request, None, back, problem_of(error), drop_link=True)
    answer = RedirectResponse(back, 303)
    cookies.drop(answer, scope, settings, session=False)
    cookies.set_session(answer, scope, settings, made.secret)
    return answer


@router.post("/logout")
def log_out(request: Request, site: Here) -> Response:
    """End this browser's session."""
    who: Who = request.scope["who"]
    if who.by == "session" and who.credential_id is not None:
        with changing(site) as db:
            credentials.revoke(db, *credentials.get_credential(db, who.credential_id))
    answer = RedirectResponse(cookies.LOGIN, 303)
    cookies.drop(answer, request.scope, site.settings, session=True)
    return answer


def browser_of(agent: str) -> str:
    """A User-Agent in a few words, for the list of sessions: "Firefox on Linux"."""
    browser = next((name for name in _BROWSERS if f"{name}/" in agent), None)
    system = next((words for sign, words in _SYSTEMS.items() if sign in agent), None)
    if browser is None:
        return re.sub(r"[^\x20-\x7e]", "?", agent.partition(" ")[0])[:60] or "unknown browser"
    name = _NAMES.get(browser, browser)
    return f"{name} on {system}" if system else name


def _show(request: Request, site: Site, back: str, pending: str) -> Response:
    if not pending:
        return _page(request, None, back, None)
    try:
        with site.database.reading() as db:
            user = credentials.inspect_link(db, pending)
    except LoginRefused as error:
        return _page(request, None, back, problem_of(error), drop_link=True)
    return _page(request, user, back, None)


def _page(request: Request, user: User | None, back: str, problem: Problem | None, *, drop_link: bool = False) -> Response:
    answer = page("access/login.html", problem.status if problem else 200, problem=problem, user=user, back=back)
    if drop_link:
        cookies.drop(answer, request.scope, request.app.state.site.settings, session=False)
    return answer


def _secret(text: str) -> str:
    """The secret in what was pasted: a whole link, or itself."""
    text = text.strip()
    return parse_qs(urlsplit(text).query).get("token", [""])[0] if "token=" in text else text[:100]


def _address(back: str, **more: str) -> str:
    given = ({"next": back} if back != "/" else {}) | more
    return f"{cookies.LOGIN}?{urlencode(given)}" if given else cookies.LOGIN
