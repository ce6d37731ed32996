"""Fence and lease: who has a run, by the database's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text, update
from sqlmodel import Session, col, select

from dispatcher.errors import FenceLost
from dispatcher.models import Run, Worker
from dispatcher.states import HELD_RUN


def now(db: Session) -> datetime:
    """The database's time; workers on several machines agree on it."""
    if db.get_bind().dialect.name == "postgresql":
        stamp: datetime = db.execute(text("SELECT clock_timestamp()")).scalar_one()
        return stamp.astimezone(UTC)
    return datetime.fromisoformat(db.execute(text("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')")).scalar_one()).replace(
        tzinfo=UTC
    )


def renew(db: Session, held: dict[int, int], seconds: float) -> set[int]:
    """Renew the leases of the runs in `held` (run id to fence); gives the ids of those that were lost."""
    until = now(db) + timedelta(seconds=seconds)
    lost: set[int] = set()
    for run_id, fence in held.items():
        query = update(Run).where(col(Run.id) == run_id, col(Run.fence) == fence, col(Run.state).in_(HELD_RUN))
        if getattr(db.execute(query.values(lease_until=until)), "rowcount", 0) != 1:
            lost.add(run_id)
    return lost


class Held(NamedTuple):
    """The runs that workers have in hand, with the database's time and each worker's last heartbeat."""

    now: datetime
    runs: list[Run]
    beats: dict[str, datetime]


def held(db: Session) -> Held:
    """What there is to judge by whose worker is gone."""
    runs = list(db.exec(select(Run).where(col(Run.state).in_(HELD_RUN))))
    query = select(Worker).where(col(Worker.name).in_({run.worker for run in runs}))
    return Held(now(db), runs, {one.name: one.seen_at for one in db.exec(query)} if runs else {})


def check(db: Session, run_id: int, fence: int) -> Run:
    """The run as it is now, locked for this transaction; raises `FenceLost` when another worker has it."""
    run = db.exec(select(Run).where(Run.id == run_id).with_for_update()).first()
    if run is None or run.fence != fence or run.state not in HELD_RUN:
        raise FenceLost(f"run {run_id} is no longer this worker's")
    return run
