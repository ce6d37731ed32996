"""A ticket's worktree: made, mended, given a merge to finish, removed.

What lies in the worktree, and in its own folder below the main git dir, may have been written by an agent: it is read as text
and never trusted to lead anywhere. Both are mended before each run.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from dispatcher.crashing import point
from dispatcher.errors import Conflict, GitFailed
from dispatcher.git import Repository
from dispatcher.merging import Merged, checked_out, merge_trees

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HEAD = re.compile(r"(?:ref: )?((?:refs/[^\s~^:?*\[\\]+)|[0-9a-f]{40}|[0-9a-f]{64})")


@dataclass(frozen=True)
class Worktree:
    """A worktree by its real path, its branch, and the index that our snapshots use: a file that no agent can write."""

    repository: Repository
    path: Path
    branch: str
    index: Path

    @property
    def ref(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self.branch}"

    @property
    def private(self) -> Path:
        """The git dir that an agent in a sandbox sees instead of the repository's."""
        return self.index.parent.parent / "gits" / self.index.name

    @property
    def admin(self) -> Path | None:
        """The worktree's own folder below the main git dir, None where git does not know the worktree."""
        wanted = self.path / ".git"
        # Git names it after the worktree's folder, with a number where that is taken.
        for entry in sorted((self.repository.git_dir / "worktrees").glob(f"{self.path.name}*")):
            if not entry.is_symlink() and read_line(entry / "gitdir") == str(wanted):
                return entry
        return None

    def tip(self) -> str | None:
        """The commit that the branch is at, from its file where it has one."""
        told = read_line(self.repository.git_dir / self.ref) or ""
        return told if _SHA.fullmatch(told) else self.repository.commit(self.ref)

    def start(self) -> str:
        """The commit that a branch just made is at."""
        found = self.tip()
        if found is None:
            raise GitFailed(f"git made no branch {self.branch}", "try again")
        return found

    def head(self) -> str | None:
        """What the worktree's HEAD names, a ref or a sha; None where an agent left something else there."""
        admin = self.admin
        found = _HEAD.fullmatch(read_line(admin / "HEAD") or "") if admin is not None else None
        return found[1] if found else None

    def merging(self) -> str | None:
        """The commit whose merge the worktree is in the middle of."""
        admin = self.admin
        return read_line(admin / "MERGE_HEAD") if admin is not None else None


def begin(tree: Worktree, start: str) -> None:
    """Make the worktree on a new branch at `start`, without its files yet; raises `GitFailed` where either exists."""
    tree.path.parent.mkdir(parents=True, exist_ok=True)
    options = ("--quiet", "--no-track", "--no-checkout", "-b", tree.branch)
    tree.repository.git("worktree", "add", *options, "--", str(tree.path), start, worktree=tree.path)


def fill(tree: Worktree) -> None:
    """Lay the files into a worktree that was begun, with an index of them for us and for the agent's git."""
    tree.index.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    tree.index.unlink(missing_ok=True)
    tree.repository.git("read-tree", "-m", "-u", tree.ref, worktree=tree.path, index=tree.index)
    share_index(tree)


def restore(tree: Worktree, known: str) -> None:
    """Make the worktree usable again, whatever has become of it; `known` is where the branch was last.

    Content that is there is kept. A deleted branch is put back, a deleted folder checked out again, a swapped `.git` replaced.
    """
    if tree.repository.commit(tree.ref) is None:
        tree.repository.set_branch(tree.branch, known, None, "dispatcher: restored")
    admin = tree.admin
    if tree.path.is_symlink():
        tree.path.unlink()
    if _aside(tree).is_dir() and not tree.path.exists():
        _aside(tree).rename(tree.path)
    if not tree.path.is_dir():
        _forget(admin)
        _register(tree)
        _seed_index(tree)
    elif admin is None:
        _adopt(tree)
    mend(tree)


def mend(tree: Worktree) -> None:
    """Put the files that tie worktree and repository together back to what git wrote; on our branch again."""
    admin = tree.admin
    if admin is None:
        return
    write_line(admin / "commondir", "../..")
    write_line(admin / "HEAD", f"ref: {tree.ref}")
    write_line(tree.path / ".git", f"gitdir: {admin}")


def remove(tree: Worktree) -> None:
    """Remove worktree, branch and index; what is gone already is fine. Raises `Conflict` while the user has the branch."""
    place = users_checkout(tree)
    if place is not None:
        raise Conflict(f"{tree.branch} is checked out in {place}", "switch it to another branch, then try again")
    admin = tree.admin
    try:
        private = (tree.private, *tree.private.parent.glob(f"{tree.private.name}.*"))
        for folder in (tree.path, _aside(tree), *([admin] if admin is not None else []), *private):
            remove_folder(folder)
            point("worktree.half_removed")
    except OSError as error:
        raise Conflict(f"{error.filename} cannot be removed: {error.strerror}", "remove it by hand, then try again") from error
    if tree.repository.commit(tree.ref) is not None:
        tree.repository.delete_branch(tree.branch)
    for path in (tree.index, *tree.index.parent.glob(f"{tree.index.name}.*")):
        path.unlink(missing_ok=True)


def users_checkout(tree: Worktree) -> Path | None:
    """Where the user has the ticket's branch checked out, if anywhere."""
    repository = tree.repository
    if repository.git("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).text == tree.ref:
        return repository.checkout
    return checked_out(repository, tree.branch, tree.path.parent.parent)


def lay_merge(tree: Worktree, theirs: str) -> list[str]:
    """Lay the merge of `theirs` into the worktree, which holds what its branch holds; gives the files in conflict.

    They hold conflict markers, and the agent's git sees a merge to be concluded. The next snapshot concludes it. Where this was
    cut short, `half_laid` tells, and it is done again.
    """
    repository = tree.repository
    ours = repository.commit(tree.ref)
    admin = tree.admin
    if ours is None or admin is None:
        raise GitFailed(f"the worktree {tree.path} is not ready for a merge", "try again")
    merged = merge_trees(repository, ours, theirs)
    again = half_laid(tree) == theirs
    write_line(_laying(tree), theirs)
    way = ("--reset", "-u", merged.tree) if again else ("-m", "-u", ours, merged.tree)
    repository.git("read-tree", *way, worktree=tree.path, index=tree.index)
    point("conflict.half_laid")
    _show_conflicts(tree, admin, merged)
    write_line(admin / "MERGE_MSG", f"Merge {theirs[:12]} into {tree.branch}")
    write_line(admin / "MERGE_HEAD", theirs)
    _laying(tree).unlink()
    return merged.files


def half_laid(tree: Worktree) -> str | None:
    """The commit whose merge was being laid in when that was cut short; what the worktree holds is not the agent's then."""
    return read_line(_laying(tree))


def conclude(tree: Worktree) -> None:
    """Let the agent's git know that there is no merge under way any more."""
    admin = tree.admin
    if admin is not None:
        for name in ("MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "AUTO_MERGE"):
            (admin / name).unlink(missing_ok=True)


def share_index(tree: Worktree) -> None:
    """Give the agent's git our index, so that its `git status` is right."""
    admin = tree.admin
    if admin is not None:
        replace(tree.index, admin / "index")


def replace(source: Path, target: Path) -> None:
    """Put a copy of a file in the place of another; times are kept, by which git knows what has changed since."""
    new = target.with_name(f"{target.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    shutil.copy2(source, new)
    new.replace(target)


def read_line(path: Path) -> str | None:
    """A small file's text, None where there is no plain file."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return os.fsdecode(file.read(4096)).strip()
    except OSError:
        return None


def write_line(path: Path, text: str) -> None:
    """Make a file hold that line, whatever is in its place; never through a link."""
    if read_line(path) == text:
        return
    if path.is_dir() and not path.is_symlink():
        remove_folder(path)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
        file.write(os.fsencode(text) + b"\n")
    new.replace(path)


def remove_folder(path: Path) -> None:
    """Remove a folder with all in it, also folders that forbid it (module caches do); a link is removed, not followed."""
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    for last in (False, False, True):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            if not path.exists():
                return  # else something else removes files in it at the same time
        except OSError as error:
            if last or error.errno not in (errno.EACCES, errno.EPERM, errno.ENOTEMPTY):
                raise
            for folder, _, _ in os.walk(path):
                Path(folder).chmod(stat.S_IRWXU)
        else:
            return


def _register(tree: Worktree, *options: str) -> None:
    tree.path.parent.mkdir(parents=True, exist_ok=True)
    tree.repository.git("worktree", "add", "--quiet", *options, "--", str(tree.path), tree.branch, worktree=tree.path)


def _adopt(tree: Worktree) -> None:
    """Register a folder that git has forgotten, keeping what is in it."""
    aside = _aside(tree)
    tree.path.rename(aside)
    try:
        _register(tree, "--no-checkout")
        if (aside / ".git").is_dir():
            remove_folder(aside / ".git")
        (tree.path / ".git").replace(aside / ".git")
        tree.path.rmdir()
    finally:
        if not tree.path.exists():
            aside.rename(tree.path)
    admin = tree.admin
    if admin is not None and tree.index.exists():
        replace(tree.index, admin / "index")


def _laying(tree: Worktree) -> Path:
    return tree.index.with_name(f"{tree.index.name}.laying")


def _aside(tree: Worktree) -> Path:
    return tree.path.with_name(f"{tree.path.name}.aside")


def _forget(admin: Path | None) -> None:
    if admin is not None:
        remove_folder(admin)


def _seed_index(tree: Worktree) -> None:
    admin = tree.admin
    if admin is None:
        raise GitFailed(f"git made no worktree at {tree.path}", "try again")
    tree.index.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace(admin / "index", tree.index)


def _show_conflicts(tree: Worktree, admin: Path, merged: Merged) -> None:
    """An index for the agent's git that has the sides of each file in conflict instead of the file."""
    shown = tree.index.with_name(f"{tree.index.name}.conflicts")
    replace(tree.index, shown)
    nothing = "0" * len(merged.tree)
    gone = b"".join(f"0 {nothing} 0\t".encode() + path + b"\0" for path in merged.paths)
    sides = b"".join(f"{side.mode} {side.sha} {side.number}\t".encode() + side.path + b"\0" for side in merged.stages)
    if gone:
        tree.repository.git("update-index", "-z", "--index-info", index=shown, stdin=gone + sides)
    replace(shown, admin / "index")
    shown.unlink()
