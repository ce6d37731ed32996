"""Who may use the site, and what they prove it with."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from dispatcher.models.columns import moment


class User(SQLModel, table=True):
    """A person, or a program with a name of its own, and what it may do."""

    __tablename__ = "account"  # PostgreSQL takes `user` for the database's own

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    role: str
    """viewer, member or admin."""
    created_at: datetime = moment(required=True)
    login_at: datetime | None = moment()
    """The newest login; None for who has never been here."""
    disabled_at: datetime | None = moment()


class Credential(SQLModel, table=True):
    """What proves who somebody is. Only the SHA-256 of the secret is kept: it has 256 random bits, which nobody guesses."""

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="account.id", index=True)
    kind: str
    """session, token, link or machine."""
    digest: str = Field(unique=True)
    label: str = ""
    """What it is for: a session's browser, a token's purpose, a machine's name and data folder."""
    made_by: str = ""
    created_at: datetime = moment(required=True)
    seen_at: datetime | None = moment()
    expires_at: datetime | None = moment()
    """None for never."""
    ended_at: datetime | None = moment()
    """When it was revoked, logged out, or used up."""
