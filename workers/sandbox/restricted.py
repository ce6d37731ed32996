"""The second best: no walls of its own, but the kernel's Landlock rules on files, TCP ports, signals and abstract sockets.

What it cannot hold is in the receipt: UDP (name servers), Unix sockets on disk, other processes' names, and a port is a port on
every host. There is no /tmp of its own, so none is writable unless the project names it; TMPDIR lies in the private HOME.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from workers.sandbox import boot, system
from workers.sandbox.box import LANDLOCK, STRICT, Box

READ = ("/proc", "/sys/devices/system/cpu", "/dev/zero", "/dev/random", "/dev/urandom")
WRITE = ("/dev/null", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/shm")

ENV = {STRICT: {}, LANDLOCK: {"GIT_CONFIG_NOSYSTEM": "1"}}
"""What is forbidden and not absent ends some programs: git stops at an /etc/gitconfig that it may not read."""


def command(channel: int) -> list[str]:
    """The command line that hears the worker on the descriptor `channel`; it restricts itself."""
    return boot.argv(channel, LANDLOCK)


def rules(box: Box, ports: tuple[int, ...]) -> dict[str, Any]:
    """What `inside/landlock.py` is to allow."""
    _, prefix = system.interpreter()
    read = [*map(Path, (*system.LINKS, *READ)), *system.present(), prefix, Path(sys.prefix), *box.read]
    write = [*map(Path, WRITE), *box.write]
    return {
        "read": [str(path) for path in dict.fromkeys(read) if path.exists()],
        "write": [str(path) for path in dict.fromkeys(write) if path.exists()],
        "ports": list(ports),
    }
