"""The HTTP client of the API, for the command line.

It talks to DISPATCHER_URL, else to the running server of the data folder, else to the same app in this process: adding a
project or filing a ticket needs no server. The app is loaded by name, since nothing here may import the web package.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from dispatcher.actor import LOCAL
from dispatcher.errors import DispatcherError, Unavailable
from dispatcher.settings import Settings

PREFIX = "/api/v1"
WEB_APP = "web.app:create_app"
SILENCE_SECONDS = 45.0
"""A feed without a byte for so long is broken; a heartbeat comes every 15 s."""
POLL_SECONDS = 0.5
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


class ApiError(DispatcherError):
    """What the API answered instead of doing it."""

    def __init__(self, message: str, hint: str, field: str | None, code: str, http_status: int) -> None:
        super().__init__(message, hint, field)
        self.code = code
        self.http_status = http_status


@dataclass(frozen=True)
class Event:
    """One entry of the activity feed; `id` is its cursor."""

    id: int
    kind: str
    data: dict[str, Any]


def load(name: str) -> Any:
    """The object that "module:attribute" names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def server_file(settings: Settings) -> Path:
    """Where the running server of a data folder tells its address."""
    return settings.home / "server.json"


def announce(settings: Settings, url: str, token: str = "") -> None:
    """Tell this user's other processes where the server of this data folder is, and how to enter; whole or not at all."""
    settings.home.mkdir(parents=True, exist_ok=True)
    new = server_file(settings).with_suffix(f".{os.getpid()}")
    new.unlink(missing_ok=True)  # what lies there could be readable by others, or lead elsewhere
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"url": url, "pid": os.getpid(), "token": token}, file)
    new.replace(server_file(settings))


def withdraw(settings: Settings) -> None:
    """Take back what this process announced."""
    path = server_file(settings)
    if _announced(path).get("pid") == os.getpid():
        path.unlink(missing_ok=True)


def running_server(settings: Settings) -> str | None:
    """The address of the server that runs on this data folder, None where none does; a stale file is looked through."""
    url = _announced(server_file(settings)).get("url")
    return str(url) if url and answers(str(url)) else None


def announced_server(settings: Settings) -> str | None:
    """The address that a server of this data folder announced whose process lives, though it may not answer yet."""
    announced = _announced(server_file(settings))
    try:
        os.kill(int(announced["pid"]), 0)
    except (KeyError, TypeError, ValueError, OSError):
        return None
    return str(announced["url"]) if announced.get("url") else None


def answers(url: str, seconds: float = 2.0) -> bool:
    """Whether one of our servers answers there."""
    try:
        # Without a token, which nobody shall be sent who happens to listen there now.
        response = httpx.get(f"{url}{PREFIX}/status", timeout=seconds, trust_env=False)
        return response.status_code == 401 and response.json()["error"]["code"] == "login_needed"
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False


class Entry(httpx.Auth):
    """Proves who we are: by DISPATCHER_TOKEN, else to the data folder's own server by what it left there for us.

    That is read for each request, since a server that was started again has another one; it is sent nowhere else.
    """

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._url = url

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token; once more, where a server was started again meanwhile."""
        token = self._token()
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401 and (newer := self._token()) not in ("", token):
            request.headers["Authorization"] = f"Bearer {newer}"
            yield request

    def _token(self) -> str:
        given = self._settings.token.get_secret_value()
        if given:
            return given
        announced = _announced(server_file(self._settings))
        ours = _same_place(str(announced.get("url", "")), self._url)
        return str(announced.get("token", "")) if ours else ""


def _same_place(url: str, other: str) -> bool:
    """Whether two addresses are one server: the same, or the same port of this machine by its two names."""
    first, second = (urlsplit(one) for one in (url, other))
    if first.scheme != "http" or second.scheme != "http":
        return url == other
    alike = first.hostname == second.hostname or {first.hostname, second.hostname} <= {"127.0.0.1", "localhost"}
    return alike and first.port == second.port


@contextmanager
def open_client(settings: Settings) -> Iterator[Client]:
    """A client for those settings; see the module."""
    url = settings.url.rstrip("/") or running_server(settings)
    with ExitStack() as stack:
        if url:
            # No proxy of the environment: the server is this machine's, or one that was named.
            tls = not url.lower().startswith("http:")  # reading the certificate authorities takes longer than most commands
            http = httpx.Client(base_url=url, timeout=60, trust_env=False, auth=Entry(settings, url), verify=tls)
        else:
            portal = stack.enter_context(start_blocking_portal())
            _log_to_file(settings)
            app = load(WEB_APP)(settings)
            stack.enter_context(portal.wrap_async_context_manager(app.router.lifespan_context(app)))
            http = httpx.Client(base_url="http://127.0.0.1", transport=InProcess(portal, app), timeout=60)
        yield Client(stack.enter_context(http), url)


class InProcess(httpx.BaseTransport):
    """Requests answered by an ASGI app in this process, whose event loop runs behind the portal."""

    def __init__(self, portal: BlockingPortal, app: Any) -> None:
        self._portal = portal

        async def within(scope: Any, receive: Any, send: Any) -> None:
            await app(scope | {LOCAL: True}, receive, send)

        self._asgi = httpx.ASGITransport(app=within, client=("127.0.0.1", 0))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The whole answer, without streaming."""
        return self._portal.call(self._answer, request)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._asgi.handle_async_request(request)
        body = b"".join([part async for part in cast(httpx.AsyncByteStream, response.stream)])
        return httpx.Response(response.status_code, headers=response.headers, content=body)


class Client:
    """The API. Every method raises `ApiError` for what it refuses, and `Unavailable` when it does not answer."""

    def __init__(self, http: httpx.Client, url: str | None) -> None:
        self._http = http
        self.url = url
        """The server's address; None where the app runs in this process."""

    def get(self, path: str, **params: Any) -> Any:
        """GET as JSON; parameters that are None are left out."""
        return self.send("GET", path, params=params).json()

    def post(self, path: str, body: dict[str, Any] | None = None, *, seconds: float = 60) -> Any:
        """POST a JSON body, and take JSON; None for an empty answer. `seconds` bounds the wait."""
        return _json(self.send("POST", path, json=body or {}, timeout=seconds))

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """PATCH with a JSON body."""
        return _json(self.send("PATCH", path, json=body))

    def delete(self, path: str) -> None:
        """DELETE."""
        self.send("DELETE", path)

    def send(self, method: str, path: str, *, params: dict[str, Any] | None = None, **options: Any) -> httpx.Response:
        """One request; `path` is below the API's prefix."""
        kept = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            response = self._http.request(method, PREFIX + path, params=kept, **options)
        except httpx.HTTPError as error:
            raise self._down(error) from error
        _refuse(response)
        return response

    def has_worker(self) -> bool:
        """Whether a worker's heart beats."""
        return any(worker["alive"] for worker in self.get("/workers"))

    def events(self, since: int, ticket: str | None = None, lost: Callable[[str], None] = lambda _: None) -> Iterator[Event]:
        """The activity feed after that cursor, without end; it reconnects where it was, and tells `lost` when it has to."""
        cursor, failures = since, 0
        while True:
            try:
                for event in self._stream(cursor, ticket) if self.url else self._poll(cursor, ticket):
                    cursor, failures = event.id, 0
                    yield event
            except httpx.HTTPError as error:
                if failures == 0:
                    lost(str(self._down(error).message))
                time.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    def _stream(self, since: int, ticket: str | None) -> Iterator[Event]:
        params = {"ticket": ticket} if ticket else {}
        limits = httpx.Timeout(10, read=SILENCE_SECONDS)
        headers = {"Last-Event-ID": str(since), "Accept": "text/event-stream"}
        with self._http.stream("GET", f"{PREFIX}/events", params=params, headers=headers, timeout=limits) as response:
            if response.status_code >= 400:
                response.read()
                _refuse(response)
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(":")
                if line and name:
                    value = value.removeprefix(" ")
                    fields[name] = f"{fields[name]}\n{value}" if name == "data" and "data" in fields else value
                elif not line and "data" in fields and fields.get("id", "").isdigit():
                    entry = json.loads(fields["data"])
                    yield Event(int(fields["id"]), entry["kind"], entry)
                    fields = {}
                elif not line:
                    fields = {}
        raise httpx.RemoteProtocolError("the server ended the feed")

    def _poll(self, since: int, ticket: str | None) -> Iterator[Event]:
        cursor = since
        while True:
            for entry in self.get("/activity", since=cursor, ticket=ticket):
                cursor = int(entry["id"])
                yield Event(cursor, entry["kind"], entry)
            time.sleep(POLL_SECONDS)

    def _down(self, error: httpx.HTTPError) -> Unavailable:
        if isinstance(error, httpx.TimeoutException):
            return Unavailable(f"{self.url or 'the app'} did not answer in time", "see its log in the data folder, in logs/")
        return Unavailable(f"nothing answers at {self.url}: {error}", "start it: dispatcher up, or mend DISPATCHER_URL")


def _log_to_file(settings: Settings) -> None:
    """The app's log lines into the data folder: in this process they would come between a command's own."""
    log = settings.home / "logs" / "cli.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=log, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def _announced(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _json(response: httpx.Response) -> Any:
    return response.json() if response.content else None


def _refuse(response: httpx.Response) -> None:
    """Raise `ApiError` for an answer that is an error."""
    if response.status_code < 400:
        return
    try:
        error = response.json()["error"]
        told = ApiError(error["message"], error.get("hint") or "", error.get("field"), error["code"], response.status_code)
    except (ValueError, KeyError, TypeError):
        where = f"{response.request.method} {response.request.url}"
        hint = "see logs/ in the data folder; or DISPATCHER_URL names something else"
        told = ApiError(f"{where} answered {response.status_code}", hint, None, "unknown", response.status_code)
    raise told
