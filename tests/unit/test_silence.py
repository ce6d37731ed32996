"""Whose worker is gone, when clocks move and machines sleep. The time is given: no test waits for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.models import Run
from workers.silence import Silence

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LEASE = 30.0
DAY = 86_400.0


def held(until: float) -> Run:
    """A run of the worker w1 whose lease ends so many seconds after NOW."""
    return Run(
        id=1, ticket_id=1, number=1, agent_id=1, endpoint_id=1, harness="fake", model="m", reason="assign", worker="w1",
        lease_until=NOW + timedelta(seconds=until),
    )  # fmt: skip


class Seen:
    """One worker's looks: `clock` is the database's, `tick` our own, both in seconds from the beginning."""

    def __init__(self) -> None:
        self.silence = Silence(LEASE)

    def at(self, clock: float, tick: float, until: float, beat: float = 0) -> bool:
        beats = {"w1": NOW + timedelta(seconds=beat)}
        return bool(self.silence.over(NOW + timedelta(seconds=clock), tick, [held(until)], beats))


def test_a_lease_that_is_over_is_seen_at_once_by_a_worker_that_has_just_begun() -> None:
    assert Seen().at(clock=31, tick=5, until=30) and not Seen().at(clock=29, tick=5, until=30)


def test_and_within_one_look_by_one_that_stands() -> None:
    seen = Seen()
    assert [seen.at(clock, clock, until=10) for clock in (6, 8, 10, 12)] == [False, False, False, True]


@pytest.mark.parametrize(("clock", "tick"), [(DAY, 2), (DAY, DAY)], ids=["the clock is set forwards", "everything slept"])
def test_after_a_jump_those_that_live_have_the_time_to_renew(clock: float, tick: float) -> None:
    seen = Seen()
    assert not seen.at(0, 0, until=25)
    assert not seen.at(clock, tick, until=25)
    assert not seen.at(clock + 10, tick + 10, until=clock + 10 + LEASE)
    seen = Seen()
    assert not seen.at(0, 0, until=25)
    found = [seen.at(clock + more, tick + more, until=25) for more in range(0, 40, 2)]
    assert found.index(True) * 2 == LEASE, "a dead worker's run is taken one lease later"


def test_a_machine_so_busy_that_every_look_is_late_still_takes_over() -> None:
    seen = Seen()
    found = [seen.at(look, look, until=10) for look in range(0, 200, 20)]
    assert found.index(True) * 20 <= 20 + 2 * LEASE


def test_looks_that_are_as_rare_as_leases_are_no_jumps() -> None:
    silence = Silence(3.0, 2.0)
    assert [bool(silence.over(NOW + timedelta(seconds=t), t, [held(3)], {})) for t in (0, 2, 4)] == [False, False, True]


def test_a_clock_that_was_put_back_does_not_keep_a_dead_workers_run_for_a_day() -> None:
    seen = Seen()
    assert not seen.at(0, 0, until=25)
    found = [seen.at(-DAY + more, more, until=25) for more in range(2, 60, 2)]
    assert True in found and found.index(True) * 2 <= 2 * LEASE
    alive = Seen()
    assert not any(alive.at(-DAY + more, more, until=25, beat=more) for more in range(0, 200, 2)), "its heart beats"


def test_another_workers_longer_lease_is_left_alone_while_its_heart_beats() -> None:
    seen = Seen()
    assert not any(seen.at(more, more, until=3600, beat=more - more % 6) for more in range(0, 300, 2))
