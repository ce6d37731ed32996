"""Names and numbers of files and branches with which an agent could deceive: odd ones, and very many."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dispatcher import changes, snapshots
from dispatcher.errors import DispatcherError
from dispatcher.inspection import inspect
from dispatcher.projects import add_project
from tests.board import Board
from tests.gitting import Site


@pytest.fixture
def site(repository: Path, tmp_path: Path) -> Site:
    return Site(tmp_path, repository)


NAMES = [
    b"new\nline",
    b"-rf",
    b"--output=x",
    b"'; touch x; '",
    b'"quoted"',
    b"\xff\xfe",
    b" space ",
    b"*",
    b":(top)x",
    b"a\\b",
    b"$HOME",
]


def test_odd_names(site: Site) -> None:
    for name in NAMES:
        (site.path / os.fsdecode(name)).write_text("x\n")
    site.snapshot()
    assert sorted(site.files()) == sorted(["README.md", *(os.fsdecode(name) for name in NAMES)])
    diff = changes.compare(site.repository, site.base, site.known)
    assert diff.stats.additions == len(NAMES) and len(diff.files) == len(NAMES) and diff.model_dump_json()
    for name in NAMES:
        (site.path / os.fsdecode(name)).unlink()
    site.snapshot()
    assert site.files() == ["README.md"]


def test_a_default_branch_that_is_an_option_or_an_expression(repository: Path, tmp_path: Path) -> None:
    board = Board.make(f"sqlite:///{tmp_path / 'dispatcher.db'}")
    for branch in (
        "-x",
        "--upload-pack=x",
        "a..b",
        "refs/heads/main",
        "HEAD",
        "@{-1}",
        "main:README.md",
        "a\nb",
        "main^{tree}",
    ):
        with pytest.raises(DispatcherError) as caught, board.database.transaction() as db:
            add_project(db, path=str(repository), key="ODD", default_branch=branch)
        assert caught.value.field == "default_branch"
    board.database.close()


def test_a_flood_of_files_is_bounded_and_told_and_hides_no_change(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_FILES", 50)
    monkeypatch.setattr(snapshots, "MANY", 50)
    for name in ("README.md", *(f"A{number}" for number in range(100))):
        (site.path / name).write_text("changed\n")
    taken = site.snapshot()
    assert taken.notes == ["100 new files are committed"]
    diff = changes.compare(site.repository, site.base, site.known)
    assert (len(diff.files), diff.stats.files, diff.stats.additions) == (50, 101, 101)
    assert "101 files are changed, and 50" in diff.notes[0] and "README.md" in {file.path for file in diff.files}


def test_the_parts_of_a_patch_stay_with_their_files_where_some_are_not_listed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("A1", "A2", "A3"):
        (site.path / name).write_text("new\n")
    (site.path / "README.md").write_text("hid\u202eden\n")
    monkeypatch.setattr(changes, "MOST_FILES", 2)
    site.snapshot()
    listed = changes.changed_files(site.repository, site.base, site.known)
    assert [(file.path, file.skipped) for file in listed] == [("A1", 0), ("README.md", 2)]
    looked = {file.path: [care.kind for care in file.care] for file in inspect(site.repository, site.base, site.known)}
    assert looked == {"README.md": ["hidden"], "A1": []}
