"""The first program in a sandbox: opens its doors, tries what must not open, and then becomes the command.

It talks to the worker over an inherited socket. First comes one order: which ports to listen on, what to restrict, what to try.
The listening sockets go out by SCM_RIGHTS, for they belong to the sandbox's own network; then the trials' results, a line each;
then the command comes in, after the file that it reads. The socket closes by itself when the command runs.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would bring `enum`
import _socket
import marshal
import posix
import sys

from workers.sandbox.inside import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOOPBACK = "127.0.0.1"
BACKLOG = 128
READY = "ready"
FAILED = "failed"


def main(descriptor: int) -> None:
    """Answer the worker on that descriptor."""
    channel = _socket.socket(fileno=descriptor)
    posix.set_inheritable(descriptor, False)
    try:
        order = _receive(channel)
        doors = [_listen(port) for port in order["ports"]]
        if doors:
            descriptors = b"".join(door.fileno().to_bytes(4, sys.byteorder) for door in doors)
            channel.sendmsg([b"d"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
            for door in doors:
                door.close()
        if order["landlock"] is not None:
            from workers.sandbox.inside import landlock

            landlock.restrict(**order["landlock"])
        lines = [f"{name}\t{probe.tried(kind, tuple(target))}\n" for name, kind, target in order["trials"]]
        channel.sendall(("".join(lines) + READY + "\n").encode("utf-8", "replace"))
        posix.dup2(_descriptor(channel), 0)
        _become(_receive(channel))
    except EOFError:
        posix._exit(1)  # the worker has thought better of it
    except OSError as error:
        name = error.filename or ""
        text = f"{FAILED}\t{error.strerror or error}: {name.decode('utf-8', 'replace') if isinstance(name, bytes) else name}\n"
        channel.sendall(text.encode("utf-8", "replace"))
        posix._exit(127)


def _become(command: dict[str, Any]) -> None:
    posix.chdir(command["cwd"])
    # Python ignores these two, and what is ignored stays so over an exec.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
    program: bytes = command["argv"][0]
    folders = (
        [b""] if b"/" in program else [folder + b"/" for folder in command["env"].get(b"PATH", b"/usr/bin:/bin").split(b":")]
    )
    error: OSError = FileNotFoundError(2, "No such file or directory", program)
    for folder in folders:
        try:
            posix.execve(folder + program, command["argv"], command["env"])
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as found:
            error = found
    raise error


def _listen(port: int) -> _socket.socket:
    door = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC, 0)
    door.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    door.bind((LOOPBACK, port))
    door.listen(BACKLOG)
    return door


def _descriptor(channel: _socket.socket) -> int:
    """What comes beside one byte: the file that the command reads."""
    data, beside, _, _ = channel.recvmsg(1, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    if not data or not beside:
        raise EOFError
    return int.from_bytes(beside[0][2][:4], sys.byteorder)


def _receive(channel: _socket.socket) -> dict[str, Any]:
    """One message: its length in 4 bytes, then a dictionary as `marshal` writes it, which both ends' Python reads alike."""
    message: dict[str, Any] = marshal.loads(_exactly(channel, int.from_bytes(_exactly(channel, 4), "big")))
    return message


def _exactly(channel: _socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = channel.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data
