"""Repositories for tests of git work."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.git import Person, Repository, open_repository
from dispatcher.snapshots import Snapshot, take
from dispatcher.worktrees import Worktree, begin, fill

AGENT = Person("coder (dispatcher)", "coder@dispatcher.invalid")


def git(folder: Path, *args: str) -> str:
    """Run git as a user or an agent would: it discovers the repository from the folder."""
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, f"git {args}: {done.stderr.decode(errors='replace')}"
    return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")


def begin_repository(folder: Path) -> Path:
    """A new repository with one commit on `main`."""
    folder.mkdir()
    (folder / "README.md").write_text("# Sample\n")
    for command in (["init", "-q", "-b", "main"], ["add", "README.md"], ["commit", "-q", "-m", "Begin"]):
        git(folder, *command)
    return folder


def commit(folder: Path, message: str = "Change", **files: str) -> str:
    """Write files (`a_txt` is a.txt) and commit all there is."""
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@dataclass
class Site:
    """A repository of the user's with one ticket's worktree, both below `root`."""

    root: Path
    checkout: Path
    key: str = "WEB-1"
    known: str = ""
    base: str = ""
    tree: Worktree = field(init=False)

    def __post_init__(self) -> None:
        path = self.root.resolve() / "worktrees" / "WEB" / self.key
        self.tree = Worktree(open_repository(self.checkout), path, f"agent/{self.key}", self.root / "indexes" / self.key)
        self.base = self.known = git(self.checkout, "rev-parse", "main")
        begin(self.tree, self.base)
        fill(self.tree)

    @property
    def repository(self) -> Repository:
        return self.tree.repository

    @property
    def path(self) -> Path:
        return self.tree.path

    def snapshot(self, merging: str | None = None) -> Snapshot:
        taken = take(self.tree, known=self.known, base=self.base, merging=merging, message="Work\n", author=AGENT)
        self.known = taken.head
        return taken

    def files(self, commit: str | None = None) -> list[str]:
        return git(self.checkout, "ls-tree", "-r", "--name-only", "-z", commit or self.known).split("\0")[:-1]

    def show(self, path: str, commit: str | None = None) -> str:
        return git(self.checkout, "cat-file", "blob", f"{commit or self.known}:{path}")
