"""How much each run changed: from the commit that it began at to the one that it left, by the object database."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock

from dispatcher.changes import Stats, stats
from dispatcher.errors import DispatcherError
from dispatcher.git import Repository, open_repository
from dispatcher.models import Run

MOST = 4096
"""Diffs whose numbers are kept: two commits always differ by the same."""

_known: OrderedDict[tuple[str, str, str], Stats] = OrderedDict()
_lock = Lock()


def run_stats(path: Path, rows: Iterable[Run]) -> dict[int, Stats]:
    """By the run's id, for those of the repository at `path` that have ended with a commit.

    Runs whose commits are gone, as after a discard, are left out.
    """
    found: dict[int, Stats] = {}
    repository: Repository | None = None
    for run in rows:
        if run.id is None or not run.base_sha or not run.head_sha:
            continue
        known = _kept((str(path), run.base_sha, run.head_sha))
        if known is None:
            try:
                repository = repository or open_repository(path)
                known = _keep((str(path), run.base_sha, run.head_sha), stats(repository, run.base_sha, run.head_sha))
            except DispatcherError:
                continue
        found[run.id] = known
    return found


def _kept(key: tuple[str, str, str]) -> Stats | None:
    with _lock:
        if key in _known:
            _known.move_to_end(key)
        return _known.get(key)


def _keep(key: tuple[str, str, str], value: Stats) -> Stats:
    with _lock:
        _known[key] = value
        while len(_known) > MOST:
            _known.popitem(last=False)
    return value
