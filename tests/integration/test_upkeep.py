"""What is kept for how long, and that no work goes without a word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import func, select

from dispatcher import activity, board, review, runs
from dispatcher.models import Activity, Run, SessionRow, Ticket, Workspace, utcnow
from dispatcher.upkeep import SIZES, tidy
from tests.desk import Desk
from tests.gitting import git
from tests.integration.cli import Cli


@pytest.fixture
def desk(tmp_path: Path, database_url: str, repository: Path) -> Iterator[Desk]:
    desk = Desk.make(tmp_path, database_url, repository)
    yield desk
    desk.database.close()


def age(desk: Desk, model: type[Any], name: str, days: int) -> None:
    with desk.database.transaction() as db:
        for row in db.exec(select(model)):
            setattr(row, name, utcnow() - timedelta(days=days))
            db.add(row)


def log_of(desk: Desk, run: Run, size: int = 1000) -> Path:
    folder = desk.settings.runs / str(run.id)
    folder.mkdir(parents=True)
    (folder / "stdout").write_bytes(b"x" * size)
    return folder


def worked(desk: Desk, **files: str) -> tuple[str, Workspace]:
    key = desk.file()
    place = desk.work(**files)
    Path(place.home).mkdir(parents=True, exist_ok=True)
    (Path(place.home) / "store.db").write_bytes(b"s" * 500)
    return key, place


def test_logs_go_by_age_and_those_of_live_runs_never(desk: Desk) -> None:
    desk.file()
    old = desk.claim()
    folder = log_of(desk, old)
    age(desk, Run, "ended_at", 100)
    assert tidy(desk.database, desk.settings).gone == []
    desk.prepare(old)
    desk.finish(old, "no_changes")
    assert tidy(desk.database, desk.settings).gone == []
    age(desk, Run, "ended_at", 89)
    assert tidy(desk.database, desk.settings).gone == []
    age(desk, Run, "ended_at", 90)
    looked = tidy(desk.database, desk.settings, dry=True)
    assert folder.exists()
    done = tidy(desk.database, desk.settings)
    for found in (looked, done):
        assert [(one.kind, one.what, one.size, one.because) for one in found.gone] == [
            ("log", f"run {old.id}", 1000, "ended 90 days ago")
        ]
    assert not folder.exists() and tidy(desk.database, desk.settings).gone == []


def test_the_oldest_logs_go_where_all_take_too_much_room(desk: Desk) -> None:
    folders = []
    for _ in range(3):
        desk.file()
        run = desk.claim()
        desk.prepare(run)
        desk.finish(run, "no_changes")
        folders.append(log_of(desk, run, 4000))
    settings = desk.settings.model_copy(update={"keep_logs_gb": 9e-6})
    assert [one.because for one in tidy(desk.database, settings).gone] == ["logs take more than 9e-06 GB"]
    assert [folder.exists() for folder in folders] == [False, True, True]


def test_the_logs_of_a_run_are_looked_through_once(desk: Desk) -> None:
    desk.file()
    run = desk.claim()
    desk.prepare(run)
    desk.finish(run, "no_changes")
    folder = log_of(desk, run, 4000)
    age(desk, Run, "ended_at", 90)
    assert tidy(desk.database, desk.settings, dry=True).gone[0].size == 4000
    (folder / "stdout").unlink()
    assert tidy(desk.database, desk.settings, dry=True).gone[0].size == 4000
    (desk.settings.home / SIZES).write_text("{")
    assert tidy(desk.database, desk.settings).gone[0].size == 0


def test_a_merged_tickets_home_goes_and_its_sessions_are_not_continued(desk: Desk) -> None:
    key, place = worked(desk, a_txt="one\n")
    with desk.database.transaction() as db:
        db.add(SessionRow(run_id=db.exec(select(Run.id)).one(), native_id="session-1"))
        agent = board.assigned_agent(db, board.get_ticket(db, key))
        assert runs.resumable(db, board.get_ticket(db, key), agent) == "session-1"
    review.approve(desk.database, key)
    assert tidy(desk.database, desk.settings).gone == []
    age(desk, Ticket, "closed_at", 31)
    (gone,) = tidy(desk.database, desk.settings).gone
    assert (gone.kind, gone.what, gone.because) == ("home", key, "closed 31 days ago") and 500 < gone.size < 5000
    assert not Path(place.home).exists() and "a.txt" in desk.do(review.diff, key).text
    desk.do(board.reopen, key)
    with desk.database.reading() as db:
        ticket = board.get_ticket(db, key)
        assert runs.resumable(db, ticket, board.assigned_agent(db, ticket)) is None


def test_cancelled_work_stays_and_is_told_of(desk: Desk) -> None:
    key, place = worked(desk, a_txt="one\n")
    idle, empty = worked(desk)
    for one in (key, idle):
        desk.do(board.cancel, one)
    age(desk, Ticket, "closed_at", 40)
    done = tidy(desk.database, desk.settings)
    assert {(one.kind, one.what) for one in done.gone} == {("home", key), ("home", idle), ("worktree", idle)}
    assert [(one.key, one.days) for one in done.left] == [(key, 40)]
    assert (Path(place.path) / "a.txt").read_text() == "one\n" and not Path(empty.path).exists()
    assert git(desk.checkout, "branch", "--list", f"agent/{key}") and not git(
        desk.checkout, "branch", "--list", f"agent/{idle}"
    )


def test_the_feeds_noise_goes_and_what_happened_stays(desk: Desk) -> None:
    worked(desk, a_txt="one\n")
    with desk.database.transaction() as db:
        activity.record(db, "run.items", seqs=[1])
        activity.record(db, "run.progress", doing="reads")
    with desk.database.reading() as db:
        before = db.exec(select(func.count()).select_from(Activity)).one()
    age(desk, Activity, "at", 15)
    (gone,) = tidy(desk.database, desk.settings).gone
    assert gone.kind == "feed" and gone.size >= 2
    with desk.database.reading() as db:
        kinds = set(db.exec(select(Activity.kind)))
        assert db.exec(select(func.count()).select_from(Activity)).one() == before - gone.size
    assert "ticket.filed" in kinds and not kinds & {"run.items", "run.progress"}


def test_what_cannot_go_is_told_and_the_rest_goes(desk: Desk) -> None:
    key, place = worked(desk)
    worked(desk, a_txt="one\n")
    desk.do(board.cancel, key)
    age(desk, Ticket, "closed_at", 40)
    git(desk.checkout, "worktree", "remove", "--force", place.path)
    git(desk.checkout, "checkout", "-q", place.branch)
    done = tidy(desk.database, desk.settings)
    ((failed, why),) = done.failed
    assert failed.kind == "worktree" and "checked out" in why
    assert [one.kind for one in done.gone] == ["home"]


def test_by_command(tmp_path: Path, repository: Path) -> None:
    desk = Desk.make(tmp_path, "", repository)
    key, _ = worked(desk, a_txt="one\n")
    desk.do(board.cancel, key)
    age(desk, Ticket, "closed_at", 40)
    cli = Cli(desk.settings.home, {})
    looked = cli.ok("upkeep", "--dry-run")
    assert looked.out == f"would remove home of {key}, 0.0 MB: closed 40 days ago\n"
    assert f"{key} was cancelled 40 days ago with work in it" in looked.err and f"dispatcher discard {key}" in looked.err
    (row,) = cli.json("upkeep")["removed"]
    assert (row["kind"], row["what"], row["because"]) == ("home", key, "closed 40 days ago")
    assert cli.ok("upkeep").out == "there is nothing to remove\n"
    assert json.loads(cli.ok("upkeep", "--json").out)["left"][0]["ticket"] == key
    desk.database.close()
