"""What a run takes of the machine is bounded by the kernel, where this machine can, and told where it meets the bound."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from dispatcher import cgroups
from dispatcher.cgroups import Group, Place, Room, places_here
from dispatcher.models import Project
from tests.house import House, house
from workers.process import start

HERE = places_here()
bounded = pytest.mark.skipif(set(HERE) != {"memory", "pids"}, reason="this machine has no control groups that we may make")

GREEDY = "python3 -c 'x = bytearray(400_000_000)'"


@pytest.fixture
async def home(tmp_path: Path, repository: Path) -> AsyncIterator[House]:
    url = f"sqlite:///{tmp_path / 'dispatcher.db'}"
    async with house(tmp_path, url, repository, run_memory_gb=0.2, run_processes=200) as made:
        yield made


def left() -> list[Path]:
    return [path for place in HERE.values() for path in place.folder.glob("dispatcher-*") if path.name != "dispatcher-worker"]


@bounded
async def test_a_harness_that_takes_too_much_memory_is_told(home: House) -> None:
    key = home.file("say begun", f"{GREEDY} || exit 7")
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "limit" and "more than 0.2 GB of memory" in home.blocker(key).text
    receipt = home.run(key).receipt
    assert receipt is not None and receipt["bounds"] == ["0.2 GB of memory", "200 processes"]
    assert cgroups.name(f"{home.settings.home}:{home.run(key).id}") not in {path.name for path in left()}


@bounded
async def test_a_check_that_starts_too_many_processes_is_told(home: House) -> None:
    home.edit(Project, check_command="i=0; while [ $i -lt 400 ]; do sleep 30 & i=$((i + 1)); done")
    key = home.file("echo one > a.txt", "say Done.")
    assert await home.work(key) == "blocked"
    assert home.blocker(key).kind == "check_failed"
    assert "it had 200 processes and threads" in home.checks(key)[0].output


@bounded
async def test_what_leaves_its_session_and_its_environment_is_ended_too(tmp_path: Path) -> None:
    argv = ("/bin/sh", "-c", "setsid env -i sleep 300 & echo $! ; sleep 0.1")
    env, out = {"PATH": os.environ["PATH"]}, tmp_path / "out"
    async with start(
        argv, cwd=tmp_path, env=env, marker="b1", stdout=out, stderr=tmp_path / "err", room=Room(processes=50)
    ) as process:
        await process.wait()
        number = int(out.read_text())
        assert psutil.pid_exists(number)
    assert not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE


@bounded
def test_groups_of_a_dead_worker_are_cleared() -> None:
    group = Group.make("gone", Room(processes=9))
    assert group is not None and group.met() == "" and any(path.name == cgroups.name("gone") for path in left())
    cgroups.clear("gone")
    assert not any(path.name == cgroups.name("gone") for path in left())


def lay(root: Path, own: str, tree: dict[str, str]) -> Path:
    """What /proc/self and a hierarchy of version 2 hold, with the controllers that each folder has and hands down."""
    proc, mount = root / "proc", root / "cgroup"
    proc.mkdir()
    (proc / "cgroup").write_text(f"0::{own}\n")
    (proc / "mountinfo").write_text(f"36 25 0:30 / {mount} rw,nosuid - cgroup2 cgroup2 rw\n")
    for folder, hands_down in tree.items():
        place = mount / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / "cgroup.procs").write_text("")
        (place / "cgroup.controllers").write_text("cpu memory pids\n")
        (place / "cgroup.subtree_control").write_text(f"{hands_down}\n")
    return proc


SESSION = {
    "": "cpu memory pids",
    "user.slice": "memory pids",
    "user.slice/app.slice": "memory pids",
    "user.slice/app.slice/a.scope": "",
}
SERVICE = {"": "", "system.slice": "", "system.slice/dispatcher.service": ""}


@pytest.mark.parametrize(
    ("own", "tree", "where", "settle"),
    [
        ("/user.slice/app.slice/a.scope", SESSION, "user.slice/app.slice", False),
        ("/system.slice/dispatcher.service", SERVICE, "system.slice/dispatcher.service", True),
        ("/", {"": "memory pids"}, "", False),
        ("/", {"": ""}, "", True),
    ],
)
def test_the_nearest_group_that_hands_down_is_taken(
    tmp_path: Path, own: str, tree: dict[str, str], where: str, settle: bool
) -> None:
    place = Place(2, tmp_path / "cgroup" / where, settle)
    assert places_here(lay(tmp_path, own, tree)) == {"memory": place, "pids": place}


def test_a_machine_without_control_groups_has_none(tmp_path: Path) -> None:
    assert places_here(tmp_path) == {}
    assert Group.make("none", Room(1, 1), {}) is None and Group.make("none", Room()) is None
