"""Taking agents and endpoints that have a history out of use, and bringing them back."""

from __future__ import annotations

from sqlmodel import Session, col, select

from dispatcher import activity
from dispatcher.agents import get_agent
from dispatcher.endpoints import get_endpoint, named
from dispatcher.errors import Conflict
from dispatcher.models import Agent, Endpoint, Run, Ticket, utcnow
from dispatcher.runs import tickets_with
from dispatcher.states import LIVE_RUN


def retire_agent(db: Session, name: str) -> Agent:
    """Assign no more to an agent; its live runs go on to their end. Twice is once."""
    agent = get_agent(db, name)
    if agent.retired_at is None:
        agent.retired_at = utcnow()
        db.add(agent)
        activity.record(db, "agent.retired", name=name)
    return agent


def restore_agent(db: Session, name: str) -> Agent:
    """Bring a retired agent back; raises `Conflict` while its endpoint is retired."""
    agent = get_agent(db, name)
    endpoint = db.get_one(Endpoint, agent.endpoint_id)
    if endpoint.retired_at is not None:
        hint = f"bring that back first: dispatcher endpoint restore {endpoint.name}; or give the agent another endpoint"
        raise Conflict(f"{name} uses {endpoint.name}, which is retired", hint, "endpoint")
    if agent.retired_at is not None:
        agent.retired_at = None
        db.add(agent)
        activity.record(db, "agent.restored", name=name)
    return agent


def retire_endpoint(db: Session, name: str) -> Endpoint:
    """Offer an endpoint no more; raises `Conflict` naming the agents that use it, or the tickets whose runs are live on it."""
    endpoint = get_endpoint(db, name)
    if users := using(db, endpoint):
        hint = "give them another endpoint, or retire them first: dispatcher agent edit, dispatcher agent retire"
        raise Conflict(f"{name} is used by {named(users)}", hint, "endpoint")
    if tickets := tickets_with(db, Run.endpoint_id == endpoint.id, col(Run.state).in_(LIVE_RUN)):
        raise Conflict(f"{name} has live runs of {named(tickets)}", "let them end or stop them first", "endpoint")
    if endpoint.retired_at is None:
        endpoint.retired_at = utcnow()
        db.add(endpoint)
        activity.record(db, "endpoint.retired", name=name)
    return endpoint


def restore_endpoint(db: Session, name: str) -> Endpoint:
    """Bring a retired endpoint back. Twice is once."""
    endpoint = get_endpoint(db, name)
    if endpoint.retired_at is not None:
        endpoint.retired_at = None
        db.add(endpoint)
        activity.record(db, "endpoint.restored", name=name)
    return endpoint


def using(db: Session, endpoint: Endpoint) -> list[str]:
    """The agents in use that work with this endpoint."""
    query = select(Agent.name).where(Agent.endpoint_id == endpoint.id, col(Agent.retired_at).is_(None))
    return list(db.exec(query.order_by(Agent.name)))


def removable(db: Session, row: Agent | Endpoint) -> bool:
    """Whether it was never used, so that it can be removed rather than retired."""
    if isinstance(row, Endpoint):
        used = select(Agent.id).where(Agent.endpoint_id == row.id), select(Run.id).where(Run.endpoint_id == row.id)
    else:
        used = select(Ticket.id).where(Ticket.agent_id == row.id), select(Run.id).where(Run.agent_id == row.id)
    return not any(db.exec(query.limit(1)).first() for query in used)
