"""Starting sandboxes: as a plain user too, nothing left behind, and no way around what is tried."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandboxes import needs_landlock, needs_strict
from workers import namespaces
from workers.process import marked
from workers.sandbox import system, trials
from workers.sandbox.attempted import attempt
from workers.sandbox.box import LANDLOCK, STRICT, Box
from workers.sandbox.channel import Trial, Tried
from workers.sandbox.reasons import Refused
from workers.sandbox.receipt import Receipt
from workers.sandbox.start import Command, run

PROJECT = Path(__file__).resolve().parents[2]
NOBODY = 65534
HEAD = """'''exec' "$(dirname -- "$(realpath -- "$0")")"/'python' "$0"\n' '''\n"""
"""The first lines of a program in a relocatable environment of uv's: a shell's, and a text to Python."""
both = pytest.mark.parametrize("tier", [pytest.param(STRICT, marks=needs_strict), pytest.param(LANDLOCK, marks=needs_landlock)])


def command(folder: Path, text: str, **env: str) -> Command:
    return Command(("/bin/sh", "-c", text), {"PATH": "/usr/bin:/bin", **env}, folder, folder / "out", folder / "err")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


def gone(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def old_enough() -> str | None:
    """A Python that a plain user can run, which a version manager's in root's home is not."""
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        path = shutil.which(name, path="/usr/bin:/usr/local/bin")
        if (
            path
            and subprocess.run([path, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False).returncode == 0
        ):
            return path
    return None


@pytest.mark.guarantee("the agent writes only its workspace, and reaches only its endpoint")
@needs_strict
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user; whoever runs this is a plain user already")
@pytest.mark.skipif(old_enough() is None or not shutil.which("setpriv"), reason="there is no Python of the system's")
def test_a_plain_user_has_the_same_walls() -> None:
    """A copy of what it needs, where that user may read it: the checkout may lie in root's home."""
    python = old_enough()
    assert python is not None
    place = Path("/var/tmp") / f"dispatcher-plain-{os.getpid()}"
    place.mkdir(mode=0o755)
    try:
        shutil.copytree(PROJECT / "workers", place / "workers", ignore=shutil.ignore_patterns("__pycache__"))
        (place / "dispatcher").mkdir()
        for name in ("tether.py", "cgroups.py"):
            shutil.copy(PROJECT / "dispatcher" / name, place / "dispatcher")
        subprocess.run(["chmod", "-R", "a+rX", place], check=True)
        become = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        done = subprocess.run(
            [*become, python, "-m", "workers.sandbox"],
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
            cwd=place,
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        shutil.rmtree(place)
    found = {one["tier"]: one for one in json.loads(done.stdout)}
    assert found["strict"]["reason"] == "" and found["strict"]["refused"] == list(trials.CLOSED)


@both
async def test_the_trial_of_a_machine_leaves_nothing_registered_or_open(tier: str) -> None:
    await attempt(tier)
    loop = asyncio.get_running_loop()
    before = len(loop._selector.get_map()), descriptors()  # type: ignore[attr-defined]
    for _ in range(3):
        assert (await attempt(tier)).reason == ""
    await asyncio.sleep(0)
    assert (len(loop._selector.get_map()), descriptors()) == before  # type: ignore[attr-defined]


@both
async def test_a_program_of_an_environment_behind_a_link_finds_its_packages(tier: str, folder: Path) -> None:
    """As uv lays out a relocatable one: with DISPATCHER_HARNESS_HOME a link, Aider was "not found" by its own program."""
    real, link = folder.parent / "real", folder.parent / "link"
    link.symlink_to(real)
    venv.create(real / "env", symlinks=True)
    (next((real / "env/lib").glob("python3*")) / "site-packages/package.py").write_text("print('found')\n")
    program = link / "env/bin/tool"
    program.write_text("#!/bin/sh\n" + HEAD + "import package\n")
    program.chmod(0o755)
    box = Box(tier, read=tuple(system.needed_by(program)), write=(folder,))
    async with run(box, command(folder, str(program)), marker="link") as process:
        assert await process.wait() == 0, (folder / "err").read_text()
    assert (folder / "out").read_text() == "found\n"


@pytest.mark.guarantee("the agent writes only its workspace, and reaches only its endpoint")
@both
async def test_a_sandbox_has_what_it_is_given_and_no_more(tier: str, folder: Path) -> None:
    wanted = command(folder, "env | sort; ls /proc/self/fd | wc -l; cat ../secret; exit 3", GIVEN="yes")
    (folder.parent / "secret").write_text("hunter2")
    async with run(Box(tier, write=(folder,)), wanted, marker="given") as process:
        assert await process.wait() == 3
    out = (folder / "out").read_text()
    assert "GIVEN=yes" in out and "DISPATCHER_RUN=given" in out and "HOME" not in out and "hunter2" not in out
    # stdin, stdout, stderr, and the one that `ls` reads by.
    assert out.splitlines()[-1] == "4"


@both
async def test_a_program_that_is_not_there_is_told(tier: str, folder: Path) -> None:
    wanted = Command(("/no/such/program",), {}, folder, folder / "out", folder / "err")
    with pytest.raises(Refused, match="No such file or directory"):
        async with run(Box(tier, write=(folder,)), wanted, marker=f"missing-{os.getpid()}"):
            pass
    assert marked(f"missing-{os.getpid()}") == set()


@needs_strict
@pytest.mark.parametrize(("text", "status"), [("exit 7", 7), ("kill -9 $$", -9), ("kill -TERM $$", -15)])
async def test_how_it_ended_is_told_through_the_walls(folder: Path, text: str, status: int) -> None:
    async with run(Box(STRICT, write=(folder,)), command(folder, text), marker="ended") as process:
        assert await process.wait() == status


@pytest.mark.guarantee("no orphan processes")
@needs_strict
async def test_what_stops_itself_and_ignores_all_is_ended(folder: Path) -> None:
    text = "trap '' TERM INT HUP; (trap '' TERM; env -i setsid sleep 876) & echo ready; kill -STOP $$"
    async with run(Box(STRICT, write=(folder,)), command(folder, text), marker="stopped") as process:
        await asyncio.to_thread(wait_for, lambda: "ready" in (folder / "out").read_text())
        holder = namespaces.first(process.pid)
        assert holder is not None
        inside = namespaces.members(holder)
        assert len(inside) >= 3
        assert await process.stop(grace=0.2) == -signal.SIGKILL
        assert gone(inside)


WORKER = """
import asyncio, sys
from pathlib import Path
from workers.sandbox.box import Box
from workers.sandbox.start import Command, run

async def main():
    folder = Path(sys.argv[1])
    nap = sys.argv[2]
    text = f"env -i setsid sh -c 'trap \\"\\" TERM; {nap} & {nap}' & echo ready; {nap}"
    wanted = Command(("/bin/sh", "-c", text), {"PATH": "/usr/bin:/bin"}, folder, folder / "out", folder / "err")
    async with run(Box("strict", write=(folder,)), wanted, marker=sys.argv[3]) as process:
        await process.wait()

asyncio.run(main())
"""


@pytest.mark.guarantee("no orphan processes")
@needs_strict
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_worker_leaves_no_process(folder: Path, number: signal.Signals) -> None:
    # Its own in each process of tests: the same test with another signal may run beside this one.
    nap, marker = f"sleep 765.{os.getpid()}", f"killed-{os.getpid()}"

    def living() -> list[str]:
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
        return [line for line in listed if line == nap]

    with subprocess.Popen(
        [sys.executable, "-c", WORKER, folder, nap, marker], cwd=PROJECT, stderr=subprocess.DEVNULL
    ) as worker:
        wait_for(lambda: len(living()) == 3)
        worker.send_signal(number)
    wait_for(lambda: not living() and not marked(marker))


def test_what_was_reached_once_counts_as_a_leak() -> None:
    shut, open_ = Trial(trials.NETWORK, "away", ("10.0.0.1", 443)), Trial(trials.ENDPOINT, "http", ("127.0.0.1", 1))
    found = Receipt.of(STRICT, [Tried(shut, "Network is unreachable"), Tried(shut, "reached: Connection refused")])
    assert found.refused == () and found.leaks == ("local network (10.0.0.1:443)",)
    with pytest.raises(Refused, match="leaks"):
        found.check()
    with pytest.raises(Refused, match="too tight"):
        Receipt.of(STRICT, [Tried(open_, "Connection refused")]).check()
