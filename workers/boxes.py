"""Which sandbox a command of a run gets: what it lets in, what it reaches, and its receipt."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlmodel import Session as Db

from adapters.base import Launch
from dispatcher import activity
from dispatcher.errors import SandboxFailed
from dispatcher.models import Workspace
from dispatcher.places import data_folder, worktree_of
from dispatcher.sandboxes import reach_of
from workers.gateway import TRIAL, Door
from workers.gitdir import GitDir
from workers.hands import Case, Hands
from workers.process import Process
from workers.proxy import Proxy, environment
from workers.sandbox import system, trials
from workers.sandbox.box import GATEWAY_PORT, NONE, PROXY_PORT, STRICT, Box
from workers.sandbox.channel import Tried
from workers.sandbox.inside.enter import LOOPBACK
from workers.sandbox.reasons import Refused
from workers.sandbox.receipt import Receipt
from workers.sandbox.start import Command, Doors, Streams, run, standing

INSIDE_URL = f"http://{LOOPBACK}:{GATEWAY_PORT}/v1"
"""The gateway's base URL in a strict sandbox, known before there is one."""
OPEN = Box(NONE)


GIVEN = "given"
"""The folder of a run with what its harness is given to read."""


@dataclass(frozen=True)
class Standing:
    """A sandbox that has been tried and waits for its harness."""

    receipt: dict[str, Any]
    start: Callable[[Launch], Awaitable[Process]]
    """Starts it there, at most once; raises `SandboxFailed`."""


def listens(case: Case) -> bool:
    """Whether the gateway listens on the machine's own loopback device, and not in the sandbox."""
    return case.project.sandbox != STRICT


async def collect(hands: Hands, case: Case, place: Workspace) -> None:
    """Take over the commits that an agent has made in a git dir of its own."""
    if case.project.sandbox == NONE:
        return
    notes = await _git_dir(case, place).collect(case.project.sandbox, case.folder, case.marker)
    if notes:
        await hands.write(_note, case, notes)


async def collect_left(hands: Hands, case: Case) -> None:
    """The same for a run whose worker went away, before the workspace is made ready for the next."""
    if case.place is not None:
        case.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        await collect(hands, case, case.place)


def given(case: Case) -> Path:
    """The folder with what the harness is given to read."""
    folder = case.folder / GIVEN
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@asynccontextmanager
async def harness(case: Case, place: Workspace, program: Path, door: Door) -> AsyncIterator[Standing]:
    """The sandbox of a harness, once the trials have shown that it holds; raises `SandboxFailed` and `GitFailed`.

    It needs nothing of the prompt, and no file of the worktree's: both can be made ready meanwhile.
    """
    reach = reach_of(case.project.reach)
    streams = Streams(case.folder / "stdout", case.folder / "stderr")
    receipt: dict[str, Any] = {"tier": case.project.sandbox} | reach.model_dump(exclude_defaults=True)
    if case.project.sandbox == NONE:
        async with standing(OPEN, streams, marker=case.marker) as become:
            yield Standing(receipt, lambda launch: _begun(become(_command(case, launch, streams)), receipt))
        return
    box = await asyncio.to_thread(_box, case, place, program)
    port = int(door.base_url.rpartition(":")[2].partition("/")[0]) if door.base_url else GATEWAY_PORT
    async with _to_hosts(box, reach.hosts) as (hosts, proxied):
        doors = Doors({GATEWAY_PORT: door.serve, **hosts.serving}, (port, *hosts.ports))
        with contextlib.ExitStack() as baiting:
            baits = baiting.enter_context(trials.baits(case.folder))

            async def judge(tried: list[Tried]) -> None:
                baiting.close()
                found = Receipt.of(box.tier, tried)
                receipt.update(found.to_json())
                found.check()

            tries = trials.opened(
                Path(place.path), Path(place.home), temporary=box.tier == STRICT, gateway=(port, TRIAL, door.token)
            )
            tries += trials.closed(box, baits, _folders(case, place))
            making = standing(box, streams, marker=case.marker, room=case.room, doors=doors, trials=tries, judge=judge)
            with _told():
                async with making as become:

                    async def start(launch: Launch) -> Process:
                        await asyncio.to_thread(_git_dir(case, place).follow)
                        with _told():
                            more = {**_temporary(box, place), **proxied}
                            return await _begun(become(_command(case, launch, streams, more)), receipt)

                    yield Standing(receipt, start)


@asynccontextmanager
async def command(case: Case, place: Workspace, wanted: Command, *, setting_up: bool = False) -> AsyncIterator[Process]:
    """Run one of the project's commands in its sandbox; the set-up may reach more hosts. Raises `SandboxFailed`."""
    wanted = replace(wanted, room=case.room)
    if case.project.sandbox == NONE:
        async with run(OPEN, wanted, marker=case.marker) as process:
            yield process
        return
    reach = reach_of(case.project.reach)
    compiled = case.folder / "pycache"
    compiled.mkdir(parents=True, exist_ok=True, mode=0o700)
    box = (await asyncio.to_thread(_box, case, place)).with_write(compiled)
    async with _to_hosts(box, [*reach.hosts, *(reach.setup_hosts if setting_up else ())]) as (doors, proxied):
        wanted = replace(wanted, env={**wanted.env, **proxied})
        with _told():
            async with run(box, wanted, marker=case.marker, doors=doors) as process:
                yield process


@asynccontextmanager
async def _to_hosts(box: Box, hosts: Sequence[str]) -> AsyncIterator[tuple[Doors, dict[str, str]]]:
    """The door to named hosts, and the variables by which programs find it; neither where none is named."""
    if not hosts:
        yield Doors(), {}
        return
    async with Proxy(hosts).serving() as proxy:
        if box.tier == STRICT:
            yield Doors({PROXY_PORT: proxy.serve}), environment(PROXY_PORT)
        else:
            port = await proxy.listen()
            yield Doors(ports=(port,)), environment(port)


async def _begun(starting: Awaitable[Process], receipt: dict[str, Any]) -> Process:
    """What was started, with what bounds it written into the receipt."""
    process = await starting
    if process.group is not None:
        receipt["bounds"] = process.group.words
    return process


def _note(db: Db, case: Case, notes: list[str]) -> None:
    activity.record(db, "workspace.snapshot", ticket=case.ticket, run=case.run, head=None, notes=notes)


def _command(case: Case, launch: Launch, streams: Streams, more: Mapping[str, str] | None = None) -> Command:
    return Command(launch.argv, {**launch.env, **(more or {})}, launch.cwd, *streams, launch.stdin, case.room)


def _temporary(box: Box, place: Workspace) -> dict[str, str]:
    """Where programs put what they need for a while: without mounts there is no /tmp of the run's own."""
    if box.tier == STRICT:
        return {}
    folder = Path(place.home) / "tmp"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {name: str(folder) for name in ("TMPDIR", "TMP", "TEMP")}


def _box(case: Case, place: Workspace, program: Path | None = None) -> Box:
    """What a command may do: worktree and HOME, git, tool chains, what the project names; a harness's program and its input.

    The git dir is made anew with it.
    """
    reach = reach_of(case.project.reach)
    read = [*system.toolchains(os.environ.get("PATH", os.defpath)), *reach.paths("read")]
    if program is not None:
        read += [*system.needed_by(program), given(case)]
    write = [Path(place.path), Path(place.home), *reach.paths("write")]
    box = Box(case.project.sandbox, tuple(read), tuple(path for path in write if path.exists()))
    git_dir = _git_dir(case, place)
    git_dir.make()
    return git_dir.enter(box)


def _git_dir(case: Case, place: Workspace) -> GitDir:
    return GitDir(worktree_of(case.project, place))


def _folders(case: Case, place: Workspace) -> list[Path]:
    """What of this machine a sandbox of ours must not let in."""
    return [data_folder(place), Path(case.project.path), *system.homes()]


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise SandboxFailed(error.reason, error.fix) from error
