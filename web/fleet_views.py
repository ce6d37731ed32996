"""What the pages of the fleet show, put together from rows: endpoints with their load, agents, workers, a history as a plot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple

from sqlmodel import Session

from dispatcher import agents, checking, endpoints, retiring, roster, usage
from dispatcher.models import Agent, Endpoint, Worker, utcnow
from dispatcher.usage import LiveRun, Point, Spent

DAY = 24.0
WEEK = 7 * DAY
RANGES = {24: "24 hours", 168: "7 days", 720: "30 days"}
"""The times that a history may be shown for, in hours."""
SPARKS = 24

UNREACHED = ("refused", "barred", "unknown_host", "unreachable", "timeout", "tls", "not_http", "redirect")
"""States of a check in which no server answered."""


class Finding(NamedTuple):
    """One line of a check: passed, failed, warned or unknown."""

    what: str
    state: str
    text: str


@dataclass(frozen=True)
class EndpointView:
    """An endpoint with what it does now and did of late; `sparks` are tokens by the hour of the last day."""

    row: Endpoint
    runs: list[LiveRun]
    day: Spent
    week: Spent
    users: list[str]
    sparks: list[int]

    @property
    def held(self) -> list[LiveRun]:
        """The runs that have a slot."""
        return usage.held(self.runs)

    @property
    def waiting(self) -> list[LiveRun]:
        """The runs that wait for one."""
        return usage.waiting(self.runs)

    @property
    def rate(self) -> float | None:
        """Tokens per second of the live runs together."""
        return usage.rate(self.runs)

    @property
    def checking(self) -> dict[str, Any] | None:
        """The check that is under way: since when, and what it waits for."""
        return self.row.checking if checking.under_way(self.row) else None

    @property
    def key_missing(self) -> bool:
        """Whether the variable of its key is not set where the web app runs."""
        return bool(self.row.key_env) and not self.row.key()

    @property
    def verdict(self) -> tuple[str, str]:
        """A colour and a word for its health."""
        health = self.row.health
        if self.row.retired_at is not None:
            return "", "Retired"
        if not health:
            return "", "Not checked"
        if not health["ok"]:
            return "red", "Unreachable" if health["state"] in UNREACHED else "Not usable"
        return ("green", "Ready") if health["tools"] else ("amber", "No tool calls")


@dataclass(frozen=True)
class AgentView:
    """An agent with its endpoint, its live runs and what it used."""

    row: Agent
    endpoint: Endpoint
    runs: list[LiveRun]
    day: Spent
    week: Spent
    open_tickets: int


@dataclass(frozen=True)
class WorkerView:
    """A worker, the runs in its hands, and the harnesses whose version differs from other workers'."""

    row: Worker
    runs: list[LiveRun]
    differing: frozenset[str]

    @property
    def alive(self) -> bool:
        """Whether its heartbeat is fresh."""
        return roster.alive(self.row)

    @property
    def silent(self) -> float:
        """Seconds since its last heartbeat."""
        return max(0.0, (utcnow() - self.row.seen_at).total_seconds())


@dataclass(frozen=True)
class History:
    """The ended runs of some time, for a plot and its table."""

    hours: int
    points: list[Point]
    buckets: list[tuple[datetime, int]]
    unknown: str = ""
    """The time that was asked for, where there is no history of it."""

    @property
    def words(self) -> str:
        """The time that it is about."""
        return RANGES[self.hours]

    def told(self, field: str, unit: str) -> str:
        """A plot in words, for those who do not see it."""
        values = [value for point in self.points if (value := getattr(point, field)) is not None]
        if not values:
            return "no run has told one"
        numbers = f"median {median(values):,.0f} {unit}, from {min(values):,.0f} to {max(values):,.0f}"
        return f"{len(values)} run{'' if len(values) == 1 else 's'}: {numbers}"


def endpoint_views(db: Session, *, retired: bool = True) -> list[EndpointView]:
    """All endpoints, by name, the retired ones last."""
    loads = _Loads(db, "endpoint")
    return [_endpoint_view(db, row, loads) for row in endpoints.list_endpoints(db, retired=retired)]


def endpoint_view(db: Session, name: str) -> EndpointView:
    """One endpoint; raises `NotFound`."""
    return _endpoint_view(db, endpoints.get_endpoint(db, name), _Loads(db, "endpoint"))


def agent_views(db: Session) -> list[AgentView]:
    """All agents, by name, the retired ones last."""
    loads = _Loads(db, "agent")
    return [_agent_view(db, row, loads) for row in agents.list_agents(db, retired=True)]


def agent_view(db: Session, name: str) -> AgentView:
    """One agent; raises `NotFound`."""
    return _agent_view(db, agents.get_agent(db, name), _Loads(db, "agent"))


def worker_views(db: Session) -> list[WorkerView]:
    """The workers of the last day."""
    rows, live = roster.list_workers(db), usage.live_runs(db)
    versions: dict[str, set[str]] = {}
    for row in rows:
        for name, found in row.harnesses.items() if roster.alive(row) else ():
            versions.setdefault(name, set()).add(str(found.get("version") or "none"))
    differing = frozenset(name for name, told in versions.items() if len(told) > 1)
    return [WorkerView(row, [run for run in usage.held(live) if run.worker == row.name], differing) for row in rows]


def history(db: Session, hours: str, *, endpoint: int | None = None, agent: int | None = None) -> History:
    """The ended runs of an endpoint or an agent, of so many hours as `RANGES` names; of a day where it names others."""
    chosen = next((number for number in RANGES if str(number) == hours.strip()), 24)
    points = usage.history(db, chosen, endpoint=endpoint, agent=agent)
    by: usage.By = "agent" if endpoint is None else "endpoint"
    buckets = usage.tokens_over_time(db, by, chosen, 24 if chosen == 24 else chosen // 24)
    return History(chosen, points, buckets.get(endpoint or agent or 0, []), "" if hours in {"", str(chosen)} else hours)


def findings(endpoint: Endpoint) -> list[Finding]:
    """What the last check found, one line for each thing that agents need."""
    health = endpoint.health
    if not health:
        return []
    ok, state, models = health["ok"], health["state"], health["models"]
    fault = health["message"]
    reached = ok or state not in UNREACHED
    lines = [Finding("Reachable", "passed" if reached else "failed", endpoint.base_url if reached else fault)]
    if reached:
        lines.append(_listing(endpoint, models, health["model_listed"]))
        lines.append(Finding("Completes", "passed" if ok else "failed", _speed(health) if ok else fault))
    if ok:
        works = {True: "passed", False: "warned", None: "unknown"}[health["tools"]]
        lines.append(
            Finding(
                "Calls tools", works, "a tool call came back" if health["tools"] else health["tools_text"] or "not found out"
            )
        )
    return lines


def _listing(endpoint: Endpoint, models: list[str], listed: bool | None) -> Finding:
    if listed is None:
        return Finding("Lists its models", "unknown", "the server lists none")
    if listed:
        return Finding("Lists its models", "passed", f"{len(models)}, {endpoint.model} among them")
    return Finding("Lists its models", "warned", f"{len(models)}, and {endpoint.model} is not among them")


def _speed(health: dict[str, Any]) -> str:
    first, rate = health["first_token_ms"], health["tokens_per_second"]
    words = [f"{first:,.0f} ms to the first token"] if first is not None else []
    return ", ".join([*words, f"{rate:g} tokens/s"] if rate is not None else words) or "an answer came"


class _Loads:
    """What several rows are shown with, read once."""

    def __init__(self, db: Session, by: usage.By) -> None:
        self.live = usage.live_runs(db)
        self.day = usage.spent(db, by, DAY)
        self.week = usage.spent(db, by, WEEK)
        self.hours = usage.tokens_over_time(db, by, DAY, SPARKS)


def _endpoint_view(db: Session, row: Endpoint, loads: _Loads) -> EndpointView:
    number = row.id or 0
    return EndpointView(
        row=row,
        runs=[run for run in loads.live if run.endpoint_id == number],
        day=loads.day.get(number, Spent()),
        week=loads.week.get(number, Spent()),
        users=retiring.using(db, row),
        sparks=[total for _, total in loads.hours.get(number, [])],
    )


def _agent_view(db: Session, row: Agent, loads: _Loads) -> AgentView:
    number = row.id or 0
    return AgentView(
        row=row,
        endpoint=db.get_one(Endpoint, row.endpoint_id),
        runs=[run for run in loads.live if run.agent_id == number],
        day=loads.day.get(number, Spent()),
        week=loads.week.get(number, Spent()),
        open_tickets=len(agents.open_tickets(db, row)),
    )
