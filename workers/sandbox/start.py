"""Runs a command in a box: enter, open the doors, try the walls, become the command."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

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
    if box.tier == NONE:
        async with process.start(
            command.argv,
            cwd=command.cwd,
            env=command.env,
            marker=marker,
            stdout=command.stdout,
            stderr=command.stderr,
            stdin=command.stdin,
            room=command.room,
        ) as started:
            yield started
        return
    doors = doors or Doors()
    with contextlib.closing(Channel()) as channel:
        async with _enter(box, command, marker, channel) as started:
            try:
                await _open(box, channel, doors, trials, judge)
                await channel.go(command.argv, {**command.env, **restricted.ENV[box.tier], MARKER: marker}, command.cwd)
            except NotEntered as error:
                await started.end()
                raise refusal(box.tier, str(error), _last_words(command.stderr)) from error
            yield started


@asynccontextmanager
async def _enter(box: Box, command: Command, marker: str, channel: Channel) -> AsyncIterator[Process]:
    argv = strict.command(box, channel.inside) if box.tier == STRICT else restricted.command(channel.inside)
    if argv is None:
        raise missing()
    async with process.start(
        argv,
        cwd=Path("/"),
        env={},
        marker=marker,
        stdout=command.stdout,
        stderr=command.stderr,
        stdin=command.stdin,
        passed=(channel.inside,),
        walled=box.tier == STRICT,
        room=command.room,
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


__all__ = ["Command", "Doors", "Judge", "Refused", "Serve", "run"]
