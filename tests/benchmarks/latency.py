"""From assign to the harness's first instruction, beside the floor: git worktree add and a spawn in bubblewrap."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import time
from pathlib import Path

from dispatcher.models import Endpoint
from dispatcher.places import new_places
from tests import sandboxes
from tests.benchmarks.figures import Figure
from tests.benchmarks.ground import ground

ROUNDS = 15
WALLS = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--"]
"""What a sandbox takes at the least; nothing where this machine can make none."""
if sandboxes.default() != "strict":
    WALLS.clear()


async def bench(folder: Path) -> list[Figure]:
    async with ground(folder, follow_seconds=0.03) as (house, _, _redis):
        house.edit(Endpoint, slots=1)
        floors, ours, waits = [], [], []
        for number in range(ROUNDS):
            floors.append(await asyncio.to_thread(_floor, folder / "repo", folder / f"floor{number}"))
            asked = time.time()
            key = await asyncio.to_thread(house.file, "say Done.")
            printed = new_places(house.settings, "SAMPLE", key)[1] / "started"
            await house.until(printed.exists)  # looked for on the disk: asking the database would take the worker's time
            await house.until(lambda key=key: house.ticket(key).state == "blocked")  # type: ignore[misc]
            started = float(printed.read_text())
            run = house.run(key)
            assert run.claimed_at is not None
            ours.append(started - asked)
            waits.append((run.claimed_at - run.created_at).total_seconds() * 1000)
    floor, mine = statistics.median(floors), statistics.median(ours)
    detail = f"medians of {ROUNDS}: {mine * 1000:.0f} ms beside {floor * 1000:.0f} ms"
    return [
        Figure("assign to harness exec, as a ratio to git worktree add + spawn in bubblewrap", mine / floor, 2.0, "x", detail),
        Figure("of it, waiting in the queue", statistics.median(waits), 30, "ms"),
    ]


def _floor(repository: Path, worktree: Path) -> float:
    began = time.time()
    add = ["git", "worktree", "add", "-q", "-b", f"floor/{worktree.name}", str(worktree), "main"]
    subprocess.run(add, cwd=repository, check=True, env=os.environ)
    printed = subprocess.run([*WALLS, "/bin/sh", "-c", "date +%s.%N"], check=True, capture_output=True, text=True)
    return float(printed.stdout) - began
