"""Where a request comes from, and the two cookies: the session's, and that of a login link between being opened and used."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Literal

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from dispatcher.credentials import OWN_LINK
from dispatcher.settings import Settings

LOGIN = "/login"
LONGEST = timedelta(days=400)
"""As long as browsers keep a cookie at all; whether the session in it still holds, the database knows."""
_HTTPS = "__Host-"
"""Browsers take such a cookie by https only, and for this very host."""


def peer(scope: Scope, settings: Settings) -> str:
    """The address that asks; of a trusted proxy's requests, the one that it names."""
    address = str(scope["client"][0]) if scope.get("client") else ""
    if not _trusted(address, settings):
        return address
    # Each proxy adds at the end whom it heard; what the client itself sent stands before that and proves nothing.
    for named in reversed(",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")):
        if (named := named.strip()) and not _trusted(named, settings):
            return named[:60]
    return address


def is_secure(scope: Scope, settings: Settings) -> bool:
    """Whether the browser came by https."""
    if scope["scheme"] == "https":
        return True
    client = str(scope["client"][0]) if scope.get("client") else ""
    forwarded = Headers(scope=scope).get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    return _trusted(client, settings) and forwarded == "https"


def session_of(scope: Scope, settings: Settings) -> str:
    """The session's secret that the request brings; empty where it brings none."""
    return _value(scope, _name(scope, settings, "dispatcher"))


def pending_of(scope: Scope, settings: Settings) -> str:
    """The secret of the login link that was opened last; empty without one."""
    return _value(scope, _name(scope, settings, "dispatcher-link"))


def set_session(response: Response, scope: Scope, settings: Settings, secret: str) -> None:
    """Let the browser keep the session: for no script, no other site, and only by https where it came by that."""
    _set(response, _name(scope, settings, "dispatcher"), secret, LONGEST)


def set_pending(response: Response, scope: Scope, settings: Settings, secret: str) -> None:
    """Keep an opened link out of the address bar. Lax: a strict cookie would not come along from a mail program's page."""
    _set(response, _name(scope, settings, "dispatcher-link"), secret, OWN_LINK, samesite="lax")


def drop(response: Response, scope: Scope, settings: Settings, *, session: bool) -> None:
    """Take back the link's cookie, and the session's where that is asked for."""
    _set(response, _name(scope, settings, "dispatcher-link"), "", timedelta(0), samesite="lax")
    if session:
        _set(response, _name(scope, settings, "dispatcher"), "", timedelta(0))


def _set(response: Response, name: str, value: str, lasts: timedelta, samesite: Literal["lax", "strict"] = "strict") -> None:
    seconds = int(lasts.total_seconds())
    secure = name.startswith(_HTTPS)
    response.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite=samesite)


def _name(scope: Scope, settings: Settings, base: str) -> str:
    """With the port, for browsers keep the cookies of all ports of a host together; by https bound to this very host."""
    port = Headers(scope=scope).get("host", "").rpartition("]")[2].rpartition(":")[2]
    name = f"{base}-{port}" if port.isascii() and port.isdigit() else base
    return f"{_HTTPS}{name}" if is_secure(scope, settings) else name


def _value(scope: Scope, name: str) -> str:
    for line in Headers(scope=scope).getlist("cookie"):
        for part in line.split(";"):
            given, _, value = part.strip().partition("=")
            if given == name:
                return value.strip('"')
    return ""


def _trusted(address: str, settings: Settings) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in settings.proxies)
