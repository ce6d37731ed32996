"""All that waits for a person: blocked tickets, tickets in review, and what keeps queued runs from beginning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlmodel import Session, col, func, select

from dispatcher import roster
from dispatcher.endpoints import named
from dispatcher.models import Activity, Blocker, Endpoint, Project, Run, Ticket, Worker

WAITING = ("blocked", "review")
"""States of a ticket in which only a person takes it on."""

FaultKind = Literal["no_worker", "endpoint_down", "harness_missing"]


@dataclass(frozen=True)
class Waiting:
    """A ticket that waits; `since` is when it began to."""

    ticket: Ticket
    since: datetime
    blocker: Blocker | None = None


@dataclass(frozen=True)
class Fault:
    """What keeps queued runs from beginning: one line, what to do about it, and the tickets that wait for that."""

    kind: FaultKind
    about: str
    """The endpoint's or the harness's name."""
    text: str
    hint: str
    since: datetime
    tickets: tuple[str, ...]


@dataclass(frozen=True)
class Inbox:
    """Each list begins with what has waited longest; questions come before other blockers."""

    faults: list[Fault]
    blocked: list[Waiting]
    review: list[Waiting]

    def __len__(self) -> int:
        return len(self.faults) + len(self.blocked) + len(self.review)


@dataclass(frozen=True)
class _Queued:
    """A run that waits, with what it needs."""

    ticket: str
    harness: str
    endpoint_id: int
    since: datetime


def read(db: Session, project: str | None = None) -> Inbox:
    """What waits, of one project or of all."""
    waiting = _tickets(db, project)
    blocked = [one for one in waiting if one.ticket.state == "blocked"]
    blocked.sort(key=lambda one: (one.blocker is None or one.blocker.kind != "question", one.since))
    review = sorted((one for one in waiting if one.ticket.state == "review"), key=lambda one: one.since)
    return Inbox(_faults(db, project), blocked, review)


def count(db: Session) -> int:
    """How many things wait, of all projects."""
    tickets = db.exec(select(func.count()).select_from(Ticket).where(col(Ticket.state).in_(WAITING))).one()
    return int(tickets) + len(_faults(db, None))


def count_projects(db: Session) -> dict[str, int]:
    """How many tickets wait, by the key of each project that there is."""
    waiting = func.count(col(Ticket.id))
    query = select(Project.key, waiting).join(
        Ticket, (col(Ticket.project_id) == Project.id) & col(Ticket.state).in_(WAITING), isouter=True
    )
    return {key: int(number) for key, number in db.exec(query.group_by(Project.key).order_by(Project.key))}


def _tickets(db: Session, project: str | None) -> list[Waiting]:
    query = select(Ticket).where(col(Ticket.state).in_(WAITING))
    if project is not None:
        query = query.join(Project).where(Project.key == project.upper())
    tickets = list(db.exec(query))
    ids = [ticket.id for ticket in tickets if ticket.id is not None]
    open_ones = (
        select(Blocker).where(col(Blocker.ticket_id).in_(ids), col(Blocker.resolved_at).is_(None)).order_by(col(Blocker.id))
    )
    blockers = {blocker.ticket_id: blocker for blocker in db.exec(open_ones)}
    came = _came(db, ids)
    found = []
    for ticket in tickets:
        number = ticket.id or 0
        blocker = blockers.get(number) if ticket.state == "blocked" else None
        since = blocker.created_at if blocker is not None else came.get((number, ticket.state), ticket.updated_at)
        found.append(Waiting(ticket, since, blocker))
    return found


def _came(db: Session, ids: Sequence[int]) -> dict[tuple[int, str], datetime]:
    """When each ticket came last into each of the states in which it waits."""
    kinds = {f"ticket.{state}": state for state in WAITING}
    query = select(Activity.ticket_id, Activity.kind, func.max(Activity.at))
    query = query.where(col(Activity.ticket_id).in_(ids), col(Activity.kind).in_(kinds))
    rows = db.exec(query.group_by(col(Activity.ticket_id), col(Activity.kind)))
    return {(number or 0, kinds[kind]): at for number, kind, at in rows}


def _faults(db: Session, project: str | None) -> list[Fault]:
    query = select(Ticket.key, Run.harness, Run.endpoint_id, Run.created_at).join(Ticket, col(Run.ticket_id) == Ticket.id)
    query = query.where(Run.state == "queued")
    if project is not None:
        query = query.join(Project, col(Ticket.project_id) == Project.id).where(Project.key == project.upper())
    queued = [_Queued(*row) for row in db.exec(query.order_by(col(Run.id)))]
    if not queued:
        return []
    workers = [worker for worker in db.exec(select(Worker)) if roster.alive(worker)]
    found = [*_without_worker(queued, workers), *_down(db, queued), *_without_harness(queued, workers)]
    return sorted(found, key=lambda fault: fault.since)


def _without_worker(queued: list[_Queued], workers: list[Worker]) -> Iterator[Fault]:
    if not workers:
        text = f"no worker is alive, and {_waits(queued)}"
        yield Fault("no_worker", "", text, "start one: dispatcher worker, or dispatcher up", *_of(queued))


def _down(db: Session, queued: list[_Queued]) -> Iterator[Fault]:
    """Endpoints whose last check found no completion."""
    ids = {run.endpoint_id for run in queued}
    for endpoint in db.exec(select(Endpoint).where(col(Endpoint.id).in_(ids)).order_by(Endpoint.name)):
        health = endpoint.health or {}
        if health.get("ok", True):
            continue
        own = [run for run in queued if run.endpoint_id == endpoint.id]
        since, keys = _of(own)
        text = f"endpoint {endpoint.name} failed its last check ({health.get('message', '')}), and {_waits(own)}"
        hint = f"{health.get('hint') or 'mend it'}; then check it again: dispatcher endpoint check {endpoint.name}"
        yield Fault("endpoint_down", endpoint.name, text, hint, max(since, endpoint.checked_at or since), keys)


def _without_harness(queued: list[_Queued], workers: list[Worker]) -> Iterator[Fault]:
    """Harnesses that every worker looked for, and none found."""
    for name in sorted({run.harness for run in queued}):
        told = [worker.harnesses.get(name) for worker in workers]
        if not told or any(one is None or one.get("path") for one in told):
            continue
        own = [run for run in queued if run.harness == name]
        hint = f"on a worker's machine: dispatcher harness install {name}"
        yield Fault("harness_missing", name, f"no worker has {name}, and {_waits(own)}", hint, *_of(own))


def _of(queued: list[_Queued]) -> tuple[datetime, tuple[str, ...]]:
    """Since when they wait, and their tickets."""
    return min(run.since for run in queued), tuple(run.ticket for run in queued)


def _waits(queued: list[_Queued]) -> str:
    return f"{named([run.ticket for run in queued])} wait{'s' if len(queued) == 1 else ''} in the queue"
