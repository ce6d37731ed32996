"""What changed between two commits (or trees), read from the object database by their shas."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from pydantic import BaseModel, PrivateAttr

from dispatcher.git import Repository

TEXT_LIMIT = 2_000_000
"""Bytes of a diff's text that are given; a line says so where there is more."""
MOST_FILES = 5000
"""Changed files that are listed; a page of more helps nobody, and 200,000 took 12 s and 700 MB."""
BLOB_LIMIT = 5_000_000
"""Bytes of one file that are read, for showing lines around a change."""
NOTHING = "0" * 40
"""The blob of a side on which the file is not."""
Status = Literal["added", "modified", "deleted", "renamed", "copied", "type_changed"]
_STATUS: dict[str, Status] = {
    "A": "added",
    "M": "modified",
    "D": "deleted",
    "R": "renamed",
    "C": "copied",
    "T": "type_changed",
}
# Submodules are shown: a changed pointer is a change, and two trees are compared without looking into any repository.
_OPTIONS = ("-r", "-M", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none", "--submodule=short")
_NO_SPACE = ("--ignore-all-space",)
_LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}
"""Names of files are names: none of their characters means anything."""


class Care(BaseModel):
    """Why a file deserves care, in words; `kind` for programs."""

    kind: str
    text: str


class FileChange(BaseModel):
    """One changed file. Modes are git's (100644, 100755, 120000 a link, 160000 a submodule, 000000 none)."""

    id: str = ""
    """The digest of its path, for addresses: a path may be no text at all."""
    path: str
    old_path: str | None = None
    status: Status
    additions: int = 0
    deletions: int = 0
    binary: bool = False
    old_mode: str
    new_mode: str
    old_blob: str = NOTHING
    new_blob: str = NOTHING
    care: list[Care] = []
    """Why it deserves care; empty where nothing speaks for it."""
    _paths: tuple[bytes, ...] = PrivateAttr(())
    _skipped: int = PrivateAttr(0)

    @property
    def skipped(self) -> int:
        """How many sections a patch has before its own for files that are not listed."""
        return self._skipped

    @property
    def renamed(self) -> bool:
        """Whether it has another name than before."""
        return self.old_path is not None and self.old_path != self.path

    @property
    def mode_changed(self) -> bool:
        """Whether it is on both sides, with another mode."""
        return self.old_mode != self.new_mode and "000000" not in (self.old_mode, self.new_mode)


class Stats(BaseModel):
    """A diff in three numbers."""

    files: int = 0
    additions: int = 0
    deletions: int = 0


class Diff(BaseModel):
    """The changes from `base_sha` to `head_sha`; `text` is a unified diff, cut where `truncated`."""

    base_sha: str
    head_sha: str
    stats: Stats
    files: list[FileChange]
    text: str
    truncated: bool = False
    notes: list[str] = []
    """What to know of the range, where it is not the whole branch."""


def compare(repository: Repository, base: str, head: str, limit: int = TEXT_LIMIT, *, ignore_space: bool = False) -> Diff:
    """Everything that changed from `base` to `head`."""
    files = changed_files(repository, base, head, ignore_space=ignore_space)
    out, truncated = patch(repository, base, head, limit, ignore_space=ignore_space)
    if truncated:
        out += b"[the rest of this diff is left out: it is longer than %d bytes]\n" % limit
    text = out.decode("utf-8", "replace")
    total = totals(repository, base, head, ignore_space=ignore_space)
    notes = [unlisted(total, len(files))] if total.files > len(files) else []
    return Diff(base_sha=base, head_sha=head, stats=total, files=files, text=text, truncated=truncated, notes=notes)


def stats(repository: Repository, base: str, head: str) -> Stats:
    """The numbers alone."""
    return totals(repository, base, head)


def patch(
    repository: Repository, base: str, head: str, limit: int, *more: str, ignore_space: bool = False
) -> tuple[bytes, bool]:
    """The whole patch up to `limit` bytes, in whole lines, and whether it was cut; `more` are further options of git's."""
    options = (*_OPTIONS, *(_NO_SPACE if ignore_space else ()), *more)
    return _whole(repository.git("diff-tree", "-p", *options, base, head, limit=limit).out, limit)


def file_patch(
    repository: Repository, base: str, head: str, file: FileChange, limit: int, *, ignore_space: bool = False
) -> tuple[bytes, bool]:
    """The patch of one file of `changed_files`, up to `limit` bytes, in whole lines, and whether it was cut."""
    options = (*_OPTIONS, *(_NO_SPACE if ignore_space else ()))
    args = ("diff-tree", "-p", *options, base, head, "--", *file._paths)
    return _whole(repository.git(*args, env=_LITERAL, limit=limit).out, limit)


def changed_files(repository: Repository, base: str, head: str, *, ignore_space: bool = False) -> list[FileChange]:
    """The changed files, `MOST_FILES` at the most, in the order of their names.

    A name that is no UTF-8 has its odd bytes written as \\xNN.
    What two commits differ in never changes, so that the last answers are kept.
    """
    return [file.model_copy() for file in _changed_files(repository, base, head, ignore_space)[0]]


def totals(repository: Repository, base: str, head: str, *, ignore_space: bool = False) -> Stats:
    """The numbers of all changed files, also of those that are not listed."""
    return _changed_files(repository, base, head, ignore_space)[1].model_copy()


def unlisted(total: Stats, listed: int) -> str:
    """What a reviewer has to know where not all files are listed."""
    return (
        f"{total.files:,} files are changed, and {listed:,} of them are listed: those that were there before, then new ones;"
        " the rest is to be seen with git alone"
    )


def blob(repository: Repository, sha: str, limit: int = BLOB_LIMIT) -> bytes:
    """A file's content by its blob's sha, up to `limit` bytes; empty for a side on which the file is not."""
    if sha == NOTHING:
        return b""
    return repository.git("cat-file", "blob", sha, limit=limit).out


@lru_cache(maxsize=32)
def lines_of(repository: Repository, sha: str) -> tuple[str, ...]:
    """A file's lines by its blob's sha, without their ends; what is no UTF-8 is replaced."""
    text = blob(repository, sha).decode("utf-8", "replace")
    # Not splitlines(): a form feed within a line would cut it in two.
    return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")) if text else ()


def file_id(path: bytes) -> str:
    """The digest of a path, as it stands in addresses and for viewed marks."""
    return hashlib.sha256(path).hexdigest()[:16]


class _Row(NamedTuple):
    """One entry of git's raw list: modes, blobs and status as it writes them, and the file's names."""

    raw: bytes
    paths: tuple[bytes, ...]

    @property
    def added(self) -> bool:
        return self.raw.endswith(b" A")


@lru_cache(maxsize=64)
def _changed_files(repository: Repository, base: str, head: str, ignore_space: bool) -> tuple[tuple[FileChange, ...], Stats]:
    """The files that are listed, and the numbers of all."""
    options = (*_OPTIONS, *(_NO_SPACE if ignore_space else ()))
    out = repository.git("diff-tree", "-z", "--raw", "--no-abbrev", "--numstat", *options, base, head)
    fields = iter(out.fields)
    rows: dict[bytes, _Row] = {}
    counts: dict[bytes, tuple[bytes, bytes]] = {}
    for field in fields:
        if field.startswith(b":"):
            path = next(fields)
            moved = field.rpartition(b" ")[2][:1] in (b"R", b"C")
            paths = (path, next(fields)) if moved else (path,)
            rows[paths[-1]] = _Row(field, paths)
        else:
            added, deleted, name = field.split(b"\t", 2)
            if not name:  # a rename: its two names follow as fields of their own
                next(fields)
                name = next(fields)
            counts[name] = (added, deleted)
    numbers = [pair for pair in counts.values() if pair[0] != b"-"]
    total = Stats(files=len(rows), additions=sum(int(one) for one, _ in numbers), deletions=sum(int(one) for _, one in numbers))
    return tuple(_listed(rows, counts)), total


def _listed(rows: dict[bytes, _Row], counts: dict[bytes, tuple[bytes, bytes]]) -> Iterator[FileChange]:
    """The first `MOST_FILES`, and what is changed before what is new, so that no flood of new files hides a change."""
    kept = set(sorted(rows, key=lambda name: rows[name].added)[:MOST_FILES]) if len(rows) > MOST_FILES else rows.keys()
    skipped = 0
    for name, row in rows.items():
        if name in kept:
            yield _change(row, counts.get(name, (b"0", b"0")), skipped)
            skipped = 0
        else:
            skipped += 2 if row.raw.endswith(b" T") else 1


def _change(row: _Row, counts: tuple[bytes, bytes], skipped: int) -> FileChange:
    old_mode, new_mode, old, new, letter = row.raw.decode()[1:].split(" ")
    change = FileChange(
        id=file_id(row.paths[-1]),
        path=_name(row.paths[-1]),
        old_path=_name(row.paths[0]) if len(row.paths) > 1 else None,
        status=_STATUS[letter[0]],
        old_mode=old_mode,
        new_mode=new_mode,
        old_blob=old,
        new_blob=new,
    )
    if counts[0] == b"-":
        change.binary = True
    else:
        change.additions, change.deletions = int(counts[0]), int(counts[1])
    change._paths, change._skipped = row.paths, skipped
    return change


def _whole(out: bytes, limit: int) -> tuple[bytes, bool]:
    return (out[: out.rfind(b"\n") + 1], True) if len(out) >= limit else (out, False)


def _name(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
