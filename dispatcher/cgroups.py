"""Bounds on what one command takes of the machine, by control groups of the kernel, where groups can be made.

Version 2 (https://docs.kernel.org/admin-guide/cgroup-v2.html) needs a folder that hands its controllers down and may be written
to: as root, or where systemd delegates one (`Delegate=yes`, https://systemd.io/CGROUP_DELEGATION/). Version 1
(https://docs.kernel.org/admin-guide/cgroup-v1/memory.html, pids.html) needs a mounted hierarchy, and root. RLIMIT_AS is no
stand-in, for below 8 GB it ends Node's fetch; nor is RLIMIT_NPROC, which counts all of a user's processes, and none of root's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Controller = Literal["memory", "pids"]
CONTROLLERS: tuple[Controller, ...] = ("memory", "pids")
GB = 1_000_000_000
PATIENCE = 2.0
"""Seconds in which a group's last process has to be gone, so that the group can be removed."""
_LEAF = "dispatcher-worker"
_PROC = Path("/proc/self")


@dataclass(frozen=True)
class Room:
    """What one command may take: bytes of memory, and processes with their threads; 0 for no bound."""

    memory: int = 0
    processes: int = 0

    def of(self, controller: Controller) -> int:
        """The bound that a controller holds."""
        return self.memory if controller == "memory" else self.processes

    def words(self, controller: Controller) -> str:
        """That bound as it is told."""
        return f"{self.memory / GB:g} GB of memory" if controller == "memory" else f"{self.processes:,} processes"


ANY = Room()


class Place(NamedTuple):
    """Where groups can be made for a controller. `settle` is the group of ours that has to be emptied for that before."""

    version: Literal[1, 2]
    folder: Path
    settle: bool = False


class Group:
    """The groups of one command, one for each controller's hierarchy."""

    def __init__(self, room: Room, folders: Mapping[Controller, Place]) -> None:
        self.room = room
        self._places = folders

    @classmethod
    def make(cls, marker: str, room: Room, places: Mapping[Controller, Place] | None = None) -> Group | None:
        """Make groups with the bounds of `room`; None where it has none that this machine can hold. Raises `OSError`."""
        found = places_here() if places is None else places
        made: dict[Controller, Place] = {}
        for controller, place in found.items():
            if not room.of(controller):
                continue
            if place.settle:
                _settle(place.folder)
            folder = place.folder / name(marker)
            folder.mkdir(exist_ok=True)
            made[controller] = Place(place.version, folder)
            for file, value in _bounds(controller, place.version, room):
                if (folder / file).exists():
                    (folder / file).write_text(value)
        return cls(room, made) if made else None

    @property
    def words(self) -> list[str]:
        """The bounds that are held, in words."""
        return [self.room.words(controller) for controller in CONTROLLERS if controller in self._places]

    @property
    def entrances(self) -> list[Path]:
        """The files that a process writes its number to, to be in the groups with all that it starts."""
        return list(dict.fromkeys(place.folder / "cgroup.procs" for place in self._places.values()))

    def met(self) -> str:
        """Which bound the command has met, in words; empty for none."""
        memory, pids = self._places.get("memory"), self._places.get("pids")
        if memory and _count(memory.folder / ("memory.events" if memory.version == 2 else "memory.oom_control"), "oom_kill"):
            bound = f"{self.room.words('memory')} (DISPATCHER_RUN_MEMORY_GB)"
            return f"it used more than {bound}, and the kernel ended a process of it"
        if pids and _count(pids.folder / "pids.events", "max"):
            bound = f"{self.room.words('pids')} and threads (DISPATCHER_RUN_PROCESSES)"
            return f"it had {bound}, and the kernel refused it more"
        return ""

    def clear(self) -> None:
        """End what is left in the groups, and remove them."""
        for folder in dict.fromkeys(place.folder for place in self._places.values()):
            _clear(folder)


def clear(marker: str) -> None:
    """The same for the groups of a run whose worker is gone."""
    for place in places_here().values():
        _clear(place.folder / name(marker))


def name(marker: str) -> str:
    """The name of the group of what carries a marker."""
    return f"dispatcher-{hashlib.sha256(marker.encode()).hexdigest()[:16]}"


def places_here(proc: Path = _PROC) -> dict[Controller, Place]:
    """Where this process can make groups, by controller; what is missing cannot be bounded here."""
    own = dict(_own(proc))
    found: dict[Controller, Place] = {}
    for version, controllers, mount, root in _mounts(proc):
        path = own.get("" if version == 2 else controllers[0]) if controllers or version == 2 else None
        if path is None:
            continue
        folder = mount / Path(path).relative_to(root) if path.startswith(root) else mount
        for controller in CONTROLLERS:
            if version == 1 and controller in controllers and _writable(folder):
                found[controller] = Place(1, folder)
            elif version == 2 and (place := _handed_down(folder, mount, controller)):
                found.setdefault(controller, place)
    return found


def _handed_down(own: Path, mount: Path, controller: Controller) -> Place | None:
    """The nearest folder above that hands a controller down; else our own where it has one, to be emptied first."""
    for folder in (own, *own.parents):
        if _writable(folder) and controller in _words(folder / "cgroup.subtree_control"):
            return Place(2, folder)
        if folder == mount:
            break
    if _writable(own) and controller in _words(own / "cgroup.controllers"):
        return Place(2, own, settle=True)
    return None


def _settle(folder: Path) -> None:
    """Move what runs in a group into one below it: only a group without processes hands its controllers down."""
    leaf = folder / _LEAF
    leaf.mkdir(exist_ok=True)
    for number in (folder / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            (leaf / "cgroup.procs").write_text(number)
    (folder / "cgroup.subtree_control").write_text("+memory +pids")


def _bounds(controller: Controller, version: int, room: Room) -> list[tuple[str, str]]:
    value = str(room.of(controller))
    if controller == "pids":
        return [("pids.max", value)]
    # Swap would only put the end off, and make the machine slow until then.
    if version == 2:
        return [("memory.max", value), ("memory.swap.max", "0")]
    return [("memory.limit_in_bytes", value), ("memory.memsw.limit_in_bytes", value)]


def _mounts(proc: Path) -> Iterator[tuple[Literal[1, 2], Sequence[str], Path, str]]:
    """Each mounted hierarchy: version, controllers, where, and which group is its root (proc_pid_mountinfo(5))."""
    for line in _lines(proc / "mountinfo"):
        fields, _, tail = line.partition(" - ")
        kind, *_, options = tail.split()
        root, mount = fields.split()[3:5]
        if kind == "cgroup2":
            yield 2, [], Path(mount), root
        elif kind == "cgroup" and (known := [one for one in options.split(",") if one in CONTROLLERS]):
            yield 1, known, Path(mount), root


def _own(proc: Path) -> Iterator[tuple[str, str]]:
    """The groups that this process is in, by controller; version 2's under the empty name (cgroups(7))."""
    for line in _lines(proc / "cgroup"):
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # no Linux, or no /proc
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _count(path: Path, key: str) -> int:
    words = dict(line.split(maxsplit=1) for line in _lines(path) if " " in line)
    return int(words.get(key, "0"))


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and os.access(folder / "cgroup.procs", os.W_OK)


def _clear(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while folder.exists() and not _removed(folder) and time.monotonic() < deadline:
        _kill(folder)
        time.sleep(0.005)


def _kill(folder: Path) -> None:
    for number in _words(folder / "cgroup.procs"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(number), signal.SIGKILL)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
