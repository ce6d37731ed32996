"""The git dir that an agent sees: its own, made from the repository's, with the repository's objects to read.

Within a sandbox it lies where the worktree's `.git` leads, so that git works there as ever: status, diff, commit, branches.
It is made anew before each command, and thrown away after the agent's commits were taken over. So the agent can neither move a
ref of the repository's nor spoil an object, and no setting or hook of its making is ever met by git on the host: even what is
taken over, stashes too, is packed inside the sandbox, and checked by `index-pack --strict` on its way in.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from dispatcher.errors import GitFailed
from dispatcher.git import Repository
from dispatcher.worktrees import Worktree, conclude, read_line, remove_folder, write_line
from workers import stashes
from workers.sandbox.box import LANDLOCK, STRICT, Box, Laid
from workers.sandbox.reasons import Refused
from workers.sandbox.start import Command, run
from workers.stashes import Stash

LARGEST = 512 * 1024 * 1024
"""Bytes of commits that are taken over at once."""
SECONDS = 120.0
SETTINGS = ("autocrlf", "eol", "filemode", "ignorecase", "precomposeunicode", "safecrlf", "symlinks")
"""Those of the repository's own `core` settings that decide how files are compared."""
SHOWN = ("refs/heads/", "refs/tags/", "refs/remotes/")
"""The refs that an agent sees."""
_LINE = 10_000
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHAS = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})? ([0-9a-f]{40}|[0-9a-f]{64})?")
_PACK = f"""
head=$(git rev-parse --verify --quiet 'HEAD^{{commit}}') || head=
branch=$(git rev-parse --verify --quiet "$1^{{commit}}") || branch=
stashes=$(git reflog show -n {stashes.MOST} --format='%H %gs' {stashes.REF}) || stashes=
kept=$(printf '%s\\n' "$stashes" | cut -d ' ' -f 1)
[ -z "$kept" ] || git rev-list --quiet --objects $kept "^$2" || stashes= kept=
printf '%s\\n' "$head $branch" "$stashes" .
[ -z "$head$branch$kept" ] ||
  printf '%s\\n' $head $branch $kept "^$2" | git pack-objects -q --revs --stdout --local --delta-base-offset
"""


@dataclass(frozen=True)
class GitDir:
    """One workspace's."""

    tree: Worktree

    @property
    def path(self) -> Path:
        """Where it lies on the machine."""
        return self.tree.private

    @property
    def stamp(self) -> Path:
        """Says where the branch was when the git dir was made; no agent can write it."""
        return self.path.with_name(f"{self.path.name}.made")

    @property
    def stashes(self) -> Path:
        """Says which stashes were taken over; no agent can write it."""
        return self.path.with_name(f"{self.path.name}.stashes")

    def make(self) -> None:
        """Make it anew from what the repository and the worktree's own folder there hold. Raises `GitFailed`."""
        admin, head = self.tree.admin, self.tree.tip()
        if admin is None or head is None:
            raise GitFailed(f"the worktree {self.tree.path} is not ready", "try again")
        new = self.path.with_name(f"{self.path.name}.new")
        remove_folder(new)
        for folder in ("objects/info", "objects/pack", f"refs/heads/{Path(self.tree.branch).parent}", "info"):
            (new / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fill(new, admin, head)
        # Clones of submodules lie in it, as they do in git's own worktrees.
        modules = self.path / "modules"
        if modules.is_dir() and not modules.is_symlink():
            modules.rename(new / "modules")
        remove_folder(self.path)
        new.rename(self.path)
        write_line(self.stamp, head)

    def follow(self) -> None:
        """Take the index over again: before the command begins, and once the worktree's files are there."""
        admin = self.tree.admin
        _copy(admin / "index", self.path / "index") if admin is not None else None

    def enter(self, box: Box) -> Box:
        """The box with this git dir in it."""
        admin = self.tree.admin
        if admin is None:
            raise GitFailed(f"the worktree {self.tree.path} is not ready", "try again")
        box = box.with_read(*_stores(self.tree.repository.git_dir / "objects"))
        if box.tier == LANDLOCK:
            # Without mounts of its own the way to it has to be another; the next snapshot puts it back.
            write_line(self.tree.path / ".git", f"gitdir: {self.path}")
            return box.with_write(self.path)
        # The file that leads there is fixed, so that it cannot be swapped.
        return Box(box.tier, (*box.read, self.tree.path / ".git"), box.write, (*box.laid, Laid(self.path, admin)))

    def touched(self) -> bool:
        """Whether commits or stashes were made in it, or another branch was checked out."""
        made = read_line(self.stamp)
        if made is None or not self.path.is_dir():
            return False
        if stashes.seen(self.path) != [one.sha for one in stashes.kept(self.stashes)]:
            return True
        return read_line(self.path / "HEAD") != f"ref: {self.tree.ref}" or read_line(self.path / self.tree.ref) != made

    async def collect(self, tier: str, folder: Path, marker: str) -> list[str]:
        """Take over what the agent committed: its branch moves with it. Gives notes on what could not be taken.

        `folder` is for what git prints. What is not taken is lost as commits, but not as content: that lies in the worktree.
        """
        if not await asyncio.to_thread(self.touched):
            await asyncio.to_thread(self._heed_merge)
            return []
        packed = folder / "commits.pack"
        packed.unlink(missing_ok=True)
        try:
            await self._pack(tier, packed, folder, marker)
            notes = await asyncio.to_thread(self._take, packed)
        except (GitFailed, Refused, TimeoutError) as error:
            notes = [f"the agent's commits are left out, their content is taken: {error}"]
        finally:
            packed.unlink(missing_ok=True)
        await asyncio.to_thread(self._heed_merge)
        write_line(self.stamp, read_line(self.path / self.tree.ref) or "")
        return notes

    async def _pack(self, tier: str, packed: Path, folder: Path, marker: str) -> None:
        """Let git inside a sandbox write the commits, for what it reads may be made to deceive it."""
        made = read_line(self.stamp) or ""
        box = self.enter(Box(tier))
        seen = self.tree.admin if tier == STRICT else self.path
        command = Command(
            ("/bin/sh", "-c", f"ulimit -f {LARGEST // 512}; {_PACK}", "sh", self.tree.ref, made),
            {"PATH": os.defpath, "HOME": os.devnull, "GIT_DIR": str(seen), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"},
            Path("/"),
            packed,
            folder / "commits.log",
        )
        async with asyncio.timeout(SECONDS), run(box, command, marker=marker) as process:
            if await process.wait():
                raise GitFailed("git could not pack them")

    def _take(self, packed: Path) -> list[str]:
        with packed.open("rb") as file:
            lines = list(_head(file))
            found = _SHAS.fullmatch(lines[0]) if lines else None
            pack = file.read(LARGEST + 1)
        if found is None or len(pack) > LARGEST:
            raise GitFailed("what git wrote is no pack, or too large")
        head, branch = found.groups()
        repository = self.tree.repository
        if int.from_bytes(pack[8:12], "big"):
            repository.git("index-pack", "--strict", "--stdin", stdin=pack)
        stashes.keep(self.stashes, self._there(stashes.parse(lines[1:])))
        now, taken, there = repository.commits(self.tree.ref, branch or "-", head or "-")
        notes = []
        if taken is not None and taken != now:
            made = read_line(self.stamp)
            if now is None or now == made or repository.is_ancestor(now, taken):
                repository.set_branch(self.tree.branch, taken, now, "dispatcher: the agent's commits")
            else:
                notes.append(f"{self.tree.branch} was moved meanwhile by somebody else: the agent's commits are left out")
        admin = self.tree.admin
        if admin is not None and there is not None and there != taken:
            write_line(admin / "HEAD", there)
        return notes

    def _there(self, found: list[Stash]) -> list[Stash]:
        """Those whose commits the repository has."""
        commits = self.tree.repository.commits(*(one.sha for one in found)) if found else []
        return [one for one, commit in zip(found, commits, strict=True) if commit == one.sha]

    def _heed_merge(self) -> None:
        """A merge that the agent has concluded or given up is no longer under way."""
        merging = self.tree.merging()
        if merging is not None and self.path.is_dir() and read_line(self.path / "MERGE_HEAD") != merging:
            conclude(self.tree)

    def _fill(self, new: Path, admin: Path, head: str) -> None:
        repository = self.tree.repository
        (new / "HEAD").write_text(f"ref: {self.tree.ref}\n")
        (new / self.tree.ref).write_text(f"{head}\n")
        (new / "packed-refs").write_text("\n".join(_refs(repository, self.tree.ref)) + "\n", "utf-8", "surrogateescape")
        (new / "config").write_text(_config(repository, len(head)))
        (new / "objects/info/alternates").write_bytes(os.fsencode(repository.git_dir / "objects") + b"\n")
        _copy(admin / "index", new / "index") or _copy(self.tree.index, new / "index")
        for name in ("shallow", "info/exclude", "info/attributes"):
            _copy(repository.git_dir / name, new / name)
        stashes.lay(new, self._there(stashes.kept(self.stashes)))
        for name in ("MERGE_HEAD", "MERGE_MSG"):
            if (text := read_line(admin / name)) is not None:
                (new / name).write_text(text + "\n", "utf-8", "surrogateescape")


def _head(file: BinaryIO) -> Iterator[str]:
    """What `_PACK` prints before the pack: lines up to one with a dot."""
    for _ in range(stashes.MOST + 3):
        line = os.fsdecode(file.readline(_LINE)).rstrip("\n")
        if line == ".":
            return
        yield line


def _refs(repository: Repository, own: str) -> Iterator[str]:
    """The file packed-refs: branches, tags and remote branches, without those of tickets."""
    tickets = own.rpartition("/")[0] + "/"
    found = _listed(repository) if (repository.git_dir / "reftable").exists() else _read(repository.git_dir)
    yield from (f"{sha} {name}" for name, sha in sorted(found.items()) if not name.startswith(tickets))


def _read(git_dir: Path) -> dict[str, str]:
    """The refs from their files, which takes no process; a file of its own goes before the packed (gitrepository-layout(5))."""
    found: dict[str, str] = {}
    with contextlib.suppress(FileNotFoundError):
        for line in (git_dir / "packed-refs").read_text("utf-8", "surrogateescape").splitlines():
            sha, _, name = line.partition(" ")
            if _SHA.fullmatch(sha) and name.startswith(SHOWN):
                found[name] = sha
    for folder in SHOWN:
        for path in (git_dir / folder).rglob("*"):
            sha = read_line(path) or ""
            if _SHA.fullmatch(sha):
                found[path.relative_to(git_dir).as_posix()] = sha
    return found


def _listed(repository: Repository) -> dict[str, str]:
    lines = repository.git("for-each-ref", "--format=%(objectname) %(refname)", *SHOWN).text.splitlines()
    return {name: sha for sha, _, name in (line.partition(" ") for line in lines)}


def _config(repository: Repository, length: int) -> str:
    values = _core(repository, *(_changed(repository.git_dir / name) for name in ("config", "config.worktree")))
    kept = [f"\t{name} = {values[f'core.{name}']}" for name in SETTINGS if values.get(f"core.{name}", "").isalnum()]
    version, format = ("1", ["[extensions]", "\tobjectformat = sha256"]) if length == 64 else ("0", [])
    lines = ["[core]", f"\trepositoryformatversion = {version}", "\tbare = false", "\tlogallrefupdates = true", *kept, *format]
    return "\n".join([*lines, "[gc]", "\tauto = 0", ""])


@lru_cache(maxsize=64)
def _core(repository: Repository, *changed: float) -> dict[str, str]:
    """The repository's `core` settings, which are asked for once until its configuration changes."""
    answer = repository.git("config", "--null", "--get-regexp", r"^core\.", ok=(0, 1))
    return dict(os.fsdecode(field).partition("\n")[::2] for field in answer.fields)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _stores(objects: Path) -> list[Path]:
    """The repository's objects, and those that it borrows (gitrepository-layout(5), objects/info/alternates)."""
    found: dict[Path, None] = {}
    waiting = [objects]
    while waiting:
        store = waiting.pop()
        if store in found or not store.is_dir():
            continue
        found[store] = None
        try:
            lines = (store / "info/alternates").read_text("utf-8", "surrogateescape").splitlines()
        except OSError:
            continue
        waiting += [Path(os.path.normpath(store / line)) for line in lines if line and not line.startswith("#")]
    return list(found)


def _copy(source: Path, target: Path) -> bool:
    """Copy a plain file, with its times, by which git knows what has changed; a link is not followed."""
    try:
        if not stat.S_ISREG(source.lstat().st_mode):
            return False
    except OSError:
        return False
    shutil.copy2(source, target)
    return True
