"""The runs that one worker has in hand: claiming, leases, stop flags, and handing back at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.exc import OperationalError
from sqlmodel import Session as Db
from sqlmodel import col, select

from dispatcher import cgroups, leases, logs, roster, runs
from dispatcher.crashing import point
from dispatcher.errors import DispatcherError, FenceLost
from dispatcher.models import Run, Ticket
from dispatcher.prompts import parse_workflow
from dispatcher.room import shortage
from dispatcher.transitions import move_run, write_run
from workers import finishing, workspace
from workers.attempt import attempt
from workers.hands import Hands, find_workspace, load_case, marker
from workers.process import reap
from workers.silence import Silence

log = logging.getLogger(__name__)


@dataclass
class Held:
    """One run in hand."""

    run: Run
    task: asyncio.Task[None]
    stop: asyncio.Event = field(default_factory=asyncio.Event)


class Crew:
    """Takes runs, as many at once as the settings allow, and keeps their leases."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._held: dict[int, Held] = {}
        self._claiming = asyncio.Lock()
        self._closing = False
        self._silence = Silence(hands.settings.lease_seconds, hands.settings.sweep_seconds)
        self._short = ""

    @property
    def busy(self) -> int:
        """How many runs are in hand."""
        return len(self._held)

    async def take(self, run_id: int | None = None) -> None:
        """Claim that run, or as many of the oldest queued ones as there is room for."""
        settings = self._hands.settings
        async with self._claiming:
            while not self._closing and self.busy < settings.runs_at_once and await self._has_room():
                run = await self._hands.write(runs.claim, self._hands.name, settings.lease_seconds, run_id)
                if run is None:
                    return
                point("run.claimed")
                self._hold(run, resuming=False)
                if run_id is not None:
                    return

    async def _has_room(self) -> bool:
        """Whether the disk has room for a new run; told where it changes, and the runs in hand go on."""
        short = await asyncio.to_thread(shortage, self._hands.settings)
        if bool(short) != bool(self._short):
            log.warning("no new runs: %s", short) if short else log.warning("new runs are taken again")
            await self._hands.write(roster.report_hindrance, self._hands.name, short)
            self._short = short
        return not short

    async def take_over(self) -> None:
        """Take what dead workers left: finish what was being finished, continue what was running."""
        settings = self._hands.settings
        for run in await self._silent():
            gone = run.worker
            try:
                # First the fence, then its processes, and only then a new run: never two harnesses in one worktree.
                await self._hands.write(runs.seize, run, self._hands.name, settings.lease_seconds)
                point("takeover.seized")
                await asyncio.to_thread(reap, marker(settings, run.id))
                await asyncio.to_thread(cgroups.clear, marker(settings, run.id))
                point("takeover.reaped")
                if run.state == "finishing":
                    self._hold(run, resuming=True)
                else:
                    await finishing.mask_left(self._hands, run)
                    await self._hands.write(runs.lose, run, settings.lost_retries, gone)
                    log.warning("run %s was lost with worker %s; the ticket goes on with a new run", run.id, gone)
            except FenceLost:
                log.info("run %s was taken up by another worker", run.id)

    async def _silent(self) -> list[Run]:
        """The runs of other workers that are gone. What is in our own hands is renewed, however late we are: asleep, say."""
        over = self._silence.over(*_at(await self._hands.read(leases.held)))
        if any(self._is_held(run) for run in over):
            await self.renew()
        return [run for run in over if not self._is_held(run)]

    def _is_held(self, run: Run) -> bool:
        one = self._held.get(run.id or 0)
        return one is not None and one.run.fence == run.fence

    async def renew(self) -> None:
        """Renew the leases; a run that was lost is stopped here and writes nothing more."""
        held = {number: one.run.fence for number, one in self._held.items()}
        for number in await self._hands.write(leases.renew, held, self._hands.settings.lease_seconds) if held else ():
            if number in self._held and not self._held[number].task.done():
                log.warning("run %s is no longer ours", number)
                self._held[number].task.cancel()

    async def heed_stops(self) -> None:
        """Pass the stop flags on to the runs."""
        if not self._held:
            return
        for number in await self._hands.read(_stop_flags, list(self._held)):
            if number in self._held:
                self._held[number].stop.set()

    async def close(self) -> None:
        """End every run in hand, so that the next worker continues it at once."""
        self._closing = True
        held = list(self._held.values())
        for one in held:
            one.task.cancel()
        await asyncio.gather(*(one.task for one in held), return_exceptions=True)

    def _hold(self, run: Run, *, resuming: bool) -> None:
        assert run.id is not None
        stop = asyncio.Event()
        task = asyncio.create_task(self._carry(run, stop, resuming=resuming), name=f"run-{run.id}")
        self._held[run.id] = Held(run, task, stop)

    async def _carry(self, run: Run, stop: asyncio.Event, *, resuming: bool) -> None:
        assert run.id is not None
        with logs.about(run_id=run.id, ticket_id=run.ticket_id):
            await self._work_on(run, stop, resuming=resuming)
        if not self._closing:
            await self.take()

    async def _work_on(self, run: Run, stop: asyncio.Event, *, resuming: bool) -> None:
        assert run.id is not None
        try:
            await (self._resume_finishing(run, stop) if resuming else attempt(self._hands, run, stop))
        except FenceLost:
            log.warning("run %s was taken up by another worker; this one stops", run.id)
        except asyncio.CancelledError:
            await asyncio.shield(self._hand_back(run))
            raise
        except OperationalError as error:
            # Not the run's fault, and nothing of it is lost: it goes on from where it is, here or with another worker.
            log.warning("run %s is let go: the database was away too long (%s)", run.id, str(error.orig).strip())
            with contextlib.suppress(OperationalError):  # then its lease ends by itself
                await self._hand_back(run)
        except Exception as error:
            log.exception("run %s failed in the dispatcher itself", run.id)
            await self._fail(run, error)
        finally:
            del self._held[run.id]

    async def _resume_finishing(self, run: Run, stop: asyncio.Event) -> None:
        case = await self._hands.read(load_case, run, self._hands.settings)
        place = await self._hands.read(find_workspace, case.ticket)
        text = await asyncio.to_thread(workspace.workflow, case.project, place.base_sha)
        await finishing.finish(self._hands, case, parse_workflow(text), stop)

    async def _hand_back(self, run: Run) -> None:
        try:
            await finishing.mask_left(self._hands, run)
            await self._hands.write(_hand_back, run)
        except FenceLost:
            log.info("run %s was taken up by another worker", run.id)

    async def _fail(self, run: Run, error: Exception) -> None:
        text = error.line() if isinstance(error, DispatcherError) else f"a fault of the dispatcher: {error}"
        try:
            await finishing.mask_left(self._hands, run)
            await self._hands.write(_fail, run, text)
        except FenceLost:
            log.info("run %s was taken up by another worker", run.id)


def _at(held: leases.Held) -> tuple[datetime, float, list[Run], dict[str, datetime]]:
    return held.now, time.monotonic(), held.runs, held.beats


def _stop_flags(db: Db, held: list[int]) -> list[int]:
    query = select(Run.id).where(col(Run.id).in_(held), col(Run.cancel_requested).is_(True))
    return [number for number in db.exec(query) if number is not None]


def _hand_back(db: Db, run: Run) -> None:
    """Let go of a run in an orderly way: the next worker finishes it, or goes on with its session."""
    if run.state == "finishing":
        write_run(db, run, expected="finishing", lease_until=leases.now(db))
    else:
        retries = runs.lost_in_a_row(db, db.get_one(Ticket, run.ticket_id)) + 1
        runs.lose(db, run, retries)


def _fail(db: Db, run: Run, text: str) -> None:
    if run.state != "finishing":
        move_run(db, run, "finish", ended_by="crashed", summary=text)
    runs.finish(db, run, runs.Result("fail", "crashed", text, "crashed"))
