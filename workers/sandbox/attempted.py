"""Tries the sandboxes of this machine for real: what each holds, or why it cannot be had and what to do about it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workers.sandbox import system, trials
from workers.sandbox.box import GATEWAY_PORT, LANDLOCK, STRICT, Box
from workers.sandbox.channel import Tried
from workers.sandbox.inside.enter import LOOPBACK
from workers.sandbox.reasons import Refused
from workers.sandbox.receipt import Receipt
from workers.sandbox.start import Command, Doors, run

_TOKEN, _PATH = "trial", "/trial"
_ANSWER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Attempted:
    """How one kind of sandbox is on this machine. `reason` is empty where it works; `fix` says what to do where not."""

    tier: str
    reason: str = ""
    fix: str = ""
    refused: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    milliseconds: float = 0

    def to_json(self) -> dict[str, Any]:
        """As it is told to others."""
        return asdict(self)


async def attempt_all() -> list[Attempted]:
    """Every kind that has to be made, best first."""
    return [await attempt(tier) for tier in (STRICT, LANDLOCK)]


async def attempt(tier: str) -> Attempted:
    """One kind, with an empty worktree and HOME, and a door of its own."""
    found: list[Receipt] = []

    async def judge(tried: list[Tried]) -> None:
        found.append(Receipt.of(tier, tried))
        found[0].check()

    with tempfile.TemporaryDirectory(prefix="dispatcher-sandbox-", ignore_cleanup_errors=True) as name:
        folder = await asyncio.to_thread(_furnished, Path(name))
        worktree, home = folder / "worktree", folder / "home"
        command = Command(("/bin/true",), {"PATH": "/usr/bin:/bin"}, worktree, folder / "out", folder / "err")
        box = Box(tier, write=(worktree, home))
        async with Answering() as door:
            port = GATEWAY_PORT if tier == STRICT else await door.listen()
            with trials.baits(folder) as baits:
                wanted = trials.opened(worktree, home, temporary=tier == STRICT, gateway=(port, _PATH, _TOKEN))
                wanted += trials.closed(box, baits, (folder, *system.homes()))
                began = time.perf_counter()
                doors = Doors({GATEWAY_PORT: door.serve}, (port,))
                try:
                    async with run(box, command, marker=name, doors=doors, trials=wanted, judge=judge) as process:
                        took = time.perf_counter() - began
                        await process.wait()
                except Refused as error:
                    return Attempted(tier, error.reason, error.fix)
    return Attempted(tier, refused=found[0].refused, open=found[0].open, milliseconds=round(took * 1000, 1))


def _furnished(folder: Path) -> Path:
    (folder / "worktree").mkdir()
    (folder / "home").mkdir()
    return folder.resolve()


class Answering:
    """Answers in the place of a gateway. The loop has to be told when a listener goes: it knows them by their numbers."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []

    async def __aenter__(self) -> Answering:
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()

    async def listen(self) -> int:
        """Serve on a free port of the loopback device; gives its number."""
        listener = socket.create_server((LOOPBACK, 0))
        await self.serve(listener)
        return int(listener.getsockname()[1])

    async def serve(self, listener: socket.socket) -> None:
        """Serve on a listener, which closes with this."""
        self._servers.append(await asyncio.start_server(_answer, sock=listener))


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_ANSWER)
        await writer.drain()
    writer.close()
