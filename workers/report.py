"""Tells the database what a running harness does: its items at once, totals and words about twice a second."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlmodel import Session as Db

from adapters.base import ChildItems
from adapters.session import Item
from dispatcher import activity, runs, transcripts
from dispatcher.crashing import point
from dispatcher.redaction import redactor
from dispatcher.wording import doing
from workers.gateway import Door
from workers.hands import Case, Hands
from workers.limits import Watch

EVERY = 0.4


class Reporter:
    """The voice of one run, for as long as its harness runs."""

    def __init__(self, hands: Hands, case: Case, door: Door, watch: Watch, *, worktree: str, stop: asyncio.Event) -> None:
        self._hands = hands
        self._case = case
        self._door = door
        self._watch = watch
        self._stop = stop
        self._worktree = worktree
        self._redactor = redactor(hands.settings, case.project, case.endpoint, door.token)
        self._doing = "starts"
        self._plan: dict[str, int] = {}
        self._told: dict[str, Any] = {}
        self._moves = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Reporter:
        self._task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        results = await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(results[0], Exception):
            raise results[0]

    async def take(self, items: list[Item], native_id: str | None) -> None:
        """Write provisional items; raises `FenceLost` when another worker has the run."""
        for item in items:
            self._doing = self._redactor.text(doing(item, self._worktree)) or self._doing
            if item.kind == "plan" and item.entries is not None:
                done = sum(entry.status == "completed" for entry in item.entries)
                self._plan = {"plan_done": done, "plan_total": len(item.entries)}
        await self._hands.write(transcripts.put, self._case.run, items, native_id, self._redactor)
        point("run.items_written")

    async def take_child(self, child: ChildItems) -> None:
        """Write provisional items of a session that the run's own has started."""
        for item in child.items:
            self._doing = self._redactor.text(doing(item, self._worktree)) or self._doing
        await self._hands.write(transcripts.put_child, self._case.run, child, self._redactor)

    async def _tick(self) -> None:
        while True:
            if self._stop.is_set():
                self._watch.stop_requested = True
            now = {"doing": self._door.waiting or self._doing, **self._plan, **self._door.meter.values()}
            changed = {name: value for name, value in now.items() if self._told.get(name) != value}
            if changed:
                await self._hands.write(runs.progress, self._case.run, **changed)
                self._told = now
            for move in self._door.pin.moves[self._moves :]:
                await self._hands.write(_moved, self._case, move)
                self._moves += 1
            await asyncio.sleep(EVERY)


def _moved(db: Db, case: Case, move: str) -> None:
    activity.record(db, "run.endpoint_moved", ticket=case.ticket, run=case.run, endpoint=case.endpoint.name, text=move)
