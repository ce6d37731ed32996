"""Worker processes answer the doorbell. How they go on without it, and take over from one another: tests/chaos."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlmodel import select

from dispatcher.models import Worker
from dispatcher.queue import Bell
from tests.house import House, house

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def home(tmp_path: Path, database_url: str, repository: Path) -> AsyncIterator[House]:
    async with house(tmp_path, database_url, repository) as made:
        yield made


@contextmanager
def worker(home: House, redis_url: str = "", **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    given = {"home": home.settings.home, "database_url": home.settings.database, "redis_url": redis_url} | settings
    given = {"sweep_seconds": 0.2, "lease_seconds": 2, "grace_seconds": 1} | given
    env = os.environ | {f"DISPATCHER_{name.upper()}": str(value) for name, value in given.items()} | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-m", "tests.worker_process"], env=env, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


async def test_a_ring_is_answered_at_once(home: House, redis_url: str) -> None:
    async with Bell.open(redis_url) as bell:
        home.database.after_commit = bell.after_commit
        with worker(home, redis_url, sweep_seconds=600):
            await home.until(lambda: _workers(home) == 1)
            await asyncio.sleep(0.5)  # by now it has looked for itself, mostly; it does so once in ten minutes
            key = await asyncio.to_thread(home.file, "echo x > a.txt", "say Done.")
            await home.until(lambda: home.ticket(key).state == "review")
    assert _workers(home) == 0


def _workers(home: House) -> int:
    with home.database.reading() as db:
        return len(db.exec(select(Worker)).all())
