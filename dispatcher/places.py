"""Where a ticket's work lies, by its workspace's row.

The data folder holds `worktrees/PROJECT/KEY`, `homes/KEY` (the private HOME), `gits/KEY` (the git dir that a
sandboxed agent sees), `indexes/KEY` (of our snapshots) and `runs/ID`.
"""

from __future__ import annotations

from pathlib import Path

from dispatcher.git import open_repository
from dispatcher.models import Project, Workspace
from dispatcher.settings import Settings
from dispatcher.worktrees import Worktree

BRANCHES = "agent"
"""The folder of our branches."""


def branch_of(key: str) -> str:
    """The branch of a ticket."""
    return f"{BRANCHES}/{key}"


def new_places(settings: Settings, project_key: str, key: str) -> tuple[Path, Path]:
    """A ticket's worktree and private HOME, by their real paths: git writes those down."""
    root = settings.home.resolve()
    return root / "worktrees" / project_key / key, root / "homes" / key


def data_folder(place: Workspace) -> Path:
    """The data folder that the workspace is in."""
    return Path(place.home).parent.parent


def worktree_of(project: Project, place: Workspace) -> Worktree:
    """The workspace's worktree; raises `Invalid` when the project's repository is not there."""
    index = data_folder(place) / "indexes" / Path(place.home).name
    return Worktree(open_repository(Path(project.path)), Path(place.path), place.branch, index)
