"""An agent's tree that ignores being asked, forks twice, keeps its output open, stops itself: nothing of it outlives a run."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dispatcher import runs
from dispatcher.models import Project
from tests.chaos.ground import DYING, Ground, ground
from tests.processes import started
from tests.sandboxes import needs_landlock, needs_strict

NAP = f"sleep 4321.{os.getpid()}"
"""The same in all tests of this process alone: another one beside it naps too, and is not counted."""
TREE = (
    'test -e "$HOME/half" && { echo x >> a.txt; say Done.; exit; }',
    'touch "$HOME/half"',
    "trap '' TERM INT HUP",
    f"(trap '' TERM; setsid sh -c 'trap \"\" TERM HUP; {NAP} & {NAP}') &",
    f"(setsid sh -c '({NAP} &) &' &)",
    "say begun",
    "kill -STOP $$",
)
TIERS = ["none", pytest.param("landlock", marks=needs_landlock), pytest.param("strict", marks=needs_strict)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, module_repository: Path) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("ground"), "", module_repository) as made:
        yield made


@pytest.fixture(params=TIERS)
def here(shared: Ground, request: pytest.FixtureRequest) -> Iterator[Ground]:
    shared.edit(Project, sandbox=request.param)
    yield shared
    shared.clear()


@pytest.mark.guarantee("no orphan processes")
def test_a_tree_that_will_not_end_is_ended_with_its_run(here: Ground) -> None:
    key = here.file(*TREE)
    with here.worker(grace_seconds=0.3):
        here.until(lambda: len(_napping()) == 3)
        with here.database.transaction() as db:
            runs.request_stop(db, runs.get_run(db, here.run(key).id or 0))
        assert here.settled(key) == "blocked" and here.blocker(key).kind == "stopped"
        assert _napping() == []
    here.whole(key)


@pytest.mark.guarantee("no orphan processes")
@pytest.mark.guarantee("a lost run continues, it does not start over")
def test_a_tree_whose_worker_is_killed_is_ended_and_its_run_goes_on(here: Ground) -> None:
    key = here.file(*TREE)
    with here.worker(**DYING) as first:
        here.until(lambda: len(_napping()) == 3 and here.begun(key))
        first.kill()
    place = here.workspace(key)
    with here.worker():
        assert here.settled(key) == "review"
        assert _napping() == []
    assert [run.state for run in here.runs(key)] == ["lost", "succeeded"]
    assert here.run(key).resume == "fake-1" and here.workspace(key).path == place.path
    here.whole(key)


@pytest.mark.guarantee("a lost run continues, it does not start over")
@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_that_is_asked_to_end(shared: Ground, times: int) -> None:
    """Once: it ends its harnesses in order, and hands their runs back. Twice: at once."""
    shared.edit(Project, sandbox="none")
    key = shared.file(*TREE)
    database = shared.settings.home / "dispatcher.db"
    with shared.worker(**DYING) as worker, closing(sqlite3.connect(database, isolation_level=None)) as other:
        shared.until(lambda: len(_napping()) == 3 and shared.begun(key))
        if times == 2:
            other.execute("BEGIN IMMEDIATE")  # it cannot hand the run back, and would wait for that
        worker.signal(signal.SIGTERM)
        if times == 2:
            shared.until(lambda: _napping() == [] and worker.alive)
            worker.signal(signal.SIGTERM)
        assert worker.ended() == (0 if times == 1 else 130)
    if times == 1:
        assert _napping() == [] and (shared.ticket(key).state, shared.run(key).resume) == ("queued", "fake-1")
    with started("worker", shared.settings, sweep_seconds=0.1):
        assert shared.settled(key) == "review" and _napping() == []
    shared.whole(key)
    shared.clear()


def _napping() -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in listed if line == NAP]
