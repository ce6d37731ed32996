"""Runs a command in a box: enter, open the doors, try the walls, become the command."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dispatcher.cgroups import ANY, Room
from workers import process
from workers.process import MARKER, Process
from workers.sandbox import restricted, strict
from workers.sandbox.box import LANDLOCK, NONE, STRICT, Box
from workers.sandbox.channel import Channel, NotEntered, Trial, Tried
from workers.sandbox.reasons import Refused, missing, refusal

Serve = Callable[[socket.socket], Awaitable[None]]
"""Serves on a listening socket of the sandbox's."""
Judge = Callable[[list[Tried]], Awaitable[None]]
"""Looks at the trials' results, and raises to stop the command before it begins."""


@dataclass(frozen=True)
class Command:
    """What to run, and with which files as its standard streams."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    stdout: Path
    stderr: Path
    stdin: Path | None = None
    room: Room = ANY
    """What it may take of the machine."""


class Streams(NamedTuple):
    """The files that a sandbox prints to, its command's too."""

    stdout: Path
    stderr: Path


Become = Callable[[Command], Awaitable[Process]]
"""Lets a sandbox become its command, whose output goes where the sandbox's does; at most once."""


@dataclass(frozen=True)
class Doors:
    """What a sandbox reaches: by port, who serves there. Only a strict sandbox has ports of its own."""

    serving: Mapping[int, Serve] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    """For Landlock: ports of this machine that may be connected to."""


@asynccontextmanager
async def run(
    box: Box,
    command: Command,
    *,
    marker: str,
    doors: Doors | None = None,
    trials: Sequence[Trial] = (),
    judge: Judge | None = None,
) -> AsyncIterator[Process]:
    """Run a command in a box; on leaving nothing of it lives on. Raises `Refused` where the sandbox cannot be had."""
    streams = Streams(command.stdout, command.stderr)
    async with standing(box, streams, marker=marker, room=command.room, doors=doors, trials=trials, judge=judge) as become:
        yield await become(command)


@asynccontextmanager
async def standing(
    box: Box,
    streams: Streams,
    *,
    marker: str,
    room: Room = ANY,
    doors: Doors | None = None,
    trials: Sequence[Trial] = (),
    judge: Judge | None = None,
) -> AsyncIterator[Become]:
    """A sandbox that has been tried and waits for its one command, which what this gives starts in it.

    So it can be made while the command is still being thought out. On leaving nothing of it lives on. Both raise `Refused`.
    """
    if box.tier == NONE:
        async with contextlib.AsyncExitStack() as stack:
            yield lambda command: stack.enter_async_context(_plain(command, marker))
        return
    doors = doors or Doors()
    with contextlib.closing(Channel()) as channel:
        async with _enter(box, streams, marker, channel, room) as started:

            async def become(command: Command) -> Process:
                env = {**command.env, **restricted.ENV[box.tier], MARKER: marker}
                async with _refusing(box, streams, started):
                    await channel.go(command.argv, env, command.cwd, command.stdin)
                return started

            async with _refusing(box, streams, started):
                await _open(box, channel, doors, trials, judge)
            yield become


def _plain(command: Command, marker: str) -> AbstractAsyncContextManager[Process]:
    return process.start(
        command.argv,
        cwd=command.cwd,
        env=command.env,
        marker=marker,
        stdout=command.stdout,
        stderr=command.stderr,
        stdin=command.stdin,
        room=command.room,
    )


@asynccontextmanager
async def _refusing(box: Box, streams: Streams, started: Process) -> AsyncIterator[None]:
    try:
        yield
    except NotEntered as error:
        await started.end()
        raise refusal(box.tier, str(error), _last_words(streams.stderr)) from error


@asynccontextmanager
async def _enter(box: Box, streams: Streams, marker: str, channel: Channel, room: Room) -> AsyncIterator[Process]:
    argv = strict.command(box, channel.inside) if box.tier == STRICT else restricted.command(channel.inside)
    if argv is None:
        raise missing()
    async with process.start(
        argv,
        cwd=Path("/"),
        env={},
        marker=marker,
        stdout=streams.stdout,
        stderr=streams.stderr,
        passed=(channel.inside,),
        walled=box.tier == STRICT,
        room=room,
    ) as started:
        channel.entered()
        yield started


async def _open(box: Box, channel: Channel, doors: Doors, trials: Sequence[Trial], judge: Judge | None) -> None:
    ports = list(doors.serving) if box.tier == STRICT else []
    rules = restricted.rules(box, doors.ports) if box.tier == LANDLOCK else None
    listening = await channel.order(ports, rules, trials)
    for port, listener in zip(ports, listening, strict=True):
        await doors.serving[port](listener)
    tried = await channel.tried(trials)
    if judge is not None:
        await judge(tried)


def _last_words(path: Path) -> str:
    """The end of what was written to stderr, where there is such a file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
            return file.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""


__all__ = ["Become", "Command", "Doors", "Judge", "Refused", "Serve", "Streams", "run", "standing"]
