"""Changed files as a tree of folders; folders with nothing but one folder in them are one row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar


class Pathed(Protocol):
    """Something with a path."""

    @property
    def path(self) -> str:
        """Its path."""
        ...


T = TypeVar("T", bound=Pathed)


@dataclass
class Folder:
    """A folder with folders and files in it; `files` are what the tree was made of, with their last names."""

    name: str
    folders: list[Folder] = field(default_factory=list)
    files: list[tuple[str, object]] = field(default_factory=list)


def tree(files: Iterable[T]) -> Folder:
    """The files by their folders, in their order."""
    top = Folder("")
    known: dict[str, Folder] = {"": top}
    for file in files:
        folder, _, name = file.path.rpartition("/")
        _folder(folder, known).files.append((name, file))
    _join(top)
    return top


def _folder(path: str, known: dict[str, Folder]) -> Folder:
    missing = []
    while path not in known:
        missing.append(path)
        path = path.rpartition("/")[0]
    folder = known[path]
    for path in reversed(missing):
        known[path] = made = Folder(path.rpartition("/")[2])
        folder.folders.append(made)
        folder = made
    return folder


def _join(top: Folder) -> None:
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        for inner in folder.folders:
            while len(inner.folders) == 1 and not inner.files:
                only = inner.folders[0]
                inner.name, inner.folders, inner.files = f"{inner.name}/{only.name}", only.folders, only.files
        waiting += folder.folders
