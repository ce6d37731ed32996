"""The one door from a run to its endpoint.

The harness talks to a listener of its run alone, with a token that names the run; the endpoint's key is added here and never
enters the run. An endpoint that is down or busy is waited for within a bound, since a harness that sees it fail gives up in
ways of its own. Requests and tokens are counted here, independently of the harness.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from adapters.faults import endpoint_fault
from adapters.session import OutcomeKind
from dispatcher.models import Endpoint
from workers.meter import Meter, UsageReader

PATHS = ("/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings")
BUSY = (429, 502, 503, 504)
TRIAL = "/trial"
"""Answered here and not passed on: whether the door can be reached says nothing about the endpoint."""
MAX_REQUEST = 64 * 1024 * 1024
MAX_WAIT = 30.0
LAST_WORDS = 1.0
"""Seconds for which an answer is read on after its harness has hung up."""
_DROPPED = {"host", "content-length", "authorization", "connection", "transfer-encoding", "accept-encoding", "x-api-key"}
_FORMATS = {"application/json", "text/event-stream", "application/x-ndjson"}
_KEPT = {"content-type", "cache-control", "retry-after", "x-request-id"}


@dataclass(frozen=True)
class Fault:
    """What the endpoint answered instead of a completion. `final` faults are not worth another try."""

    kind: OutcomeKind
    text: str
    final: bool = False


class Door:
    """One run's way to its endpoint."""

    def __init__(self, endpoint: Endpoint, patience: float, client: aiohttp.ClientSession) -> None:
        self.endpoint = endpoint
        self.patience = patience
        self.meter = Meter()
        self.token = f"run-{secrets.token_urlsafe(18)}"
        self.base_url = ""
        self.fault: Fault | None = None
        """The newest fault; None again when a request succeeded after it."""
        self.gave_up = asyncio.Event()
        """Set when the endpoint was waited for longer than the bound."""
        self.waiting = ""
        """What is being waited for, in words, while an endpoint is down or busy."""
        self.touched = time.monotonic()
        self._open = 0
        self._client = client
        self._runner: web.AppRunner | None = None
        self._key = endpoint.key()

    @property
    def quiet_seconds(self) -> float:
        """Seconds since the endpoint last had something to do for this run; 0 while a request is open."""
        return 0.0 if self._open else time.monotonic() - self.touched

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve on the listeners that `serve` is given, until left."""
        app = web.Application(client_max_size=MAX_REQUEST)
        app.router.add_route("*", "/{path:.*}", self.handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            yield
        finally:
            await self._runner.cleanup()

    async def serve(self, listener: socket.socket) -> None:
        """Serve on a listener, which may be one of another network namespace; it is closed with the door."""
        assert self._runner is not None, "the door is open"
        host, port = listener.getsockname()[:2]
        await web.SockSite(self._runner, listener).start()
        self.base_url = f"http://{host}:{port}/v1"

    async def listen(self) -> int:
        """Serve on a free port of this machine's loopback device; gives its number."""
        listener = socket.create_server(("127.0.0.1", 0))
        await self.serve(listener)
        return int(listener.getsockname()[1])

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on."""
        offered = request.headers.get("Authorization", "").removeprefix("Bearer ").strip() or request.headers.get(
            "x-api-key", ""
        )
        if not secrets.compare_digest(offered, self.token):
            return _error(401, "this gateway serves one run; its token is missing or wrong")
        if request.path == TRIAL:
            return web.Response(status=204)
        if request.path not in PATHS:
            return _error(404, f"{request.path} is not a model path")
        body = await request.read()
        self._open += 1
        self.touched = time.monotonic()
        try:
            return await self._forward(request, body)
        finally:
            self._open -= 1
            self.touched = time.monotonic()
            self.waiting = ""

    async def _forward(self, request: web.Request, body: bytes) -> web.StreamResponse:
        deadline = time.monotonic() + self.patience
        meter = self.meter if request.method == "POST" else Meter()
        delay = 0.5
        while True:
            wait, fault, sent = delay, Fault("endpoint_down", ""), time.monotonic()
            try:
                async with self._send(request, body) as upstream:
                    if upstream.status not in BUSY:
                        meter.requests += 1
                        if upstream.status < 300 and upstream.content_type not in _FORMATS:
                            return self._refuse(upstream)
                        streamed = upstream.content_type == "text/event-stream"
                        return await self._answer(request, upstream, UsageReader(meter, streamed=streamed, sent=sent))
                    fault = await self._note(upstream)
                    wait = _retry_after(upstream.headers.get("Retry-After"), delay)
            except aiohttp.ClientConnectorError as error:
                fault = Fault(
                    "endpoint_down", f"{self.endpoint.name} does not answer at {self.endpoint.base_url}: {error.strerror}"
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                fault = Fault("endpoint_down", f"{self.endpoint.name} closed the connection: {error}")
            self.fault = fault
            if time.monotonic() + wait > deadline:
                self.gave_up.set()
                return _error(429 if fault.kind == "rate_limited" else 503, fault.text)
            self.waiting = f"waits for the endpoint: {fault.text}"
            await asyncio.sleep(min(wait, MAX_WAIT))
            delay = min(delay * 2, 8.0)

    def _send(self, request: web.Request, body: bytes) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        url = self.endpoint.base_url.rstrip("/") + request.path.removeprefix("/v1")
        return self._client.request(
            request.method, url, params=request.query, data=body or None, headers=headers, allow_redirects=False
        )

    async def _note(self, upstream: aiohttp.ClientResponse) -> Fault:
        text = " ".join((await upstream.content.read(4096)).decode("utf-8", "replace").split())
        kind = endpoint_fault(text, upstream.status) or "endpoint_error"
        return Fault(kind, f"{self.endpoint.name} answered {upstream.status}: {text[:400]}")

    def _refuse(self, upstream: aiohttp.ClientResponse) -> web.Response:
        # A harness that gets a web page asks again for ever: OpenCode made 928 requests in two minutes.
        text = (
            f"{self.endpoint.name} answered {upstream.content_type}, not a completion: {upstream.url} is no model server's path"
        )
        self.fault = Fault("endpoint_error", text, final=True)
        self.gave_up.set()
        return _error(400, text)

    async def _answer(self, request: web.Request, upstream: aiohttp.ClientResponse, usage: UsageReader) -> web.StreamResponse:
        response = web.StreamResponse(status=upstream.status)
        for name, value in upstream.headers.items():
            if name.lower() in _KEPT:
                response.headers[name] = value
        await response.prepare(request)
        try:
            async for chunk in upstream.content.iter_any():
                self.touched = time.monotonic()
                usage.feed(chunk)
                await response.write(chunk)
        except aiohttp.ClientError as error:
            self.fault = Fault("endpoint_down", f"{self.endpoint.name} broke off in the middle of an answer: {error}")
            if request.transport is not None:
                request.transport.abort()  # the harness has to see that it was not all
            return response
        except (asyncio.CancelledError, ConnectionResetError):
            # A harness hangs up at the last word it wants; the count of tokens comes after it.
            await _drain(upstream, usage)
            raise
        finally:
            usage.close()
        self._judge(upstream, usage)
        await response.write_eof()
        return response

    def _judge(self, upstream: aiohttp.ClientResponse, usage: UsageReader) -> None:
        """Remember a refusal until a success."""
        self.fault = None
        if upstream.status >= 400:
            text = " ".join(usage.head.decode("utf-8", "replace").split())
            kind = endpoint_fault(text, upstream.status) or "endpoint_error"
            self.fault = Fault(kind, f"{self.endpoint.name} answered {upstream.status}: {text[:400]}")


async def _drain(upstream: aiohttp.ClientResponse, usage: UsageReader) -> None:
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(LAST_WORDS):
            async for chunk in upstream.content.iter_any():
                usage.feed(chunk)


class Gateway:
    """Opens a door for each run; one per worker."""

    def __init__(self) -> None:
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Gateway:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=None)
        # No cookies, no proxy from the environment: an endpoint is where the user said, and nowhere else.
        self._client = aiohttp.ClientSession(
            timeout=timeout, auto_decompress=True, cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()

    @asynccontextmanager
    async def open(self, endpoint: Endpoint, patience: float, *, listening: bool = True) -> AsyncIterator[Door]:
        """A door for one run, closed with it; `listening` on loopback, else where its `serve` is told to."""
        assert self._client is not None, "the gateway has been entered"
        door = Door(endpoint, patience, self._client)
        async with door.serving():
            if listening:
                await door.listen()
            yield door


def _retry_after(value: str | None, otherwise: float) -> float:
    try:
        return max(0.1, float(value)) if value else otherwise
    except ValueError:
        return otherwise


def _error(status: int, text: str) -> web.Response:
    kind = "rate_limit_exceeded" if status == 429 else "gateway_error"
    return web.json_response({"error": {"message": text, "type": kind, "code": kind}}, status=status)
