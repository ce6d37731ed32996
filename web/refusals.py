"""What those are told who have not logged in, or ask too often: each in the form that its kind of request takes."""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Scope

from web.cookies import LOGIN
from web.errors import Problem, respond
from web.render import page

NEXT_LIMIT = 2000


def ask_to_log_in(scope: Scope, *, wrong_token: bool, ended: bool) -> Response:
    """Programs and streams get 401 with the fix; a page leads to the login and back; a form says that it was not sent."""
    headers = Headers(scope=scope)
    path = scope["path"]
    if path.startswith("/api/") or path == "/live" or wrong_token:
        return JSONResponse(_problem(wrong_token).body(), 401, {"www-authenticate": "Bearer"})
    if headers.get("hx-request") == "true":
        # htmx leads the whole window there; a part of a page is no place for a login.
        back = local(urlsplit(headers.get("hx-current-url", ""))._replace(scheme="", netloc="").geturl())
        return Response(status_code=401, headers={"hx-redirect": login_address(back)})
    if scope["method"] in ("GET", "HEAD"):
        query = scope["query_string"].decode("latin-1")
        return RedirectResponse(login_address(quote(path) + (f"?{query}" if query else "")), 303)
    told = Problem(
        401,
        "you are not logged in any more, so this was not sent" if ended else "you are not logged in, so this was not sent",
        "log in, and send it again from the page that you come back to; without scripts, log in in another tab and go back",
        code="login_needed",
    )
    # Our pages alone say where they are: the referrer policy is same-origin.
    back = local(urlsplit(headers.get("referer", ""))._replace(scheme="", netloc="").geturl())
    return page("access/login.html", 401, problem=told, user=None, back=back)


def later(scope: Scope, seconds: int) -> Response:
    """The refusal of one request too many."""
    answer = respond(scope, too_often(seconds))
    answer.headers["retry-after"] = str(seconds)
    return answer


def too_often(seconds: int) -> Problem:
    """What it says."""
    return Problem(429, "that was too often", f"try again in {seconds} s", code="too_often")


def login_address(back: str) -> str:
    """The login page's address, with where to go afterwards."""
    return LOGIN if back in ("", "/") else f"{LOGIN}?{urlencode({'next': back})}"


def local(place: str) -> str:
    """`place` where it is a path of this site, else the board: nobody is led elsewhere by a link to us.

    Browsers take a backslash for a slash, and leave out tabs and line ends: https://url.spec.whatwg.org/#url-parsing
    """
    odd = any(ord(character) < 0x21 or character in '\\"<>' or ord(character) > 0x7E for character in place)
    if odd or not place.startswith("/") or place.startswith("//") or len(place) > NEXT_LIMIT:
        return "/"
    return "/" if urlsplit(place).path in (LOGIN, "/logout") else place


def _problem(wrong_token: bool) -> Problem:
    if wrong_token:
        hint = "it was revoked, is too old, or belongs to another site: set DISPATCHER_TOKEN to one that holds"
        return Problem(401, "the token does not hold", hint, code="token_refused")
    hint = "send a token (Authorization: Bearer ..., DISPATCHER_TOKEN for the command line), or log in with a browser"
    return Problem(401, "a login is needed", hint, code="login_needed")
