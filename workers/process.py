"""Start a program with its output going to files, ask it to end, end it, and leave nothing of it behind.

A pipe loses what a harness printed when its reader dies; a file does not. Children that moved to a session of their own
(OpenCode's shell commands do) are found by a marker in their environment, those of a sandbox by its pid namespace.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dispatcher.cgroups import ANY, Group, Room
from dispatcher.tether import tethered
from workers import namespaces

MARKER = "DISPATCHER_RUN"
"""Set in the environment of everything that a run starts; its value is unique to the run's attempt."""
LOOKS = 2
SHELL = 128
"""What a shell adds to a signal's number to make it an exit status."""
PATIENCE = 5.0
"""Seconds in which what was killed has to be gone."""
_PROC = Path("/proc")
_ENTER = 'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1" || exit 125; shift; n=$((n - 1)); done; exec "$@"'

log = logging.getLogger(__name__)


@dataclass
class Process:
    """A started program."""

    pid: int
    marker: str
    _process: asyncio.subprocess.Process
    walled: bool = False
    """Whether it has a pid namespace of its own; `pid` is then the one that waits outside."""
    group: Group | None = None
    """What bounds it, where something does."""

    async def wait(self) -> int:
        """The exit status once it has ended; negative for a signal."""
        status = await self._process.wait()
        # Bubblewrap tells of a signal as shells do.
        return SHELL - status if self.walled and SHELL < status < SHELL + signal.NSIG else status

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.returncode is not None

    def met(self) -> str:
        """Which bound it has met, in words; empty for none."""
        return self.group.met() if self.group is not None else ""

    async def stop(self, grace: float) -> int:
        """Ask everything of the run to end, end what has not after `grace` seconds, and give the exit status."""
        if self.walled:
            await asyncio.to_thread(namespaces.ask, self.pid, signal.SIGTERM)
        else:
            _signal(self.marker, self.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), grace)
        await self.end()
        return await self.wait()

    async def end(self) -> None:
        """End all of it, and wait until nothing is left."""
        if self.walled and not self.ended:
            # With the first process of a pid namespace all others are gone before the one outside is told.
            await asyncio.to_thread(namespaces.end, self.pid)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), PATIENCE)
        try:
            await asyncio.to_thread(reap, self.marker, self.pid)
            await self._process.wait()
        finally:
            if self.group is not None:
                await asyncio.to_thread(self.group.clear)


@asynccontextmanager
async def start(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    marker: str,
    stdout: Path,
    stderr: Path,
    stdin: Path | None = None,
    passed: Sequence[int] = (),
    walled: bool = False,
    room: Room = ANY,
) -> AsyncIterator[Process]:
    """Start a program in a session of its own; on leaving nothing that carries its marker lives on.

    `passed` are descriptors that it inherits. `walled` is for one that makes a pid namespace, and ends with us by itself.
    `room` is what it may take, as far as this machine can hold it.
    """
    group = _group(marker, room)  # some small files of the kernel's; in a thread, a cancelled start would leave them behind
    with contextlib.ExitStack() as undo, _open(stdin, stdout, stderr) as (source, out, err):
        if group is not None:
            undo.callback(group.clear)
        process = await asyncio.create_subprocess_exec(
            *_entering(group, argv if walled else _guarded(argv)),
            cwd=cwd,
            env={**env, MARKER: marker},
            stdin=source,
            stdout=out,
            stderr=err,
            start_new_session=True,
            pass_fds=passed,
        )
        undo.pop_all()
    started = Process(process.pid, marker, process, walled, group)
    try:
        yield started
    finally:
        await started.end()


def _group(marker: str, room: Room) -> Group | None:
    try:
        return Group.make(marker, room)
    except OSError as error:
        log.warning("a run is not bounded: %s", error)
        return None


def _entering(group: Group | None, argv: Sequence[str]) -> list[str]:
    """The command line that enters its groups and becomes `argv`: what it starts before it is moved would stay outside."""
    if group is None:
        return list(argv)
    entrances = [str(path) for path in group.entrances]
    return ["/bin/sh", "-c", _ENTER, "sh", str(len(entrances)), *entrances, *argv]


def reap(marker: str, pid: int | None = None, patience: float = PATIENCE) -> int:
    """End whatever carries the marker, and its process group; gives how many processes it took."""
    deadline = time.monotonic() + patience
    ended: set[int] = set()
    quiet = 0
    # A process has no readable environment while it execs, so one empty look is not enough.
    while quiet < LOOKS and time.monotonic() < deadline:
        found = _signal(marker, pid, signal.SIGKILL)
        ended |= found
        quiet = 0 if found else quiet + 1
        time.sleep(0.005)
    return len(ended)


def marked(marker: str) -> set[int]:
    """The processes whose environment carries the marker."""
    wanted = f"{MARKER}={marker}".encode()
    found: set[int] = set()
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0") and not _is_zombie(entry):
                    found.add(int(entry.name))
    return found


def _signal(marker: str, pid: int | None, number: signal.Signals) -> set[int]:
    pids = marked(marker)
    if pid is not None and pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
    for one in sorted(pids):  # parents first, as in `namespaces.ask`
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, number)
    return pids


def _is_zombie(entry: Path) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return (entry / "stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    return True


def _guarded(argv: Sequence[str]) -> list[str]:
    """The command that ends with this process, so that a harness does not outlive a killed worker.

    asyncio spawns from the loop's thread, which lives as long as the worker does. `setpriv` (util-linux) costs a millisecond,
    our own launcher the start of a Python.
    """
    setpriv = _setpriv()
    return [setpriv, "--pdeathsig", "KILL", "--", *argv] if setpriv else tethered([shutil.which(argv[0]) or argv[0], *argv[1:]])


@lru_cache
def _setpriv() -> str | None:
    return shutil.which("setpriv")


@contextlib.contextmanager
def _open(stdin: Path | None, stdout: Path, stderr: Path) -> Iterator[tuple[int, int, int]]:
    with contextlib.ExitStack() as stack:
        files = []
        for path, flags in ((stdin or Path(os.devnull), os.O_RDONLY), (stdout, _APPEND), (stderr, _APPEND)):
            descriptor = os.open(path, flags, 0o600)
            stack.callback(os.close, descriptor)
            files.append(descriptor)
        yield files[0], files[1], files[2]


_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
