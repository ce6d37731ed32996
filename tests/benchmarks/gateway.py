"""A streamed completion through a run's gateway, beside the same request to the model server itself."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from dispatcher.models import Endpoint
from tests.benchmarks.figures import Figure, percentile
from workers.gateway import Gateway

ROUNDS = 40
PIECES = 200
PAUSE = 0.002
"""Seconds between the pieces of a stream: 500 tokens a second, faster than the models that agents work with."""
PROMPT = "x" * 100_000
"""A prompt of 25,000 tokens or so, as an agent sends them with each request."""


async def bench(_: Path) -> list[Figure]:
    with serving() as url:
        endpoint = Endpoint(name="local", base_url=url, model="m")
        async with Gateway().open(endpoint, 5) as door, aiohttp.ClientSession() as client:
            ways = {"direct": (url, ""), "gateway": (door.base_url, door.token)}
            first: dict[str, list[float]] = {way: [] for way in ways}
            whole: dict[str, list[float]] = {way: [] for way in ways}
            for number in range(ROUNDS + 2):
                for way, (base, token) in ways.items():
                    times = await streamed(client, base, token)
                    if number >= 2:  # connections are made by then
                        first[way].append(times[0])
                        whole[way].append(times[1])
    # What else the machine does makes some rounds slower, and none faster.
    quick = {way: percentile(first[way], 0.1) * 1000 for way in ways}
    long = {way: percentile(whole[way], 0.1) * 1000 for way in ways}
    ratio = (long["gateway"] / long["direct"] - 1) * 100
    beside = f"10th percentiles of {ROUNDS}: {quick['gateway']:.2f} ms beside {quick['direct']:.2f} ms"
    took = f"10th percentiles of {ROUNDS}: {long['gateway']:.0f} ms beside {long['direct']:.0f} ms"
    return [
        Figure("first byte of a stream through the gateway", quick["gateway"] - quick["direct"], 2, "ms more", beside),
        Figure(f"a stream of {PIECES} tokens through the gateway", ratio, 5, "% more", took),
    ]


async def streamed(client: aiohttp.ClientSession, base: str, token: str) -> tuple[float, float]:
    """Seconds to the first byte of a stream, and to its end."""
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": PROMPT}]}
    began = time.perf_counter()
    async with client.post(f"{base}/chat/completions", json=body, headers={"Authorization": f"Bearer {token}"}) as answer:
        await answer.content.readany()
        first = time.perf_counter() - began
        while await answer.content.readany():
            pass
    return first, time.perf_counter() - began


@contextmanager
def serving() -> Iterator[str]:
    """A model server in a process of its own; gives its base URL."""
    with subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _answer(request: web.Request) -> web.StreamResponse:
    await request.read()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    piece = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
    for _ in range(PIECES):
        await response.write(piece)
        await asyncio.sleep(PAUSE)
    await response.write(b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":25000,"completion_tokens":200}}\n\n')
    await response.write(b"data: [DONE]\n\n")
    return response


@asynccontextmanager
async def _listening() -> AsyncIterator[int]:
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def _serve() -> None:
    async with _listening() as port:
        print(f"http://127.0.0.1:{port}/v1", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
