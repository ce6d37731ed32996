"""The workers that there are: their heartbeats, what they found on their machines, and forgetting those that are gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col, select

from dispatcher import activity
from dispatcher.errors import Conflict, NotFound
from dispatcher.models import Run, Worker, utcnow
from dispatcher.states import HELD_RUN

ALIVE_SECONDS = 20
"""A worker writes its heartbeat each 5 s; one that is silent for so long is not alive."""
FADE_SECONDS = 24 * 3600.0
"""After so long a dead worker is shown no more."""


def beat(db: Session, name: str, *, host: str, pid: int, version: str, runs_at_once: int) -> None:
    """One heartbeat; the first enters the worker."""
    row = db.get(Worker, name)
    if row is None:
        row = Worker(name=name, host=host, pid=pid, version=version, runs_at_once=runs_at_once)
        activity.record(db, "worker.started", name=name, host=host, version=version)
    row.seen_at = utcnow()
    db.add(row)


def report(db: Session, name: str, harnesses: dict[str, Any]) -> None:
    """Keep what a worker found on its machine, and let old dead workers go."""
    row = db.get(Worker, name)
    if row is not None and row.harnesses != harnesses:
        row.harnesses = harnesses
        db.add(row)
        activity.record(db, "worker.harnesses", name=name)
    _let_fade(db)


def report_sandboxes(db: Session, name: str, sandboxes: dict[str, str]) -> None:
    """Keep which sandboxes a worker's machine can make: by name why not, empty where it can."""
    row = db.get(Worker, name)
    if row is not None and row.sandboxes != sandboxes:
        row.sandboxes = sandboxes
        db.add(row)


def report_hindrance(db: Session, name: str, why: str) -> None:
    """Keep why a worker takes no new runs; empty where it takes them again."""
    row = db.get(Worker, name)
    if row is not None and row.hindrance != why:
        if bool(row.hindrance) != bool(why):
            activity.record(db, "worker.hindered" if why else "worker.unhindered", name=name, why=why)
        row.hindrance = why
        db.add(row)


def _let_fade(db: Session) -> None:
    old = utcnow() - timedelta(seconds=FADE_SECONDS)
    db.execute(delete(Worker).where(col(Worker.seen_at) < old, col(Worker.name).not_in(_holders())))


def sign_off(db: Session, name: str) -> None:
    """The orderly end of a worker."""
    row = db.get(Worker, name)
    if row is not None:
        db.delete(row)
        activity.record(db, "worker.stopped", name=name, host=row.host)


def forget(db: Session, name: str) -> None:
    """Take a dead worker off the list; raises `NotFound`, and `Conflict` while it lives or has runs in hand."""
    row = db.get(Worker, name)
    if row is None:
        raise NotFound(f"there is no worker {name!r}", "it may have been forgotten already", "name")
    if alive(row):
        raise Conflict(f"{name} is alive", "end it first: it comes back with its next heartbeat", "name")
    if held := list(db.exec(select(Run.id).where(Run.worker == name, col(Run.state).in_(HELD_RUN)))):
        runs = ", ".join(str(number) for number in held[:5])
        raise Conflict(f"{name} still has runs in hand: {runs}", "another worker takes them first: dispatcher worker", "name")
    db.delete(row)
    activity.record(db, "worker.forgotten", name=name, host=row.host)


def list_workers(db: Session) -> list[Worker]:
    """The workers that live, have runs in hand, or were seen within a day; those seen last first."""
    recent = col(Worker.seen_at) >= utcnow() - timedelta(seconds=FADE_SECONDS)
    query = select(Worker).where(recent | col(Worker.name).in_(_holders()))
    return list(db.exec(query.order_by(col(Worker.seen_at).desc())))


def alive(worker: Worker) -> bool:
    """Whether its heartbeat is fresh."""
    return worker.seen_at >= utcnow() - timedelta(seconds=ALIVE_SECONDS)


def _holders() -> Any:
    """The names of the workers that have runs in hand."""
    return select(Run.worker).where(col(Run.state).in_(HELD_RUN), col(Run.worker).is_not(None))
