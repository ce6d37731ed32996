"""Redis is emptied, killed, started anew; the database is locked or gone for some seconds: nothing accepted is lost."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from redis import Redis
from sqlalchemy.engine import make_url

from dispatcher.embedded import EmbeddedRedis
from dispatcher.queue import QUEUE, Bell
from tests.chaos.ground import PLAIN, WAITS, Ground, ground

AWAY = 2.0
"""Seconds."""


@pytest.fixture
def here(tmp_path: Path, database_url: str, repository: Path) -> Iterator[Ground]:
    with ground(tmp_path, database_url, repository) as made:
        yield made


@pytest.mark.guarantee("an accepted assignment is never lost")
async def test_lost_doubled_and_reordered_rings_are_harmless(here: Ground, redis_url: str) -> None:
    keys = [here.file(*PLAIN) for _ in range(6)]
    ids = [here.run(key).id or 0 for key in keys]
    async with Bell.open(redis_url) as bell:
        for ring in (ids[5], 4711, *ids[3:5], *ids[3:5], ids[5]):  # the first three: not at all
            await bell.ring(ring)
        with here.worker(redis_url=redis_url):
            for key in keys:
                assert here.settled(key) == "review"
            await bell.ring(ids[0])
            here.until(lambda: _rings(redis_url) == 0)
    assert [run.state for key in keys for run in here.runs(key)] == ["succeeded"] * 6


@pytest.mark.guarantee("an accepted assignment is never lost")
@pytest.mark.parametrize("how", ["emptied", "killed", "killed, and its data lost"])
async def test_redis_loses_what_it_knew(tmp_path: Path, repository: Path, how: str) -> None:
    with ground(tmp_path, "", repository) as here, EmbeddedRedis(tmp_path / "redis") as redis:
        running, queued = here.file(*WAITS), [here.file(*PLAIN) for _ in range(3)]
        async with Bell.open(redis.url) as bell:
            for key in (running, *queued):
                await bell.ring(here.run(key).id or 0)
        with here.worker(redis_url=redis.url, runs_at_once=1):
            here.until(lambda: here.run(running).state == "running")
            if how == "emptied":
                with Redis.from_url(redis.url) as client:
                    client.flushall()
            else:
                os.kill(redis.pid or 0, signal.SIGKILL)
                redis.close()
                if how != "killed":
                    shutil.rmtree(tmp_path / "redis")
            here.go(running)
            for key in (running, *queued):
                assert here.settled(key) == "review"
            if how != "emptied":
                redis.start()
            async with Bell.open(redis.url) as bell:
                await bell.ring(4711)
            here.until(lambda: _rings(redis.url) == 0)  # the doorbell is answered again
        assert [run.state for key in (running, *queued) for run in here.runs(key)] == ["succeeded"] * 4
        here.whole(running, *queued)


@pytest.mark.guarantee("an accepted assignment is never lost")
def test_a_locked_sqlite_is_waited_for(tmp_path: Path, repository: Path) -> None:
    with ground(tmp_path, "", repository) as here, here.worker(lease_seconds=1) as worker:
        running = here.file(*WAITS)
        here.until(lambda: here.run(running).state == "running")
        queued = here.file(*PLAIN)
        with closing(sqlite3.connect(here.settings.home / "dispatcher.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            here.go(running)
            time.sleep(AWAY)
            other.execute("COMMIT")
        assert here.settled(running) == here.settled(queued) == "review"
        assert worker.alive
    assert [run.state for run in here.runs(running)] == ["succeeded"], (
        "its lease was over, and nobody else was there to take it"
    )
    here.whole(running, queued)


@pytest.mark.guarantee("an accepted assignment is never lost")
@pytest.mark.parametrize("lease", [10, 1], ids=["for less than a lease", "for longer than a lease"])
def test_a_postgresql_that_is_lost_for_some_seconds_is_waited_for(
    tmp_path: Path, repository: Path, postgres_url: str, lease: float
) -> None:
    url = make_url(postgres_url)
    with ground(tmp_path, postgres_url, repository) as here:
        running = here.file(*WAITS)
        with (
            here.worker(lease_seconds=lease) as worker,
            psycopg.connect(host=str(url.query["host"]), user="postgres", dbname="postgres", autocommit=True) as admin,
        ):
            here.until(lambda: here.run(running).state == "running")
            queued, home = here.file(*PLAIN), Path(here.workspace(running).home)
            admin.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false')
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.database])
            home.joinpath("go").touch()
            time.sleep(AWAY)
            admin.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true')
            assert here.settled(running) == here.settled(queued) == "review"
            assert worker.alive, "a worker outlives it"
        states = [run.state for run in here.runs(running)]
        assert states == ["succeeded"] or (lease < AWAY and states == ["lost", "succeeded"])
        here.whole(running, queued)


def _rings(url: str) -> int:
    with Redis.from_url(url) as client:
        return int(client.zcard(QUEUE))
