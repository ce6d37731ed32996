"""The event stream over real HTTP: nothing missed, nothing twice, quick, and gone when the site goes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

import web.main
import web.stream
from dispatcher import activity, board
from dispatcher.db import Database
from dispatcher.queue import Bell
from dispatcher.settings import Settings
from tests.board import Board
from tests.entering import bearer
from web.app import create_app
from web.main import bind

PROMPT_MS = 250.0
"""Half of what it is on the average where nothing tells of a commit, and the site looks once a second. What it is on a machine
that has nothing else to do is measured by `make bench`."""


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The site on a free loopback port."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=3))
    server.capture_signals = lambda: _nothing()  # type: ignore[method-assign,assignment]  # the test's own signals stay
    with bind("127.0.0.1", 0) as listener:
        task = asyncio.create_task(server.serve([listener]))
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        database = Database(settings.database)
        headers = bearer(database)
        database.close()
        async with httpx.AsyncClient(base_url=base, timeout=10, trust_env=False, headers=headers) as client:
            assert (await client.get("/api/v1/workers")).status_code == 200  # waits until the socket is served
            yield client
        app.state.site.feed.close()
        server.should_exit = True
        await task


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@pytest.fixture
def filled(board: Board, tmp_path: Path) -> tuple[Board, Settings]:
    """A board and the settings of a site on its database."""
    return board, Settings(home=tmp_path, database_url=board.database.url)


class Listener:
    """One client of the stream."""

    def __init__(self, client: httpx.AsyncClient, query: str = "", last: int | None = None) -> None:
        self._client = client
        self._query = query
        self._headers = {"Last-Event-ID": str(last)} if last is not None else {}
        self.entries: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.comments = 0
        self.retry = ""
        self.connected = asyncio.Event()
        """Set with the first line, which comes once the cursor to begin at is known."""

    @property
    def ids(self) -> list[int]:
        return [entry["id"] for entry in self.entries]

    async def hear(self, count: int, seconds: float = 20) -> Listener:
        """Listen until that many entries came."""
        async with asyncio.timeout(seconds):
            async with self._client.stream("GET", f"/api/v1/events{self._query}", headers=self._headers) as answer:
                assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
                async for line in answer.aiter_lines():
                    self._take(line)
                    if len(self.entries) >= count:
                        return self
        raise AssertionError("the stream ended")

    def _take(self, line: str) -> None:
        name, _, value = line.partition(": ")
        if name == "data":
            self.entries.append(json.loads(value))
        elif name == "event":
            self.names.append(value)
        elif name == "retry":
            self.retry = value
            self.connected.set()
        elif line.startswith(":"):
            self.comments += 1


def say(database: Database, key: str, count: int) -> None:
    """That many entries, one transaction each."""
    for number in range(count):
        with database.transaction() as db:
            activity.record(db, "test.said", ticket=board.get_ticket(db, key), number=number)


def tickets(board: Board, count: int = 1) -> None:
    with board.database.transaction() as db:
        for _ in range(count):
            board.ticket(db)


async def test_the_past_comes_first_and_then_what_is_new(filled: tuple[Board, Settings]) -> None:
    board, settings = filled
    tickets(board)
    say(board.database, "WEB-1", 3)
    async with serving(settings) as client:
        listener = Listener(client, "?since=1")
        task = asyncio.create_task(listener.hear(4))
        await listener.connected.wait()
        await asyncio.to_thread(say, board.database, "WEB-1", 2)
        await task
        assert listener.ids == [2, 3, 4, 5] and listener.names == ["test.said"] * 4 and listener.retry == "1000"
        entry = listener.entries[-1]
        assert {name: entry[name] for name in ("kind", "ticket", "run", "project")} == {
            "kind": "test.said",
            "ticket": "WEB-1",
            "run": None,
            "project": "WEB",
        }
        assert entry["data"] == {"key": "WEB-1", "number": 1}
        listed = (await client.get("/api/v1/activity?since=1")).json()
        assert [row["id"] for row in listed] == listener.ids and listed[0]["ticket"] == "WEB-1"


async def test_without_a_cursor_only_the_new_is_told(filled: tuple[Board, Settings]) -> None:
    board, settings = filled
    tickets(board)
    say(board.database, "WEB-1", 5)
    async with serving(settings) as client:
        listener = Listener(client, "?named=0")
        task = asyncio.create_task(listener.hear(1))
        await listener.connected.wait()
        await asyncio.to_thread(say, board.database, "WEB-1", 1)
        await task
    assert listener.ids == [6] and listener.names == []


async def test_who_reconnects_misses_nothing_and_hears_nothing_twice(
    filled: tuple[Board, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    board, settings = filled
    tickets(board)
    total = 300
    # A ring that is much smaller than what is written meanwhile: listeners change between it and the database.
    monkeypatch.setattr(web.stream, "RING", 16)
    monkeypatch.setattr(web.stream, "BATCH", 7)
    async with serving(settings) as client:
        writers = [asyncio.to_thread(say, board.database, "WEB-1", total // 3) for _ in range(3)]
        writing = asyncio.gather(*writers)
        heard: list[int] = []
        while len(heard) < total:
            # `since` stays in the address of a browser's EventSource: the header has to win.
            listener = Listener(client, "?since=0", last=heard[-1] if heard else None)
            await listener.hear(min(37, total - len(heard)))
            heard += listener.ids
        await writing
    assert heard == list(range(1, total + 1))


async def test_a_ticket_can_be_followed_alone(filled: tuple[Board, Settings]) -> None:
    board, settings = filled
    tickets(board, 2)
    async with serving(settings) as client:
        listener = Listener(client, "?ticket=web-2&since=0")
        task = asyncio.create_task(listener.hear(4))
        await listener.connected.wait()
        for _ in range(2):
            await asyncio.to_thread(say, board.database, "WEB-1", 3)
            await asyncio.to_thread(say, board.database, "WEB-2", 2)
        await task
        assert listener.ids == [4, 5, 9, 10]
        missing = await client.get("/api/v1/events?ticket=WEB-9")
        assert missing.status_code == 404


@pytest.mark.parametrize("cursor", ["soon", "-1", "1.5", "9" * 30, "١"])
async def test_a_cursor_that_is_none_is_refused(filled: tuple[Board, Settings], cursor: str) -> None:
    async with serving(filled[1]) as client:
        answer = await client.get("/api/v1/events", headers={"Last-Event-ID": cursor.encode()})
        assert answer.status_code == 422 and answer.json()["error"]["field"] == "last-event-id"


async def test_a_cursor_of_another_database_begins_with_what_is_new(filled: tuple[Board, Settings]) -> None:
    board, settings = filled
    tickets(board)
    say(board.database, "WEB-1", 2)
    async with serving(settings) as client:
        listener = Listener(client, last=5000)
        task = asyncio.create_task(listener.hear(1))
        await listener.connected.wait()
        await asyncio.to_thread(say, board.database, "WEB-1", 1)
        assert (await task).ids == [3]


async def test_an_idle_stream_has_a_heartbeat(filled: tuple[Board, Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    board, settings = filled
    tickets(board)
    monkeypatch.setattr(web.stream, "HEARTBEAT_SECONDS", 0.1)
    async with serving(settings) as client:
        listener = Listener(client)
        task = asyncio.create_task(listener.hear(1))
        async with asyncio.timeout(20):
            while listener.comments < 3:  # noqa: ASYNC110  # beats are what is waited for
                await asyncio.sleep(0.02)
        await asyncio.to_thread(say, board.database, "WEB-1", 1)
        await task


async def test_half_a_surrogate_pair_does_not_end_the_feed(filled: tuple[Board, Settings]) -> None:
    board, settings = filled
    tickets(board)
    with board.database.transaction() as db:
        activity.record(db, "test.odd", text="\ud83d")
    async with serving(settings) as client:
        assert (await Listener(client, "?since=0").hear(1)).entries[0]["data"] == {"text": "?"}
        assert (await client.get("/api/v1/activity")).json()[0]["data"] == {"text": "?"}


async def test_a_database_that_is_away_for_a_while_costs_nothing(filled: tuple[Board, Settings]) -> None:
    board, settings = filled
    if board.database.engine.dialect.name != "sqlite":
        pytest.skip("takes the table away, which PostgreSQL's locks would wait for")
    tickets(board)
    path = board.database.url.removeprefix("sqlite:///")
    async with serving(settings) as client:
        listener = Listener(client, "?since=0")
        task = asyncio.create_task(listener.hear(1))
        await listener.connected.wait()
        with sqlite3.connect(path) as raw:
            raw.execute("ALTER TABLE activity RENAME TO away")
        await asyncio.sleep(1.2)
        with sqlite3.connect(path) as raw:
            raw.execute("ALTER TABLE away RENAME TO activity")
        raw.close()
        await asyncio.to_thread(say, board.database, "WEB-1", 1)
        assert (await task).ids == [1]


async def test_from_the_commit_of_another_process_to_every_client_is_quick(
    filled: tuple[Board, Settings], redis_url: str
) -> None:
    board, settings = filled
    tickets(board)
    settings = settings.model_copy(update={"redis_url": redis_url})
    count, clients = 200, 5
    async with serving(settings) as client, Bell.open(redis_url) as bell:
        database = Database(board.database.url, after_commit=bell.after_commit)
        delays: list[float] = []
        connected = asyncio.Semaphore(0)

        async def listen() -> None:
            seen = 0
            async with client.stream("GET", "/api/v1/events?named=0") as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("retry: "):
                        connected.release()
                    if line.startswith("data: "):
                        delays.append((time.time() - json.loads(line[6:])["data"]["committed"]) * 1000)
                        seen += 1
                        if seen == count:
                            return

        def write() -> None:
            for _ in range(count):
                with database.transaction() as db:
                    activity.record(db, "test.timed", committed=time.time())
                time.sleep(0.01)

        async with asyncio.timeout(90), asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(listen())
            for _ in range(clients):
                await connected.acquire()
            await asyncio.to_thread(write)
        database.close()
    assert len(delays) == count * clients
    assert statistics.median(delays) < PROMPT_MS, f"slowest: {sorted(delays)[-5:]}"


def test_the_site_ends_at_once_though_clients_listen(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    code = """
import web.main, dispatcher.settings
listener = web.main.bind("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
web.main.run(dispatcher.settings.Settings(), listener=listener)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"DISPATCHER_HOME": str(settings.home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{int(process.stdout.readline())}"
    with httpx.Client(trust_env=False, timeout=60) as client:
        client.get(f"{url}/api/v1/status")  # waits until the socket is served, and the database is there
        database = Database(settings.database)
        client.headers.update(bearer(database))
        database.close()
        with client.stream("GET", f"{url}/api/v1/events") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "retry: 1000"
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert [line for line in lines if line] == []
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - began < web.main.STOP_SECONDS, "it would wait for so long, and then cancel them"
    assert "Traceback" not in errors and "Cancel" not in errors, errors
