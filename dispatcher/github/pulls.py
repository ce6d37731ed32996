"""Pull requests: asked for here, opened and kept up to date from the outbox, and followed to their merge."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from dispatcher import activity, board, runs
from dispatcher.actor import acting
from dispatcher.crashing import point
from dispatcher.errors import Conflict, DispatcherError
from dispatcher.git import Repository, open_repository
from dispatcher.github import pushing
from dispatcher.github.sync import mark_origin
from dispatcher.github.text import at
from dispatcher.github.work import Later, Work, key_of
from dispatcher.merging import land
from dispatcher.models import GitHubPull, GitHubRepo, Project, Review, Ticket, Workspace
from dispatcher.places import data_folder, worktree_of
from dispatcher.removal import keep_head
from dispatcher.transitions import move_ticket
from dispatcher.worktrees import remove

BY_APPROVAL = ("approve", "ready")
"""Policies by which an approved branch goes to GitHub and is merged there: here it would be merged past the others."""

log = logging.getLogger(__name__)


def want_pull(db: Session, ticket: Ticket, by: str | None = None) -> GitHubPull:
    """Ask for a pull request of a ticket in review; one that is there gets the branch as it is now.

    Raises `Conflict` where there is nothing to open one of, or the project is not connected.
    """
    repo = db.exec(select(GitHubRepo).where(GitHubRepo.project_id == ticket.project_id)).first()
    if repo is None or repo.id is None:
        raise Conflict(f"the project of {ticket.key} is not connected to GitHub", "connect it: dispatcher github connect")
    place = workspace(db, ticket)
    if ticket.state != "review" or place is None or place.head_sha == place.base_sha:
        raise Conflict(f"{ticket.key} is {ticket.state}: a pull request is opened of a ticket in review", "wait for its run")
    pull = pull_of(db, ticket)
    assert ticket.id is not None
    if pull is None or pull.state in ("closed", "merged"):
        if pull is not None:
            db.delete(pull)
            db.flush()
        pull = GitHubPull(repo_id=repo.id, ticket_id=ticket.id, asked_by=by or acting())
        db.add(pull)
    activity.record(db, "github.pull_wanted", ticket=ticket)
    return pull


def offered_to(db: Session, ticket: Ticket) -> str:
    """The repository on GitHub that approving offers the branch to as a pull request; empty where approving merges it here."""
    repo = db.exec(select(GitHubRepo).where(GitHubRepo.project_id == ticket.project_id)).first()
    pull = pull_of(db, ticket)
    if repo is None or not (repo.pulls in BY_APPROVAL or (pull is not None and pull.state in ("wanted", "open"))):
        return ""
    return repo.repository


def pull_of(db: Session, ticket: Ticket) -> GitHubPull | None:
    """The ticket's pull request."""
    return db.exec(select(GitHubPull).where(col(GitHubPull.ticket_id) == ticket.id)).first()


def workspace(db: Session, ticket: Ticket) -> Workspace | None:
    """Where the ticket's branch is."""
    return db.exec(select(Workspace).where(Workspace.ticket_id == ticket.id)).first()


def pull_by_number(db: Session, repo_id: int, number: int) -> GitHubPull | None:
    """Our pull request of that number."""
    return db.exec(select(GitHubPull).where(GitHubPull.repo_id == repo_id, GitHubPull.number == number)).first()


def opened(db: Session, pull: GitHubPull, payload: dict[str, Any], head: str) -> None:
    """Write down that it stands on GitHub, with the branch at `head`."""
    row = db.get_one(GitHubPull, pull.id)
    new = row.number is None
    row.number, row.url, row.pushed_sha, row.state = int(payload["number"]), str(payload["html_url"]), head, "open"
    ticket = db.get_one(Ticket, row.ticket_id)
    mark_origin(ticket, pull=row.number, pull_url=row.url, pull_state="open")
    db.add_all([row, ticket])
    if new:
        activity.record(db, "github.pull_opened", ticket=ticket, number=row.number, url=row.url)


async def take_pull(work: Work, payload: dict[str, Any]) -> str:
    """Follow a pull request of ours to what GitHub says of it: open, closed, merged."""
    pull = await work.read(pull_by_number, work.repo_id, int(payload["number"]))
    if pull is None:
        return "it is none of ours"
    if payload.get("merged"):
        return await _merged(work, pull, payload)
    return await work.write(_follow, pull, payload)


def _follow(db: Session, pull: GitHubPull, payload: dict[str, Any]) -> str:
    row = db.get_one(GitHubPull, pull.id)
    changed = at(payload["updated_at"])
    if row.state == "merged" or (row.changed_at is not None and changed < row.changed_at):
        return "what came later is known already"
    row.changed_at = changed
    state = str(payload["state"])
    if state != row.state:
        row.state = state
        ticket = db.get_one(Ticket, row.ticket_id)
        mark_origin(ticket, pull_state=state)
        db.add(ticket)
        activity.record(db, f"github.pull_{state}", ticket=ticket, number=row.number)
    db.add(row)
    return f"it is {state}"


async def _merged(work: Work, pull: GitHubPull, payload: dict[str, Any]) -> str:
    """The ticket is done. What runs is asked to stop first, and what is queued is taken back."""
    if pull.state == "merged":
        done = await work.read(_done, key_of(pull))
        away = done is not None and not await work.read(lambda _: _is_home(*done))
        return await _bring_home(work, *done) if done is not None and away else "its merge is known already"
    await work.write(_make_ready, key_of(pull))
    sha = str(payload["merge_commit_sha"])
    who = str((payload.get("merged_by") or {}).get("login") or "ghost")
    case = await work.write(_record, key_of(pull), sha, f"@{who} on GitHub", at(payload["updated_at"]))
    point("webhook.merged")
    return await _bring_home(work, *case) if case is not None else "its ticket was closed already"


def _make_ready(db: Session, pull_id: int) -> None:
    ticket = db.get_one(Ticket, db.get_one(GitHubPull, pull_id).ticket_id)
    run = runs.live_run(db, ticket)
    if run is not None and run.state != "queued" and not run.cancel_requested:
        runs.request_stop(db, run)


def _record(db: Session, pull_id: int, sha: str, who: str, when: Any) -> tuple[Ticket, Project, Workspace] | None:
    row = db.get_one(GitHubPull, pull_id)
    ticket = db.exec(select(Ticket).where(Ticket.id == row.ticket_id).with_for_update()).one()
    live = runs.live_run(db, ticket)
    if live is not None and live.state != "queued":
        raise Later(f"{ticket.key} is still at work, and is being stopped")
    row.state, row.merged_sha, row.changed_at = "merged", sha, when
    mark_origin(ticket, pull_state="merged")
    db.add_all([row, ticket])
    place = workspace(db, ticket)
    if ticket.state in ("done", "cancelled") or place is None:
        return None
    if ticket.state == "queued":
        runs.cancel_queued(db, ticket)
        move_ticket(db, ticket, "block", blocker="stopped", text="its pull request was merged")
    if ticket.state == "blocked":
        board.accept(db, ticket)
    if ticket.state != "review":  # taken back to the backlog: there is no way from there but this
        board.cancel(db, ticket)
    else:
        last = runs.latest_run(db, ticket)
        review = Review(
            ticket_id=place.ticket_id, run_id=last.id if last else None, head_sha=place.head_sha, verdict="approve", author=who
        )
        db.add(review)
        ticket.merged_sha, place.merge_sha = sha, None
        move_ticket(db, ticket, "merge", merged=sha)
    activity.record(db, "github.pull_merged", ticket=ticket, number=row.number, merged=sha)
    return ticket, db.get_one(Project, ticket.project_id), place


def _done(db: Session, pull_id: int) -> tuple[Ticket, Project, Workspace] | None:
    ticket = db.get_one(Ticket, db.get_one(GitHubPull, pull_id).ticket_id)
    place = workspace(db, ticket)
    if ticket.state != "done" or place is None:
        return None
    return ticket, db.get_one(Project, ticket.project_id), place


def _is_home(ticket: Ticket, project: Project, place: Workspace) -> bool:
    """Whether the target here holds the merge: a process may have ended between writing it down and fetching it."""
    repository, merged = open_repository(Path(project.path)), ticket.merged_sha or ""
    target, there = repository.commits(f"refs/heads/{place.target}", merged)
    return target is not None and there is not None and repository.is_ancestor(merged, target)


async def _bring_home(work: Work, ticket: Ticket, project: Project, place: Workspace) -> str:
    """The merged target into the repository here, and the worktree away: the next ticket begins with what is merged."""
    repository = open_repository(Path(project.path))
    note = f"{ticket.key} is done"
    try:
        await work.read(lambda _: _land(repository, work.repo.clone_url, _token, place)) if (
            _token := await work.hub.token()
        ) else None
    except DispatcherError as error:
        note = f"{note}; {place.target} here is not brought along: {error.line()}"
        await work.write(_told, ticket, note)
    await work.read(lambda _: _tidy(ticket, project, place))
    return note


def _told(db: Session, ticket: Ticket, note: str) -> None:
    activity.record(db, "github.not_brought_home", ticket=ticket, note=note)


def _land(repository: Repository, url: str, token: str, place: Workspace) -> None:
    new = pushing.fetch(repository, url, token, place.target)
    old = repository.commit(f"refs/heads/{place.target}")
    if old is None:
        raise Conflict(f"the branch {place.target} is gone here", "make it again")
    if repository.is_ancestor(new, old):
        return
    if not repository.is_ancestor(old, new):
        raise Conflict(
            f"{place.target} has commits of its own here", f"bring it together by hand: git pull origin {place.target}"
        )
    land(repository, place.target, old, new, ours=data_folder(place) / "worktrees")


def _tidy(ticket: Ticket, project: Project, place: Workspace) -> None:
    try:
        tree = worktree_of(project, place)
        keep_head(tree.repository, place)
        remove(tree)
    except (DispatcherError, OSError) as error:
        log.warning("%s is merged; its worktree or branch stays: %s", ticket.key, error)
