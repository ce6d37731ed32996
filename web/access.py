"""Who may do what: one table from method and path to the role that it needs, and the layer that asks for it.

A request proves who sends it by a session's cookie, by `Authorization: Bearer TOKEN`, or by coming from this process itself
(the command line without a server). What the table does not name, only administrators may.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated

from anyio import CancelScope, to_thread
from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatcher import access
from dispatcher.actor import LOCAL, acting_as
from dispatcher.settings import Settings
from web import cookies
from web.errors import Problem, database_down, respond
from web.refusals import ask_to_log_in, later
from web.site import Site
from web.who import Who, asking

OPEN = "open"
"""For everybody; nobody looks who it is."""
ANYONE = "anyone"
"""For everybody, and told who it is where that is known."""
STREAMS = ("/live", "/api/v1/events")
SAFE = ("GET", "HEAD", "OPTIONS")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """What a request needs. `*` stands for one part of the path, a last `**` for any rest; `methods` are words, or `*`.

    `person` ones manage access itself: a browser's session or this machine may, an API token may not, so that a token that
    leaks cannot make itself a successor.
    """

    methods: str
    path: str
    role: str
    person: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The path as a regular expression."""
        parts = re.escape(self.path.removesuffix("/**")).replace(r"\*", "[^/]+")
        return re.compile(f"{parts}(?:/.*)?" if self.path.endswith("/**") else f"{parts}/?")

    def covers(self, method: str, path: str) -> bool:
        """Whether it is about that request."""
        method = "GET" if method in SAFE else method
        return (self.methods == "*" or method in self.methods.split()) and bool(self.pattern.fullmatch(path))


RULES = (
    # Without a login.
    Rule("*", "/static/**", OPEN),
    Rule("GET", "/healthz", OPEN),
    Rule("GET", "/readyz", OPEN),
    Rule("GET", "/metrics", "viewer"),
    Rule("POST", "/hooks/**", OPEN),  # signed by who sends them
    Rule("GET POST", "/login", ANYONE),
    # One's own.
    Rule("POST", "/logout", "viewer"),
    Rule("GET", "/me", "viewer"),
    Rule("POST", "/me/**", "viewer", person=True),
    Rule("GET", "/api/v1/me/**", "viewer"),
    Rule("POST DELETE", "/api/v1/me/**", "viewer", person=True),
    # People.
    Rule("GET", "/audit", "admin"),
    Rule("GET", "/people/**", "admin"),
    Rule("POST", "/people/**", "admin", person=True),
    Rule("GET", "/api/v1/users/**", "admin"),
    Rule("POST PATCH DELETE", "/api/v1/users/**", "admin", person=True),
    # The board, its tickets, and their runs and reviews.
    Rule("GET", "/", "viewer"),
    Rule("GET", "/tickets/new", "member"),
    Rule("GET", "/tickets/*/discard", "member"),
    Rule("GET", "/tickets/*/cancel", "member"),
    Rule("GET", "/tickets/*/move", "member"),
    Rule("POST", "/preview", "member"),
    Rule("GET", "/tickets/**", "viewer"),
    Rule("POST", "/tickets/**", "member"),
    Rule("GET", "/live", "viewer"),
    Rule("GET", "/inbox", "viewer"),
    Rule("POST", "/inbox/**", "member"),
    Rule("GET", "/api/v1/tickets/**", "viewer"),
    Rule("POST PATCH PUT DELETE", "/api/v1/tickets/**", "member"),
    Rule("GET", "/api/v1/runs/**", "viewer"),
    Rule("POST", "/api/v1/runs/**", "member"),
    Rule("GET", "/api/v1/inbox", "viewer"),
    Rule("GET", "/api/v1/labels", "viewer"),
    Rule("GET", "/api/v1/activity", "viewer"),
    Rule("GET", "/api/v1/events", "viewer"),
    Rule("GET", "/api/v1/status", "viewer"),
    Rule("GET", "/api/v1/openapi.json", "viewer"),
    # The fleet: everybody may look, administrators change it.
    Rule("GET", "/fleet/add/**", "admin"),
    Rule("GET", "/fleet/*/*/edit", "admin"),
    Rule("GET", "/fleet/*/*/remove", "admin"),
    Rule("GET", "/fleet/**", "viewer"),
    Rule("POST", "/fleet/**", "admin"),
    Rule("*", "/start/**", "admin"),
    Rule("GET", "/api/v1/projects/**", "viewer"),
    Rule("GET", "/api/v1/endpoints/**", "viewer"),
    Rule("GET", "/api/v1/agents/**", "viewer"),
    Rule("GET", "/api/v1/harnesses/**", "viewer"),
    Rule("GET", "/api/v1/workers/**", "viewer"),
    Rule("POST PATCH PUT DELETE", "/api/v1/projects/**", "admin"),
    Rule("POST PATCH PUT DELETE", "/api/v1/endpoints/**", "admin"),
    Rule("POST PATCH PUT DELETE", "/api/v1/agents/**", "admin"),
    Rule("POST PATCH PUT DELETE", "/api/v1/harnesses/**", "admin"),
    Rule("POST PATCH PUT DELETE", "/api/v1/workers/**", "admin"),
    # GitHub.
    Rule("*", "/github/**", "admin"),
    Rule("GET", "/api/v1/github", "viewer"),  # as each project's own is
    Rule("*", "/api/v1/github/**", "admin"),
)


def rule_of(method: str, path: str) -> Rule | None:
    """The first rule about that request; None where the table has none."""
    return next((rule for rule in RULES if rule.covers(method, path)), None)


def _me(request: Request) -> Who:
    who: Who = request.scope["who"]
    return who


Me = Annotated[Who, Depends(_me)]
"""The person who asks, in a handler behind a login."""


@contextmanager
def changing(site: Site) -> Iterator[Session]:
    """A transaction that changes somebody's access; it holds at once in this process."""
    with site.database.transaction() as db:
        yield db
    site.gate.forget()


class Access:
    """The layer below the guard: finds out who asks, and refuses what the role may not do."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":  # the site has none, and nobody has looked who asks for one
            await send({"type": "websocket.close", "code": 1008})
            return
        rule = rule_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if scope["type"] == "lifespan" or (rule is not None and rule.role == OPEN):
            await self._app(scope, receive, send)
            return
        site: Site = scope["app"].state.site
        try:
            secret, who = await self._identify(site, scope)
            with _asking(who):
                refusal = await self._refuse(site, scope, rule, who, brought=bool(secret))
        except SQLAlchemyError as error:
            refusal = respond(scope, database_down(scope, error))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope["who"] = who
        with _asking(who):
            if who is None or not secret or scope["path"] not in STREAMS:
                await self._app(scope, receive, send)
                return
            answer = _Answer(send)
            with _ending(partial(site.gate.gone, secret, who)) as within:
                await self._app(scope, receive, answer)
            if within.cancelled_caught and answer.open:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _identify(self, site: Site, scope: Scope) -> tuple[str, Who | None]:
        """The secret that was brought, and whose it is."""
        if scope.get(LOCAL) is True:
            return "", await site.gate.machine()
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return token.strip(), await site.gate.who(token.strip(), ("token", "machine"))
        secret = cookies.session_of(scope, self._settings)
        return secret, await site.gate.who(secret, ("session",))

    async def _refuse(self, site: Site, scope: Scope, rule: Rule | None, who: Who | None, *, brought: bool) -> Response | None:
        if rule is not None and rule.role == ANYONE:
            return None
        if who is None:
            bearer = Headers(scope=scope).get("authorization", "").lower().startswith("bearer ")
            if bearer and (wait := site.gate.failures.take(f"token {cookies.peer(scope, self._settings)}")):
                return later(scope, wait)
            return ask_to_log_in(scope, wrong_token=bearer, ended=brought)
        role = rule.role if rule is not None else "admin"
        if not who.may(role):
            names = await to_thread.run_sync(_administrators, site)
            return respond(scope, _forbidden(who, role, names))
        if rule is not None and rule.person and who.by == "token":
            hint = "log in with a browser, or use the command line on the machine where the board runs"
            return respond(scope, Problem(403, "an API token cannot manage access", hint, code="person_needed"))
        if scope["method"] in SAFE:
            return None
        return self._refuse_change(site, scope, who)

    def _refuse_change(self, site: Site, scope: Scope, who: Who) -> Response | None:
        headers = Headers(scope=scope)
        if who.by == "session" and not ("origin" in headers or "sec-fetch-site" in headers):
            # Every browser says where a change comes from, and the guard has looked at that; this is none.
            hint = "programs use a token: Authorization: Bearer ..., made on your page Me"
            return respond(scope, Problem(403, "a session's cookie is for browsers", hint, code="foreign_origin"))
        if who.by != "machine" and (wait := site.gate.writes.take(str(who.user_id))):
            return later(scope, wait)
        return None


@contextmanager
def _asking(who: Who | None) -> Iterator[None]:
    """What happens within is asked by that person, and done in its name."""
    if who is None:
        yield
        return
    before = asking.set(who)
    try:
        with acting_as(who.name):
            yield
    finally:
        asking.reset(before)


@contextmanager
def _ending(gone: Callable[[], Awaitable[None]]) -> Iterator[CancelScope]:
    """What happens within is cancelled when `gone` returns."""
    with CancelScope() as within:

        async def watch() -> None:
            await gone()
            within.cancel()

        watching = asyncio.create_task(watch())
        try:
            yield within
        finally:
            watching.cancel()


class _Answer:
    """Knows whether an answer still waits for its end."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.open = False

    async def __call__(self, message: Message) -> None:
        self.open = message["type"] == "http.response.start" or bool(message.get("more_body"))
        await self._send(message)


def _forbidden(who: Who, role: str, administrators: list[str]) -> Problem:
    who_may = "administrators" if role == "admin" else f"those with the role {role}, and administrators"
    hint = f"{who_may} may; ask one of: {', '.join(administrators)}"
    return Problem(403, f"your role, {who.role}, may not do this", hint, code="not_allowed")


def _administrators(site: Site) -> list[str]:
    with site.database.reading() as db:
        return [user.name for user in access.administrators(db)[:5]]
