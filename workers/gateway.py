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

import aiohttp
from aiohttp import web

from dispatcher.addresses import Barred, check_host
from dispatcher.models import Endpoint
from workers.meter import Meter, UsageReader
from workers.passing import BUSY, Fault, error, fault_of, headers_in, headers_out, misdirected, retry_after, with_usage
from workers.pin import Pin

PATHS = {
    "/v1/models": ("GET", "HEAD"),
    "/v1/chat/completions": ("POST",),
    "/v1/completions": ("POST",),
    "/v1/responses": ("POST",),
    "/v1/messages": ("POST",),
    "/v1/embeddings": ("POST",),
}
"""What passes, and by which methods."""
TRIAL = "/trial"
"""Answered here and not passed on: whether the door can be reached says nothing about the endpoint."""
MAX_REQUEST = 64 * 1024 * 1024
MAX_WAIT = 30.0
LAST_WORDS = 1.0
"""Seconds for which an answer is read on after its harness has hung up."""


class Door:
    """One run's way to its endpoint. `budget` is the tokens after which no request passes any more; 0 for no limit."""

    def __init__(self, endpoint: Endpoint, patience: float, client: aiohttp.ClientSession, pin: Pin, budget: int = 0) -> None:
        self.endpoint = endpoint
        self.patience = patience
        self.budget = budget
        self.pin = pin
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
        self._plain = False
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
        if not secrets.compare_digest(offered.encode(), self.token.encode()):
            return error(401, "this gateway serves one run; its token is missing or wrong")
        if request.path == TRIAL:
            return web.Response(status=204)
        if request.path not in PATHS:
            return error(404, f"{request.path} is not a model path")
        if request.method not in PATHS[request.path]:
            return error(405, f"{request.path} takes {' and '.join(PATHS[request.path])} alone")
        if self.budget and self.meter.tokens > self.budget:
            return error(403, f"{self.meter.tokens:,} tokens were used; {self.budget:,} is the run's limit")
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
        delay = 0.5
        while True:
            try:
                fault, wait = await self._try(request, body)
                if isinstance(fault, web.StreamResponse):
                    return fault
            except aiohttp.ClientConnectorError as problem:
                place = f"{self.endpoint.name} does not answer at {self.endpoint.base_url}"
                fault, wait = await self._look_anew(f"{place}: {problem.strerror or problem}"), None
            except (aiohttp.ServerConnectionError, aiohttp.ClientOSError, aiohttp.ClientResponseError) as problem:
                text = f"{self.endpoint.name} closed the connection: {problem or type(problem).__name__}"
                fault, wait = Fault("endpoint_down", text), None
            self.fault = fault
            wait = delay if wait is None else wait
            if fault.final or time.monotonic() + wait > deadline:
                self.gave_up.set()
                return error(429 if fault.kind == "rate_limited" else 400 if fault.final else 503, fault.text)
            self.waiting = f"waits for the endpoint: {fault.text}"
            await asyncio.sleep(min(wait, MAX_WAIT))
            delay = min(delay * 2, 8.0)

    async def _try(self, request: web.Request, body: bytes) -> tuple[Fault | web.StreamResponse, float | None]:
        """The answer as it was passed on; or why there is none, and in how many seconds it wants to be asked again."""
        asked = body if self._plain else with_usage(request.path, body)
        meter = self.meter if request.method == "POST" else Meter()
        sent = time.monotonic()
        async with self._client.request(
            request.method,
            self.endpoint.base_url.rstrip("/") + request.path.removeprefix("/v1"),
            params=request.query,
            data=asked or None,
            headers=headers_in(request.headers, self._key),
            allow_redirects=False,
        ) as upstream:
            if upstream.status in BUSY:
                return await fault_of(self.endpoint.name, upstream), retry_after(upstream.headers)
            if upstream.status in (400, 422) and asked is not body and b"stream_options" in await upstream.read():
                self._plain = True  # some servers take no field that they do not know
                return await self._try(request, body)
            meter.requests += 1
            if fault := misdirected(self.endpoint.name, upstream):
                return fault, None
            streamed = upstream.content_type == "text/event-stream"
            return await self._answer(request, upstream, UsageReader(meter, streamed=streamed, sent=sent)), None

    async def _look_anew(self, text: str) -> Fault:
        """Look the endpoint's name up again, since nothing answers where it was."""
        try:
            await self.pin.set()
        except Barred as problem:
            return Fault("misconfigured", problem.line(), final=True)
        except OSError:
            return Fault("endpoint_down", text)
        return Fault("endpoint_down", f"{text}; {self.pin.moves[-1]}" if self.pin.moves else text)

    async def _answer(self, request: web.Request, upstream: aiohttp.ClientResponse, usage: UsageReader) -> web.StreamResponse:
        response = web.StreamResponse(status=upstream.status, headers=headers_out(upstream.headers))
        try:
            await response.prepare(request)
            async for chunk in _chunks(upstream):
                self.touched = time.monotonic()
                usage.feed(chunk)
                await response.write(chunk)
        except (asyncio.CancelledError, ConnectionResetError):
            # A harness hangs up at the last word it wants; the count of tokens comes after it.
            await _drain(upstream, usage)
            raise
        except aiohttp.ClientError as problem:
            self.fault = Fault("endpoint_down", f"{self.endpoint.name} broke off in the middle of an answer: {problem}")
            if request.transport is not None:
                request.transport.abort()  # the harness has to see that it was not all
            return response
        finally:
            usage.close()
        self.fault = await fault_of(self.endpoint.name, upstream, usage.head) if upstream.status >= 400 else None
        await response.write_eof()
        return response


async def _chunks(upstream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it comes, or as it was read already."""
    if upstream.content.at_eof() and (whole := await upstream.read()):
        yield whole
        return
    async for chunk in upstream.content.iter_any():
        yield chunk


async def _drain(upstream: aiohttp.ClientResponse, usage: UsageReader) -> None:
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(LAST_WORDS):
            async for chunk in upstream.content.iter_any():
                usage.feed(chunk)


class Gateway:
    """Opens a door for each run."""

    @asynccontextmanager
    async def open(
        self, endpoint: Endpoint, patience: float, *, budget: int = 0, listening: bool = True
    ) -> AsyncIterator[Door]:
        """A door for one run, closed with it; `listening` on loopback, else where its `serve` is told to.

        The endpoint's name is looked up here, and only what was found is connected to. Raises `Barred` where no endpoint
        may be.
        """
        check_host(endpoint.base_url)
        pin = Pin(endpoint.base_url)
        with contextlib.suppress(OSError):  # its name may be known once it is up, and it is waited for
            await pin.set()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=None)
        # No cookies, no proxy from the environment: an endpoint is where the user said, and nowhere else.
        connector = aiohttp.TCPConnector(limit=0, resolver=pin, use_dns_cache=False)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), connector=connector) as client:
            door = Door(endpoint, patience, client, pin, budget)
            async with door.serving():
                if listening:
                    await door.listen()
                yield door
