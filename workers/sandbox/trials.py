"""What is tried from inside a sandbox before its command runs, and the baits that it is tried on."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.sandbox import system
from workers.sandbox.box import LANDLOCK, Box
from workers.sandbox.channel import Trial
from workers.sandbox.inside import landlock, probe

ENDPOINT, WORKTREE, HOME, TEMPORARY = "endpoint", "worktree", "private home", "/tmp"
PORTS = "other ports of this machine"
NETWORK = "local network"
METADATA = "metadata service"
NAMES = "name servers"
PUBLIC = "public addresses"
IPV6 = "IPv6"
SOCKETS = "Unix sockets"
WRITING = "writing elsewhere"
READING = "reading elsewhere"
PROCESSES = "other processes"
CLOSED = (PORTS, NETWORK, METADATA, NAMES, PUBLIC, IPV6, SOCKETS, WRITING, READING, PROCESSES)
"""What must be refused."""
SWITCHES = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger")
"""What a worker that is root would let an agent change of the machine itself."""
MOST_SOCKETS = 40
MOST_ENTRIES = 20
WEB = 443
DNS = 53


@dataclass(frozen=True)
class Baits:
    """Listeners of the worker's own, which would be reached if there were a way."""

    port: int
    port6: int
    paths: tuple[str, ...]


@contextlib.contextmanager
def baits(folder: Path) -> Iterator[Baits]:
    """Listen on a port of either loopback address, on a socket in that folder, and on an abstract one."""
    name = f"bait-{secrets.token_hex(6)}"
    with contextlib.ExitStack() as stack:
        port = _listening(stack, socket.AF_INET, ("127.0.0.1", 0))
        port6 = _listening(stack, socket.AF_INET6, ("::1", 0)) if socket.has_ipv6 else 0
        held = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        stack.callback(os.close, held)
        stack.callback((folder / name).unlink, missing_ok=True)
        _listening(stack, socket.AF_UNIX, f"/proc/self/fd/{held}/{name}")
        _listening(stack, socket.AF_UNIX, f"\0{name}")
        yield Baits(port, port6, (str(folder / name), f"@{name}"))


def closed(box: Box, baits: Baits, folders: Iterable[Path]) -> list[Trial]:
    """What must be refused. `folders` are this machine's that the box must not let in: data folder, repository, HOME."""
    others = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
    away = [(NETWORK, address, WEB) for address in _network()]
    away += [(METADATA, "169.254.169.254", 80), (PUBLIC, "1.1.1.1", WEB), (IPV6, "2606:4700:4700::1111", WEB)]
    trials = [Trial(PORTS, "tcp", ("127.0.0.1", baits.port)), *(Trial(name, "away", (host, port)) for name, host, port in away)]
    trials += [Trial(NAMES, "udp", (server, DNS)) for server in name_servers()]
    trials += [Trial(IPV6, "tcp", ("::1", baits.port6))] if baits.port6 else []
    trials += [Trial(SOCKETS, "unix", (path,)) for path in (*baits.paths, *_sockets(box))]
    # Landlock's /tmp is the machine's own, in which others' programs look for their files.
    places = (*others, Path("/usr"), Path("/etc"), *([Path(TEMPORARY)] if box.tier == LANDLOCK else []))
    unwritten = [path for path in places if not _below(path, box.write)]
    trials += [Trial(WRITING, "write", seen) for path in unwritten if (seen := _seen(path))]
    trials += [Trial(WRITING, "change", (path,)) for path in SWITCHES]
    trials += [Trial(READING, "read", seen) for path in _unseen(box, others) if (seen := _seen(path))]
    trials.append(Trial(PROCESSES, "process", (os.getpid(), probe.started(os.getpid()))))
    held = [trial for trial in trials if trial.name not in not_held(box.tier)]
    return sorted(held, key=lambda trial: CLOSED.index(trial.name))


def opened(worktree: Path, home: Path, *, temporary: bool, gateway: tuple[int, str, str] | None) -> list[Trial]:
    """What must work; `gateway` is its port, path and token."""
    trials = [Trial(ENDPOINT, "http", ("127.0.0.1", *gateway))] if gateway is not None else []
    trials += [Trial(name, "write", (str(path), 0, 0)) for name, path in ((WORKTREE, worktree), (HOME, home))]
    return trials + ([Trial(TEMPORARY, "write", (TEMPORARY, 0, 0))] if temporary else [])


def not_held(tier: str) -> Sequence[str]:
    """What the tier has no means to refuse, and so is not tried."""
    if tier != LANDLOCK:
        return ()
    has = landlock.version()
    names: list[str] = [NAMES, SOCKETS]
    if has < landlock.SCOPES:
        names.append(PROCESSES)
    if has < landlock.NETWORK:
        names += [PORTS, NETWORK, METADATA, PUBLIC, IPV6]
    return tuple(name for name in CLOSED if name in names)


def name_servers() -> list[str]:
    """Those that this machine asks, and one that is known everywhere."""
    found = ["127.0.0.53", "8.8.8.8"]
    with contextlib.suppress(OSError):
        for line in Path("/etc/resolv.conf").read_text("utf-8", "replace").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver" and "%" not in words[1]:
                found.append(words[1])
    return list(dict.fromkeys(found))


def _listening(stack: contextlib.ExitStack, family: socket.AddressFamily, address: tuple[str, int] | str) -> int:
    """The port that it listens on; 0 for none, and where the machine has no such address."""
    listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    try:
        listener.bind(address)
    except OSError:
        if family != socket.AF_INET6:
            raise
        return 0
    listener.listen(4)
    return int(listener.getsockname()[1]) if family != socket.AF_UNIX else 0


def _network() -> list[str]:
    """This machine's own address in its network, and the router's; no packet is sent to find them."""
    found = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))
        found.append(str(asking.getsockname()[0]))
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/net/route").read_text().splitlines()[1:]:
            words = line.split()
            if words[1] == "00000000":
                found.append(socket.inet_ntoa(int(words[2], 16).to_bytes(4, "little")))
    return [address for address in dict.fromkeys(found) if not address.startswith(("127.", "0."))] or ["10.0.0.1"]


def _sockets(box: Box) -> list[str]:
    """Sockets that this machine's programs listen on: Docker's, Redis', PostgreSQL's, a desktop's (proc(5), /proc/net/unix)."""
    found: dict[str, None] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines()[1:]:
            words = line.split(maxsplit=7)
            if len(words) == 8 and words[3] == "00010000" and words[7].startswith(("/", "@")):
                found[words[7]] = None
    return [path for path in found if not _within(Path(path), box)][:MOST_SOCKETS]


def _unseen(box: Box, folders: Sequence[Path]) -> list[Path]:
    """Folders, and what lies in HOME, that the box does not let in."""
    entries: list[Path] = []
    for home in system.homes():
        with contextlib.suppress(OSError):
            entries += sorted(home.iterdir())[:MOST_ENTRIES]
    return [path for path in dict.fromkeys([*folders, *entries]) if not _within(path, box)]


def _within(path: Path, box: Box) -> bool:
    """Whether the box lets it in."""
    return _below(path, [*box.read, *box.write, *(one.place for one in box.laid)])


def _below(path: Path, folders: Iterable[Path]) -> bool:
    return not {path, *path.parents}.isdisjoint(folders)


def _seen(path: Path) -> tuple[str, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_dev, found.st_ino
