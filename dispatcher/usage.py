"""What endpoints and agents do and did: live runs, queues, tokens, speed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import select as select_columns
from sqlalchemy.orm import defer
from sqlmodel import Session, col, func, select

from dispatcher.models import Agent, Run, Ticket, utcnow
from dispatcher.states import HELD_RUN, LIVE_RUN

MOST_POINTS = 300
"""Runs that a history tells of, the newest."""

By = Literal["endpoint", "agent"]


class LiveRun(NamedTuple):
    """A run that waits for a slot, or has one. `rate` is completion tokens per second while its model writes."""

    id: int
    ticket: str
    agent: str
    agent_id: int
    endpoint_id: int
    state: str
    worker: str | None
    doing: str
    rate: float | None
    tokens: int
    since: datetime

    @property
    def seconds(self) -> float:
        """How long it has been so."""
        return max(0.0, (utcnow() - self.since).total_seconds())


class Spent(NamedTuple):
    """What runs used within some time; `tokens` are prompt and completion together."""

    runs: int = 0
    tokens: int = 0


class Point(NamedTuple):
    """One ended run of a history."""

    run: int
    ticket: str
    agent: str
    at: datetime
    rate: float | None
    first_token_ms: float | None
    tokens: int
    state: str


def live_runs(db: Session) -> list[LiveRun]:
    """Every run that waits or is worked on, the oldest first."""
    query = (
        select(Run, Ticket.key, Agent.name)
        .join(Ticket, col(Run.ticket_id) == col(Ticket.id))
        .join(Agent, col(Run.agent_id) == col(Agent.id))
        .where(col(Run.state).in_(LIVE_RUN))
        .order_by(col(Run.id))
        .options(defer(col(Run.prompt)))  # type: ignore[arg-type]
    )
    return [
        LiveRun(
            id=run.id or 0,
            ticket=key,
            agent=agent,
            agent_id=run.agent_id,
            endpoint_id=run.endpoint_id,
            state=run.state,
            worker=run.worker,
            doing=run.doing,
            rate=run.tokens_per_second if run.state == "running" else None,
            tokens=run.prompt_tokens + run.completion_tokens,
            since=run.claimed_at or run.created_at,
        )
        for run, key, agent in db.exec(query)
    ]


def held(runs: Iterable[LiveRun]) -> list[LiveRun]:
    """Those of them that have a slot."""
    return [run for run in runs if run.state in HELD_RUN]


def waiting(runs: Iterable[LiveRun]) -> list[LiveRun]:
    """Those of them that wait for a slot."""
    return [run for run in runs if run.state == "queued"]


def rate(runs: Iterable[LiveRun]) -> float | None:
    """What the live runs' models write together, in tokens per second; None where none is metered yet."""
    rates = [run.rate for run in runs if run.rate is not None]
    return round(sum(rates), 1) if rates else None


def spent(db: Session, by: By, hours: float) -> dict[int, Spent]:
    """By endpoint's or agent's number, what the runs of the last hours used: those that ended in them, and the live ones."""
    column: Any = Run.endpoint_id if by == "endpoint" else Run.agent_id
    tokens = func.coalesce(func.sum(Run.prompt_tokens + Run.completion_tokens), 0)
    since = utcnow() - timedelta(hours=hours)
    recent = (col(Run.ended_at) >= since) | col(Run.state).in_(HELD_RUN)
    query = select(column, func.count(), tokens).where(recent, col(Run.claimed_at).is_not(None)).group_by(column)
    return {number: Spent(int(runs), int(total)) for number, runs, total in db.exec(query)}


def history(db: Session, hours: float, *, endpoint: int | None = None, agent: int | None = None) -> list[Point]:
    """The runs that ended within the last hours, the oldest first, at most the newest `MOST_POINTS`."""
    query = (
        select_columns(
            col(Run.id),
            col(Ticket.key),
            col(Agent.name),
            col(Run.ended_at),
            col(Run.tokens_per_second),
            col(Run.first_token_ms),
            col(Run.prompt_tokens) + col(Run.completion_tokens),
            col(Run.state),
        )
        .join(Ticket, col(Run.ticket_id) == col(Ticket.id))
        .join(Agent, col(Run.agent_id) == col(Agent.id))
        .where(col(Run.ended_at) >= utcnow() - timedelta(hours=hours), col(Run.claimed_at).is_not(None))
        .order_by(col(Run.ended_at).desc(), col(Run.id).desc())
        .limit(MOST_POINTS)
    )
    if endpoint is not None:
        query = query.where(col(Run.endpoint_id) == endpoint)
    if agent is not None:
        query = query.where(col(Run.agent_id) == agent)
    return [Point(*row) for row in reversed(list(db.execute(query).all()))]


def tokens_over_time(db: Session, by: By, hours: float, number: int) -> dict[int, list[tuple[datetime, int]]]:
    """By endpoint's or agent's number, when each of `number` equal parts of the last hours began, and the tokens of the runs
    that ended in it.
    """
    now = utcnow()
    width = timedelta(hours=hours) / number
    column: Any = col(Run.endpoint_id) if by == "endpoint" else col(Run.agent_id)
    tokens = col(Run.prompt_tokens) + col(Run.completion_tokens)
    sums: dict[int, list[int]] = {}
    for which, at, used in db.execute(
        select_columns(column, col(Run.ended_at), tokens).where(col(Run.ended_at) > now - width * number)
    ):
        part = number - 1 - max(0, int((now - at) / width))
        sums.setdefault(which, [0] * number)[part] += used
    begins = [now - width * (number - at) for at in range(number)]
    return {which: list(zip(begins, totals, strict=True)) for which, totals in sums.items()}


def ended(db: Session, agent: int, hours: float) -> dict[str, int]:
    """How many runs of an agent ended in each state within the last hours."""
    since = utcnow() - timedelta(hours=hours)
    query = select(Run.state, func.count()).where(Run.agent_id == agent, col(Run.ended_at) >= since).group_by(Run.state)
    return {str(state): int(count) for state, count in db.exec(query)}
