"""The activity feed as server-sent events: one reader of the database for the whole process, any number of clients.

A client is a cursor. New entries are kept, encoded once, in a ring of bounded size that all clients read; one that is further
behind than the ring reads the database until it has caught up. So a client misses nothing and gets nothing twice, and a slow
one costs no memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import takewhile
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, select

from dispatcher import activity
from dispatcher.db import Database
from dispatcher.models import Activity, Project, Ticket
from dispatcher.queue import Bell

RING = 2000
BATCH = 500
POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
RETRY_MS = 1000
THREADS = 8

Form = Literal["named", "plain", "live"]
Extras = Callable[[Session, list[Activity]], dict[int, dict[str, Any]]]
"""What the live form of each entry holds beside the entry, by its number."""

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Event(NamedTuple):
    """One entry of the feed, ready to send: with its kind as the event's name, without, and with what pages need beside it."""

    id: int
    ticket_id: int | None
    named: bytes
    plain: bytes
    live: bytes
    private: bool = False
    """For administrators alone."""


class Keys:
    """Keys of tickets and projects by id; they never change, so they are looked up once. Bounded."""

    MOST = 20_000

    def __init__(self) -> None:
        self._tickets: dict[int, str] = {}
        self._projects: dict[int, str] = {}

    def entry(self, db: Session, row: Activity) -> dict[str, Any]:
        """The entry as JSON data."""
        ticket = self._ticket(db, row.ticket_id)
        return {
            "id": row.id,
            "at": row.at.isoformat(),
            "kind": row.kind,
            "actor": row.actor,
            "ticket": ticket,
            "run": row.run_id,
            "project": ticket.rpartition("-")[0] if ticket else self._project(db, row.project_id),
            "data": row.data,
        }

    def _ticket(self, db: Session, number: int | None) -> str | None:
        return self._look(self._tickets, number, lambda: db.exec(select(Ticket.key).where(Ticket.id == number)).first())

    def _project(self, db: Session, number: int | None) -> str | None:
        return self._look(self._projects, number, lambda: db.exec(select(Project.key).where(Project.id == number)).first())

    def _look(self, known: dict[int, str], number: int | None, find: Any) -> str | None:
        if number is None:
            return None
        if number not in known and (key := find()) is not None:
            if len(known) >= self.MOST:
                known.clear()
            known[number] = key
        return known.get(number)


class Feed:
    """The process's one reader of the feed. `listening()` runs it; `events()` is one client."""

    def __init__(self, database: Database, bell: Bell | None, extras: Extras | None = None) -> None:
        self._database = database
        self._extras = extras
        self._watchers = 0
        self._bell = bell
        self._keys = Keys()
        self._ring: deque[Event] = deque()
        self._floor = 0
        """Every entry after this one, up to the head, is in the ring."""
        self.head = 0
        self._grown = asyncio.Event()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # Threads of its own: requests that are busy with git shall not hold the feed up.
        self._threads = CapacityLimiter(THREADS)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Follow the feed for as long as the context lasts."""
        self.head = self._floor = await self._in_thread(self._newest)
        following = asyncio.create_task(self._follow())
        heeding = asyncio.create_task(self._heed(self._bell)) if self._bell is not None else None
        try:
            yield
        finally:
            self.close()
            await following
            if heeding is not None:
                heeding.cancel()
                with suppress(asyncio.CancelledError):
                    await heeding

    def close(self) -> None:
        """End every stream, so that a server that shuts down need not wait for them."""
        self._closing.set()
        self._grown.set()
        self._wake.set()

    def poke(self, cursor: int) -> None:
        """Look now, the feed having reached `cursor`; may be called from any thread."""
        if cursor > self.head and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def start_at(self, since: int | None) -> int:
        """The cursor to begin at: `since`, or the newest entry where it is None, or is ahead of all that there is."""
        if since is None or since <= self.head:
            return self.head if since is None else since
        # Another process may have shown an entry that this one has not read yet; a cursor of another database is ahead.
        return min(since, await self._in_thread(self._newest))

    async def events(
        self, cursor: int, *, ticket_id: int | None = None, form: Form = "named", private: bool = False
    ) -> AsyncIterator[bytes]:
        """What one client is sent, from after `cursor` until it goes or the site shuts down.

        `private` entries are left out unless they are asked for. What pages need beside an entry is only made while somebody
        reads the live form; entries from before lack it.
        """
        self._watchers += form == "live"
        try:
            yield format_sse_event(retry=RETRY_MS)
            while not self._closing.is_set():
                grown = self._grown
                batch, cursor = await self._after(cursor, ticket_id)
                seen = [event for event in batch if private or not event.private]
                if seen:
                    # In one piece: each is a call to the system, and wakes the browser, for every client.
                    yield b"".join(getattr(event, form) for event in seen)
                if cursor >= self.head and not batch:
                    try:
                        async with asyncio.timeout(HEARTBEAT_SECONDS):
                            await grown.wait()
                    except TimeoutError:
                        yield KEEPALIVE_COMMENT
        finally:
            self._watchers -= form == "live"

    async def _after(self, cursor: int, ticket_id: int | None) -> tuple[list[Event], int]:
        """The next entries after a cursor, and the cursor behind them."""
        if cursor < self._floor:
            return await self._in_thread(self._read, cursor, ticket_id)
        new = list(takewhile(lambda event: event.id > cursor, reversed(self._ring)))[::-1]
        wanted = [event for event in new if ticket_id is None or event.ticket_id == ticket_id]
        return wanted, new[-1].id if new else cursor

    async def _in_thread(self, look: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        # Not asyncio.to_thread: cancelled, that leaves its thread behind with a connection that nobody closes.
        return await to_thread.run_sync(partial(look, *args, **kwargs), limiter=self._threads)

    def _newest(self) -> int:
        with self._database.reading() as db:
            return activity.newest(db)

    def _read(self, cursor: int, ticket_id: int | None) -> tuple[list[Event], int]:
        with self._database.reading() as db:
            newest = activity.newest(db)
            rows = activity.since(db, cursor, ticket_id=ticket_id, limit=BATCH)
            extras = self._extras(db, rows) if self._extras and self._watchers else {}
            events = [self._encode(db, row, extras.get(row.id or 0)) for row in rows]
        last = events[-1].id if events else cursor
        return events, last if len(events) == BATCH else max(last, newest)

    def _encode(self, db: Session, row: Activity, extra: dict[str, Any] | None) -> Event:
        entry, number = self._keys.entry(db, row), str(row.id)
        data = _json(entry)
        plain = format_sse_event(data_str=data, id=number)
        live = plain if extra is None else format_sse_event(data_str=_json(entry | extra), id=number)
        named = format_sse_event(data_str=data, event=row.kind, id=number)
        return Event(entry["id"], row.ticket_id, named, plain, live, row.kind.startswith(activity.PRIVATE))

    async def _heed(self, bell: Bell) -> None:
        async for _ in bell.listen(POLL_SECONDS):
            self._wake.set()

    async def _follow(self) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            self._wake.clear()
            try:
                while await self._take():
                    pass
            except SQLAlchemyError as error:
                log.warning("the feed cannot be read (%s); trying again", " ".join(str(error).split())[:300])
                await asyncio.sleep(POLL_SECONDS)

    async def _take(self) -> bool:
        """Put what is new into the ring and wake the clients; True where there may be more."""
        events, _ = await self._in_thread(self._read, self.head, None)
        if not events:
            return False
        self._ring.extend(events)
        while len(self._ring) > RING:
            self._floor = self._ring.popleft().id
        self.head = events[-1].id
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
        return len(events) == BATCH


def _json(data: dict[str, Any]) -> str:
    # In ASCII: what harnesses record may hold half a surrogate pair, which is no UTF-8.
    return json.dumps(data, separators=(",", ":"))


def entries(db: Session, rows: list[Activity]) -> list[dict[str, Any]]:
    """Entries of the feed as JSON data."""
    keys = Keys()
    return [keys.entry(db, row) for row in rows]
