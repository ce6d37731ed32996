"""Use cases of a run: make, claim, stop, lose, finish. Workers call them; so does the board."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, func, select

from dispatcher import activity, leases
from dispatcher.blockers import advice
from dispatcher.errors import Conflict, NotFound
from dispatcher.models import Agent, Blocker, Endpoint, Run, SessionRow, Ticket, Workspace, utcnow
from dispatcher.states import HELD_RUN, LIVE_RUN, BlockerKind, RunTrigger
from dispatcher.text import storable
from dispatcher.transitions import move_run, move_ticket, write_run

Reason = Literal["assign", "answer", "change", "retry", "lost"]


@dataclass(frozen=True)
class Result:
    """How a run ended: what `finish` writes. `blocker` None means that the ticket is ready for review."""

    trigger: RunTrigger
    outcome: str
    text: str
    blocker: BlockerKind | None = None
    evidence: str = ""
    evidence_seq: int | None = None
    files: list[str] = field(default_factory=list)


def create_run(
    db: Session, ticket: Ticket, agent: Agent, *, reason: Reason, feedback: str = "", resume: str | None = None
) -> Run:
    """Queue a run; it is rung for after the commit. Raises `Conflict` while another run of the ticket is live."""
    if live_run(db, ticket) is not None:
        raise Conflict(f"{ticket.key} has a run under way", f"stop it first: dispatcher ticket show {ticket.key}")
    endpoint = db.get_one(Endpoint, agent.endpoint_id)
    number = db.exec(select(func.coalesce(func.max(Run.number), 0)).where(Run.ticket_id == ticket.id)).one() + 1
    assert ticket.id is not None and agent.id is not None
    run = Run(
        ticket_id=ticket.id,
        number=number,
        agent_id=agent.id,
        endpoint_id=agent.endpoint_id,
        harness=agent.harness,
        model=agent.model or endpoint.model,
        reason=reason,
        feedback=feedback,
        resume=resume,
    )
    db.add(run)
    db.flush()
    activity.record(db, "run.queued", ticket=ticket, run=run, number=number, agent=agent.name, reason=reason)
    ring(db, run)
    return run


def ring(db: Session, run: Run) -> None:
    """Ring for a run after the commit; losing, doubling or reordering rings is harmless."""
    db.info.setdefault("rings", []).append(run.id)


def get_run(db: Session, run_id: int) -> Run:
    """The run of that id; raises `NotFound`."""
    run = db.get(Run, run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}", "see: dispatcher run list", "run")
    return run


def list_runs(db: Session, *, ticket: Ticket | None = None, state: str | None = None, limit: int = 100) -> list[Run]:
    """The runs that match, newest first."""
    query = select(Run).order_by(col(Run.id).desc()).limit(limit)
    if ticket is not None:
        query = query.where(Run.ticket_id == ticket.id)
    if state is not None:
        query = query.where(Run.state == state)
    return list(db.exec(query))


def live_run(db: Session, ticket: Ticket) -> Run | None:
    """The ticket's run that has not ended, if there is one."""
    return db.exec(select(Run).where(Run.ticket_id == ticket.id, col(Run.state).in_(LIVE_RUN))).first()


def latest_run(db: Session, ticket: Ticket) -> Run | None:
    """The ticket's newest run."""
    return db.exec(select(Run).where(Run.ticket_id == ticket.id).order_by(col(Run.number).desc())).first()


def resumable(db: Session, ticket: Ticket, agent: Agent) -> str | None:
    """The native id of the session that the agent's harness can continue in the ticket's workspace, if there is one."""
    place = db.exec(select(Workspace).where(Workspace.ticket_id == ticket.id)).first()
    if place is None:
        return None
    query = (
        select(SessionRow.native_id)
        .join(Run, col(SessionRow.run_id) == col(Run.id))
        .where(Run.ticket_id == ticket.id, Run.harness == agent.harness, col(Run.ended_at) >= place.created_at)
        .where(col(SessionRow.parent_id).is_(None), col(SessionRow.native_id).is_not(None))
    )
    return db.exec(query.order_by(col(SessionRow.id).desc()).limit(1)).first()


def claim(db: Session, worker: str, lease_seconds: float, run_id: int | None = None) -> Run | None:
    """Take a queued run whose endpoint has a free slot: that one, or the oldest. None where there is none."""
    query = select(Run).where(Run.state == "queued").order_by(col(Run.id)).limit(64)
    if run_id is not None:
        query = query.where(Run.id == run_id)
    for run in db.exec(query.with_for_update(skip_locked=True)):
        # The endpoint's row is locked, so that two workers cannot both take the last slot.
        endpoint = db.exec(select(Endpoint).where(Endpoint.id == run.endpoint_id).with_for_update()).one()
        if slots_in_use(db, endpoint) >= endpoint.slots:
            continue
        ticket = db.get_one(Ticket, run.ticket_id)
        now = leases.now(db)
        until = now + timedelta(seconds=lease_seconds)
        move_run(db, run, "claim", fence=run.fence + 1, worker=worker, claimed_at=now, lease_until=until)
        move_ticket(db, ticket, "claim")
        return run
    return None


def slots_in_use(db: Session, endpoint: Endpoint) -> int:
    """How many runs the endpoint serves at this moment."""
    query = select(func.count()).select_from(Run).where(Run.endpoint_id == endpoint.id, col(Run.state).in_(HELD_RUN))
    return int(db.exec(query).one())


def seize(db: Session, run: Run, worker: str, lease_seconds: float) -> None:
    """Take a run from a worker that has been silent too long; from here on that one changes nothing any more."""
    until = leases.now(db) + timedelta(seconds=lease_seconds)
    if run.state == "finishing":
        move_run(db, run, "takeover", fence=run.fence + 1, worker=worker, lease_until=until)
    else:
        write_run(db, run, expected=run.state, fence=run.fence + 1, worker=worker, lease_until=until)


def request_stop(db: Session, run: Run) -> None:
    """Raise the cancel flag; raises `Conflict` for a run that has ended. A queued run ends at once."""
    if run.state not in LIVE_RUN:
        raise Conflict(f"run {run.id} has ended ({run.state})", "there is nothing to stop")
    ticket = db.get_one(Ticket, run.ticket_id)
    if run.state == "queued":
        if ticket.state == "queued":
            move_ticket(db, ticket, "withdraw")
        cancel_queued(db, ticket)
        return
    run.cancel_requested = True
    db.add(run)
    activity.record(db, "run.stop_requested", ticket=ticket, run=run)


def cancel_queued(db: Session, ticket: Ticket) -> None:
    """End the ticket's queued run, if it has one."""
    run = db.exec(select(Run).where(Run.ticket_id == ticket.id, Run.state == "queued").with_for_update()).first()
    if run is not None:
        move_run(
            db, run, "cancel", fence=run.fence + 1, outcome="stopped", ended_at=utcnow(), summary="cancelled before it began"
        )


def lose(db: Session, run: Run, retries: int, gone: str | None = None) -> None:
    """End a run whose worker is gone, and queue another that continues it; after `retries` in a row a person decides."""
    ticket = db.get_one(Ticket, run.ticket_id)
    text = f"the worker {gone or run.worker} went away during the run"
    move_run(db, run, "lose", fence=run.fence + 1, ended_at=utcnow(), outcome="crashed", summary=text)
    if ticket.state != "running":
        return
    if run.cancel_requested:
        _block(db, ticket, run, Result("cancel", "stopped", "stopped on request", "stopped"))
    elif lost_in_a_row(db, ticket) > retries:
        _block(db, ticket, run, Result("lose", "crashed", f"{text}, {retries + 1} times in a row", "crashed"))
    else:
        agent = db.get_one(Agent, run.agent_id)
        move_ticket(db, ticket, "requeue", reason=text)
        resume = resumable(db, ticket, agent) or run.resume
        create_run(db, ticket, agent, reason="lost", feedback=run.feedback, resume=resume)


def lost_in_a_row(db: Session, ticket: Ticket) -> int:
    """How many of the ticket's newest runs were lost one after the other."""
    lost = 0
    for state in db.exec(select(Run.state).where(Run.ticket_id == ticket.id).order_by(col(Run.number).desc())):
        if state != "lost":
            break
        lost += 1
    return lost


def finish(db: Session, run: Run, result: Result) -> None:
    """End the run and move its ticket to review or blocked, as one; raises `FenceLost` when another worker has it."""
    ended = utcnow()
    move_run(db, run, result.trigger, outcome=result.outcome, summary=result.text, ended_at=ended, doing="", lease_until=None)
    ticket = db.get_one(Ticket, run.ticket_id)
    if ticket.state != "running":
        return
    if result.blocker is None:
        move_ticket(db, ticket, "ready", run=run)
    else:
        _block(db, ticket, run, result)


def progress(db: Session, run: Run, /, **values: Any) -> None:
    """Write what a run is doing, under its fence, and tell the board."""
    write_run(db, run, **values)
    activity.record(db, "run.progress", run=run, **values)


def _block(db: Session, ticket: Ticket, run: Run, result: Result) -> None:
    assert result.blocker is not None and ticket.id is not None
    db.add(
        Blocker(
            ticket_id=ticket.id,
            run_id=run.id,
            kind=result.blocker,
            text=storable(result.text),
            advice=advice(result.blocker, ticket.key),
            evidence=storable(result.evidence),
            evidence_seq=result.evidence_seq,
            files=storable(result.files),
        )
    )
    move_ticket(db, ticket, "block", run=run, blocker=result.blocker, text=result.text)


def tickets_with(db: Session, *conditions: ColumnElement[bool] | bool) -> list[str]:
    """The keys of the tickets that have a run which fulfils all of the conditions."""
    query = select(Ticket.key).join(Run, col(Run.ticket_id) == col(Ticket.id))
    return list(db.exec(query.where(*conditions).distinct().order_by(Ticket.key)))
