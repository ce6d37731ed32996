"""The worker's end of the talk with `inside/enter.py`."""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from workers.sandbox import boot
from workers.sandbox.inside.enter import FAILED, READY

PATIENCE = 30.0
"""Seconds in which a sandbox has to answer, on however busy a machine."""
LIMIT = 1 << 20


class NotEntered(Exception):
    """The sandbox did not come to be, or could not start the command; the text says what was said, and may be empty."""


class Trial(NamedTuple):
    """One thing to try from inside: a line of the receipt, a kind of `inside/probe.py`, and what it is tried on."""

    name: str
    kind: str
    target: tuple[str | int, ...]


class Tried(NamedTuple):
    """How a trial went."""

    trial: Trial
    answer: str


class Channel:
    """One sandbox's talk; every call may raise `NotEntered`."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(PATIENCE)
        self._theirs: socket.socket | None = theirs

    @property
    def inside(self) -> int:
        """The descriptor that the sandbox inherits."""
        assert self._theirs is not None
        return self._theirs.fileno()

    def entered(self) -> None:
        """The sandbox has its end; ours of it is closed, so that its death is heard."""
        if self._theirs is not None:
            self._theirs.close()
            self._theirs = None

    def close(self) -> None:
        """End the talk, whoever waits for a word in it."""
        self.entered()
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        self._ours.close()

    async def order(
        self, ports: Sequence[int], landlock: Mapping[str, Any] | None, trials: Sequence[Trial]
    ) -> list[socket.socket]:
        """Say what to do; gives the listening sockets, as they come from the sandbox's own network."""
        await self._write(boot.program())
        plain = [tuple(trial) for trial in trials]
        await self._send({"ports": list(ports), "landlock": dict(landlock) if landlock is not None else None, "trials": plain})
        if not ports:
            return []
        data, descriptors, _, _ = await self._do(socket.recv_fds, self._ours, 1, len(ports))
        if not data or len(descriptors) != len(ports):
            for descriptor in descriptors:
                os.close(descriptor)
            raise NotEntered(await self._complaint(data))
        return [socket.socket(fileno=descriptor) for descriptor in descriptors]

    async def tried(self, trials: Sequence[Trial]) -> list[Tried]:
        """The trials' results, once the sandbox has them all."""
        lines = await self._lines(f"{READY}\n")
        answers = [line.partition("\t")[2] for line in lines[:-1]]
        if len(answers) != len(trials):
            raise NotEntered("the sandbox answered something else than it was asked")
        return [Tried(trial, answer) for trial, answer in zip(trials, answers, strict=True)]

    async def go(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: Path | None = None) -> None:
        """Become the command, reading that file; returns when it runs."""
        with open(stdin or os.devnull, "rb") as source:  # noqa: ASYNC230, PTH123  # a plain file of ours
            await self._do(socket.send_fds, self._ours, [b"i"], [source.fileno()])
        await self._send(
            {
                "argv": [os.fsencode(word) for word in argv],
                "env": {os.fsencode(name): os.fsencode(value) for name, value in env.items()},
                "cwd": os.fsencode(cwd),
            }
        )
        complaint = await self._complaint(b"")
        if complaint:
            raise NotEntered(complaint)

    async def _send(self, message: dict[str, Any]) -> None:
        data = marshal.dumps(message)
        await self._write(len(data).to_bytes(4, "big") + data)

    async def _write(self, data: bytes) -> None:
        try:
            await self._do(self._ours.sendall, data)
        except OSError as error:
            raise NotEntered("") from error

    async def _lines(self, last: str) -> list[str]:
        text = ""
        while not text.endswith(last):
            chunk = await self._do(self._ours.recv, 1 << 16)
            text += chunk.decode("utf-8", "replace")
            if not chunk or text.startswith(FAILED) or len(text) > LIMIT:
                raise NotEntered(text.removeprefix(FAILED).strip())
        return text.splitlines()

    async def _complaint(self, begun: bytes) -> str:
        """What the other end says before it closes."""
        text = begun
        while len(text) < LIMIT and (chunk := await self._do(self._ours.recv, 1 << 16)):
            text += chunk
        return text.decode("utf-8", "replace").removeprefix(FAILED).strip()

    async def _do(self, call: Any, *args: Any) -> Any:
        """A blocking call, in a thread; the process's end is the end of it."""
        try:
            return await asyncio.to_thread(call, *args)
        except TimeoutError as error:
            raise NotEntered(f"it did not answer within {PATIENCE:.0f} s") from error
        except ConnectionError as error:
            raise NotEntered("") from error
