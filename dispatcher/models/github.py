"""What is known of GitHub: a repository for each project, its issues and pull requests, what came in, and what is owed.

Secrets are not here: see `dispatcher/github/secrets.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from dispatcher.models.columns import NUMBERED, moment


class GitHubRepo(SQLModel, table=True):
    """A project's repository on GitHub, how we speak with it, and who may start runs from there."""

    __tablename__ = "github_repo"

    id: int | None = Field(default=None, primary_key=True)
    project_id: int = Field(foreign_key="project.id", unique=True)
    repository: str
    """owner/name, as GitHub spells it."""
    remote_id: int = Field(default=0, sa_type=BigInteger)
    """The repository's number, which stays when it is renamed; 0 until GitHub was asked for the first time."""
    api_url: str = "https://api.github.com"
    clone_url: str = ""
    app_id: str = ""
    """The GitHub App that we are; empty where a token is used."""
    installation_id: str = ""
    login: str = ""
    """Who we are there, as GitHub told."""
    user_id: int = Field(default=0, sa_type=BigInteger)
    mark: str
    """Random; in the marker of each comment of ours, so that two dispatchers on one repository do not take each other's."""
    permission: str = "write"
    """The least permission of who may start runs: write, maintain, admin, or none for the allowlist alone."""
    allowed: list[str] = Field(default_factory=list, sa_type=JSON)
    """Logins that may start runs whatever their permission, in lower case."""
    allowed_numbers: dict[str, int] = Field(default_factory=dict, sa_type=JSON)
    """The account's number for each of them that has acted since: the login may be another's one day."""
    bots: bool = False
    triggers: list[str] = Field(default_factory=lambda: ["label", "comment"], sa_type=JSON)
    """What starts a run: label, comment, assign."""
    assignees: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    """Which agent an issue goes to when it is assigned to a login (in lower case)."""
    mirror: bool = True
    """Whether edits, comments and closing on the board are written to the issue."""
    pulls: str = "approve"
    """When a pull request is opened: approve (a person approves), ready (whenever a run is ready for review), ask (a person
    asks for it; approving merges here), or never."""
    rounds: int = 5
    """How often reviews and checks on GitHub send one ticket back to its agent without a person on the board."""
    hook_id: int = Field(default=0, sa_type=BigInteger)
    pinged_at: datetime | None = moment()
    delivered_at: datetime | None = moment()
    """When the newest signed delivery came."""
    refused_at: datetime | None = moment()
    refused: str = ""
    """Why the newest delivery was refused: a wrong secret on GitHub's side shows here."""
    missed: int = 0
    """How many changes the catch-up has found since the newest delivery that no delivery had brought."""
    missed_at: datetime | None = moment()
    cursor: int = 0
    """The feed's entry up to which the outbox was filled."""
    seen_until: datetime | None = moment()
    """Up to where the catch-up has read, by GitHub's clock."""
    reconciled_at: datetime | None = moment()
    paused_until: datetime | None = moment()
    """Nothing is asked of GitHub before: a limit, or an outage."""
    failures: int = 0
    fault: str = Field(default="", sa_type=Text)
    """What stands in the way now; empty when the last exchange went well."""
    lease_holder: str = ""
    lease_until: datetime | None = moment()
    created_at: datetime = moment(required=True)


class GitHubIssue(SQLModel, table=True):
    """An issue and the ticket that it became. Title and body are the newest on GitHub; the ticket holds what runs get."""

    __tablename__ = "github_issue"
    __table_args__ = (UniqueConstraint("repo_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    repo_id: int = Field(foreign_key="github_repo.id", index=True)
    ticket_id: int = Field(foreign_key="ticket.id", unique=True)
    number: int
    url: str
    author: str
    title: str
    body: str = Field(default="", sa_type=Text)
    labels: list[str] = Field(default_factory=list, sa_type=JSON)
    state: str = "open"
    changed_at: datetime = moment(required=True)
    """GitHub's `updated_at` of what is here: what is older came late and is not taken."""
    accepted_at: datetime | None = moment()
    """Since when the text is the ticket's for good: a trusted person started a run, or one here accepted it."""
    accepted_by: str = ""
    triggered_at: datetime | None = moment()
    """GitHub's time of the newest trigger that was looked at."""
    started_at: datetime | None = moment()
    """Of the newest that was obeyed. Apart from the other, for what a stranger asks must not be in the way of who may ask."""
    taken: str = ""
    """A digest of the title and body that issue and ticket last agreed on; so for the next two."""
    base_labels: list[str] = Field(default_factory=list, sa_type=JSON)
    base_state: str = "open"
    gone: str = ""
    """deleted or transferred."""
    created_at: datetime = moment(required=True)


class GitHubRemark(SQLModel, table=True):
    """A comment or review on GitHub that was looked at, and the ticket's comment that it became, where it did."""

    __tablename__ = "github_remark"
    __table_args__ = (UniqueConstraint("repo_id", "kind", "remote_id"),)

    id: int | None = Field(default=None, primary_key=True)
    repo_id: int = Field(foreign_key="github_repo.id", index=True)
    kind: str
    """comment, review, or ours: a comment on the board that was written to GitHub."""
    remote_id: int = Field(sa_type=BigInteger)
    ticket_id: int = Field(foreign_key="ticket.id", index=True)
    comment_id: int | None = Field(default=None, foreign_key="comment.id", index=True)
    author: str
    trusted: bool
    """Whether agents are told of it."""
    changed_at: datetime = moment(required=True)
    came_to: str = ""
    """What it did: comment, answer, trigger, changes, nothing."""


class GitHubPull(SQLModel, table=True):
    """The pull request of a ticket's branch."""

    __tablename__ = "github_pull"
    __table_args__ = (UniqueConstraint("repo_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    repo_id: int = Field(foreign_key="github_repo.id", index=True)
    ticket_id: int = Field(foreign_key="ticket.id", unique=True)
    number: int | None = None
    """None until GitHub has given it one."""
    url: str = ""
    state: str = "wanted"
    """wanted, open, merged or closed."""
    pushed_sha: str = ""
    merged_sha: str = ""
    asked_by: str = ""
    rounds: int = 0
    checked_sha: str = ""
    """The commit whose failed checks were sent back."""
    checks: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    """The newest state of its checks: name, conclusion, url."""
    changed_at: datetime | None = moment()
    created_at: datetime = moment(required=True)


class GitHubDelivery(SQLModel, table=True):
    """The inbox: one webhook delivery. Its GUID is the same for all hooks of one event, so a repository is part of the key."""

    __tablename__ = "github_delivery"
    __table_args__ = (
        Index(
            "github_delivery_waiting",
            "repo_id",
            "received_at",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        Index("github_delivery_newest", "repo_id", "received_at"),
    )

    repo_id: int = Field(foreign_key="github_repo.id", primary_key=True)
    guid: str = Field(primary_key=True)
    event: str
    action: str = ""
    sender: str = ""
    number: int | None = None
    """The issue's or pull request's."""
    payload: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    state: str = "waiting"
    """waiting, done, ignored or failed."""
    note: str = Field(default="", sa_type=Text)
    """What came of it."""
    attempts: int = 0
    next_at: datetime | None = moment()
    received_at: datetime = moment(required=True)
    done_at: datetime | None = moment()


class GitHubLetter(SQLModel, table=True):
    """The outbox: something that is to stand on GitHub. A newer wish replaces the one that was not yet sent."""

    __tablename__ = "github_letter"
    __table_args__ = (
        UniqueConstraint("repo_id", "name"),
        Index(
            "github_letter_owed",
            "repo_id",
            "id",
            sqlite_where=text("sent_at IS NULL"),
            postgresql_where=text("sent_at IS NULL"),
        ),
        NUMBERED,
    )

    id: int | None = Field(default=None, primary_key=True)
    repo_id: int = Field(foreign_key="github_repo.id", index=True)
    name: str
    """run:15, comment:3, issue:7 or pull:9: at most one of each stands on GitHub."""
    kind: str
    """run, comment, issue or pull."""
    ticket_id: int = Field(foreign_key="ticket.id", index=True)
    about_id: int
    """The row that it is about: a run, a comment or the ticket."""
    remote_id: int | None = Field(default=None, sa_type=BigInteger)
    """The comment on GitHub that holds it."""
    digest: str = ""
    """Of what stands there."""
    version: int = 1
    """Goes up with each wish, so that one which comes while another is sent is not taken for sent."""
    attempts: int = 0
    next_at: datetime | None = moment()
    fault: str = Field(default="", sa_type=Text)
    wanted_at: datetime = moment(required=True)
    sent_at: datetime | None = moment()
    """None while something is owed."""
