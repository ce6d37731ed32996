"""A laptop sleeps, a clock is set: runs go on, and whose worker is gone is still found."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.chaos.ground import WAITS, Ground, ground
from tests.house import House

pytestmark = pytest.mark.guarantee("a clock that is set, and a sleep, lose no run")
DAY = 86_400
SECONDS = 2.5
"""A lease: a worker that is to keep its run must come to renew it on a busy machine too."""


@pytest.fixture
def here(tmp_path: Path, database_url: str, repository: Path) -> Iterator[Ground]:
    with ground(tmp_path, database_url, repository) as made:
        yield made


@pytest.mark.parametrize("workers", [1, 2])
def test_everything_sleeps_for_longer_than_a_lease(tmp_path: Path, repository: Path, workers: int) -> None:
    with ground(tmp_path, "", repository) as here:
        keys = [here.file(*WAITS) for _ in range(2)]
        with here.worker(lease_seconds=SECONDS, runs_at_once=2 // workers) as first:
            here.until(lambda: _begun(here, keys) == 2 // workers)
            with here.worker(lease_seconds=SECONDS, runs_at_once=1) as second:
                here.until(lambda: _begun(here, keys) == 2)
                asleep = [first.pid, second.pid, *here.processes()]
                _signal(asleep, signal.SIGSTOP)
                time.sleep(SECONDS * 1.2)
                _signal(asleep, signal.SIGCONT)
                here.go(*keys)
                assert {here.settled(key) for key in keys} == {"review"}
        assert [run.state for key in keys for run in here.runs(key)] == ["succeeded", "succeeded"], "the same two runs"
        here.whole(*keys)


@pytest.mark.parametrize("moved", [DAY, -DAY], ids=["forwards", "back"])
def test_the_databases_clock_is_set_while_a_run_is_under_way(here: Ground, moved: int) -> None:
    key = here.file(*WAITS)
    _move_clock(here, 0)
    with (
        here.worker(lease_seconds=SECONDS, clock=here.settings.home / "clock", runs_at_once=1) as first,
        here.worker(lease_seconds=SECONDS, clock=here.settings.home / "clock", runs_at_once=1) as second,
    ):
        here.until(lambda: _begun(here, [key]) == 1)
        _move_clock(here, moved)
        here.until(lambda: "the database's clock moved by" in first.said())
        time.sleep(SECONDS / 2)
        here.go(key)
        assert here.settled(key) == "review"
        assert first.alive and second.alive
        # And it works on: what is filed now is claimed, by the clock as it is.
        later = here.file("echo y >> b.txt", "say Done.")
        assert here.settled(later) == "review"
    assert [run.state for run in here.runs(key)] == ["succeeded"], "nobody took it from the worker that had it"
    here.whole(key, later)


def _begun(here: House, keys: list[str]) -> int:
    return sum(here.run(key).state == "running" for key in keys)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # what the agent's shell waits with comes and goes
            os.kill(pid, number)


def _move_clock(here: Ground, seconds: int) -> None:
    """Set the clock that the database tells: of SQLite by its own function, of PostgreSQL by one that goes before it."""
    (here.settings.home / "clock").write_text(str(seconds))
    url = make_url(here.settings.database)
    if url.get_backend_name() == "sqlite":
        return
    with psycopg.connect(host=str(url.query["host"]), user="postgres", dbname=url.database, autocommit=True) as admin:
        admin.execute("CREATE SCHEMA IF NOT EXISTS moved")
        admin.execute(
            "CREATE OR REPLACE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
            f"$$ SELECT pg_catalog.clock_timestamp() + interval '{seconds} seconds' $$"
        )
        admin.execute(f'ALTER DATABASE "{url.database}" SET search_path = moved, pg_catalog, public')
