"""Rows as the API and the pages show them; many tickets at once cost a few queries, not a few each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import defer
from sqlmodel import Session, col, func, select

from dispatcher import board, roster, runs
from dispatcher.models import (
    Agent,
    Blocker,
    Check,
    Comment,
    Endpoint,
    Project,
    Review,
    Run,
    Ticket,
    Workspace,
    utcnow,
)
from dispatcher.runstats import run_stats
from dispatcher.states import HELD_RUN, ticket_triggers
from dispatcher.transcripts import native_id
from web.schemas import (
    AgentOut,
    BlockerOut,
    CheckOut,
    CommentOut,
    EndpointOut,
    ProjectOut,
    ReviewOut,
    RunDetail,
    RunOut,
    TicketDetail,
    TicketOut,
    WorkerOut,
    WorkspaceOut,
)


def project_out(db: Session, project: Project) -> ProjectOut:
    """A project with the number of its tickets in each state."""
    return ProjectOut.model_validate(project).model_copy(update={"counts": board.count_states(db, project.key)})


def endpoint_out(db: Session, endpoint: Endpoint) -> EndpointOut:
    """An endpoint with its slots in use."""
    return EndpointOut.model_validate(endpoint).model_copy(update={"slots_in_use": runs.slots_in_use(db, endpoint)})


def agent_out(db: Session, agent: Agent) -> AgentOut:
    """An agent with its endpoint's name."""
    return AgentOut(**_row(agent), endpoint=db.get_one(Endpoint, agent.endpoint_id).name)


def workers_out(db: Session) -> list[WorkerOut]:
    """The workers of the last day, those seen last first."""
    held: dict[str | None, list[int]] = {}
    for name, number in db.exec(select(Run.worker, Run.id).where(col(Run.state).in_(HELD_RUN)).order_by(col(Run.id))):
        held.setdefault(name, []).append(number or 0)
    rows = roster.list_workers(db)
    return [WorkerOut(**_row(row), alive=roster.alive(row), runs=held.get(row.name, [])) for row in rows]


def run_out(db: Session, run: Run) -> RunOut:
    """One run."""
    return runs_out(db, [run])[0]


def run_detail(db: Session, run: Run) -> RunDetail:
    """One run with its prompt."""
    project = db.get_one(Project, db.get_one(Ticket, run.ticket_id).project_id)
    changed = run_stats(Path(project.path), [run]).get(run.id or 0)
    return RunDetail(**run_out(db, run).model_dump(), prompt=run.prompt, session=native_id(db, run), changed=changed)


def checks_out(db: Session, run: Run) -> list[CheckOut]:
    """A run's checks."""
    rows = db.exec(select(Check).where(Check.run_id == run.id).order_by(col(Check.id)))
    return [CheckOut(**_row(row), run=row.run_id) for row in rows]


def runs_out(db: Session, rows: Sequence[Run]) -> list[RunOut]:
    """Runs with the names of what they belong to."""
    keys = _names(db, Ticket.id, Ticket.key, {run.ticket_id for run in rows})
    agents = _names(db, Agent.id, Agent.name, {run.agent_id for run in rows})
    servers = _names(db, Endpoint.id, Endpoint.name, {run.endpoint_id for run in rows})
    return [
        RunOut(
            **_row(run, without=("prompt",)),
            ticket=keys[run.ticket_id],
            agent=agents[run.agent_id],
            endpoint=servers[run.endpoint_id],
            seconds=_seconds(run),
            other_model=run.other_model,
        )
        for run in rows
    ]


def ticket_out(db: Session, ticket: Ticket) -> TicketOut:
    """One ticket."""
    return tickets_out(db, [ticket])[0]


def tickets_out(db: Session, rows: Sequence[Ticket]) -> list[TicketOut]:
    """Tickets with their open blocker and their newest run."""
    ids = [ticket.id for ticket in rows if ticket.id is not None]
    projects = _names(db, Project.id, Project.key, {ticket.project_id for ticket in rows})
    agents = _names(db, Agent.id, Agent.name, {ticket.agent_id for ticket in rows if ticket.agent_id is not None})
    waiting = select(Blocker).where(col(Blocker.ticket_id).in_(ids), col(Blocker.resolved_at).is_(None))
    blockers = {row.ticket_id: row for row in db.exec(waiting.order_by(col(Blocker.id)))}
    newest = select(func.max(Run.id)).where(col(Run.ticket_id).in_(ids)).group_by(col(Run.ticket_id))
    # Prompts are long, and not shown here.
    latest = list(db.exec(select(Run).where(col(Run.id).in_(newest)).options(defer(col(Run.prompt)))))  # type: ignore[arg-type]
    shown = {run.ticket_id: out for run, out in zip(latest, runs_out(db, latest), strict=True)}
    checks = _checks_ended(db, [run.id for run in latest])
    return [
        TicketOut(
            **_row(ticket),
            project=projects[ticket.project_id],
            agent=agents[ticket.agent_id] if ticket.agent_id is not None else None,
            blocker=_blocker(blockers[ticket.id]) if ticket.id in blockers else None,
            run=run,
            check=checks.get(run.id) if run is not None else None,
        )
        for ticket in rows
        for run in [shown.get(ticket.id or 0)]
    ]


def ticket_detail(db: Session, ticket: Ticket, *, said: bool = True) -> TicketDetail:
    """Everything about a ticket; without what was `said` its comments, verdicts, blockers and checks are left out."""
    own = runs.list_runs(db, ticket=ticket, limit=1000)
    detail = TicketDetail(
        **ticket_out(db, ticket).model_dump(),
        workspace=_workspace(db, ticket),
        blockers=[],
        comments=[],
        reviews=[],
        runs=runs_out(db, own),
        checks=[],
        triggers=ticket_triggers(ticket.state),
    )
    if not said:
        return detail
    comments = db.exec(select(Comment).where(Comment.ticket_id == ticket.id).order_by(col(Comment.id)))
    reviews = db.exec(select(Review).where(Review.ticket_id == ticket.id).order_by(col(Review.id)))
    blockers = db.exec(select(Blocker).where(Blocker.ticket_id == ticket.id).order_by(col(Blocker.id)))
    return detail.model_copy(
        update={
            "blockers": [_blocker(row) for row in blockers],
            "comments": [comment_out(row) for row in comments],
            "reviews": [ReviewOut(**_row(row), run=row.run_id) for row in reviews],
            "checks": _checks(db, own),
        }
    )


def comment_out(comment: Comment) -> CommentOut:
    """One comment."""
    return CommentOut(**_row(comment), review=comment.review_id)


def _checks_ended(db: Session, run_ids: Sequence[int | None]) -> dict[int, str]:
    """By the run: passed where all of its checks did, else how the first that did not has ended."""
    ended: dict[int, str] = {}
    rows = db.exec(select(Check.run_id, Check.state).where(col(Check.run_id).in_(run_ids)).order_by(col(Check.id)))
    for run_id, state in rows:
        if ended.get(run_id, "passed") == "passed":
            ended[run_id] = state
    return ended


def _checks(db: Session, own: Sequence[Run]) -> list[CheckOut]:
    last = db.exec(select(func.max(Check.run_id)).where(col(Check.run_id).in_([run.id for run in own]))).first()
    rows = db.exec(select(Check).where(Check.run_id == last).order_by(col(Check.id)))
    return [CheckOut(**_row(row), run=row.run_id) for row in rows]


def _workspace(db: Session, ticket: Ticket) -> WorkspaceOut | None:
    place = db.exec(select(Workspace).where(Workspace.ticket_id == ticket.id)).first()
    if place is None:
        return None
    project = db.get_one(Project, ticket.project_id)
    beside = Path(project.path).with_name(f"{Path(project.path).name}-{ticket.key.lower()}")
    # The branch itself is checked out in the ticket's own worktree, and git takes a branch once: so at its commit.
    words = ["git", "-C", project.path, "worktree", "add", "--detach", str(beside), place.branch]
    return WorkspaceOut(**_row(place), checkout=shlex.join(words))


def _blocker(row: Blocker) -> BlockerOut:
    return BlockerOut(**_row(row), run=row.run_id)


def _row(row: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The columns of a row by name; what the type that takes them does not name, it leaves."""
    return {name: getattr(row, name) for name in type(row).model_fields if name not in without}


def _names(db: Session, number: Any, name: Any, ids: set[int]) -> dict[int, str]:
    return dict(db.exec(select(number, name).where(number.in_(ids))).all()) if ids else {}


def _seconds(run: Run) -> float | None:
    if run.started_at is None:
        return None
    return round(((run.ended_at or utcnow()) - run.started_at).total_seconds(), 1)
