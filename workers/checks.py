"""Commands of the project's own in a workspace: its set-up, and the checks that must pass before a run counts as done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.decode import plain
from dispatcher.models import Workspace
from workers.environment import command_env
from workers.hands import Case, Hands
from workers.process import start

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


async def project_command(hands: Hands, case: Case, place: Workspace, command: str, *, log: str, seconds: float) -> Ran:
    """Run one of the project's commands in the ticket's workspace; its output goes to `log` in the run's folder."""
    ran = await run_command(
        command,
        cwd=Path(place.path),
        env=command_env(place, case.folder),
        marker=case.marker,
        output=case.folder / log,
        seconds=seconds,
        grace=hands.settings.grace_seconds,
    )
    await asyncio.to_thread(case.redactor.file, case.folder / log)
    return replace(ran, output=case.redactor.text(ran.output))


async def run_command(
    command: str, *, cwd: Path, env: Mapping[str, str], marker: str, output: Path, seconds: float, grace: float
) -> Ran:
    """Run a shell command of the project's to its end; everything that it started is gone afterwards."""
    began = time.monotonic()
    offset = _size(output)
    argv = ("/bin/sh", "-c", command)
    async with start(argv, cwd=cwd, env=env, marker=marker, stdout=output, stderr=output) as process:
        try:
            exit_code: int | None = await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            await process.stop(grace)
            exit_code = None
    return Ran(command, exit_code, round(time.monotonic() - began, 2), _tail(output, offset))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tail(path: Path, offset: int) -> str:
    with path.open("rb") as file:
        file.seek(max(offset, path.stat().st_size - 4 * TAIL))
        return plain(file.read().decode("utf-8", "replace"))[-TAIL:]
