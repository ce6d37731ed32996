"""What changed between two commits (or trees), read from the object database by their shas."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, PrivateAttr

from dispatcher.git import Repository

TEXT_LIMIT = 2_000_000
"""Bytes of a diff's text that are given; a line says so where there is more."""
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
    return Diff(base_sha=base, head_sha=head, stats=sum_of(files), files=files, text=text, truncated=truncated)


def stats(repository: Repository, base: str, head: str) -> Stats:
    """The numbers alone."""
    return sum_of(changed_files(repository, base, head))


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
    """The changed files, in the order of their names; a name that is no UTF-8 has its odd bytes written as \\xNN.

    What two commits differ in never changes, so that the last answers are kept.
    """
    return [file.model_copy() for file in _changed_files(repository, base, head, ignore_space)]


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


def sum_of(files: list[FileChange]) -> Stats:
    """A diff in three numbers."""
    return Stats(
        files=len(files),
        additions=sum(change.additions for change in files),
        deletions=sum(change.deletions for change in files),
    )


@lru_cache(maxsize=64)
def _changed_files(repository: Repository, base: str, head: str, ignore_space: bool) -> tuple[FileChange, ...]:
    options = (*_OPTIONS, *(_NO_SPACE if ignore_space else ()))
    out = repository.git("diff-tree", "-z", "--raw", "--no-abbrev", "--numstat", *options, base, head)
    fields = iter(out.fields)
    files: dict[bytes, FileChange] = {}
    for field in fields:
        if field.startswith(b":"):
            _raw(field, fields, files)
        else:
            _count(field, fields, files)
    return tuple(files.values())


def _raw(field: bytes, fields: Iterator[bytes], files: dict[bytes, FileChange]) -> None:
    old_mode, new_mode, old, new, letter = field.decode()[1:].split(" ")
    status = _STATUS[letter[0]]
    path = next(fields)
    paths: tuple[bytes, ...] = (path,)
    if status in ("renamed", "copied"):
        paths = (path, next(fields))
    files[paths[-1]] = change = FileChange(
        id=file_id(paths[-1]),
        path=_name(paths[-1]),
        old_path=_name(path) if len(paths) > 1 else None,
        status=status,
        old_mode=old_mode,
        new_mode=new_mode,
        old_blob=old,
        new_blob=new,
    )
    change._paths = paths


def _count(field: bytes, fields: Iterator[bytes], files: dict[bytes, FileChange]) -> None:
    added, deleted, name = field.split(b"\t", 2)
    if not name:  # a rename: its two names follow as fields of their own
        next(fields)
        name = next(fields)
    change = files[name]
    if added == b"-":
        change.binary = True
    else:
        change.additions, change.deletions = int(added), int(deleted)


def _whole(out: bytes, limit: int) -> tuple[bytes, bool]:
    return (out[: out.rfind(b"\n") + 1], True) if len(out) >= limit else (out, False)


def _name(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
