"""Looks for git repositories below a folder, for people to choose from."""

from __future__ import annotations

import os
import time
from pathlib import Path

DEEPEST = 4
MOST = 50
SECONDS = 2.0
"""How long it looks: a home folder may be on a network, and large."""

_SKIPPED = frozenset({"node_modules", "venv", "vendor", "target", "dist", "build", "snap", "Library", "go", "__pycache__"})


def find_repositories(root: Path, *, seconds: float = SECONDS) -> list[Path]:
    """Repositories below `root`, those changed last first; hidden folders and what packages unpack are not looked into.

    Looks no deeper than `DEEPEST` folders and no longer than `seconds`; folders that cannot be read are passed over.
    """
    deadline = time.monotonic() + seconds
    found: list[Path] = []
    level = [root]
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in level:
            if len(found) >= MOST or time.monotonic() > deadline:
                return sorted(found, key=_changed, reverse=True)
            if (folder / ".git").exists():
                found.append(folder)  # what lies within it belongs to it
            else:
                below += _folders(folder)
        level = below
    return sorted(found, key=_changed, reverse=True)


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [folder / name for name in sorted(names) if not name.startswith(".") and name not in _SKIPPED]


def _changed(folder: Path) -> float:
    """When something was last committed, staged or fetched there; 0 where that cannot be told."""
    try:
        return max((folder / ".git" / name).stat().st_mtime for name in ("HEAD", "index") if (folder / ".git" / name).exists())
    except (OSError, ValueError):
        return 0.0
