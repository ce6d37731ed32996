"""From a line that a harness writes to the client of the event stream."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn

from dispatcher import transcripts
from dispatcher.settings import Settings
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.ground import ground
from tests.entering import bearer
from web.app import create_app

LINES = 300


async def bench(folder: Path) -> list[Figure]:
    async with ground(folder, follow_seconds=0.03) as (house, _, redis):
        config = house.settings.model_copy(update={"redis_url": redis.url})
        async with served(config) as url:
            arrived: dict[int, float] = {}
            listening = asyncio.create_task(_listen(url, bearer(house.database), arrived))
            await asyncio.sleep(0.5)
            line = '{"kind":"assistant","text":"\'$(date +%s.%N)\'"}'
            key = house.file(f"i=0; while [ $i -lt {LINES} ]; do tell '{line}'; i=$((i+1)); sleep 0.04; done")
            await house.until(lambda: house.ticket(key).state == "blocked", seconds=90)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        with house.database.reading() as db:
            items = transcripts.items_after(db, house.run(key), limit=LINES)
    late = [(arrived[item["seq"]] - float(item["text"])) * 1000 for item in items if item["seq"] in arrived]
    detail = f"median {percentile(late, 0.5):.0f} ms over {len(late)} lines"
    return [
        Figure("lines that did not arrive", LINES - len(late), 0, f"of {LINES}"),
        Figure("a harness's line to an SSE client, 99th percentile", percentile(late, 0.99), 100, "ms", detail),
    ]


async def _listen(url: str, headers: dict[str, str], arrived: dict[int, float]) -> None:
    events = f"{url}/api/v1/events"
    async with httpx.AsyncClient(timeout=None, headers=headers) as client, client.stream("GET", events) as response:
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                event = json.loads(line[5:])
                if event["kind"] == "run.items":
                    for seq in event["data"]["seqs"]:
                        arrived.setdefault(seq, time.time())


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[str]:
    """The web app on a free port, in this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(settings), log_level="warning", lifespan="on")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110  # uvicorn tells it by a flag
        await asyncio.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
