"""What a sandbox adds to a start: made, its walls tried from inside, and the command begun, beside the same command without."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from tests.benchmarks.figures import Figure, percentile
from workers.sandbox import system, trials
from workers.sandbox.attempted import Answering
from workers.sandbox.box import GATEWAY_PORT, NONE, STRICT, Box
from workers.sandbox.channel import Tried
from workers.sandbox.receipt import Receipt
from workers.sandbox.start import Command, Doors, run

ROUNDS = 40
BOUND = 25
"""Milliseconds that are promised."""


async def bench(folder: Path) -> list[Figure]:
    worktree, home = folder / "worktree", folder / "home"
    worktree.mkdir()
    home.mkdir()
    command = Command(("/bin/true",), {"PATH": "/usr/bin:/bin"}, worktree, folder / "out", folder / "err")
    await _started(Box(STRICT, write=(worktree, home)), command, folder)
    bare, boxed = [], []
    for _ in range(ROUNDS):
        bare.append(await _started(Box(NONE), command, folder))
        boxed.append(await _started(Box(STRICT, write=(worktree, home)), command, folder))
    # What else the machine does makes some rounds slower, and none faster.
    quick, without = percentile(boxed, 0.1), percentile(bare, 0.1)
    detail = f"10th percentiles of {ROUNDS}: {quick:.0f} ms beside {without:.0f} ms; median {statistics.median(boxed):.0f} ms"
    return [Figure("start of a run in the strict sandbox, its walls tried", quick - without, BOUND, "ms more", detail)]


async def _started(box: Box, command: Command, folder: Path) -> float:
    """Milliseconds until the command runs."""

    async def judge(tried: list[Tried]) -> None:
        Receipt.of(box.tier, tried).check()

    began = time.perf_counter()
    async with Answering() as door:
        with trials.baits(folder) as baits:
            tries = trials.opened(folder / "worktree", folder / "home", temporary=True, gateway=(GATEWAY_PORT, "/trial", "t"))
            tries += trials.closed(box, baits, (folder, *system.homes()))
            doors = Doors({GATEWAY_PORT: door.serve})
            async with run(box, command, marker="bench", doors=doors, trials=tries, judge=judge) as process:
                took = time.perf_counter() - began
                await process.wait()
    return took * 1000
