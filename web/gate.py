"""Tells who a secret belongs to: from the database, and for some seconds from memory.

What is revoked in this process is forgotten at once (`forget`), and within KEEP seconds in others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError

from dispatcher import access, credentials
from dispatcher.credentials import Kind
from dispatcher.db import Database
from dispatcher.models import utcnow
from web.limits import Buckets
from web.who import Who

KEEP = 5.0
MOST = 4096
THREADS = 8
SEEN_SECONDS = 60
"""A session's last use is written down so often, not at each request."""

log = logging.getLogger(__name__)


class Gate:
    """One for each running site."""

    def __init__(self, database: Database, writes_per_minute: int) -> None:
        self._database = database
        self._known: OrderedDict[str, tuple[Who, float, int]] = OrderedDict()
        self._age = 0
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._noting: set[asyncio.Task[None]] = set()
        # Threads of its own: requests that are busy with git shall not hold a login up.
        self._threads = CapacityLimiter(THREADS)
        self.failures = Buckets(burst=10, per_second=0.2)
        """Wrong secrets, by address."""
        self.all_failures = Buckets(burst=300, per_second=5)
        """Wrong secrets, of all addresses together."""
        self.writes = Buckets(writes_per_minute, writes_per_minute / 60)
        """Changes by the API, by user."""

    async def who(self, secret: str, kinds: Sequence[Kind]) -> Who | None:
        """Whose secret it is, where it holds. Raises what the database raises."""
        if not credentials.looks_right(secret):
            return None
        key, age = credentials.digest(secret), self._age
        known = self._known.get(key)
        if known is not None and known[1] > time.monotonic() and known[2] == age and known[0].by in kinds:
            return known[0]
        found = await to_thread.run_sync(self._look, secret, kinds, limiter=self._threads)
        if found is None:
            self._known.pop(key, None)
            return None
        who, stale = found
        if age == self._age:  # else something was revoked while the database was asked
            self._known[key] = (who, time.monotonic() + KEEP, age)
            self._known.move_to_end(key)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        if stale:
            self._note(who)
        return who

    async def machine(self) -> Who:
        """The administrator in whose name this machine's own commands act."""
        return await to_thread.run_sync(self._first, limiter=self._threads)

    def forget(self) -> None:
        """Somebody's access has changed: ask the database again. May be called from any thread."""
        self._age += 1
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    async def gone(self, secret: str, who: Who) -> None:
        """Return when the secret does not hold any more, or its owner's role is another one."""
        while True:
            changed = self._changed
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), KEEP)
            try:
                if await self.who(secret, (who.by,)) != who:
                    return
            except SQLAlchemyError as error:
                # Who was let in stays while nobody can be asked; what the stream reads is away too.
                log.warning("who listens cannot be looked up: %s", " ".join(str(error).split())[:200])

    async def close(self) -> None:
        """Wait for what is still being written."""
        await asyncio.gather(*self._noting, return_exceptions=True)

    def _tell(self) -> None:
        self._known.clear()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _look(self, secret: str, kinds: Sequence[Kind]) -> tuple[Who, bool] | None:
        with self._database.reading() as db:
            found = credentials.find(db, secret, kinds)
        if found is None:
            return None
        row, user = found
        assert user.id is not None and row.kind != "link"
        who = Who(user.name, user.role, user.id, row.kind, row.id)  # type: ignore[arg-type]  # one of `kinds`
        stale = row.seen_at is None or (utcnow() - row.seen_at).total_seconds() > SEEN_SECONDS
        return who, stale

    def _first(self) -> Who:
        with self._database.reading() as db:
            user = access.administrators(db)[0]
        assert user.id is not None
        return Who(user.name, user.role, user.id, "machine")

    def _note(self, who: Who) -> None:
        """Write the use down beside the request, which shall not wait for writers."""
        task = asyncio.create_task(self._seen(who))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _seen(self, who: Who) -> None:
        assert who.credential_id is not None
        try:
            await to_thread.run_sync(partial(self._write, who.credential_id), limiter=self._threads)
        except SQLAlchemyError as error:
            log.warning("the last use of a session could not be noted: %s", " ".join(str(error).split())[:200])

    def _write(self, number: int) -> None:
        with self._database.transaction() as db:
            credentials.seen(db, number)
