"""Runs, and the sessions that their harnesses recorded."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from dispatcher.models.columns import NUMBERED, moment


class Run(SQLModel, table=True):
    """One attempt of one agent at one ticket."""

    __table_args__ = (
        UniqueConstraint("ticket_id", "number"),
        Index(
            "run_live",
            "ticket_id",
            "lane",
            unique=True,
            sqlite_where=text("state IN ('queued', 'preparing', 'running', 'finishing')"),
            postgresql_where=text("state IN ('queued', 'preparing', 'running', 'finishing')"),
        ),
        Index("run_ended", "ended_at"),
        NUMBERED,
    )

    id: int | None = Field(default=None, primary_key=True)
    ticket_id: int = Field(foreign_key="ticket.id", index=True)
    number: int
    lane: str = "work"
    agent_id: int = Field(foreign_key="agent.id", index=True)
    endpoint_id: int = Field(foreign_key="endpoint.id", index=True)
    harness: str
    model: str
    state: str = Field(default="queued", index=True)
    reason: str = "assign"
    """Why it was made: assign, answer, change, retry or lost."""
    feedback: str = Field(default="", sa_type=Text)
    """What the person said: the answer, or the requested changes."""
    resume: str | None = None
    """The native id of the session that it continues."""
    fence: int = 0
    worker: str | None = None
    lease_until: datetime | None = moment()
    cancel_requested: bool = False
    doing: str = ""
    plan_done: int = 0
    plan_total: int = 0
    prompt: str = Field(default="", sa_type=Text)
    harness_version: str | None = None
    pid: int | None = None
    exit_code: int | None = None
    ended_by: str | None = None
    """What the worker ended it for: a blocker kind; None where the harness ended by itself."""
    fault_kind: str | None = None
    fault_text: str = Field(default="", sa_type=Text)
    """What the endpoint answered last instead of a completion, if no completion followed."""
    outcome: str | None = None
    summary: str = Field(default="", sa_type=Text)
    receipt: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    """Which sandbox it had, what that let in, and what was tried from inside before it began."""
    base_sha: str | None = None
    head_sha: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    requests: int = 0
    first_token_ms: float | None = None
    tokens_per_second: float | None = None
    answered_by: str = Field(default="", sa_type=Text)
    """The models that answered, by their own word."""
    created_at: datetime = moment(required=True)
    claimed_at: datetime | None = moment()
    started_at: datetime | None = moment()
    ended_at: datetime | None = moment()

    @property
    def other_model(self) -> str:
        """The models that answered where they are not the one that was asked; empty where they are."""
        return "" if self.answered_by in ("", self.model, f"{self.model}:latest") else self.answered_by


class SessionRow(SQLModel, table=True):
    """The harness's own record of a run; its items are rows of their own."""

    __tablename__ = "session"
    __table_args__ = (
        Index(
            "session_root",
            "run_id",
            unique=True,
            sqlite_where=text("parent_id IS NULL"),
            postgresql_where=text("parent_id IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    parent_id: int | None = Field(default=None, foreign_key="session.id", index=True)
    native_id: str | None = None
    header: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    """The common form without its items and children; a child's also has `call`, the `seq` of the item that started it."""
    provisional: bool = True
    skipped: int = 0
    """Items of earlier runs at the head of the same native session that are not stored again."""


class ItemRow(SQLModel, table=True):
    """One entry of a session."""

    __tablename__ = "item"
    __table_args__ = (UniqueConstraint("session_id", "seq"),)

    id: int | None = Field(default=None, primary_key=True)
    session_id: int = Field(foreign_key="session.id", index=True)
    seq: int
    kind: str
    at: datetime | None = moment()
    data: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class Check(SQLModel, table=True):
    """A command that must pass before a run counts as done, and its result."""

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    name: str
    command: str = Field(sa_type=Text)
    state: str
    """passed, failed or timed_out."""
    exit_code: int | None = None
    seconds: float = 0
    output: str = Field(default="", sa_type=Text)
    created_at: datetime = moment(required=True)
