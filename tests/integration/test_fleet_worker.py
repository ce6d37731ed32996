"""A worker process tells what its machine has, and says when it comes and goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatcher import activity, roster
from dispatcher.models import Worker
from tests.house import House, house
from tests.integration.test_worker import worker


@pytest.fixture
async def home(tmp_path: Path, database_url: str, repository: Path) -> AsyncIterator[House]:
    async with house(tmp_path, database_url, repository) as made:
        yield made


async def test_a_worker_tells_which_harnesses_its_machine_has(home: House) -> None:
    with worker(home):
        await home.until(lambda: any(one.harnesses for one in _workers(home)))
        [one] = _workers(home)
        assert roster.alive(one)
        assert (one.harnesses["fake"]["version"], one.harnesses["fake"]["origin"]) == ("1.0.0", "managed")
        assert set(one.harnesses) == {"aider", "fake", "goose", "opencode"}
    assert _workers(home) == []
    with home.database.reading() as db:
        told = [entry.kind for entry in activity.since(db, 0) if entry.kind.startswith("worker.")]
    assert told == ["worker.started", "worker.harnesses", "worker.stopped"]


def _workers(home: House) -> list[Worker]:
    with home.database.reading() as db:
        return roster.list_workers(db)
