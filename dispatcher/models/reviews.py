"""What people say: comments and verdicts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field, SQLModel

from dispatcher.models.columns import moment


class Comment(SQLModel, table=True):
    """What a person said on a ticket, on a line of the diff where `path` is set."""

    id: int | None = Field(default=None, primary_key=True)
    ticket_id: int = Field(foreign_key="ticket.id", index=True)
    review_id: int | None = Field(default=None, foreign_key="review.id", index=True)
    author: str = "you"
    body: str = Field(sa_type=Text)
    path: str | None = None
    line: int | None = None
    created_at: datetime = moment(required=True)


class Review(SQLModel, table=True):
    """A person's verdict on a head commit."""

    id: int | None = Field(default=None, primary_key=True)
    ticket_id: int = Field(foreign_key="ticket.id", index=True)
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    head_sha: str
    verdict: str
    """approve or request_changes."""
    body: str = Field(default="", sa_type=Text)
    created_at: datetime = moment(required=True)
