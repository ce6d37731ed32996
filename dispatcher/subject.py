"""What a review is about: a ticket with its project and workspace, and where its branch left its target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlmodel import Session, select

from dispatcher.errors import Conflict
from dispatcher.git import Repository, open_repository
from dispatcher.models import Project, Ticket, Workspace


@dataclass(frozen=True)
class Subject:
    """A ticket as it was when it was looked at; what it tells of git is read without any transaction."""

    ticket: Ticket
    project: Project
    place: Workspace

    @cached_property
    def repository(self) -> Repository:
        """The project's repository; raises `Invalid` where it is gone."""
        return open_repository(Path(self.project.path))

    @cached_property
    def target(self) -> str | None:
        """The target branch's commit, None where there is no such branch any more."""
        return self.repository.commit(f"refs/heads/{self.place.target}")

    @cached_property
    def base(self) -> str:
        """Where the branch left its target: by the target of now while the ticket is open, as it was merged afterwards."""
        return self.base_of(self.place.head_sha)

    def base_of(self, head: str) -> str:
        """Where that head of the branch left its target."""
        target = self.target if self.ticket.state != "done" else None
        return (self.repository.merge_base(target, head) if target else None) or self.place.base_sha


def look(db: Session, ticket: Ticket) -> Subject:
    """What a review of the ticket is about; raises `Conflict` where it has no branch."""
    place = workspace_of(db, ticket)
    if place is None:
        raise Conflict(f"{ticket.key} has no branch yet", f"assign it first: dispatcher ticket assign {ticket.key} AGENT")
    return Subject(ticket=ticket, project=db.get_one(Project, ticket.project_id), place=place)


def workspace_of(db: Session, ticket: Ticket) -> Workspace | None:
    """The ticket's workspace, None where it has none."""
    return db.exec(select(Workspace).where(Workspace.ticket_id == ticket.id)).first()
