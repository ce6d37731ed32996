"""Merges in the object database, and landing their result on the target branch.

Nothing is checked out to compute a merge (`git merge-tree --write-tree`, git 2.38). The user's checkout is touched only where
it is on the target branch and clean.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from dispatcher.errors import Conflict, GitFailed, MergeConflict, Unavailable
from dispatcher.git import Person, Repository

METHODS = ("merge", "squash", "ff")
USAGE = 129
"""The exit status of a git that does not know an option."""


class Stage(NamedTuple):
    """One side of a file in conflict: 1 the common ancestor's, 2 ours, 3 theirs."""

    mode: str
    sha: str
    number: int
    path: bytes


class Merged(NamedTuple):
    """A merge's result. Files in conflict hold markers in `tree`, and their sides are in `stages`."""

    tree: str
    clean: bool
    stages: list[Stage]

    @property
    def paths(self) -> list[bytes]:
        """The files in conflict, each once."""
        return list(dict.fromkeys(stage.path for stage in self.stages))

    @property
    def files(self) -> list[str]:
        """The files in conflict, for people."""
        return [path.decode("utf-8", "backslashreplace") for path in self.paths]


def merge_trees(repository: Repository, ours: str, theirs: str) -> Merged:
    """Merge two commits; raises `Unavailable` for a git older than 2.38."""
    answer = repository.git("merge-tree", "--write-tree", "-z", "--no-messages", ours, theirs, ok=(0, 1, USAGE))
    if answer.code == USAGE:
        found = repository.git("version").text
        raise Unavailable(f"{found} cannot merge in the object database", "install git 2.38 or later")
    tree, *entries = answer.fields
    return Merged(tree.decode(), answer.code == 0, [_stage(entry) for entry in entries if entry])


def merge_commit(repository: Repository, *, target: str, head: str, method: str, message: str, author: Person) -> str:
    """The commit that brings `head` into `target`; `target` itself where it holds all of it already.

    Raises `MergeConflict`, and `Conflict` where a fast-forward is not possible.
    """
    if repository.is_ancestor(head, target):
        return target
    if method == "ff":
        if not repository.is_ancestor(target, head):
            raise Conflict("the target has moved on, so that a fast-forward is not possible", "approve with merge or squash")
        return head
    merged = merge_trees(repository, target, head)
    if not merged.clean:
        names = ", ".join(merged.files) or "their history"
        raise MergeConflict(f"both sides changed {names}", merged.files)
    if method == "squash" and merged.tree == repository.tree(target):
        return target
    return repository.make_commit(merged.tree, [target] if method == "squash" else [target, head], message, author)


def land(repository: Repository, branch: str, old: str, new: str, *, ours: Path) -> None:
    """Move `branch` from `old` to `new`, a descendant, and bring the user's checkout along where it is on that branch.

    `ours` is the folder of our own worktrees. Raises `Conflict` where the branch has moved, where the checkout has changes, or
    where files that are not in git would be overwritten; nothing is changed then.
    """
    if old == new:
        return
    if repository.git("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).text == f"refs/heads/{branch}":
        require_clean(repository, branch)
        _fast_forward(repository, branch, old, new)
        return
    elsewhere = checked_out(repository, branch, ours)
    if elsewhere is not None:
        raise Conflict(f"{branch} is checked out in {elsewhere}", "switch that worktree to another branch, then approve again")
    try:
        repository.set_branch(branch, new, old, "dispatcher: merge")
    except GitFailed as error:
        if repository.commit(f"refs/heads/{branch}") == old:
            raise
        raise Conflict(f"{branch} has moved meanwhile", "approve again") from error


def checked_out(repository: Repository, branch: str, ours: Path) -> Path | None:
    """The user's own linked worktree that has the branch checked out, if there is one."""
    for admin in (repository.git_dir / "worktrees").glob("*"):
        try:
            place = Path(os.fsdecode((admin / "gitdir").read_bytes()).strip()).parent
            head = os.fsdecode((admin / "HEAD").read_bytes()).strip()
        except OSError:
            continue  # a folder that is being made or removed
        if head == f"ref: refs/heads/{branch}" and place.is_dir() and not place.is_relative_to(ours):
            return place
    return None


def require_clean(repository: Repository, branch: str) -> None:
    """Raise `Conflict` naming the changes in the user's checkout, which is on that branch."""
    status = ("status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=dirty")
    changed = [os.fsdecode(entry[3:]) for entry in repository.git_as_user(*status).fields]
    if changed:
        raise Conflict(
            f"{repository.checkout} is on {branch} and has changes of yours: {_few(changed)}",
            "commit or stash them, then approve again",
        )


def _fast_forward(repository: Repository, branch: str, old: str, new: str) -> None:
    # Files that git ignores are kept too: without the option it would overwrite them.
    options = ("--ff-only", "--no-overwrite-ignore", "--no-autostash", "--no-verify-signatures", "--quiet")
    answer = repository.git_as_user("merge", *options, new, ok=(0, 1, 2, 128))
    if answer.code == 0:
        return
    if repository.commit(f"refs/heads/{branch}") != old:
        raise Conflict(f"{branch} has moved meanwhile", "approve again")
    lines = answer.err.decode("utf-8", "replace").splitlines()
    named = [line.strip() for line in lines if line.startswith("\t")]
    if named:
        raise Conflict(
            f"files in {repository.checkout} that are not in git would be overwritten: {_few(named)}",
            "move or remove them, then approve again",
        )
    told = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines or ["it said nothing"]
    raise Conflict(
        f"{repository.checkout} could not be brought along: {told[0].removeprefix('fatal: ').removeprefix('error: ')}",
        "mend that, then approve again",
    )


def _few(names: list[str], limit: int = 10) -> str:
    shown = ", ".join(os.fsencode(name).decode("utf-8", "backslashreplace") for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _stage(entry: bytes) -> Stage:
    head, _, path = entry.partition(b"\t")
    mode, sha, number = head.decode().split(" ")
    return Stage(mode, sha, int(number), path)
