"""The strict sandbox: bubblewrap with namespaces of its own, and mounts of what a box lets in (https://github.com/containers/bubblewrap).

The network namespace has a loopback device and nothing else, and what listens there is ours.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from workers.sandbox import boot, system
from workers.sandbox.box import Box, Laid

PROGRAM = "bwrap"
NAMESPACES = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--cap-drop",
    "ALL",
    "--new-session",
    "--die-with-parent",
    "--hostname",
    "sandbox",
)
SWITCHES = ("acpi", "bus", "fs", "irq", "mtrr", "scsi", "sys", "sysrq-trigger")
"""The kernel's own settings in /proc belong to root: a worker that is root could change them without any capability (seen with
/proc/sys/kernel/core_pattern, which names a program that the kernel runs; bubblewrap 0.8 covers only some)."""
NO_MORE_NAMESPACES = (0, 8)
"""The first bubblewrap with `--disable-userns` (its release notes)."""


def command(box: Box, channel: int) -> list[str] | None:
    """The command line that enters a box and hears the worker on the descriptor `channel`; None without bubblewrap."""
    program = shutil.which(PROGRAM)
    if program is None:
        return None
    version = _version(program, Path(program).stat().st_mtime_ns)
    kept_out = ("--disable-userns",) if version >= NO_MORE_NAMESPACES else ()
    return [program, *NAMESPACES, *kept_out, *_mounts(box), "--chdir", "/", "--", *boot.argv(channel, box.tier)]


def _mounts(box: Box) -> Iterator[str]:
    for link in system.LINKS:
        if Path(link).is_symlink():
            yield from ("--symlink", str(Path(link).readlink()), link)
        elif Path(link).is_dir():
            yield from ("--ro-bind", link, link)
    yield from ("--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev")
    for name in SWITCHES:
        if Path("/proc", name).exists():
            yield from ("--ro-bind", f"/proc/{name}", f"/proc/{name}")
    yield from ("--perms", "1777", "--tmpfs", "/tmp", "--symlink", "/tmp", "/var/tmp", "--dir", "/run")
    for place, source, option in _binds(box):
        yield from (option, str(source), str(place))
    yield from ("--remount-ro", "/")


def _binds(box: Box) -> list[tuple[Path, Path, str]]:
    """Outer folders first, so that what lies deeper lies on top of them; writing wins over reading."""
    _, prefix = system.interpreter()
    readable = [*system.present(), *([] if system.is_system(prefix) else [prefix]), *box.read]
    laid = {one.place: one for one in (*(Laid(path, path) for path in box.write), *box.laid)}
    binds = {path: (path, path, "--ro-bind") for path in readable if path.exists()}
    binds |= {one.place: (one.place, one.source, "--bind") for one in laid.values()}
    return sorted(binds.values(), key=lambda bind: len(bind[0].parts))


@lru_cache
def _version(program: str, changed: int) -> tuple[int, int]:
    """The version of a bubblewrap that has been the same since `changed`."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0, 0)
