"""Tickets and what belongs to them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from dispatcher.models.columns import NUMBERED, moment


class Ticket(SQLModel, table=True):
    """A piece of work on the board."""

    __table_args__ = (UniqueConstraint("project_id", "number"), Index("ticket_board", "state", "position"), NUMBERED)

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id", index=True)
    number: int
    key: str = Field(unique=True)
    title: str
    body: str = Field(default="", sa_type=Text)
    state: str = "backlog"
    labels: list[str] = Field(default_factory=list, sa_type=JSON)
    agent_id: int | None = Field(default=None, foreign_key="agent.id", index=True)
    position: float = 0
    additions: int = 0
    deletions: int = 0
    files: int = 0
    merged_sha: str | None = None
    origin: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    """Where it came from, for its card: an issue's repository, number, url and author, and whether it waits for a person."""
    created_at: datetime = moment(required=True)
    updated_at: datetime = moment(required=True)
    closed_at: datetime | None = moment()


class Workspace(SQLModel, table=True):
    """The worktree and branch in which a ticket's runs work."""

    id: int | None = Field(default=None, primary_key=True)
    ticket_id: int = Field(foreign_key="ticket.id", unique=True)
    path: str
    home: str
    branch: str
    target: str
    base_sha: str
    head_sha: str
    merge_sha: str | None = None
    """The target's commit whose merge into the branch the agent is to finish."""
    setup_at: datetime | None = moment()
    created_at: datetime = moment(required=True)


class Blocker(SQLModel, table=True):
    """Why a ticket cannot go on without a person."""

    id: int | None = Field(default=None, primary_key=True)
    ticket_id: int = Field(foreign_key="ticket.id", index=True)
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    kind: str
    text: str = Field(sa_type=Text)
    advice: str = Field(default="", sa_type=Text)
    evidence: str = Field(default="", sa_type=Text)
    evidence_seq: int | None = None
    files: list[str] = Field(default_factory=list, sa_type=JSON)
    answer: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = moment(required=True)
    resolved_at: datetime | None = moment()


class Activity(SQLModel, table=True):
    """The append-only feed of all that happened; `id` is its cursor."""

    __table_args__ = (Index("activity_actor", "actor", "id"), NUMBERED)

    id: int | None = Field(default=None, primary_key=True)
    at: datetime = moment(required=True)
    kind: str
    project_id: int | None = Field(default=None, index=True)
    ticket_id: int | None = Field(default=None, index=True)
    run_id: int | None = Field(default=None, index=True)
    actor: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """The person who did it; empty where the dispatcher did it by itself."""
    data: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
