"""Commands of the project's own in a workspace: its set-up, and the checks that must pass before a run counts as done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.decode import plain
from dispatcher.models import Workspace
from workers import boxes
from workers.environment import command_env
from workers.hands import Case, Hands
from workers.process import Process
from workers.sandbox.start import Command

TAIL = 20_000
"""Characters of a command's output that are kept with its result; the whole is in the run's folder."""


@dataclass(frozen=True)
class Ran:
    """How a command ended; `exit_code` None means that it was ended for taking too long."""

    command: str
    exit_code: int | None
    seconds: float
    output: str

    @property
    def state(self) -> str:
        """passed, failed or timed_out."""
        return "timed_out" if self.exit_code is None else "passed" if self.exit_code == 0 else "failed"


async def project_command(
    hands: Hands, case: Case, place: Workspace, text: str, *, log: str, seconds: float, setting_up: bool = False
) -> Ran:
    """Run one of the project's commands in the ticket's workspace; its output goes to `log` in the run's folder.

    Raises `SandboxFailed`.
    """
    wanted = shell(text, cwd=Path(place.path), env=command_env(place, case.folder), output=case.folder / log)
    ran = await finished(
        boxes.command(case, place, wanted, setting_up=setting_up),
        text,
        wanted,
        seconds=seconds,
        grace=hands.settings.grace_seconds,
    )
    await asyncio.to_thread(case.redactor.file, case.folder / log)
    return replace(ran, output=case.redactor.text(ran.output))


def shell(text: str, *, cwd: Path, env: Mapping[str, str], output: Path) -> Command:
    """A shell command whose output goes to a file."""
    return Command(("/bin/sh", "-c", text), env, cwd, output, output)


async def finished(
    starting: AbstractAsyncContextManager[Process], text: str, wanted: Command, *, seconds: float, grace: float
) -> Ran:
    """Let a command run to its end, or until its time is over; everything that it started is gone afterwards."""
    began = time.monotonic()
    offset = _size(wanted.stdout)
    async with starting as process:
        try:
            exit_code: int | None = await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            await process.stop(grace)
            exit_code = None
        met = process.met() if exit_code else ""
    output = _tail(wanted.stdout, offset) + (f"\n(dispatcher: {met})" if met else "")
    return Ran(text, exit_code, round(time.monotonic() - began, 2), output)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tail(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(max(offset, path.stat().st_size - 4 * TAIL))
        return plain(file.read().decode("utf-8", "replace"))[-TAIL:]
