"""What people say: comments and verdicts; and what they keep to themselves until then: drafts, and what they have viewed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from dispatcher.actor import acting
from dispatcher.models.columns import moment


class Comment(SQLModel, table=True):
    """What a person said on a ticket, on the lines `start_line` to `line` of the diff where `path` is set."""

    id: int | None = Field(default=None, primary_key=True)
    ticket_id: int = Field(foreign_key="ticket.id", index=True)
    review_id: int | None = Field(default=None, foreign_key="review.id", index=True)
    author: str = "you"
    body: str = Field(sa_type=Text)
    path: str | None = None
    line: int | None = None
    start_line: int | None = None
    """The first of several lines; None where it is about `line` alone."""
    side: str = Field(default="new", sa_column_kwargs={"server_default": "new"})
    """new, or old for lines that were removed."""
    head_sha: str | None = None
    """The commit that was looked at."""
    snippet: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    """The lines as they were then."""
    created_at: datetime = moment(required=True)


class Review(SQLModel, table=True):
    """A person's verdict on a head commit."""

    id: int | None = Field(default=None, primary_key=True)
    ticket_id: int = Field(foreign_key="ticket.id", index=True)
    run_id: int | None = Field(default=None, foreign_key="run.id", index=True)
    author: str = Field(default_factory=acting, sa_column_kwargs={"server_default": "you"})
    head_sha: str
    verdict: str
    """approve or request_changes."""
    body: str = Field(default="", sa_type=Text)
    created_at: datetime = moment(required=True)


class Draft(SQLModel, table=True):
    """A comment on lines that its author has not sent yet; nobody else sees it."""

    __table_args__ = (Index("draft_own", "ticket_id", "author"),)

    id: int | None = Field(default=None, primary_key=True)
    ticket_id: int = Field(foreign_key="ticket.id")
    author: str
    body: str = Field(sa_type=Text)
    path: str
    line: int | None = None
    start_line: int | None = None
    side: str = "new"
    head_sha: str
    snippet: str = Field(default="", sa_type=Text)
    created_at: datetime = moment(required=True)
    updated_at: datetime = moment(required=True)


class Viewed(SQLModel, table=True):
    """A file of a ticket's diff that a person has looked at, with the content that it had then."""

    __table_args__ = (UniqueConstraint("ticket_id", "author", "file"),)

    id: int | None = Field(default=None, primary_key=True)
    ticket_id: int = Field(foreign_key="ticket.id")
    author: str
    file: str
    """The digest of its path (`changes.file_id`): paths can be longer than what an index takes."""
    path: str
    blob: str
    viewed_at: datetime = moment(required=True)
