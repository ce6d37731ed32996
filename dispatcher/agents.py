"""The registry of agents: a harness with an endpoint, instructions and limits under one name."""

from __future__ import annotations

import math
from typing import Any

from sqlmodel import Session, col, select

import adapters
from dispatcher import activity
from dispatcher.endpoints import MODEL_LIMIT, apply_changes, get_endpoint, named, offered_endpoint
from dispatcher.errors import Conflict, Invalid, NotFound
from dispatcher.models import Agent, Run, Ticket
from dispatcher.naming import check_name, one_line
from dispatcher.runs import tickets_with
from dispatcher.states import LIVE_RUN, OPEN_TICKET

INSTRUCTIONS_LIMIT = 50_000
LIMITS = ("max_seconds", "max_silence", "max_tokens", "max_turns")
LONGEST = 7 * 24 * 3600.0


def add_agent(
    db: Session,
    *,
    name: str,
    harness: str,
    endpoint: str,
    model: str = "",
    instructions: str = "",
    max_seconds: float = 3600,
    max_silence: float = 600,
    max_tokens: int = 0,
    max_turns: int = 100,
) -> Agent:
    """Register an agent; times in seconds, `max_tokens` 0 for any number, an empty `model` for the endpoint's own.

    Raises `Invalid`, `NotFound` for an endpoint that there is not, `Conflict` for a name that is taken.
    """
    check_name(name)
    check_harness(harness)
    server = offered_endpoint(db, endpoint)
    assert server.id is not None
    _check_limits(max_seconds, max_silence, max_tokens, max_turns)
    if db.exec(select(Agent.id).where(Agent.name == name)).first() is not None:
        raise Conflict(
            f"there is an agent named {name} already", f"choose another name, or: dispatcher agent remove {name}", "name"
        )
    agent = Agent(
        name=name,
        harness=harness,
        endpoint_id=server.id,
        model=one_line(model, "model", MODEL_LIMIT),
        instructions=_instructions(instructions),
        max_seconds=max_seconds,
        max_silence=max_silence,
        max_tokens=max_tokens,
        max_turns=max_turns,
    )
    db.add(agent)
    db.flush()
    activity.record(db, "agent.added", name=name, harness=harness, endpoint=endpoint)
    return agent


def edit_agent(
    db: Session,
    agent: Agent,
    *,
    harness: str | None = None,
    endpoint: str | None = None,
    model: str | None = None,
    instructions: str | None = None,
    max_seconds: float | None = None,
    max_silence: float | None = None,
    max_tokens: int | None = None,
    max_turns: int | None = None,
) -> Agent:
    """Change what is given; the name stays, for it is the key. A run under way keeps what it began with.

    Raises `Invalid`, `NotFound`, and `Conflict` for another harness while runs are live: it could not continue their sessions.
    """
    given = {
        "harness": None if harness is None else check_harness(harness),
        "endpoint_id": None if endpoint is None else _other_endpoint(db, agent, endpoint),
        "model": None if model is None else one_line(model, "model", MODEL_LIMIT),
        "instructions": None if instructions is None else _instructions(instructions),
        "max_seconds": max_seconds,
        "max_silence": max_silence,
        "max_tokens": max_tokens,
        "max_turns": max_turns,
    }
    changed = {field: value for field, value in given.items() if value is not None and value != getattr(agent, field)}
    limits: dict[str, Any] = {field: changed.get(field, getattr(agent, field)) for field in LIMITS}
    _check_limits(**limits)
    if "harness" in changed and (live := live_tickets(db, agent)):
        raise Conflict(
            f"{agent.name} has live runs of {named(live)}: their sessions go on with {agent.harness} alone",
            "let them end or stop them first, or add a second agent",
            "harness",
        )
    apply_changes(db, agent, changed, "agent.edited", name=agent.name)
    return agent


def get_agent(db: Session, name: str) -> Agent:
    """The agent of that name; raises `NotFound`."""
    agent = db.exec(select(Agent).where(Agent.name == name)).first()
    if agent is None:
        known = ", ".join(db.exec(select(Agent.name).order_by(Agent.name))) or "none yet: dispatcher agent add"
        raise NotFound(f"there is no agent {name!r}", f"agents: {known}", "agent")
    return agent


def list_agents(db: Session, *, retired: bool = False) -> list[Agent]:
    """The agents that tickets may be assigned to, by name; with those that are retired where asked."""
    query = select(Agent).order_by(col(Agent.retired_at).is_not(None), col(Agent.name))
    return list(db.exec(query if retired else query.where(col(Agent.retired_at).is_(None))))


def known_agents(db: Session) -> list[Agent]:
    """The agents that tickets can be found by: those that may be assigned, and retired ones that tickets still name."""
    named_by = select(Ticket.id).where(col(Ticket.agent_id) == col(Agent.id)).exists()
    query = select(Agent).where(col(Agent.retired_at).is_(None) | named_by)
    return list(db.exec(query.order_by(col(Agent.retired_at).is_not(None), col(Agent.name))))


def offered_agent(db: Session, name: str) -> Agent:
    """The agent of that name, to assign to; raises `NotFound`, and `Conflict` for a retired one."""
    agent = get_agent(db, name)
    require_offered(agent)
    return agent


def require_offered(agent: Agent) -> None:
    """Raise `Conflict` for a retired agent."""
    if agent.retired_at is not None:
        fix = f"assign to another agent, or bring it back: dispatcher agent restore {agent.name}"
        raise Conflict(f"{agent.name} is retired and takes no more work", fix, "agent")


def live_tickets(db: Session, agent: Agent) -> list[str]:
    """The tickets that have a live run of this agent."""
    return tickets_with(db, Run.agent_id == agent.id, col(Run.state).in_(LIVE_RUN))


def open_tickets(db: Session, agent: Agent) -> list[str]:
    """The open tickets that are assigned to this agent."""
    query = select(Ticket.key).where(Ticket.agent_id == agent.id, col(Ticket.state).in_(OPEN_TICKET))
    return list(db.exec(query.order_by(col(Ticket.id))))


def remove_agent(db: Session, agent: Agent) -> None:
    """Take an agent off the registry; raises `Conflict` naming the tickets that it has, or had."""
    assigned = list(db.exec(select(Ticket.key).where(Ticket.agent_id == agent.id).order_by(col(Ticket.id).desc())))
    if assigned:
        raise Conflict(
            f"{agent.name} is assigned to {named(assigned)}", "assign them to another agent first, or retire this one", "agent"
        )
    if tickets := tickets_with(db, Run.agent_id == agent.id):
        hint = f"it stays with their history; to offer it no more: dispatcher agent retire {agent.name}"
        raise Conflict(f"{agent.name} has runs of {named(tickets)}", hint, "agent")
    activity.record(db, "agent.removed", name=agent.name)
    db.delete(agent)


def check_harness(name: str) -> str:
    """The harness's name as it was given; raises `Invalid` naming those that there are."""
    if name not in adapters.HARNESSES:
        raise Invalid(f"there is no harness {name!r}", f"choose one of: {', '.join(sorted(adapters.HARNESSES))}", "harness")
    return name


def _other_endpoint(db: Session, agent: Agent, name: str) -> int | None:
    """The endpoint's number; the agent's own may stay where it was retired."""
    endpoint = get_endpoint(db, name)
    return endpoint.id if endpoint.id == agent.endpoint_id else offered_endpoint(db, name).id


def _instructions(text: str) -> str:
    if len(text) > INSTRUCTIONS_LIMIT:
        raise Invalid(
            f"the instructions have {len(text):,} characters; {INSTRUCTIONS_LIMIT:,} is the limit",
            "put the rest into the repository's AGENTS.md",
            "instructions",
        )
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _check_limits(max_seconds: float, max_silence: float, max_tokens: int, max_turns: int) -> None:
    for field, seconds in (("max_seconds", max_seconds), ("max_silence", max_silence)):
        if not math.isfinite(seconds) or not 1 <= seconds <= LONGEST:
            raise Invalid(f"{field} is {seconds:g}", f"give 1 to {LONGEST:.0f} seconds (a week)", field)
    if max_tokens < 0:
        raise Invalid(f"max_tokens is {max_tokens}", "give a number of tokens, or 0 for no limit", "max_tokens")
    if not 1 <= max_turns <= 10_000:
        raise Invalid(f"max_turns is {max_turns}", "give 1 to 10000: how often the model may answer in a run", "max_turns")
