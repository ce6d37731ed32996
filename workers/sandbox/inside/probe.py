"""Tries from inside a sandbox what must work there, and what must not.

Each trial says whether something was reached. Where nothing answers but nothing refused either, a packet has left: that
counts as reached. Modules of the interpreter's own alone: `os`, `socket` and `json` would treble the time of its start.
"""

from __future__ import annotations

import _socket
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 0.5
"""Seconds; what is refused is refused at once."""
REACHED = "reached"
_EAGAIN, _EPROTOTYPE = 11, 91
_NO_WAY = (1, 13, 97, 99, 101)
"""EPERM, EACCES, EAFNOSUPPORT, EADDRNOTAVAIL, ENETUNREACH: nothing was sent."""
_NOT_SEEN = "not seen"


def tried(kind: str, target: tuple[str | int, ...]) -> str:
    """`REACHED`, or why not."""
    try:
        return KINDS[kind](*target)
    except TimeoutError:
        return f"{REACHED}, without an answer"
    except OSError as error:
        return error.strerror or str(error)


def _tcp(host: str, port: int) -> str:
    door = _opened(_family(host), _socket.SOCK_STREAM)
    try:
        door.connect((host, port))
    finally:
        door.close()
    return REACHED


def _away(host: str, port: int) -> str:
    """A host beyond this machine: also a refusal of its own, or silence, says that a packet has got there."""
    try:
        return _tcp(host, port)
    except TimeoutError:
        raise
    except OSError as error:
        return f"{error.strerror}" if error.errno in _NO_WAY else f"{REACHED}: {error.strerror}"


def _udp(host: str, port: int) -> str:
    """A question for the root's name servers."""
    door = _opened(_family(host), _socket.SOCK_DGRAM)
    try:
        door.connect((host, port))
        door.send(b"\x2a\x2a\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01")
        door.recv(512)
    finally:
        door.close()
    return REACHED


def _http(host: str, port: int, path: str, token: str) -> str:
    """A request that the gateway answers by itself."""
    door = _opened(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        door.settimeout(20 * PATIENCE)
        door.connect((host, port))
        head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        door.sendall(head.encode())
        answer = door.recv(256)
    finally:
        door.close()
    return REACHED if answer.startswith(b"HTTP/1.1 204") else f"it answered {answer[:40]!r}"


def _unix(path: str) -> str:
    """A socket on disk, or in the abstract name space where the name begins with @."""
    door = _opened(_socket.AF_UNIX, _socket.SOCK_STREAM)
    folder = -1
    try:
        if path.startswith("@"):
            door.connect("\0" + path[1:])
        else:
            # By way of a descriptor, for a socket's name may have 107 bytes only.
            above, _, name = path.rpartition("/")
            folder = posix.open(above or "/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
            door.connect(f"/proc/self/fd/{folder}/{name}")
    except OSError as error:
        # A socket of another type, or with a full queue, was reached all the same.
        return REACHED if error.errno in (_EPROTOTYPE, _EAGAIN) else f"{error.strerror}"
    finally:
        door.close()
        if folder >= 0:
            posix.close(folder)
    return REACHED


def _write(folder: str, device: int, inode: int) -> str:
    """A new file in a folder, removed again; where the machine's folder is not the one that is seen, none is made."""
    if not _same(folder, device, inode):
        return _NOT_SEEN
    path = f"{folder}/.dispatcher-trial-{posix.getpid()}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC | posix.O_NOFOLLOW
    posix.close(posix.open(path, flags, 0o600))
    posix.unlink(path)
    return REACHED


def _read(path: str, device: int, inode: int) -> str:
    """A file or a folder of the machine's, opened."""
    if not _same(path, device, inode):
        return _NOT_SEEN
    posix.close(posix.open(path, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC))
    return REACHED


def _change(path: str) -> str:
    """A file, opened for writing and left as it is."""
    posix.close(posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC))
    return REACHED


def _process(pid: int, began: str) -> str:
    """A process of the machine, known by when it began; a signal that is not sent tells whether one could be."""
    if started(pid) != began:
        return _NOT_SEEN
    posix.kill(pid, 0)
    return REACHED


def started(pid: int) -> str:
    """When a process began, in ticks since the machine's start (proc(5), field 22); empty for one that is not seen."""
    try:
        descriptor = posix.open(f"/proc/{pid}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return posix.read(descriptor, 4096).rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return ""
    finally:
        posix.close(descriptor)


def _same(path: str, device: int, inode: int) -> bool:
    """Whether the path leads to the very thing that the worker saw there; without numbers, to anything."""
    found = posix.stat(path)
    return not inode or (found.st_dev, found.st_ino) == (device, inode)


def _opened(family: int, kind: int) -> _socket.socket:
    door = _socket.socket(family, kind | _socket.SOCK_CLOEXEC, 0)
    door.settimeout(PATIENCE)
    return door


def _family(host: str) -> int:
    return int(_socket.AF_INET6 if ":" in host else _socket.AF_INET)


KINDS: dict[str, Callable[..., str]] = {
    "tcp": _tcp,
    "away": _away,
    "udp": _udp,
    "http": _http,
    "unix": _unix,
    "write": _write,
    "read": _read,
    "change": _change,
    "process": _process,
}
