"""What all of a pass over one repository shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlmodel import Session, col, select

from dispatcher.db import Database
from dispatcher.errors import NotFound
from dispatcher.github.client import Hub, Refused
from dispatcher.github.trust import ORDER, Sender, Trigger, Verdict, judge, listed, needs_permission
from dispatcher.models import GitHubIssue, GitHubRepo, Project, Ticket
from dispatcher.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


class Later(Exception):
    """Not now, and nothing is wrong: the ticket is at work, and what came waits for it."""


@dataclass(frozen=True)
class Work:
    """One repository, and the means: the database is used from threads, so that nothing waits for a commit."""

    settings: Settings
    database: Database
    repo: GitHubRepo
    project: Project
    hub: Hub

    @property
    def repo_id(self) -> int:
        """The repository's row."""
        assert self.repo.id is not None
        return self.repo.id

    async def write(self, use_case: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a use case as one transaction."""

        def work() -> T:
            with self.database.transaction() as db:
                return use_case(db, *args, **kwargs)

        return await asyncio.to_thread(work)

    async def read(self, look: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Look something up."""

        def work() -> T:
            with self.database.reading() as db:
                return look(db, *args, **kwargs)

        return await asyncio.to_thread(work)

    async def judge(self, user: dict[str, Any] | None, trigger: Trigger) -> tuple[Sender, Verdict]:
        """Whether a user of a payload may do that; GitHub is asked for the permission where that decides."""
        told = user or {}
        # A deleted account has no user; GitHub shows it as ghost.
        sender = Sender(str(told.get("login") or "ghost"), str(told.get("type") or "User"), number=int(told.get("id") or 0))
        if needs_permission(self.repo, sender):
            sender = sender._replace(permission=await permission(self.hub, sender.login, sender.number))
        if sender.number and listed(self.repo, sender) and sender.login.lower() not in self.repo.allowed_numbers:
            self.repo.allowed_numbers = await self.write(_remember, self.repo_id, sender)
        return sender, judge(self.repo, sender, trigger)

    def ours(self, user: dict[str, Any] | None) -> bool:
        """Whether it was we who wrote something."""
        return bool(self.repo.user_id) and (user or {}).get("id") == self.repo.user_id


def _remember(db: Session, repo_id: int, sender: Sender) -> dict[str, int]:
    """Write down which account a login of the allowlist is; the numbers of all of them."""
    repo = db.get_one(GitHubRepo, repo_id)
    repo.allowed_numbers = {sender.login.lower(): sender.number} | repo.allowed_numbers
    db.add(repo)
    return repo.allowed_numbers


async def permission(hub: Hub, login: str, number: int = 0) -> str:
    """A user's permission on the repository, "none" for a stranger, and where another account has the login by now.

    A role that an organisation made itself counts as the plain one that it builds on.
    """
    try:
        found = await hub.get(f"{hub.at}/collaborators/{login}/permission")
    except Refused as error:
        if error.code == 404:
            return "none"
        raise
    if number and int((found.get("user") or {}).get("id") or number) != number:
        return "none"
    role = str(found.get("role_name") or "")
    return role if role in ORDER else str(found.get("permission") or "none")


def key_of(row: Any) -> int:
    """The number of a row that the database has given one."""
    assert row.id is not None
    return int(row.id)


def name_of(login: str) -> str:
    """How somebody on GitHub is called here."""
    return f"@{login} on GitHub"


def get_repo(db: Session, project_key: str) -> tuple[GitHubRepo, Project]:
    """A project's repository; raises `NotFound` where it has none."""
    query = select(GitHubRepo, Project).join(Project).where(Project.key == project_key.strip().upper())
    found = db.exec(query).first()
    if found is None:
        raise NotFound(
            f"{project_key} is not connected to GitHub", f"connect it: dispatcher github connect {project_key}", "project"
        )
    return found


def list_repos(db: Session) -> list[tuple[GitHubRepo, Project]]:
    """The repositories of all projects that are connected, by the projects' keys."""
    return list(db.exec(select(GitHubRepo, Project).join(Project).order_by(col(Project.key))))


def find_issue(db: Session, repo_id: int, number: int) -> tuple[GitHubIssue, Ticket] | None:
    """An issue and its ticket."""
    query = select(GitHubIssue, Ticket).join(Ticket).where(GitHubIssue.repo_id == repo_id, GitHubIssue.number == number)
    return db.exec(query).first()


def issue_of(db: Session, ticket: Ticket) -> GitHubIssue | None:
    """The issue that a ticket came from."""
    return db.exec(select(GitHubIssue).where(col(GitHubIssue.ticket_id) == ticket.id)).first()
