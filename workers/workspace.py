"""The worktree and the private HOME in which a ticket's runs work, and the snapshots of what they did."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sqlmodel import Session as Db
from sqlmodel import select

from adapters.decode import cut
from dispatcher import activity, leases
from dispatcher.changes import Stats, stats
from dispatcher.crashing import point
from dispatcher.db import Database
from dispatcher.errors import GitFailed, SetupFailed
from dispatcher.git import Person, Repository, open_repository
from dispatcher.github.text import inert
from dispatcher.merging import merge_trees
from dispatcher.models import Agent, GitHubRepo, Project, Run, Ticket, Workspace, utcnow
from dispatcher.places import branch_of, new_places, worktree_of
from dispatcher.prompts import NAME as WORKFLOW
from dispatcher.settings import Settings
from dispatcher.snapshots import Snapshot, litter, take
from dispatcher.text import storable
from dispatcher.worktrees import Worktree, half_laid, lay_merge, remove, remove_folder, restore
from dispatcher.worktrees import begin as begin_worktree
from dispatcher.worktrees import fill as fill_worktree
from workers.hands import Case

WORKFLOW_LIMIT = 200_000
SUBJECT = 72
"""Characters of a commit's first line."""
SUMMARY = 5000
"""Characters of the agent's last words that a commit's message takes."""


@dataclass(frozen=True)
class Begun:
    """A ticket's workspace, whole but for the files of a new worktree: `fill` lays them in."""

    place: Workspace
    new: bool
    reopened: bool


def begin(database: Database, settings: Settings, case: Case) -> Begun:
    """Make the ticket's workspace, or find it and make it usable again; lay in the merge that it is to finish.

    A new one is written down when it is whole: what is left of one that never was is removed by the next run.
    Raises `Invalid` for a repository that cannot be used, `SetupFailed` for all else that stands in the way, and `FenceLost`.
    """
    run, ticket, project = case.run, case.ticket, case.project
    reopened = ticket.merged_sha is not None  # after a merge, so it begins anew
    new = case.place is None or reopened
    with _told_shortly(settings):
        if case.place is None or new:
            place = _make(settings, ticket, project, case.place)
        else:
            place = case.place
            restore(worktree_of(project, place), place.head_sha)
        _furnish(Path(place.home), Path(place.path), case.agent.name)
    if new:
        point("run.worktree_begun")
    else:
        _write_down(database, run, place)
    if place.merge_sha is not None:
        with _told_shortly(settings):
            _lay(database, case, place)
    return Begun(place, new, reopened)


def fill(database: Database, settings: Settings, case: Case, begun: Begun) -> None:
    """Lay the files into a new worktree and write the workspace down; raises `SetupFailed` and `FenceLost`."""
    if not begun.new:
        return
    with _told_shortly(settings):
        fill_worktree(worktree_of(case.project, begun.place))
    _write_down(database, case.run, begun.place, merged=begun.reopened)


def snapshot(database: Database, run: Run, ticket: Ticket, agent: Agent, summary: str) -> str:
    """Commit what the worktree holds where it differs from the branch; gives the branch's head, and writes it down.

    While a merge that the agent was to finish still holds conflict markers, nothing is committed: see `unfinished_merge`.
    """
    with database.reading() as db:
        leases.check(db, run.id or 0, run.fence)
        place = _required(db, ticket)
        project = db.get_one(Project, ticket.project_id)
        offered = db.exec(select(GitHubRepo.id).where(GitHubRepo.project_id == ticket.project_id)).first() is not None
    tree = worktree_of(project, place)
    taken = take(
        tree,
        known=place.head_sha,
        base=place.base_sha,
        merging=place.merge_sha,
        message=_message(ticket, summary, offered=offered),
        author=_author(agent.name),
    )
    merged = place.merge_sha is not None and tree.repository.is_ancestor(place.merge_sha, taken.head)
    _record(database, run, taken, stats(tree.repository, _base(tree, place, taken.head), taken.head), merged=merged)
    point("run.snapshot_written")
    return taken.head


def unfinished_merge(database: Database, ticket: Ticket) -> list[str]:
    """The files in conflict of the merge that the agent was to finish and has not; none where there is no such merge."""
    with database.reading() as db:
        place = _required(db, ticket)
        project = db.get_one(Project, ticket.project_id)
    if place.merge_sha is None:
        return []
    return merge_trees(worktree_of(project, place).repository, place.head_sha, place.merge_sha).files


def setup_done(db: Db, ticket: Ticket) -> None:
    """Write down that the set-up command has passed in the ticket's workspace."""
    place = _required(db, ticket)
    place.setup_at = utcnow()
    db.add(place)


def instructions(worktree: Path) -> list[Path]:
    """The repository's own words to agents: its AGENTS.md, where it is a file of the worktree's."""
    path = worktree / "AGENTS.md"
    inside = path.is_file() and path.resolve().is_relative_to(worktree.resolve())
    return [path] if inside else []


def workflow(project: Project, base_sha: str) -> str | None:
    """The repository's `WORKFLOW.md` as it was at that commit: what an agent makes of it in its worktree changes nothing."""
    return _workflow(open_repository(Path(project.path)), base_sha)


@lru_cache(maxsize=256)
def _workflow(repository: Repository, base_sha: str) -> str | None:
    content = repository.file(base_sha, WORKFLOW, WORKFLOW_LIMIT)
    return content.decode("utf-8", "replace") if content is not None else None


def _required(db: Db, ticket: Ticket) -> Workspace:
    return db.exec(select(Workspace).where(Workspace.ticket_id == ticket.id)).one()


def _make(settings: Settings, ticket: Ticket, project: Project, old: Workspace | None) -> Workspace:
    path, home = new_places(settings, project.key, ticket.key)
    place = old or Workspace(ticket_id=ticket.id or 0, path="", home="", branch="", target="", base_sha="", head_sha="")
    known = place.head_sha
    place.path, place.home, place.branch, place.target = str(path), str(home), branch_of(ticket.key), project.default_branch
    tree = worktree_of(project, place)
    try:
        begin_worktree(tree, f"refs/heads/{place.target}")
        start = tree.start()
    except GitFailed:
        start = _make_room(tree, project, place, known)
        begin_worktree(tree, start)
    place.base_sha = place.head_sha = start
    place.merge_sha = place.setup_at = None
    place.created_at = utcnow()
    return place


def _make_room(tree: Worktree, project: Project, place: Workspace, known: str) -> str:
    """Remove what an earlier attempt left, which is nothing of worth; gives the commit to begin at.

    A branch with work that we do not know stays: then this raises `SetupFailed`.
    """
    start, branch = tree.repository.commits(f"refs/heads/{place.target}", tree.ref)
    if start is None:
        raise SetupFailed(f"the branch {place.target} is gone from {project.path}", f"make it again: git branch {place.target}")
    if branch is not None and branch != known and not tree.repository.is_ancestor(branch, start):
        raise SetupFailed(
            f"the branch {tree.branch} exists already, with commits of its own",
            f"rename or delete it: git branch -m {tree.branch} NAME",
        )
    remove(tree)
    return start


def _furnish(home: Path, worktree: Path, agent: str) -> None:
    """Make the private HOME. Once: whatever is in it later is the agent's, and may be links that lead elsewhere."""
    if home.exists():
        return
    new = home.with_name(f"{home.name}.new")
    remove_folder(new)
    folder = new / ".config" / "git"
    folder.mkdir(parents=True, mode=0o700)
    quoted = str(worktree).replace("\\", "\\\\").replace('"', '\\"')
    (folder / "config").write_text(
        f'[user]\n\tname = "{agent} (dispatcher)"\n\temail = {agent}@dispatcher.invalid\n[safe]\n\tdirectory = "{quoted}"\n',
        encoding="utf-8",
    )
    (folder / "ignore").write_text("\n".join(litter()) + "\n", encoding="utf-8")
    new.chmod(0o700)
    new.rename(home)


def _write_down(database: Database, run: Run, place: Workspace, *, merged: bool = False) -> None:
    point("run.worktree_made")
    _write(database, run, place, merged=merged)
    point("run.workspace_written")


def _write(database: Database, run: Run, place: Workspace, *, merged: bool = False) -> None:
    with database.transaction() as db:
        leases.check(db, run.id or 0, run.fence)
        db.add(place)
        if merged:
            db.get_one(Ticket, place.ticket_id).merged_sha = None


def _lay(database: Database, case: Case, place: Workspace) -> None:
    """Lay the target, as it is now, into the worktree, once. What a lost run left there is committed before."""
    assert place.merge_sha is not None
    run = case.run
    tree = worktree_of(case.project, place)
    if tree.repository.is_ancestor(place.merge_sha, place.head_sha):
        place.merge_sha = None
        _write(database, run, place)
        return
    begun = half_laid(tree)
    if begun is None and tree.merging() == place.merge_sha:
        return
    if begun is None:
        message, author = _message(case.ticket), _author(case.agent.name)
        taken = take(tree, known=place.head_sha, base=place.base_sha, merging=None, message=message, author=author)
        place.head_sha = taken.head
    place.merge_sha = begun or tree.repository.commit(f"refs/heads/{place.target}") or place.merge_sha
    _write(database, run, place)
    point("conflict.announced")
    lay_merge(tree, place.merge_sha)


def _base(tree: Worktree, place: Workspace, head: str) -> str:
    target = tree.repository.commit(f"refs/heads/{place.target}")
    return (tree.repository.merge_base(target, head) if target else None) or place.base_sha


def _record(database: Database, run: Run, taken: Snapshot, counted: Stats, *, merged: bool) -> None:
    with database.transaction() as db:
        leases.check(db, run.id or 0, run.fence)
        ticket = db.get_one(Ticket, run.ticket_id)
        place = _required(db, ticket)
        place.head_sha = taken.head
        if merged:
            place.merge_sha = None
        ticket.files, ticket.additions, ticket.deletions = counted.files, counted.additions, counted.deletions
        db.add_all([place, ticket])
        if taken.made or taken.notes:
            activity.record(db, "workspace.snapshot", ticket=ticket, run=run, head=taken.head, notes=taken.notes)


def _author(agent: str) -> Person:
    return Person(f"{agent} (dispatcher)", f"{agent}@dispatcher.invalid")


def _message(ticket: Ticket, summary: str = "", *, offered: bool = False) -> str:
    """Of a commit. What strangers and agents say closes no issue on GitHub, to where the branch may go (`offered`)."""
    text = f"{cut(f'{ticket.key}: {ticket.title}', SUBJECT)}\n\n{summary.strip()[:SUMMARY]}".strip() + "\n"
    return str(storable(inert(text) if offered or ticket.origin else text))


@contextmanager
def _told_shortly(settings: Settings) -> Iterator[None]:
    try:
        yield
    except GitFailed as error:
        raise SetupFailed(error.message, error.hint or "mend that in the repository, then try again") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SetupFailed(f"the disk of {settings.home} is full", "free some space, then try again") from error
        raise SetupFailed(f"{error.strerror}: {error.filename}", "mend that, then try again") from error
