"""Redis as a doorbell: rings name runs, announcements say that the feed grew. Nothing is kept there that matters."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from dispatcher.crashing import point

QUEUE = "dispatcher:rings"
FEED = "dispatcher:feed"
RINGS = "dispatcher:rung"
JOB = "ring"

log = logging.getLogger(__name__)


def to_json(job: dict[str, Any]) -> bytes:
    """Jobs are JSON: with arq's default, pickle, whoever can write to Redis could run code here."""
    return json.dumps(job, default=str).encode()


class Bell:
    """One process's connection to the doorbell.

    `after_commit` may be called from any thread; a Redis that is away costs a log line, since the sweeper rings again.
    """

    def __init__(self, redis: ArqRedis) -> None:
        self.redis = redis
        self._loop = asyncio.get_running_loop()
        self._sending: set[asyncio.Task[None]] = set()
        self._away = False

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Bell]:
        """A bell at that Redis; it need not answer yet."""
        pool = ConnectionPool.from_url(url, socket_connect_timeout=2)
        redis = ArqRedis(pool, job_serializer=to_json, job_deserializer=json.loads, default_queue_name=QUEUE)
        bell = cls(redis)
        try:
            yield bell
        finally:
            await bell.flush()
            await redis.aclose()
            await pool.disconnect()

    def after_commit(self, rings: list[int], cursor: int) -> None:
        """Ring for those runs and announce the cursor, without waiting."""
        self._loop.call_soon_threadsafe(self._send_soon, rings, cursor)

    async def ring(self, run_id: int) -> None:
        """Ring for one run: aloud, for those that listen now, and as a job, which waits for a worker."""
        await self.redis.publish(RINGS, str(run_id))
        await self.redis.enqueue_job(JOB, run_id, _job_id=f"run:{run_id}")
        point("doorbell.rung")

    async def flush(self) -> None:
        """Wait until what was given to `after_commit` so far is sent."""
        while self._sending:
            await asyncio.gather(*self._sending)

    async def listen(self, every: float = 1.0) -> AsyncIterator[None]:
        """Wake whenever the feed grew, and at the latest after `every` seconds; also while Redis is away."""
        while True:
            try:
                async with self.redis.pubsub() as channel:
                    await channel.subscribe(FEED)
                    self.noticed(None)
                    while True:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=every)
                        while message is not None:
                            message = await channel.get_message(ignore_subscribe_messages=True, timeout=0)
                        yield
            except (RedisError, OSError) as error:
                self.noticed(error)
                yield
                await asyncio.sleep(every)

    async def rings(self, every: float = 1.0) -> AsyncIterator[int]:
        """The runs that are rung for, as it happens; a ring that is missed lies in the queue."""
        while True:
            try:
                async with self.redis.pubsub() as channel:
                    await channel.subscribe(RINGS)
                    self.noticed(None)
                    while True:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=every)
                        if message is not None:
                            yield int(message["data"])
            except (RedisError, OSError) as error:
                self.noticed(error)
                await asyncio.sleep(every)

    def noticed(self, error: Exception | None) -> None:
        """Log that Redis went away, or came back; once each."""
        if error is not None and not self._away:
            log.warning("redis is away (%s): the database is looked at instead, until it is back", error)
        elif error is None and self._away:
            log.warning("redis is back")
        self._away = error is not None

    def _send_soon(self, rings: list[int], cursor: int) -> None:
        task = self._loop.create_task(self._send(rings, cursor))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, rings: list[int], cursor: int) -> None:
        try:
            for run_id in rings:
                await self.ring(run_id)
            if cursor:
                await self.redis.publish(FEED, str(cursor))
            self.noticed(None)
        except (RedisError, OSError) as error:
            self.noticed(error)
