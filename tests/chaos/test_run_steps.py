"""A worker dies by kill -9 at each named step of a run; another one carries the run to its one end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dispatcher.models import Project
from tests.chaos.ground import PLAIN, Ground, ground

SLOW = ("say begun", 'test -e "$HOME/go" || sleep 60', *PLAIN)
"""One that does nothing in the worker's own time, however slow that is; let go, it works when it is started the next time."""
HALF = ("test -f half || { touch half; say begun; sleep 60; }", "rm half", *PLAIN)
COMMITS = ("echo x >> a.txt", "git add a.txt && git commit -q -m Mine", "say Done.")


@dataclass(frozen=True)
class Step:
    """One point: what the agent does, how its runs end in all, and how often the agent was started in all."""

    point: str
    script: tuple[str, ...] = PLAIN
    ends: tuple[str, ...] = ("succeeded",)
    worked: int = 1
    resumes: bool = False


AGAIN = ("lost", "succeeded")
STEPS = [
    Step("run.claimed", ends=AGAIN),
    Step("run.worktree_begun", ends=AGAIN),
    Step("run.worktree_made", ends=AGAIN),
    Step("run.workspace_written", ends=AGAIN),
    Step("run.set_up", ends=AGAIN),
    Step("run.sandbox_stands", ends=AGAIN),
    Step("run.harness_started", SLOW[1:], ends=AGAIN),
    Step("run.launched", SLOW[1:], ends=AGAIN),
    Step("run.items_written", SLOW, ends=AGAIN, resumes=True),
    Step("run.harness_ended", ends=AGAIN, worked=2, resumes=True),
    Step("run.finishing"),
    Step("run.session_read"),
    Step("run.commits_taken", COMMITS),
    Step("run.commit_made"),
    Step("run.branch_moved"),
    Step("run.snapshot_written"),
    Step("run.checked"),
    Step("run.ended"),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, module_repository: Path) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("ground"), "", module_repository) as made:
        made.edit(Project, setup_command="true", check_command="test -s a.txt")
        yield made


@pytest.fixture
def here(shared: Ground) -> Iterator[Ground]:
    yield shared
    shared.clear()


@pytest.mark.guarantee("every step may die")
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.point)
def test_killed_at_each_step_of_a_run(here: Ground, step: Step) -> None:
    key = here.file(*step.script)
    with here.worker(at=step.point) as first:
        assert first.ended() == -signal.SIGKILL
    if step.script[-3:] == SLOW[1:]:
        here.gone()
        here.go(key)
    with here.worker():
        assert here.settled(key) == "review"
    assert [run.state for run in here.runs(key)] == list(step.ends)
    _one_piece_of_work(here, key, step.worked)
    if step.resumes:
        assert here.run(key).resume == "fake-1"
    here.whole(key)


@pytest.mark.guarantee("every step may die")
@pytest.mark.guarantee("a lost run continues, it does not start over")
@pytest.mark.parametrize("point", ["run.claimed", "run.items_written", "run.branch_moved"])
def test_killed_and_continued_on_postgresql(tmp_path: Path, postgres_url: str, repository: Path, point: str) -> None:
    with ground(tmp_path, postgres_url, repository) as here:
        key = here.file(*(SLOW if point == "run.items_written" else PLAIN))
        with here.worker(at=point) as first:
            assert first.ended() == -signal.SIGKILL
        if point == "run.items_written":
            here.gone()
            here.go(key)
        with here.worker():
            assert here.settled(key) == "review"
        assert here.run(key).resume == ("fake-1" if point == "run.items_written" else None)
        _one_piece_of_work(here, key, 1)
        here.whole(key)


@pytest.mark.guarantee("every step may die")
@pytest.mark.parametrize("point", ["takeover.seized", "takeover.reaped"])
def test_killed_while_it_takes_over(here: Ground, point: str) -> None:
    key = here.file(*SLOW)
    with here.worker(at="run.items_written") as first:
        first.ended()
    here.gone()
    here.go(key)
    with here.worker(at=point) as second:
        assert second.ended() == -signal.SIGKILL
    with here.worker():
        assert here.settled(key) == "review"
    assert [run.state for run in here.runs(key)] == list(AGAIN) and here.run(key).resume == "fake-1"
    _one_piece_of_work(here, key, 1)
    here.whole(key)


@pytest.mark.guarantee("a stale worker changes nothing")
@pytest.mark.parametrize(
    ("point", "script"),
    [
        ("run.claimed", PLAIN),
        ("run.worktree_made", PLAIN),
        ("run.harness_started", HALF),
        ("run.items_written", HALF),
        ("run.session_read", PLAIN),
        ("run.commit_made", PLAIN),
        ("run.checked", PLAIN),
    ],
)
def test_frozen_past_its_lease_and_woken(here: Ground, point: str, script: tuple[str, ...]) -> None:
    key = here.file(*script)
    # A process that is frozen with SQLite's write lock in its hand blocks everybody, so this one writes seldom.
    with here.worker(at=f"{point}:STOP", lease_seconds=1, sweep_seconds=600, github_seconds=600) as first:
        here.freeze(first)
        if script is HALF:
            here.until(lambda: Path(here.workspace(key).path, "half").exists())  # else the next one would do this half too
        with here.worker():
            assert here.settled(key) == "review"
            settled = here.runs(key)
            first.signal(signal.SIGCONT)
            here.until(lambda: "taken up by another worker" in first.said() or "no longer ours" in first.said())
    assert here.runs(key) == settled and here.ticket(key).state == "review"
    _one_piece_of_work(here, key, 1)
    here.whole(key)


def _one_piece_of_work(here: Ground, key: str, times: int) -> None:
    """The branch holds what the agent did, each of its starts once, on top of where it began."""
    place = here.workspace(key)
    assert here.git("show", f"{place.branch}:a.txt") == "\n".join("x" * times)
    assert here.git("rev-list", "--count", f"{place.base_sha}..{place.branch}") == "1"
    assert here.run(key).head_sha == place.head_sha
