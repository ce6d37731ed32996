"""Whose worker is silent: by its lease and the database's clock, and by our own watch where that clock was moved."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from dispatcher.models import Run
from dispatcher.roster import ALIVE_SECONDS

LEAST = 1.0
"""Seconds by which clocks may differ from one look to the next; a busy machine makes so much."""

log = logging.getLogger(__name__)


class Silence:
    """One worker's view of the others.

    A clock may be set, and a machine may sleep. Then all leases look over at once, though nobody was able to renew one. So
    after a jump, which is where the database's clock and our own moved on differently, or we ourselves were away, they count
    once those that live had the time of a lease to renew them. A lease from before a clock was put back ends in the far future;
    then it counts whether the worker's heartbeat changes, as in Kubernetes' leader election (`observedTime` in client-go).
    """

    def __init__(self, lease_seconds: float, look_seconds: float = 2.0) -> None:
        self._lease = lease_seconds
        self._every = look_seconds
        self._last: tuple[datetime, float] | None = None
        self._trusted_from = 0.0
        self._beats: dict[str, tuple[datetime | None, float]] = {}
        self._late: dict[int | None, tuple[datetime | None, float]] = {}

    def over(self, now: datetime, tick: float, held: Iterable[Run], beats: Mapping[str, datetime]) -> list[Run]:
        """The runs in `held` whose worker is gone.

        `now` is the database's time and `tick` our own clock's, which nobody sets; `beats` are the workers' last heartbeats.
        """
        if self._jumped(now, tick):
            self._trusted_from = tick + self._lease
            self._beats.clear()
        runs = list(held)
        self._watch({run.worker or "" for run in runs}, tick, beats)
        late = {run.id: run.lease_until for run in runs if run.lease_until is not None and run.lease_until < now}
        seen = self._late
        self._late = {id: seen[id] if id in seen and seen[id][0] == until else (until, tick) for id, until in late.items()}
        return [run for run in runs if self._is_over(run, now, tick)]

    def _jumped(self, now: datetime, tick: float) -> bool:
        last, self._last = self._last, (now, tick)
        if last is None:
            return False
        passed, moved = tick - last[1], (now - last[0]).total_seconds()
        if max(passed - self._every, abs(moved - passed)) <= max(self._lease / 2, LEAST):
            return False
        log.warning(
            "the database's clock moved by %.0f s in %.0f s of ours: leases count again in %.0f s", moved, passed, self._lease
        )
        return True

    def _watch(self, workers: set[str], tick: float, beats: Mapping[str, datetime]) -> None:
        for name in self._beats.keys() - workers:
            del self._beats[name]
        for name in workers:
            if name not in self._beats or self._beats[name][0] != beats.get(name):
                self._beats[name] = (beats.get(name), tick)

    def _is_over(self, run: Run, now: datetime, tick: float) -> bool:
        if run.lease_until is None:
            return False
        if run.lease_until < now:
            # However often clocks jump: what nobody has renewed for a lease of our own time is over.
            return tick >= min(self._trusted_from, self._late[run.id][1] + self._lease)
        # Later than any lease of now can end. Leases may differ between workers, so it alone proves nothing.
        beyond = run.lease_until > now + 2 * timedelta(seconds=self._lease)
        return beyond and tick - self._beats[run.worker or ""][1] > max(self._lease, ALIVE_SECONDS)
