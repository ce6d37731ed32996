"""A fleet that has worked for a while: servers well and unwell, agents in use and retired, workers alive and gone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlmodel import Session, select

from dispatcher import agents, endpoints, retiring
from dispatcher.endpoints import Health
from dispatcher.models import Project, Run, Ticket, Worker, utcnow

WELL = Health(
    ok=True,
    state="ok",
    message="qwen3-coder:30b answers: 212 ms to the first token, 61.4 tokens/s; tool calling works",
    models=["qwen3-coder:30b", "gpt-oss:20b", "nomic-embed-text"],
    model_listed=True,
    first_token_ms=212.0,
    tokens_per_second=61.4,
    tools=True,
)
UNWELL = Health(
    ok=False,
    state="refused",
    message="nothing listens at 10.0.0.7:8000",
    hint="start the model server there, or mend the base URL's port",
)
FOUND = {"path": "/opt/harnesses/opencode", "version": "1.18.33", "tested": True, "origin": "managed"}


def furnish_fleet(db: Session) -> None:
    """Endpoints, agents and workers beside what a furnished site has."""
    workstation = endpoints.add_endpoint(
        db, name="workstation", base_url="http://127.0.0.1:11434/v1", model="qwen3-coder:30b", slots=4, context_length=131072
    )
    rack = endpoints.add_endpoint(
        db,
        name="rack-a100",
        base_url="http://10.0.0.7:8000/v1",
        model="Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8",
        key_env="RACK_API_KEY",
        slots=16,
        context_length=262144,
    )
    endpoints.add_endpoint(db, name="old-laptop", base_url="http://127.0.0.1:1234/v1", model="devstral-small")
    endpoints.record_health(db, workstation, WELL)
    endpoints.record_health(db, rack, UNWELL)
    retiring.retire_endpoint(db, "old-laptop")
    agents.add_agent(db, name="builder", harness="opencode", endpoint="workstation", instructions="Keep changes small.\n" * 4)
    agents.add_agent(db, name="pair", harness="aider", endpoint="rack-a100", max_tokens=2_000_000)
    agents.add_agent(db, name="scout", harness="goose", endpoint="workstation")
    retiring.retire_agent(db, "scout")
    enter_worker(db, "forge:4711:ab12", {"opencode": FOUND, "aider": FOUND | {"version": "0.86.2"}})
    enter_worker(
        db, "rack:92:cd34", {"opencode": FOUND | {"version": "1.18.20"}, "aider": {"missing": "aider is not installed"}}
    )
    enter_worker(db, "laptop:8:ef56", {}, silent=7200)


def enter_worker(db: Session, name: str, harnesses: dict[str, Any], *, silent: float = 0) -> None:
    """A worker that was seen `silent` seconds ago."""
    host, pid, _ = name.split(":")
    seen = utcnow() - timedelta(seconds=silent)
    db.add(
        Worker(
            name=name,
            host=host,
            pid=int(pid),
            version="0.1.0",
            runs_at_once=8,
            harnesses=harnesses,
            started_at=seen - timedelta(hours=3),
            seen_at=seen,
        )
    )


def add_run(db: Session, agent: str, *, hours_ago: float | None = None, **given: Any) -> Run:
    """A run of an agent on a ticket of its own: one that ended so long ago, or one that lives."""
    who = agents.get_agent(db, agent)
    project = db.exec(select(Project)).first()
    assert project is not None and project.id is not None and who.id is not None
    number = project.next_number
    project.next_number += 1
    ticket = Ticket(
        project_id=project.id, number=number, key=f"{project.key}-{number}", title=f"Ticket {number}", agent_id=who.id
    )
    state = given.get("state", "succeeded")
    ticket.state = {"queued": "queued", "running": "running"}.get(state, "done")
    db.add_all([project, ticket])
    db.flush()
    assert ticket.id is not None
    ended = None if hours_ago is None else utcnow() - timedelta(hours=hours_ago)
    claimed = None if state == "queued" else (ended or utcnow()) - timedelta(minutes=4)
    row: dict[str, Any] = {
        "number": 1,
        "harness": who.harness,
        "model": "m",
        "endpoint_id": who.endpoint_id,
        "state": state,
        "claimed_at": claimed,
        "started_at": claimed,
        "ended_at": ended,
    }
    run = Run(ticket_id=ticket.id, agent_id=who.id, **row | given)
    db.add(run)
    db.flush()
    return run
