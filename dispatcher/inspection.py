"""A range's changed files with what is to be known of each before it is read: why it deserves care."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from dispatcher import care
from dispatcher.changes import NOTHING, Care, FileChange, changed_files, patch
from dispatcher.git import Repository

SCANNED = 16_000_000
"""Bytes of a range's patch that are looked through."""


def inspect(repository: Repository, base: str, head: str, *, ignore_space: bool = False) -> list[FileChange]:
    """The changed files in the order of a review: those that deserve care first, each with its reasons."""
    why = _reasons(repository, base, head)
    files = changed_files(repository, base, head, ignore_space=ignore_space)
    for file in files:
        file.care = list(why.get(file.id, ()))
    return care.first(files)


@lru_cache(maxsize=64)
def _reasons(repository: Repository, base: str, head: str) -> dict[str, list[Care]]:
    files = changed_files(repository, base, head)
    sizes = _sizes(repository, [file.new_blob for file in files if file.binary or file.status == "added"])
    changed = {file.path for file in files}
    out, cut = patch(repository, base, head, SCANNED, "--unified=0")
    texts = dict(zip((file.id for file in files), _texts(files, out, cut), strict=False))
    unread = care.Text(whole=False)
    found = {
        file.id: care.reasons(file, texts.get(file.id, unread), size=sizes.get(file.new_blob), changed=changed)
        for file in files
    }
    return {name: reasons for name, reasons in found.items() if reasons}


def _texts(files: list[FileChange], out: bytes, cut: bool) -> Iterator[care.Text]:
    """What each file adds and removes: files and patch come from the same walk of git's, in the same order."""
    parts = cut_at_files(out)
    for number, file in enumerate(files):
        del parts[: file.skipped]
        taken = [parts.pop(0) for _ in range(min(sections_of(file), len(parts)))]
        if not taken:
            return
        last = cut and not parts and number < len(files)
        hunks = b"\n".join(part.partition(b"\n@@ ")[2] for part in taken)
        lines = hunks.decode("utf-8", "replace").split("\n")
        added, removed = ("\n".join(line[1:] for line in lines if line[:1] == sign) for sign in "+-")
        yield care.Text(added, removed, whole=not last)


def cut_at_files(out: bytes) -> list[bytes]:
    """A patch cut at its files. No line of a file's content begins like that: each has its sign before it."""
    parts = out.split(b"\ndiff --git ")
    return [parts[0].removeprefix(b"diff --git "), *parts[1:]] if out.startswith(b"diff --git ") else []


def sections_of(file: FileChange) -> int:
    """How many sections of a patch are a file's: one that was a link and is a file now is shown as removed, then as added."""
    return 2 if file.status == "type_changed" else 1


def _sizes(repository: Repository, blobs: list[str]) -> dict[str, int]:
    wanted = "".join(f"{sha}\n" for sha in dict.fromkeys(blobs) if sha != NOTHING)
    if not wanted:
        return {}
    lines = repository.git("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=wanted.encode()).text
    found = (line.split(" ") for line in lines.splitlines())
    return {words[0]: int(words[2]) for words in found if len(words) == 3 and words[1] == "blob"}
