"""Backup and restore: from each engine into each, while all goes on, from older schemas; damaged archives are refused."""

from __future__ import annotations

import io
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from sqlalchemy import MetaData, select, text
from sqlmodel import func
from sqlmodel import select as choose

from dispatcher import activity, board, runs
from dispatcher.backup import back_up
from dispatcher.db import Database, migration_config
from dispatcher.errors import Conflict, Invalid
from dispatcher.models import Ticket
from dispatcher.restore import restore
from dispatcher.settings import Settings
from tests.board import Board
from tests.integration.cli import Cli


def rows(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All that a database holds."""
    metadata = MetaData()
    with database.engine.connect() as connection:
        metadata.reflect(connection)
        return {
            table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in metadata.sorted_tables
        }


def without_zones(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """SQLite gives times back without their zone, which is UTC in both."""
    for table in found.values():
        for row in table:
            row.update({name: value.replace(tzinfo=None) for name, value in row.items() if hasattr(value, "tzinfo")})
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def other(request: pytest.FixtureRequest, tmp_path: Path, postgres_server: str) -> Iterator[Database]:
    """A second database, which has no tables yet."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'other' / 'dispatcher.db'}")
    else:
        with psycopg.connect(host=postgres_server, user="postgres", dbname="postgres", autocommit=True) as admin:
            admin.execute("DROP DATABASE IF EXISTS restored WITH (FORCE)")
            admin.execute("CREATE DATABASE restored")
        database = Database(f"postgresql+psycopg://postgres@/restored?host={postgres_server}")
    yield database
    database.close()


def fill(made: Board, settings: Settings) -> None:
    with made.database.transaction() as db:
        ticket = board.file_ticket(
            db, project="WEB", title="Grüße \ud83d\ude42", body="a\nb\u2028c", labels=["bug"], agent="coder"
        )
        run = runs.live_run(db, ticket)
        assert run is not None
        activity.record(db, "run.items", run=run, seqs=[1, 2], none=None)
        gone = board.file_ticket(db, project="WEB", title="Gone")
        db.flush()
        number = gone.id
    with made.database.engine.begin() as connection:
        connection.execute(text("DELETE FROM ticket WHERE id = :id"), {"id": number})
    folder = settings.runs / "1"
    folder.mkdir(parents=True)
    (folder / "stdout").write_text("it printed this\n")
    (folder / "link").symlink_to("/etc/passwd")


def test_all_comes_back_on_either_engine(board: Board, other: Database, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "from")
    fill(board, settings)
    archive = tmp_path / "backup.tar.gz"
    made = back_up(board.database, settings, archive)
    assert made.tables["ticket"] == 1 and made.numbers["ticket"] == 2
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    target = Settings(home=tmp_path / "to")
    restore(other, target, archive)
    before, after = without_zones(rows(board.database)), without_zones(rows(other))
    assert after == before
    assert (target.runs / "1" / "stdout").read_text() == "it printed this\n" and not (target.runs / "1" / "link").exists()
    with other.transaction() as db:
        ticket = Ticket(project_id=1, number=9, key="WEB-9", title="After")
        db.add(ticket)
        db.flush()
        assert ticket.id == 3, "the number of a ticket that is gone was given out again"


def test_what_is_written_meanwhile_is_whole_or_not_there(board: Board, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with board.database.transaction() as db:
                file(db, project="WEB", title="One more", agent="coder")

    from dispatcher.board import file_ticket as file

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            back_up(board.database, Settings(home=tmp_path), tmp_path / f"{number}.tar.gz", logs=False)
    finally:
        stop.set()
        writer.join()
    for number in range(3):
        with tarfile.open(tmp_path / f"{number}.tar.gz") as archive:
            kept = {name: _lines(archive, name) for name in ("ticket", "run", "project", "activity")}
        assert len(kept["ticket"]) == len(kept["run"]) == kept["project"][0]["next_number"] - 1
        assert {row["ticket_id"] for row in kept["activity"]} == {row["id"] for row in kept["ticket"]}


def _lines(archive: tarfile.TarFile, name: str) -> list[Any]:
    import json

    file = archive.extractfile(f"tables/{name}.jsonl")
    assert file is not None
    return [json.loads(line) for line in file]


def test_an_older_schema_is_brought_forward(empty_url: str, tmp_path: Path) -> None:
    old = Database(empty_url)
    with old.engine.execution_options(write=True).connect() as connection:
        command.upgrade(migration_config(connection), "0001")
        connection.execute(
            text(
                "INSERT INTO project (key, name, path, default_branch, check_command, setup_command, merge_method, next_number,"
                " created_at) VALUES ('OLD', 'old', '/old', 'main', '', '', 'merge', 1, '2026-01-02 03:04:05')"
            )
        )
        connection.commit()
    settings = Settings(home=tmp_path / "home")
    assert back_up(old, settings, tmp_path / "old.tar.gz").schema_version == "0001"
    new = Database(f"sqlite:///{tmp_path / 'new.db'}")
    restore(new, settings, tmp_path / "old.tar.gz")
    with new.transaction() as db:
        assert board.file_ticket(db, project="OLD", title="It goes on").key == "OLD-1"
    new.close()
    old.close()


def test_a_database_in_use_is_not_written_over(board: Board, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    back_up(board.database, settings, tmp_path / "b.tar.gz")
    before = rows(board.database)
    with pytest.raises(Conflict, match=r"in use: .*project"):
        restore(board.database, settings, tmp_path / "b.tar.gz")
    assert rows(board.database) == before
    with pytest.raises(Conflict, match="exists already"):
        back_up(board.database, settings, tmp_path / "b.tar.gz")
    with pytest.raises(Invalid, match="no folder"):
        back_up(board.database, settings, tmp_path / "nowhere" / "b.tar.gz")


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "text": lambda _: b"hello",
    "another archive": lambda _: _archive({"x": b"y"}),
    "another manifest": lambda _: _archive({"manifest.json": b"{}"}),
    "a changed row": lambda data: _changed(data),
}


def _archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _changed(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {member.name: (archive.extractfile(member) or io.BytesIO()).read() for member in archive}
    return _archive(files | {"tables/project.jsonl": b""})


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_archive_is_refused_and_leaves_nothing(board: Board, tmp_path: Path, how: str) -> None:
    settings = Settings(home=tmp_path / "home")
    back_up(board.database, settings, tmp_path / "b.tar.gz")
    (tmp_path / "bad.tar.gz").write_bytes(DAMAGE[how]((tmp_path / "b.tar.gz").read_bytes()))
    target = Database(f"sqlite:///{tmp_path / 'target.db'}")
    with pytest.raises(Invalid) as refused:
        restore(target, settings, tmp_path / "bad.tar.gz")
    assert refused.value.hint
    target.migrate()
    with target.reading() as db:
        assert db.exec(choose(func.count()).select_from(Ticket)).one() == 0
    target.close()


def test_names_in_an_archive_lead_nowhere_else(board: Board, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    (settings.runs / "1").mkdir(parents=True)
    (settings.runs / "1" / "stdout").write_text("x")
    back_up(board.database, settings, tmp_path / "b.tar.gz")
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        files = {member.name: (archive.extractfile(member) or io.BytesIO()).read() for member in archive}
    (tmp_path / "evil.tar.gz").write_bytes(
        _archive(files | {"runs/../../evil": b"!", "/tmp/evil": b"!", "runs/1/../../evil": b"!"})
    )
    place = Settings(home=tmp_path / "deep" / "home")
    target = Database(f"sqlite:///{tmp_path / 'target.db'}")
    restore(target, place, tmp_path / "evil.tar.gz")
    assert sorted(path.name for path in (tmp_path / "deep").rglob("*") if path.is_file()) == ["stdout"]
    target.close()


def test_by_command_line(home: Path, repository: Path, tmp_path: Path) -> None:
    cli = Cli(home / "data", {})
    refused = cli.run("backup", tmp_path / "none.tar.gz")
    assert refused.status == 1 and "no tables yet" in refused.err
    cli.ok("project", "add", repository, "--key", "SHOP")
    cli.ok("ticket", "new", "Keep me", "--project", "SHOP")
    told = cli.ok("backup", tmp_path / "b.tar.gz")
    assert "rows of" in told.out and "ticket ..." in told.err
    new = Cli(home / "new", {})
    assert new.run("restore", tmp_path / "b.tar.gz").status == 2, "without a terminal it has to be confirmed"
    assert "restored" in new.ok("restore", tmp_path / "b.tar.gz", "--yes").out
    assert [ticket["title"] for ticket in new.json("ticket", "list")] == ["Keep me"]
    assert new.run("restore", tmp_path / "b.tar.gz", "--yes").status == 1
    assert new.run("restore", tmp_path / "nothing.tar.gz", "--yes").err.startswith("error: there is no file")
