"""Use cases of projects: take a git repository under the dispatcher's care, look after it, let it go."""

from __future__ import annotations

import re
import unicodedata
from itertools import count
from pathlib import Path

from sqlalchemy import delete
from sqlmodel import Session, col, select

from dispatcher import activity, removal
from dispatcher.db import Database
from dispatcher.errors import Conflict, Invalid, NotFound
from dispatcher.git import Repository, discover, open_repository, require_git
from dispatcher.github import secrets
from dispatcher.merging import METHODS
from dispatcher.models import Project, Run, Ticket, Workspace
from dispatcher.naming import one_line
from dispatcher.prompts import NAME as WORKFLOW
from dispatcher.prompts import Workflow, parse_workflow
from dispatcher.sandboxes import Reach, check_reach, check_tier
from dispatcher.settings import Settings
from dispatcher.states import LIVE_RUN, OPEN_TICKET
from dispatcher.worktrees import remove_folder

KEY = re.compile(r"[A-Z][A-Z0-9]{1,9}")
KEY_LENGTH = 10
COMMAND_LIMIT = 4000
WORKFLOW_LIMIT = 200_000
"""Bytes of a WORKFLOW.md that are read."""


def add_project(
    db: Session,
    *,
    path: str,
    key: str | None = None,
    name: str | None = None,
    default_branch: str | None = None,
    check_command: str = "",
    setup_command: str = "",
    merge_method: str = "merge",
    sandbox: str = "strict",
    reach: Reach | None = None,
) -> Project:
    """Take a repository under care; a subfolder or a linked worktree stands for its main checkout.

    Raises `Invalid` naming the field, and `Conflict` for a repository or a key that is taken. The first thing in its
    transaction: it looks at git before its first query, so that nothing waits for that.
    """
    _check_policy(merge_method, check_command, setup_command)
    repository = look(path)
    branch = _branch(repository, default_branch)
    folder = repository.checkout.name
    project = Project(
        key=_key(db, key, folder),
        name=one_line(name or folder, "name", 200),
        path=str(repository.checkout),
        default_branch=branch,
        check_command=check_command.strip(),
        setup_command=setup_command.strip(),
        merge_method=merge_method,
        sandbox=check_tier(sandbox),
        reach=check_reach(reach or Reach()),
    )
    taken = db.exec(select(Project).where(Project.path == project.path)).first()
    if taken is not None:
        raise Conflict(f"{project.path} is project {taken.key} already", f"file tickets there: --project {taken.key}", "path")
    db.add(project)
    db.flush()
    activity.record(db, "project.added", project_id=project.id, key=project.key)
    return project


def edit_project(
    database: Database,
    key: str,
    *,
    path: str | None = None,
    name: str | None = None,
    default_branch: str | None = None,
    check_command: str | None = None,
    setup_command: str | None = None,
    merge_method: str | None = None,
    sandbox: str | None = None,
    reach: Reach | None = None,
) -> Project:
    """Change what is given; the key stays, for tickets are named by it. What has begun keeps the branch that it began with.

    Raises `Invalid`, `NotFound`, and `Conflict` for another path while tickets have worktrees of the repository there.
    """
    with database.reading() as db:
        project = get_project(db, key)
    _check_policy(merge_method or project.merge_method, check_command or "", setup_command or "")
    repository = look(project.path if path is None else path) if path is not None or default_branch is not None else None
    given = {
        "path": str(repository.checkout) if repository and path is not None else None,
        "name": None if name is None else one_line(name, "name", 200) or project.name,
        "default_branch": _branch(repository, default_branch or project.default_branch) if repository else None,
        "check_command": None if check_command is None else check_command.strip(),
        "setup_command": None if setup_command is None else setup_command.strip(),
        "merge_method": merge_method,
        "sandbox": None if sandbox is None else check_tier(sandbox),
        "reach": None if reach is None else check_reach(reach),
    }
    with database.transaction() as db:
        project = get_project(db, key)
        changed = {field: value for field, value in given.items() if value is not None and value != getattr(project, field)}
        if "path" in changed:
            _require_movable(db, project, str(changed["path"]))
        for field, value in changed.items():
            setattr(project, field, value)
        db.add(project)
        if changed:
            activity.record(db, "project.edited", project_id=project.id, key=project.key, fields=sorted(changed))
        return project


def project_notes(project: Project) -> list[str]:
    """What a person should know about the repository before agents work in it; raises `Invalid` when it is gone."""
    return repository_notes(open_repository(Path(project.path)), project.default_branch)


def repository_notes(repository: Repository, default_branch: str) -> list[str]:
    """What a person should know about a repository before agents work on that branch of it."""
    branch = f"refs/heads/{default_branch}"
    status = ("status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=dirty")
    changed = len(repository.git_as_user(*status).fields)
    notes = []
    if changed:
        notes.append(f"{changed} changed files in {repository.checkout} are not committed: agents begin without them")
    if (repository.git_dir / "shallow").exists():
        notes.append("a shallow clone: branches that began before its first commit cannot be merged (git fetch --unshallow)")
    if repository.file(branch, ".gitmodules", 1) is not None:
        notes.append("its submodules are empty in worktrees: set the set-up command to git submodule update --init --recursive")
    if b"filter=" in (repository.file(branch, ".gitattributes", 100_000) or b""):
        notes.append("its filters (git-lfs and the like) are off in worktrees: large files are pointers there")
    if repository.file(branch, WORKFLOW, 1) is not None:
        notes.append(f"its {WORKFLOW} is used as policy and prompt template")
    return notes


def project_workflow(project: Project) -> Workflow | None:
    """The `WORKFLOW.md` of the project's branch, None where it has none; raises `Invalid` for one that is wrong."""
    found = open_repository(Path(project.path)).file(f"refs/heads/{project.default_branch}", WORKFLOW, WORKFLOW_LIMIT)
    return None if found is None else parse_workflow(found.decode("utf-8", "replace"))


def get_project(db: Session, key: str) -> Project:
    """The project of that key, in any case; raises `NotFound`."""
    project = db.exec(select(Project).where(Project.key == key.strip().upper())).first()
    if project is None:
        raise NotFound(f"there is no project {key!r}", "see: dispatcher project list", "project")
    return project


def list_projects(db: Session) -> list[Project]:
    """All projects, by their keys."""
    return list(db.exec(select(Project).order_by(Project.key)))


def remove_project(database: Database, settings: Settings, key: str) -> None:
    """Let a project go with all its closed tickets, their records, worktrees and branches; the repository stays.

    Raises `Conflict` while it has open tickets. Folders go first: where this is cut short, it can be done again.
    """
    with database.reading() as db:
        project = get_project(db, key)
        _require_closed(db, project)
        places = removal.workspaces(db, project)
        folders = removal.folders(db, settings, project)
    for place in places:
        removal.remove_workspace(project, place)
    for folder in folders:
        remove_folder(folder)
    with database.transaction() as db:
        project = get_project(db, key)
        _require_closed(db, project)
        activity.record(db, "project.removed", key=project.key)
        removal.delete_rows(db, project)
        db.execute(delete(Project).where(col(Project.id) == project.id))
    secrets.forget(settings, key)


def look(path: str) -> Repository:
    """The repository at a path that a person gave; raises `Invalid` with the fix."""
    place = Path(path).expanduser()
    if not place.is_absolute():
        raise Invalid(f"{path!r} is not an absolute path", f"for example: {Path('/home/you') / (path or 'repository')}", "path")
    if not path.isprintable():
        raise Invalid("the path holds a line break or a control character", "rename the folder", "path")
    require_git()
    return discover(place)


def _check_policy(merge_method: str, check_command: str, setup_command: str) -> None:
    if merge_method not in METHODS:
        raise Invalid(f"{merge_method!r} is no way to merge", f"choose one of: {', '.join(METHODS)}", "merge_method")
    for field, command in (("check_command", check_command), ("setup_command", setup_command)):
        if len(command) > COMMAND_LIMIT or "\0" in command:
            raise Invalid(f"the {field} is longer than {COMMAND_LIMIT:,} characters", "put it into a script", field)


def _require_movable(db: Session, project: Project, path: str) -> None:
    """Raise `Conflict` where worktrees hang on the old place, or the new one is another project's."""
    taken = db.exec(select(Project.key).where(Project.path == path, Project.id != project.id)).first()
    if taken is not None:
        raise Conflict(f"{path} is project {taken} already", "give another repository", "path")
    keys = select(Ticket.key).join(Workspace, col(Workspace.ticket_id) == col(Ticket.id))
    there = list(db.exec(keys.where(Ticket.project_id == project.id).order_by(col(Ticket.number))))
    if there:
        shown = ", ".join(there[:5]) + (f" and {len(there) - 5} more" if len(there) > 5 else "")
        raise Conflict(f"{shown} have worktrees of {project.path}", "merge or discard them first, then change the path", "path")


def branches_of(repository: Repository) -> tuple[list[str], str]:
    """Its branches without those of tickets, and the one that is checked out; empty for none."""
    names = repository.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/").text.splitlines()
    head = repository.git("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).text.removeprefix("refs/heads/")
    return [name for name in names if not name.startswith("agent/")], head


def suggested_key(db: Session, repository: Repository) -> str:
    """The key that a repository would get."""
    return _derived(repository.checkout.name, set(db.exec(select(Project.key))))


def _branch(repository: Repository, given: str | None) -> str:
    branches = repository.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/").text.splitlines()
    head = repository.git("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).text.removeprefix("refs/heads/")
    branch = given or head
    known = ", ".join(name for name in branches if not name.startswith("agent/")) or "none"
    if not branch:
        hint = f"name the branch that tickets start from: --branch NAME (there are: {known})"
        raise Invalid(f"{repository.checkout} is on no branch (detached HEAD)", hint, "default_branch")
    if branch in branches:
        return branch
    if not branches:
        raise Invalid(f"{repository.checkout} has no commit yet", "commit something first: git commit", "path")
    if given:
        raise Invalid(f"there is no branch {given!r} in {repository.checkout}", f"there are: {known}", "default_branch")
    raise Invalid(
        f"the branch {branch} has no commit yet", f"name another: --branch NAME (there are: {known})", "default_branch"
    )


def _key(db: Session, given: str | None, folder: str) -> str:
    taken = set(db.exec(select(Project.key)))
    if given is None:
        return _derived(folder, taken)
    key = given.strip().upper()
    if not KEY.fullmatch(key):
        raise Invalid(f"{given!r} is no key: 2 to {KEY_LENGTH} of A-Z and 0-9, a letter first", "for example: WEB", "key")
    if key in taken:
        raise Conflict(f"there is a project {key} already", f"for example: {_derived(key, taken)}", "key")
    return key


def _derived(folder: str, taken: set[str]) -> str:
    """A key from a folder's name: WEB for web, MWA for my-web-app; with a number where that is taken."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().upper()
    words = re.findall(r"[A-Z0-9]+", plain)
    letters = "".join(word[0] for word in words) if len(words) > 1 else "".join(words)
    key = letters.lstrip("0123456789")[:KEY_LENGTH]
    key = key if len(key) > 1 else "PROJECT"
    numbered = (f"{key[: KEY_LENGTH - len(str(number))]}{number}" for number in count(2))
    return key if key not in taken else next(one for one in numbered if one not in taken)


def _require_closed(db: Session, project: Project) -> None:
    tickets = select(Ticket.key).where(Ticket.project_id == project.id)
    live = select(Run.ticket_id).where(col(Run.state).in_(LIVE_RUN))
    unfinished = tickets.where(col(Ticket.state).in_(OPEN_TICKET) | col(Ticket.id).in_(live)).order_by(col(Ticket.number))
    still_open = list(db.exec(unfinished))
    if still_open:
        shown = ", ".join(still_open[:5]) + (f" and {len(still_open) - 5} more" if len(still_open) > 5 else "")
        raise Conflict(f"{project.key} has open tickets: {shown}", "finish or cancel them first", "project")
