"""What a worktree holds, as a commit on its ticket's branch, whatever the agent has done to branch, index and `.git`.

The index is ours and is kept between snapshots, so that the cost is proportional to what has changed. Never committed: what
`.gitignore` and `info/exclude` name, what harnesses and languages leave behind (`LITTER`), repositories within the worktree as
such (their files are taken instead, since a pointer to a repository that only this machine has is of no use to anybody).
Submodules that the project has stay at the commit that the branch has for them.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import adapters
from dispatcher.crashing import point
from dispatcher.errors import GitFailed
from dispatcher.git import Answer, Person, Repository
from dispatcher.merging import merge_trees
from dispatcher.worktrees import Worktree, conclude, mend, replace, share_index

LITTER = (
    "__pycache__/",
    "*.pyc",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".venv/",
    "node_modules/",
    ".DS_Store",
    ".git.*.new",  # ours, of `write_line`, where it was cut short
)
"""Ignore patterns of what languages leave behind; a file that is in the branch already is followed all the same."""
LARGEST = 100_000_000
"""Bytes of a new file that is still committed: the size at which the large git hosts refuse a push."""
DEEPEST = 10
"""How many repositories within each other are looked into."""
MANY = 5000
"""New files at once that are worth a word: so many are listed on the page of a ticket's changes."""
MOST_NOTES = 20
SUBMODULE = b"160000"
_IGNORED = b"Ignoring path "
_SEED = b".dispatcher-was-here"
_BEGUN = re.compile(r"\.\d+\.(\d+(\.lock)?|new)")


@dataclass
class Snapshot:
    """Where the branch is now. `made`: by a commit of ours. `unresolved`: files that still hold conflict markers; then a merge
    is under way, and nothing is committed before it is concluded. `notes`: what was left out or changed on the way, for people.
    """

    head: str
    made: bool = False
    unresolved: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def take(tree: Worktree, *, known: str, base: str, merging: str | None, message: str, author: Person) -> Snapshot:
    """Commit what the worktree holds, where that differs from its branch.

    `known` is where the branch was at the last snapshot, `base` the commit that it began at. `merging` is the commit whose
    merge the worktree was given to finish: it becomes the second parent. Raises `GitFailed`.
    """
    snapshot = Snapshot(known)
    branch, parent = _parent(tree, known, base, snapshot)
    _forget_begun(tree.index)
    work = tree.index.with_name(f"{tree.index.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        written, notes = _write_tree(tree, work, parent, known, base)
        snapshot.notes += notes
        second = merging if merging and tree.merging() == merging else None
        if second is not None and not tree.repository.is_ancestor(second, parent):
            snapshot.unresolved = unresolved(tree.repository, parent, second, written)
        else:
            second = None
        snapshot.head = parent
        if not snapshot.unresolved and (second is not None or written != tree.repository.tree(parent)):
            parents = [parent] if second is None else [parent, second]
            snapshot.head = tree.repository.make_commit(written, parents, message, author)
            snapshot.made = True
            point("run.commit_made")
        if snapshot.head != branch:
            tree.repository.set_branch(tree.branch, snapshot.head, branch, "dispatcher: snapshot")
            point("run.branch_moved")
        work.replace(tree.index)
    finally:
        work.unlink(missing_ok=True)
    if not snapshot.unresolved:
        mend(tree)
        conclude(tree)
        share_index(tree)
    return snapshot


def _forget_begun(index: Path) -> None:
    """Remove what snapshots have left that were cut short, git's locks on it too. Whoever has the run is alone at it."""
    for path in index.parent.glob(f"{index.name}.*"):
        if _BEGUN.fullmatch(path.name.removeprefix(index.name)):
            path.unlink(missing_ok=True)


def unresolved(repository: Repository, ours: str, theirs: str, tree: str) -> list[str]:
    """The files in conflict between two commits that still hold conflict markers in `tree`."""
    merged = merge_trees(repository, ours, theirs)
    if not merged.paths:
        return []
    names = b"".join(tree.encode() + b":" + path + b"\0" for path in merged.paths)
    out = repository.git("cat-file", "--batch", "-z", stdin=names).out
    found = []
    for path, name in zip(merged.paths, merged.files, strict=True):
        head, _, rest = out.partition(b"\n")
        words = head.rsplit(b" ", 2)
        if len(words) != 3 or words[1] != b"blob" or b":" in words[0]:  # the file is gone: that is a way to resolve it
            out = out[len(tree) + 1 + len(path) + len(b" missing\n") :]
            continue
        size = int(words[2])
        if any(line.startswith((b"<<<<<<< ", b">>>>>>> ")) for line in rest[:size].split(b"\n")):
            found.append(name)
        out = rest[size + 1 :]
    return found


def _parent(tree: Worktree, known: str, base: str, snapshot: Snapshot) -> tuple[str | None, str]:
    """Where the branch is, and the commit to go on from: the agent's own last one where it builds on the ticket's work."""
    repository = tree.repository
    branch, head = repository.commits(tree.ref, tree.head() or tree.ref)
    if branch is None:
        snapshot.notes.append(f"the branch {tree.branch} was gone and is put back")
    found = branch or known
    if head is not None and head != found:
        if repository.is_ancestor(found, head):
            found = head
        else:
            snapshot.notes.append(f"the worktree was not on {tree.branch}; its content is taken, its commits are not")
    if found != known and not repository.is_ancestor(base, found):
        snapshot.notes.append(f"the branch {tree.branch} was moved away from where it began and is put back")
        found = known
    return branch, found


def _write_tree(tree: Worktree, work: Path, parent: str, known: str, base: str) -> tuple[str, list[str]]:
    """The tree of what the worktree holds, and notes on it."""
    if tree.index.exists():
        replace(tree.index, work)
        try:
            return _Index(tree, work).fill(parent, base, read=parent != known)
        except GitFailed:
            # A damaged index: all of it can be had again from the branch and the worktree.
            work.unlink(missing_ok=True)
    return _Index(tree, work).fill(parent, base, read=True)


class _Index:
    """A private index on its way from what the branch holds to what the worktree holds."""

    def __init__(self, tree: Worktree, path: Path) -> None:
        self._tree = tree
        self._path = path
        self._notes: list[str] = []

    def fill(self, parent: str, base: str, *, read: bool) -> tuple[str, list[str]]:
        """Take everything in; gives the tree, and notes on what was left out or changed on the way."""
        if read:
            self._git("read-tree", "-m", parent)
        for _ in range(DEEPEST):
            self._follow()
            self._discover(parent)
            written = self._git("write-tree").text
            pointers = _new_submodules(self._tree.repository, base, written)
            if not pointers:
                return written, self._notes
            # Committed by the agent itself, or made while we looked: without the pointer its files are seen.
            self._drop(pointers)
        raise GitFailed(f"{self._tree.path} holds repositories that cannot be told from its files", "remove their .git")

    def _follow(self) -> None:
        """Take in what has become of the files that the index knows."""
        changed = self._git("diff-files", "-z", "--name-status", "--no-renames", "--ignore-submodules=all").fields
        pairs = list(zip(changed[::2], changed[1::2], strict=True))
        gone = [path for status, path in pairs if status == b"D" or self._is_folder(path)]
        self._drop(gone)
        self._add(set(path for _, path in pairs) - set(gone), new=False)

    def _discover(self, parent: str) -> None:
        """Take in new files, those within nested repositories too."""
        seeds: list[bytes] = []
        for _ in range(DEEPEST):
            others = self._git(
                "ls-files", "-z", "--others", "--exclude-standard", *(f"--exclude={pattern}" for pattern in litter())
            ).fields
            if len(others) > MANY:
                self._notes.append(f"{len(others):,} new files are committed")
            nested = [path for path in others if path.endswith(b"/")]
            self._add((path for path in others if not path.endswith(b"/")), new=True)
            if not nested:
                break
            # Git looks into a folder with a `.git` of its own once its index has a file in there.
            planted = [path + _SEED for path in nested]
            lines = b"".join(b"100644 %s 0\t%s\0" % (parent.encode(), seed) for seed in planted)
            self._git("update-index", "-z", "--index-info", stdin=lines)
            seeds += planted
            self._notes += [f"{_name(path)} is a repository of its own: its files are committed, not itself" for path in nested]
        self._drop(seeds)

    def _add(self, paths: Iterable[bytes], *, new: bool) -> None:
        taken = [path for path in paths if self._takes(path, new=new)]
        if taken:
            names = b"\0".join(taken) + b"\0"
            said = self._git("update-index", "-z", "--add", "--remove", "--replace", "--stdin", stdin=names).err
            refused = [line.removeprefix(_IGNORED) for line in said.split(b"\n") if line.startswith(_IGNORED)]
            self._notes += [f"{_name(path)} is left out: git takes no such name" for path in refused[:MOST_NOTES]]
            if len(refused) > MOST_NOTES:
                self._notes.append(f"{len(refused) - MOST_NOTES:,} more are left out: git takes no such names")

    def _drop(self, paths: Iterable[bytes]) -> None:
        listed = b"".join(path + b"\0" for path in paths)
        if listed:
            self._git("update-index", "-z", "--force-remove", "--stdin", stdin=listed)

    def _takes(self, path: bytes, *, new: bool) -> bool:
        place = self._place(path)
        try:
            found = place.lstat()
        except OSError:
            return not new  # it went away meanwhile
        if not stat.S_ISREG(found.st_mode):
            return stat.S_ISLNK(found.st_mode)
        if new and found.st_size > LARGEST:
            self._notes.append(f"{_name(path)} is left out: {found.st_size / 1e6:,.0f} MB is too large to commit")
            return False
        if not os.access(place, os.R_OK):
            self._notes.append(f"{_name(path)} is left out: it cannot be read")
            return False
        return True

    def _is_folder(self, path: bytes) -> bool:
        try:
            return stat.S_ISDIR(self._place(path).lstat().st_mode)
        except OSError:
            return False

    def _place(self, path: bytes) -> Path:
        return self._tree.path / os.fsdecode(path)

    def _git(self, *args: str, stdin: bytes | None = None) -> Answer:
        return self._tree.repository.git(*args, worktree=self._tree.path, index=self._path, stdin=stdin)


def _new_submodules(repository: Repository, base: str, tree: str) -> list[bytes]:
    """Pointers to other repositories that `tree` has and `base` has not."""
    fields = repository.git("diff-tree", "-r", "-z", "--raw", "--no-renames", "--ignore-submodules=none", base, tree).fields
    pairs = zip(fields[::2], fields[1::2], strict=True)
    return [path for raw, path in pairs if raw[8:14] == SUBMODULE and raw[1:7] != SUBMODULE]


def _name(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


@lru_cache
def litter() -> tuple[str, ...]:
    """`LITTER`, and what each harness leaves behind by its adapter's word."""
    return LITTER + tuple(sorted({pattern for name in adapters.HARNESSES for pattern in adapters.harness(name).litter}))
