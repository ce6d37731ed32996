"""The processes of a pid namespace, from outside: asked to end without the one that holds the namespace, or ended with it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def first(monitor: int) -> int | None:
    """The first process of the namespace that a child of `monitor` made; None once it is gone."""
    for pid in _children(monitor):
        with contextlib.suppress(OSError, IndexError):
            status = (_PROC / str(pid) / "status").read_text("utf-8", "replace")
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            if len(numbers) > 1 and numbers[-1] == "1":
                return pid
    return None


def members(pid: int) -> set[int]:
    """All processes of the namespace that `pid` is in."""
    try:
        wanted = (_PROC / str(pid) / "ns/pid").readlink()
    except OSError:
        return set()
    found = set()
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "ns/pid").readlink() == wanted:
                    found.add(int(entry.name))
    return found


def ask(monitor: int, number: signal.Signals) -> None:
    """Send a signal to all in the namespace but its first process: that one and the monitor stay, and tell how it ended."""
    holder = first(monitor)
    if holder is not None and (_PROC / "self/ns/pid").readlink() != (_PROC / str(holder) / "ns/pid").readlink():
        # Parents first: one whose child has ended before it was asked itself goes on as if nothing were (a shell in `wait`).
        for pid in sorted(members(holder) - {holder}):
            _kill(pid, number)


def end(monitor: int) -> None:
    """End the namespace with all in it; before there is one, the monitor."""
    holder = first(monitor)
    _kill(monitor if holder is None else holder, signal.SIGKILL)


def _children(pid: int) -> Iterator[int]:
    try:
        yield from map(int, (_PROC / str(pid) / "task" / str(pid) / "children").read_text().split())
    except OSError:  # a kernel without it, or the process is gone
        for entry in _PROC.iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                        yield int(entry.name)


def _kill(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
