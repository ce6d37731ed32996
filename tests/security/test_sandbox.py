"""An agent in the strict sandbox tries to get out: to other files, hosts, processes, and to what git does on the host."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatcher import runs
from dispatcher.models import Project
from tests.gitting import commit, git
from tests.house import House, house
from tests.sandboxes import needs_strict
from workers.process import marked
from workers.sandbox import trials

pytestmark = [needs_strict, pytest.mark.guarantee("the agent writes only its workspace, and reaches only its endpoint")]

ATTACK = """
import ctypes, json, os, socket, sys

known = json.load(open("known.json"))
result = {}


def attempt(name, work):
    try:
        result[name] = repr(work())
    except BaseException as error:
        result[name] = f"refused: {error}"


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as door:
        door.settimeout(2)
        door.connect(address)
        return "REACHED"


def write(path, text="pwned"):
    with open(path, "w") as file:
        file.write(text)
    return "WRITTEN"


def comm(pid):
    return open(f"/proc/{pid}/comm").read().strip()


def call(number, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "CALLED"


attempt("secret", lambda: open(known["secret"]).read())
attempt("other", lambda: write(known["other"]))
attempt("repository", lambda: write(known["repository"] + "/README.md"))
attempt("hook", lambda: write(known["repository"] + "/.git/hooks/post-commit"))
attempt("config", lambda: write(known["repository"] + "/.git/config"))
attempt("object", lambda: write(known["repository"] + "/.git/objects/info/alternates"))
attempt("usr", lambda: write("/usr/bin/pwned"))
attempt("etc", lambda: write("/etc/pwned"))
attempt("root", lambda: write("/pwned"))
attempt("core", lambda: open("/proc/sys/kernel/core_pattern", "r+").close() or "OPENED")
attempt("sysrq", lambda: write("/proc/sysrq-trigger", "h"))
attempt("oom", lambda: write("/proc/1/oom_score_adj", "-1000"))
attempt("port", lambda: connect(socket.AF_INET, ("127.0.0.1", known["port"])))
attempt("metadata", lambda: connect(socket.AF_INET, ("169.254.169.254", 80)))
attempt("unix", lambda: connect(socket.AF_UNIX, known["unix"]))
attempt("abstract", lambda: connect(socket.AF_UNIX, "\\0" + known["abstract"]))
attempt("names", lambda: socket.getaddrinfo("example.org", 443))
attempt("raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close() or "OPENED")
attempt("kill", lambda: os.kill(known["pid"], 0) if comm(known["pid"]) == known["comm"] else 1 / 0)
attempt("environ", lambda: [pid for pid in os.listdir("/proc") if pid.isdigit()
                            and b"WORKER_SECRET" in open(f"/proc/{pid}/environ", "rb").read()][0])
attempt("mount", lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, None))
attempt("remount", lambda: call(165, b"none", b"/usr", None, 32, None))
attempt("unshare", lambda: call(272, 0x10000000))
attempt("setns", lambda: call(308, os.open("/proc/1/ns/net", os.O_RDONLY), 0))
attempt("mknod", lambda: os.mknod("disk", 0o660 | 0o60000, os.makedev(8, 0)) or "MADE")
attempt("chroot", lambda: os.chroot("/tmp") or "DONE")
attempt("gitfile", lambda: os.unlink(".git") or "GONE")
attempt("swap", lambda: os.rename("known.json", ".git") or "SWAPPED")
attempt("descriptors", lambda: [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if int(fd) > 3][0])
json.dump(result, open("result.json", "w"))
"""


FREE = ("other", "repository", "hook", "config", "object")
"""Below /tmp, where a sandbox has files of its own: what is written there never comes to the machine's."""


@pytest.fixture
async def home(tmp_path: Path, repository: Path) -> AsyncIterator[House]:
    (repository / "attack.py").write_text(ATTACK)
    commit(repository, "The attack")
    async with house(tmp_path, "", repository, sandbox="strict") as made:
        yield made


@pytest.fixture
def bait() -> Iterator[dict[str, Any]]:
    """A port, a socket on disk and an abstract one that answer, outside."""
    place = Path(tempfile.gettempdir()) / f"bait-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as port,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as named,
    ):
        unix.bind(str(place))
        unix.listen()
        named.bind(f"\0{place.name}")
        named.listen()
        yield {"port": port.getsockname()[1], "unix": str(place), "abstract": place.name}
    place.unlink()


@pytest.fixture
def secret(tmp_path: Path) -> dict[str, str]:
    """A file to read, and one to spoil."""
    (tmp_path / "secret.txt").write_text("hunter2")
    (tmp_path / "other.txt").write_text("kept")
    return {"secret": str(tmp_path / "secret.txt"), "other": str(tmp_path / "other.txt")}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def processes() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


async def test_what_a_run_was_tried_on_is_its_receipt(home: House) -> None:
    key = home.file("echo x > a.txt", "say Done.")
    assert await home.work(key) == "review"
    receipt = home.run(key).receipt
    assert receipt is not None and receipt["tier"] == "strict"
    assert receipt["reached"] == [trials.ENDPOINT, trials.WORKTREE, trials.HOME, trials.TEMPORARY]
    assert receipt["refused"] == list(trials.CLOSED) and receipt["open"] == [] and receipt["of"] == len(trials.CLOSED)


async def test_an_agent_gets_to_nothing_else(
    home: House, repository: Path, bait: dict[str, Any], secret: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_SECRET", "hunter2")
    comm = (await asyncio.to_thread(Path("/proc/self/comm").read_text)).strip()
    known = bait | secret | {"repository": str(repository), "pid": os.getpid(), "comm": comm}
    before = contents(repository)
    key = home.file(f"echo '{json.dumps(known)}' > known.json", "python3 attack.py", "say Done.")
    assert await home.work(key) == "review", home.blocker(key).evidence
    result = json.loads(git(repository, "show", f"agent/{key}:result.json"))
    got = {name: text for name, text in result.items() if not text.startswith("refused") and name not in FREE}
    assert got == {} and len(result) == 29
    after = contents(repository)
    assert {path: after.get(path) for path in before} == before
    assert contents(Path(secret["other"]).parent)[Path(secret["other"])] == b"kept"
    assert git(repository, "fsck", "--strict") is not None


async def test_a_tree_that_hides_ends_with_its_run(home: House) -> None:
    """It clears its environment, leaves its session, forks twice, and ignores what asks it to end."""
    nap = f"sleep 987.{os.getpid()}"  # another process of tests beside this one has its own
    hidden = f"env -i setsid sh -c \"trap '' TERM HUP INT; ({nap} & {nap}) & {nap}\" &"
    key = home.file("echo x > a.txt", hidden, "sleep 0.3", "say Done.")
    assert await home.work(key) == "review"
    assert nap not in processes() and marked(f"{home.settings.home}:{home.run(key).id}") == set()


async def test_being_asked_to_end_reaches_the_agent_and_not_its_walls(home: House) -> None:
    """What it does on SIGTERM is done, in the grace period that it has."""
    home.settings.grace_seconds = 5
    ending = "trap 'echo ended > ended.txt; sleep 0.3; echo cleanly >> ended.txt; exit 0' TERM"
    key = home.file(ending, "say begun", "sleep 60 & wait")
    crew = home.crew()
    await crew.take()
    await home.until(lambda: home.run(key).state == "running" and any((home.settings.home / "homes").rglob("session.jsonl")))
    home.do(lambda db, ticket: runs.request_stop(db, runs.latest_run(db, ticket)), key)
    await crew.heed_stops()
    assert await home.work(key, crew=crew) == "blocked"
    assert git(Path(home.workspace(key).path), "show", f"agent/{key}:ended.txt") == "ended\ncleanly"


async def test_checks_and_set_up_are_in_it_too(home: House, tmp_path: Path) -> None:
    outside, database = tmp_path / "outside.txt", tmp_path / "home of ours" / "dispatcher.db"
    command = f"echo $$ > '{outside}'; test -e '{database}' && exit 1; grep -q sandbox /proc/sys/kernel/hostname"
    home.edit(Project, check_command=command, setup_command=command)
    key = home.file("echo x > a.txt", "say Done.")
    assert await home.work(key) == "review"
    assert database.exists() and not outside.exists() and home.checks(key)[0].state == "passed"
