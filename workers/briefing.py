"""What a run is told: the context of its prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlmodel import Session as Db
from sqlmodel import col, select

from dispatcher.changes import changed_files
from dispatcher.git import open_repository
from dispatcher.github.prompt import told_comments, told_ticket
from dispatcher.models import Blocker, Check, Comment, Run, Ticket, Workspace
from dispatcher.prompts import Workflow, render
from workers.hands import Case

_PATH = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)*[\w-]+\.[A-Za-z0-9]{1,8})(?![\w/])")
MAX_FILES = 20


def told(db: Db, case: Case) -> dict[str, Any]:
    """What the board knows of a run's task."""
    previous = _previous(db, case.run)
    blocker = _blocker(db, previous)
    return {
        "ticket": told_ticket(case.ticket),
        "project": case.project,
        "agent": case.agent,
        "run": case.run,
        "instructions": case.agent.instructions,
        "comments": told_comments(db, case.ticket, _comments(db, case.ticket)),
        "blocker": blocker,
        "failed_checks": _failed(db, previous),
        "conflicts": blocker.files if blocker is not None and blocker.kind == "conflict" else [],
    }


def prompt(known: dict[str, Any], case: Case, place: Workspace, workflow: Workflow) -> str:
    """The whole prompt of a run; raises `Invalid` for a repository's template that cannot be rendered."""
    check_command = workflow.policy.check_command or case.project.check_command
    return render(workflow, known | {"target": place.target, "branch": place.branch, "check_command": check_command})


def files(case: Case, place: Workspace) -> tuple[str, ...]:
    """The files that the branch changed or that ticket and feedback name, for harnesses that want to be told."""
    changed: list[str] = []
    if place.head_sha != place.base_sha:
        repository = open_repository(Path(case.project.path))
        changed = [file.path for file in changed_files(repository, place.base_sha, place.head_sha)]
    named: list[str] = _PATH.findall(f"{case.ticket.title}\n{case.ticket.body}\n{case.run.feedback}")
    there = [name for name in dict.fromkeys([*changed, *named]) if _is_file(Path(place.path), name)]
    return tuple(there[:MAX_FILES])


def _is_file(worktree: Path, name: str) -> bool:
    path = worktree / name
    return ".." not in path.parts and path.is_file() and path.resolve().is_relative_to(worktree.resolve())


def _previous(db: Db, run: Run) -> Run | None:
    query = select(Run).where(Run.ticket_id == run.ticket_id, Run.number < run.number)
    return db.exec(query.order_by(col(Run.number).desc())).first()


def _blocker(db: Db, previous: Run | None) -> Blocker | None:
    if previous is None:
        return None
    query = select(Blocker).where(Blocker.ticket_id == previous.ticket_id)
    newest = db.exec(query.order_by(col(Blocker.id).desc())).first()
    return newest if newest is not None and newest.run_id in (previous.id, None) else None


def _failed(db: Db, previous: Run | None) -> Sequence[Check]:
    if previous is None:
        return []
    return db.exec(select(Check).where(Check.run_id == previous.id, Check.state != "passed")).all()


def _comments(db: Db, ticket: Ticket) -> Sequence[Comment]:
    query = select(Comment).where(Comment.ticket_id == ticket.id, col(Comment.review_id).is_(None))
    return db.exec(query.order_by(col(Comment.id))).all()
