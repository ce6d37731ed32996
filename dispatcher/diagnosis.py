"""What is wrong with a model endpoint, told from how it failed or from what it answered, with the fix."""

from __future__ import annotations

import errno
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import httpx

from dispatcher.models import Endpoint
from dispatcher.reaching import Elsewhere

if TYPE_CHECKING:
    from dispatcher.probing import State


class Fault(NamedTuple):
    """One diagnosis: its kind, one line for a person, and the fix."""

    state: State
    message: str
    hint: str


def failed(error: httpx.HTTPError, base_url: str, patience: float) -> Fault:
    """The diagnosis where no answer came."""
    place = urlsplit(base_url).netloc
    causes = list(_causes(error))
    if isinstance(error, Elsewhere):
        return Fault("barred", error.why.message, error.why.hint)
    if isinstance(error, httpx.ConnectTimeout):
        return Fault("timeout", f"{place} does not take the connection", "check the host and port, and the firewall between")
    if isinstance(error, httpx.TimeoutException):
        return Fault(
            "timeout",
            f"{place} gave nothing within {patience:.0f} s",
            "it may be loading the model or working for others: look at its log, then check again",
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return Fault(
            "unknown_host",
            f"the host name {urlsplit(base_url).hostname} is not known here",
            "check the spelling, or give its IP",
        )
    if tls := next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None):
        return _tls(tls, base_url)
    if any(getattr(cause, "errno", None) == errno.ECONNREFUSED for cause in causes):
        return Fault("refused", f"nothing listens at {place}", "start the model server there, or mend the base URL's port")
    if isinstance(error, httpx.ConnectError):
        return Fault("unreachable", f"{place} cannot be reached: {_words(causes, error)}", "check the host, and the way to it")
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return Fault(
            "not_http",
            f"{place} broke the connection off or does not speak HTTP: {_words(causes, error)}",
            "check the port; with https:// in place of http:// where it speaks TLS",
        )
    return Fault("error", f"the request to {place} failed: {_words(causes, error)}", "check the base URL")


def answered(status: int, headers: Mapping[str, str], text: str, endpoint: Endpoint, *, keyed: bool) -> Fault:
    """The diagnosis where the server answered with something else than was asked for."""
    url = endpoint.base_url
    if 300 <= status < 400:
        target = headers.get("location", "an unnamed place")
        return Fault("redirect", f"{url} redirects to {target[:300]}", "use the address that it redirects to as the base URL")
    if status in (401, 403):
        return _auth(status, endpoint, keyed, said(text))
    if status == 429:
        return Fault("rate_limited", f"the server is busy or limits requests: {said(text)}", "wait, or lower the slots")
    if _is_html(headers, text):
        return Fault(
            "not_openai",
            f"{url} answers with a web page ({status}): it is no base URL of an OpenAI-compatible API",
            _other_address(url),
        )
    if status == 503 and "loading" in text.lower():
        return Fault("loading", "the server is still loading its model", "wait until it has, then check again")
    if status == 200:
        return Fault("not_openai", f"{url}/models does not answer with OpenAI's list of models", _other_address(url))
    return Fault("error", f"the server answered {status}: {said(text)}", "the words are the server's own: mend it there")


def said(text: str) -> str:
    """The server's own words out of an error body, on one line."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    error = data.get("error", data.get("detail", data.get("message"))) if isinstance(data, dict) else None
    if isinstance(error, dict):
        error = error.get("message", error)
    return " ".join(str(error or text or "nothing").split())[:300]


def _auth(status: int, endpoint: Endpoint, keyed: bool, words: str) -> Fault:
    if not endpoint.key_env:
        return Fault(
            "auth",
            f"the server wants a key ({status}), and the endpoint names none: {words}",
            "put it into an environment variable, and give the endpoint that variable's name as key_env",
        )
    if not keyed:
        hint = f"export {endpoint.key_env}=... where the site and the workers start, and start them again"
        return Fault("auth", f"the server wants a key ({status}), and {endpoint.key_env} is not set here", hint)
    return Fault(
        "auth",
        f"the server refuses the key in {endpoint.key_env} ({status}): {words}",
        f"put the right one in {endpoint.key_env}",
    )


def _other_address(url: str) -> str:
    path = urlsplit(url).path
    if path.endswith("/v1") and path != "/v1":
        return f"try {url.removesuffix(path)}/v1"
    return "check host and port" if path == "/v1" else f"try adding /v1: {url}/v1"


def _tls(error: ssl.SSLError, base_url: str) -> Fault:
    place = urlsplit(base_url).netloc
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "have its certificate signed by an authority in SSL_CERT_FILE, or use http:// on a network that you trust"
        return Fault("tls", f"the certificate of {place} is not trusted: {error.verify_message}", hint)
    return Fault("tls", f"{place} does not speak TLS: {error.reason or error}", f"use http://{place}")


def _is_html(headers: Mapping[str, str], text: str) -> bool:
    return "text/html" in headers.get("content-type", "") or text.lstrip()[:15].lower().startswith(("<!doctype html", "<html"))


def _words(causes: list[BaseException], error: Exception) -> str:
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it came from; a connection tried at several addresses fails with a group."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = list(current.exceptions) if isinstance(current, BaseExceptionGroup) else []
        waiting += [cause for cause in (current.__cause__, current.__context__, *inner) if cause is not None]
