"""Taking away what tickets have left: worktrees, branches, private homes, run logs, rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col, select

from dispatcher.errors import Invalid
from dispatcher.git import Repository
from dispatcher.models import (
    Activity,
    Blocker,
    Check,
    Comment,
    Draft,
    GitHubDelivery,
    GitHubIssue,
    GitHubLetter,
    GitHubPull,
    GitHubRemark,
    GitHubRepo,
    ItemRow,
    Project,
    Review,
    Run,
    SessionRow,
    Ticket,
    Viewed,
    Workspace,
)
from dispatcher.places import worktree_of
from dispatcher.settings import Settings
from dispatcher.worktrees import remove, remove_folder

KEPT = "refs/dispatcher"
"""Where the heads of merged branches are kept from git's garbage collection, so that their diffs stay."""


def remove_workspace(project: Project, place: Workspace) -> None:
    """Remove worktree and branch, of the branch whatever is left; raises `Conflict` while the user has it checked out."""
    try:
        tree = worktree_of(project, place)
    except Invalid:  # the repository is gone, and the branch with it
        remove_folder(Path(place.path))
        return
    remove(tree)
    tree.repository.git("update-ref", "-d", _kept(place))
    _forget_reviewed(tree.repository, place)


def keep_head(repository: Repository, place: Workspace) -> None:
    """Keep the branch's commits when it goes."""
    repository.git("update-ref", _kept(place), place.head_sha)


def keep_reviewed(repository: Repository, place: Workspace, heads: Iterable[str]) -> None:
    """Keep heads that somebody reviewed: an agent may rewrite its branch, and what is new since then is shown from them."""
    lines = "".join(f"update {_reviewed(place)}/{head} {head}\n" for head in dict.fromkeys(heads))
    repository.git("update-ref", "--no-deref", "--stdin", stdin=lines.encode())


def _forget_reviewed(repository: Repository, place: Workspace) -> None:
    kept = repository.git("for-each-ref", "--format=delete %(refname)", f"{_reviewed(place)}/").out
    if kept:
        repository.git("update-ref", "--no-deref", "--stdin", stdin=kept)


def folders(db: Session, settings: Settings, project: Project) -> list[Path]:
    """The folders that a project's tickets and runs have in the data folder: private homes, run logs, worktrees."""
    keys = db.exec(select(Ticket.key).where(Ticket.project_id == project.id))
    runs = db.exec(select(Run.id).join(Ticket).where(Ticket.project_id == project.id))
    homes = [settings.home / "homes" / key for key in keys]
    return [*homes, *(settings.runs / str(number) for number in runs), settings.worktrees / project.key]


def workspaces(db: Session, project: Project) -> list[Workspace]:
    """The workspaces of a project's tickets."""
    return list(db.exec(select(Workspace).join(Ticket).where(Ticket.project_id == project.id)))


def delete_rows(db: Session, project: Project) -> None:
    """Delete everything that is about a project's tickets, in the order that references allow.

    The newest entry of the feed stays, or its number would be given out again and readers of the feed would miss the next one.
    """
    tickets = select(Ticket.id).where(Ticket.project_id == project.id)
    runs = select(Run.id).where(col(Run.ticket_id).in_(tickets))
    sessions = select(SessionRow.id).where(col(SessionRow.run_id).in_(runs))
    repos = select(GitHubRepo.id).where(GitHubRepo.project_id == project.id)
    conditions: list[tuple[type[Any], Any]] = [
        *(
            (table, col(table.repo_id).in_(repos))
            for table in (GitHubLetter, GitHubDelivery, GitHubRemark, GitHubPull, GitHubIssue)
        ),
        (GitHubRepo, col(GitHubRepo.project_id) == project.id),
        (ItemRow, col(ItemRow.session_id).in_(sessions)),
        (SessionRow, col(SessionRow.run_id).in_(runs)),
        (Check, col(Check.run_id).in_(runs)),
        (Comment, col(Comment.ticket_id).in_(tickets)),
        (Draft, col(Draft.ticket_id).in_(tickets)),
        (Viewed, col(Viewed.ticket_id).in_(tickets)),
        (Review, col(Review.ticket_id).in_(tickets)),
        (Blocker, col(Blocker.ticket_id).in_(tickets)),
        (Workspace, col(Workspace.ticket_id).in_(tickets)),
        (Activity, (col(Activity.project_id) == project.id) | col(Activity.ticket_id).in_(tickets)),
        (Run, col(Run.ticket_id).in_(tickets)),
        (Ticket, col(Ticket.project_id) == project.id),
    ]
    for table, condition in conditions:
        db.execute(delete(table).where(condition).execution_options(synchronize_session=False))


def _kept(place: Workspace) -> str:
    return f"{KEPT}/{place.branch}"


def _reviewed(place: Workspace) -> str:
    return f"{KEPT}/reviewed/{place.branch}"
