"""Keeps other sites away from this one, whoever is logged in: only its own pages, and programs on purpose, may drive it.

A page of another site can make the browser send requests here, and by DNS rebinding even read the answers. So the Host has to
be a name that is ours; a request that changes something has to come from our own origin or from no browser at all; of what is
only read, another site may have a link followed, and nothing else; and what we answer may load nothing from elsewhere and be
framed by nobody. That holds for ports of the same machine too, which share its cookies. `web.access` asks who it is.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatcher.settings import Settings
from web.errors import Problem, respond

SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
WILDCARDS = ("0.0.0.0", "::", "")
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: with that, browsers send "Origin: null" from our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_HOST = re.compile(r"(?P<name>[A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")

log = logging.getLogger(__name__)


class Guard:
    """The outermost layer of the site; what goes wrong within it is logged here, and answered in one line."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        public = urlsplit(settings.public_url).hostname or ""
        allowed = (name.lower() for name in settings.allowed_hosts)
        self._names = {*LOOPBACK, settings.host.lower(), public, *allowed} - {*WILDCARDS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, static=scope["path"].startswith("/static/"))
        problem = self._refuse(scope)
        if problem is not None:
            await respond(scope, problem)(scope, receive, answer)
            return
        try:
            await self._app(scope, _Body(receive, self._settings.max_body), answer)
        except Exception:
            # Whatever it is, it is ours: the log gets all of it, the user one line.
            log.exception("%s %s failed", scope["method"], scope["path"])
            if answer.started:
                raise
            hint = "the site's log has the details"
            await respond(scope, Problem(500, "something went wrong in the dispatcher itself", hint, code="internal"))(
                scope, receive, answer
            )

    def _refuse(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        name = host_name(hosts[0]) if len(hosts) == 1 else None
        if name is None or not self._ours(name):
            told = (name or "an unreadable Host")[:100]
            hint = f"open http://127.0.0.1:{self._settings.port}, or allow the name: DISPATCHER_ALLOWED_HOSTS='[\"{told}\"]'"
            return Problem(400, f"this site does not answer to {told}", hint, code="foreign_host")
        if scope["method"] not in SAFE and not _own_request(headers, hosts[0]):
            return Problem(403, "another site sent this request", "do it from the dispatcher's own page", code="foreign_origin")
        if scope["method"] in SAFE and not _link_or_own(headers, hosts[0]):
            return Problem(403, "another site reads this", "open it in a tab of its own", code="foreign_origin")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            return Problem(400, "the request's Content-Length is no number", code="bad_request")
        if len(length) > 18 or int(length) > self._settings.max_body:
            return too_large(self._settings.max_body)
        return None

    def _ours(self, name: str) -> bool:
        if name in self._names:
            return True
        # A site that listens everywhere is called by its addresses too. An address cannot be rebound, only a name can.
        return self._settings.host in WILDCARDS and _is_address(name)


def host_name(host: str) -> str | None:
    """The name in a Host header, in lower case, without brackets and port; None for what is no host."""
    match = _HOST.fullmatch(host)
    return match["name"].strip("[]").lower().removesuffix(".") if match else None


def too_large(limit: int) -> Problem:
    """The refusal of a body beyond `limit` bytes."""
    hint = "shorten it, or raise DISPATCHER_MAX_BODY"
    return Problem(413, f"the request is larger than {limit:,} bytes", hint, code="too_large")


def _own_request(headers: Headers, host: str) -> bool:
    """Whether a browser says that our own page sent it, or no browser did.

    Browsers tell by Sec-Fetch-Site (https://www.w3.org/TR/fetch-metadata/) on loopback and over TLS; elsewhere over plain HTTP
    the Origin is all that there is. Programs send neither.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()


def _link_or_own(headers: Headers, host: str) -> bool:
    """Whether our own page reads this, or no browser does, or somebody follows a link: what web.dev calls an isolation policy.

    Strict cookies do not come along from other sites, but from other ports of this machine they do. A link that is followed
    names no Origin; a stream or a fetch of another site does.
    """
    if _own_request(headers, host):
        return True
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Answer:
    """Adds our headers to what is sent."""

    def __init__(self, send: Send, *, static: bool) -> None:
        self._send = send
        self._static = static
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            # Pages and data are of this moment; files are asked for again, and come only when they have changed.
            headers.setdefault("cache-control", "no-cache" if self._static else "no-store")
        await self._send(message)


class _Body:
    """Counts a body that comes without a length."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._seen = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._limit:
            raise HTTPException(413, too_large(self._limit).message)
        return message
