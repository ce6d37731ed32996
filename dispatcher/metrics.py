"""The figures that Prometheus collects, read from the database at each scrape: the same, whichever web app is asked."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import select as columns
from sqlmodel import Session, col, func, select

from dispatcher import activity, board
from dispatcher.db import Database
from dispatcher.models import Agent, Blocker, Endpoint, Run, Worker, utcnow
from dispatcher.states import HELD_RUN, LIVE_RUN, TICKET_STATES

ALIVE_SECONDS = 20.0
"""A worker writes its heartbeat each 5 s."""
PREFIX = "dispatcher"


def exposition(database: Database) -> bytes:
    """All figures in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(database))
    return generate_latest(registry)


class _Figures(Collector):
    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """One look at the database, family by family."""
        with self._database.reading() as db:
            yield _tickets(db)
            yield _blockers(db)
            yield from _runs(db)
            yield from _tokens(db)
            yield from _endpoints(db)
            yield from _workers(db)
            yield _gauge("activity_cursor", "Number of the newest entry of the feed", activity.newest(db))


def _tickets(db: Session) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_tickets", "Tickets by project and state", labels=["project", "state"])
    for project, counts in board.count_columns(db).items():
        if project:
            for state in TICKET_STATES:
                family.add_metric([project, state], counts.get(state, 0))
    return family


def _blockers(db: Session) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_blockers_open", "Tickets that are blocked, by kind", labels=["kind"])
    query = select(Blocker.kind, func.count()).where(col(Blocker.resolved_at).is_(None)).group_by(Blocker.kind)
    for kind, count in db.exec(query):
        family.add_metric([kind], count)
    return family


def _runs(db: Session) -> Iterator[Metric]:
    live = GaugeMetricFamily(f"{PREFIX}_runs_live", "Runs that have not ended, by state", labels=["state"])
    ended = CounterMetricFamily(f"{PREFIX}_runs_ended", "Runs that have ended, by agent and how", labels=["agent", "state"])
    names = dict(db.exec(select(Agent.id, Agent.name)).all())
    found: dict[str, int] = dict.fromkeys(LIVE_RUN, 0)
    for agent, state, count in db.exec(select(Run.agent_id, Run.state, func.count()).group_by(col(Run.agent_id), Run.state)):
        if state in LIVE_RUN:
            found[state] += count
        else:
            ended.add_metric([names[agent], state], count)
    for state, count in found.items():
        live.add_metric([state], count)
    yield live
    yield ended
    oldest = db.exec(select(func.min(Run.created_at)).where(Run.state == "queued")).one()
    waited = (utcnow() - oldest).total_seconds() if oldest is not None else 0.0
    yield _gauge("oldest_queued_seconds", "How long the run waits that was queued first", max(0.0, waited))


def _tokens(db: Session) -> Iterator[Metric]:
    tokens = CounterMetricFamily(f"{PREFIX}_tokens", "Tokens that the gateway counted", labels=["endpoint", "kind"])
    requests = CounterMetricFamily(f"{PREFIX}_model_requests", "Requests that the gateway passed on", labels=["endpoint"])
    counted = ("prompt_tokens", "completion_tokens", "cached_tokens", "requests")
    sums = [func.sum(getattr(Run, name)) for name in counted]
    query = columns(col(Endpoint.name), *sums).join(Run, col(Run.endpoint_id) == col(Endpoint.id)).group_by(Endpoint.name)
    for name, *totals, asked in db.execute(query):
        for kind, count in zip(counted, totals, strict=False):
            tokens.add_metric([name, kind.removesuffix("_tokens")], float(count))
        requests.add_metric([name], float(asked))
    yield tokens
    yield requests


def _endpoints(db: Session) -> Iterator[Metric]:
    slots = GaugeMetricFamily(f"{PREFIX}_endpoint_slots", "Slots of an endpoint", labels=["endpoint"])
    used = GaugeMetricFamily(f"{PREFIX}_endpoint_slots_in_use", "Slots that runs hold", labels=["endpoint"])
    queue = GaugeMetricFamily(f"{PREFIX}_endpoint_queue", "Runs that wait for a slot", labels=["endpoint"])
    by_state: dict[tuple[int, str], int] = {}
    for endpoint, state, count in db.exec(
        select(Run.endpoint_id, Run.state, func.count())
        .where(col(Run.state).in_(LIVE_RUN))
        .group_by(col(Run.endpoint_id), Run.state)
    ):
        by_state[endpoint, state] = count
    for row in db.exec(select(Endpoint).order_by(Endpoint.name)):
        assert row.id is not None
        slots.add_metric([row.name], row.slots)
        used.add_metric([row.name], sum(by_state.get((row.id, state), 0) for state in HELD_RUN))
        queue.add_metric([row.name], by_state.get((row.id, "queued"), 0))
    yield from (slots, used, queue)


def _workers(db: Session) -> Iterator[Metric]:
    ages = [(utcnow() - worker.seen_at).total_seconds() for worker in db.exec(select(Worker))]
    alive = sum(age <= ALIVE_SECONDS for age in ages)
    yield _gauge("workers_alive", "Workers with a fresh heartbeat", alive)
    yield _gauge("workers_silent", "Workers whose heartbeat has stopped", len(ages) - alive)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", about, value=value)
