"""Users and what they prove themselves with, on both engines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlmodel import SQLModel, select

from dispatcher import access, activity, credentials
from dispatcher.actor import acting, acting_as
from dispatcher.db import Database, migration_config
from dispatcher.entry import is_set_up, login_link
from dispatcher.errors import Conflict, DispatcherError, Invalid, LoginRefused, NotFound
from dispatcher.models import Activity, Credential, Review, User, utcnow
from dispatcher.settings import Settings


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    database.migrate()
    yield database
    database.close()


def do(database: Database, name: str, use_case: Callable[..., Any], *args: Any) -> Any:
    with database.transaction() as db:
        return use_case(db, access.get_user(db, name), *args)


def add(database: Database, name: str, role: str = "member") -> None:
    with database.transaction() as db:
        access.add_user(db, name, role)


def holds(database: Database, secret: str) -> bool:
    with database.reading() as db:
        return credentials.find(db, secret, ("session", "token", "machine", "link")) is not None


def shift(database: Database, secret: str, by: timedelta) -> None:
    """As if it had been made earlier."""
    with database.transaction() as db:
        row = db.exec(select(Credential).where(Credential.digest == credentials.digest(secret))).one()
        assert row.expires_at is not None
        row.expires_at -= by
        db.add(row)


def redeem(database: Database, secret: str, browser: str = "Firefox") -> str:
    with database.transaction() as db:
        return credentials.redeem(db, secret, browser).secret


def test_a_site_begins_with_one_administrator(database: Database) -> None:
    with database.reading() as db:
        assert [(user.name, user.role, user.login_at) for user in access.list_users(db)] == [("admin", "admin", None)]
        assert not access.is_set_up(db)
    add(database, "ada")
    with database.reading() as db:
        assert access.is_set_up(db)


def test_a_login_sets_the_site_up(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert not is_set_up(settings)
    link = login_link(settings, "http://127.0.0.1:8484/")
    assert link.startswith("http://127.0.0.1:8484/login?token=dsp_") and not is_set_up(settings)
    database = Database(settings.database)
    redeem(database, link.rpartition("=")[2])
    assert is_set_up(settings)
    with database.reading() as db:
        assert [(row.kind, row.actor) for row in activity.before(db)] == [
            ("access.login", "admin"),
            ("access.link_made", "machine"),
        ]
    database.close()


@pytest.mark.parametrize("name", ["", " ", "a b", "é", "-a", "a/b", "x" * 41, "a\nb", "<b>", "you", "Machine", "dispatcher"])
def test_names_that_are_none(database: Database, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        add(database, name)
    assert caught.value.field == "name"


def test_names_are_one_in_any_case(database: Database) -> None:
    add(database, " Ada.L ")
    with database.reading() as db:
        assert access.get_user(db, "ADA.l").name == "ada.l"
    with pytest.raises(Conflict):
        add(database, "ada.L")
    with pytest.raises(NotFound), database.reading() as db:
        access.get_user(db, "nobody")
    with pytest.raises(Invalid, match="no role"):
        add(database, "bob", "root")


def test_the_last_administrator_stays_one(database: Database) -> None:
    for use_case, args in ((access.set_role, ("member",)), (access.disable, ())):
        with pytest.raises(Conflict, match="last administrator"):
            do(database, "admin", use_case, *args)
    add(database, "ada", "admin")
    do(database, "admin", access.disable)
    with pytest.raises(Conflict, match="last administrator"):
        do(database, "ada", access.set_role, "viewer")
    do(database, "admin", access.enable)
    do(database, "ada", access.set_role, "viewer")
    with database.reading() as db:
        assert [user.name for user in access.administrators(db)] == ["admin"]


def test_two_administrators_who_demote_each_other_leave_one(database: Database) -> None:
    add(database, "ada", "admin")
    barrier = threading.Barrier(2)
    refused: list[str] = []

    def demote(name: str) -> None:
        barrier.wait()
        try:
            do(database, name, access.set_role, "member")
        except DispatcherError as error:
            refused.append(error.message)

    threads = [threading.Thread(target=demote, args=(name,)) for name in ("ada", "admin")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(refused) == 1 and "last administrator" in refused[0]
    with database.reading() as db:
        assert len(access.administrators(db)) == 1


def test_a_link_works_once_and_its_secret_is_kept_nowhere(database: Database) -> None:
    link = do(database, "admin", credentials.make_link).secret
    with database.reading() as db:
        assert credentials.inspect_link(db, link).name == "admin"
        stored = [str(row) for row in db.execute(text("SELECT * FROM credential")).all()]
        told = [str(row.data) for row in db.exec(select(Activity))]
    session = redeem(database, link, "Firefox on Linux")
    assert holds(database, session) and session != link
    assert link not in "".join(stored + told)
    with pytest.raises(LoginRefused, match="used already") as caught:
        redeem(database, link)
    assert "dispatcher login" in caught.value.hint


def test_two_browsers_with_one_link_are_one_session(database: Database) -> None:
    link = do(database, "admin", credentials.make_link).secret
    barrier = threading.Barrier(2)
    ended: list[str] = []

    def log_in() -> None:
        barrier.wait()
        try:
            ended.append(redeem(database, link))
        except LoginRefused as error:
            ended.append(error.message)

    threads = [threading.Thread(target=log_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(text.startswith("dsp_") for text in ended) == [False, True]


@pytest.mark.parametrize("kind", ["old", "replaced", "disabled", "unknown", "session", "nonsense"])
def test_links_that_do_not_hold_say_why(database: Database, kind: str) -> None:
    add(database, "ada")
    secret = do(database, "ada", credentials.make_link).secret
    words = {"old": "too old", "replaced": "newer one", "disabled": "disabled"}.get(kind, "not one of this site's")
    if kind == "old":
        shift(database, secret, credentials.OWN_LINK)
    elif kind == "replaced":
        do(database, "ada", credentials.make_link)
    elif kind == "disabled":
        do(database, "ada", access.disable)
    elif kind == "unknown":
        secret = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    elif kind == "session":
        secret = redeem(database, secret)
    else:
        secret = "' OR 1=1 --"
    with pytest.raises(LoginRefused, match=words):
        redeem(database, secret)


def test_a_session_lasts_while_it_is_used(database: Database) -> None:
    secret = redeem(database, do(database, "admin", credentials.make_link).secret)
    shift(database, secret, credentials.SESSION - timedelta(hours=1))
    with database.transaction() as db:
        found = credentials.find(db, secret, ("session",))
        assert found is not None and found.credential.id is not None
        credentials.seen(db, found.credential.id)
    shift(database, secret, credentials.SESSION - timedelta(hours=1))
    assert holds(database, secret)
    shift(database, secret, timedelta(hours=2))
    assert not holds(database, secret)


def test_tokens_are_made_listed_and_revoked(database: Database) -> None:
    lasting = do(database, "admin", credentials.make_token, " nightly  build ").secret
    short = do(database, "admin", credentials.make_token, "short", 1).secret
    with database.reading() as db:
        listed = credentials.list_credentials(db, access.get_user(db, "admin"), "token")
        assert [(row.label, row.expires_at is None) for row in listed] == [("short", False), ("nightly build", True)]
        assert credentials.find(db, lasting, ("session",)) is None
    shift(database, short, timedelta(days=1))
    assert holds(database, lasting) and not holds(database, short)
    with database.transaction() as db:
        number = listed[1].id
        assert number is not None
        credentials.revoke(db, *credentials.get_credential(db, number))
    assert not holds(database, lasting)
    for label, days in (("", None), ("x" * 101, None), ("x", 0), ("x", 4000)):
        with pytest.raises(Invalid):
            do(database, "admin", credentials.make_token, label, days)


def test_who_is_disabled_is_out_for_good(database: Database) -> None:
    add(database, "ada")
    secrets = [redeem(database, do(database, "ada", credentials.make_link).secret)]
    secrets.append(do(database, "ada", credentials.make_token, "ci").secret)
    do(database, "ada", access.disable)
    for use_case, args in ((credentials.make_link, ()), (credentials.make_token, ("x",))):
        with pytest.raises(Conflict, match="disabled"):
            do(database, "ada", use_case, *args)
    do(database, "ada", access.enable)
    assert not any(holds(database, secret) for secret in secrets)


def test_logging_out_ends_sessions_and_leaves_tokens(database: Database) -> None:
    sessions = [redeem(database, do(database, "admin", credentials.make_link).secret) for _ in range(3)]
    token = do(database, "admin", credentials.make_token, "ci").secret
    with database.reading() as db:
        assert list(access.counted_sessions(db).values()) == [3]
    do(database, "admin", credentials.log_out)
    assert [holds(database, secret) for secret in (*sessions, token)] == [False, False, False, True]


def test_the_machine_has_one_token_a_place_and_finds_another_administrator(database: Database) -> None:
    with database.transaction() as db:
        old, other = (credentials.make_machine_token(db, place).secret for place in ("a", "b"))
        new = credentials.make_machine_token(db, "a").secret
    assert [holds(database, secret) for secret in (old, other, new)] == [False, True, True]
    add(database, "ada", "admin")
    do(database, "admin", access.disable)
    with database.reading() as db:
        found = credentials.find(db, new, ("machine",))
        assert found is not None and found.user.name == "ada"


def test_what_has_ended_long_ago_is_forgotten(database: Database) -> None:
    first = redeem(database, do(database, "admin", credentials.make_link).secret)
    shift(database, first, credentials.SESSION + credentials.KEPT + timedelta(days=1))
    redeem(database, do(database, "admin", credentials.make_link).secret)
    with database.reading() as db:
        kept = db.exec(select(Credential.kind).order_by(Credential.kind)).all()
    assert list(kept) == ["link", "link", "session"]


def test_every_happening_carries_who_did_it(database: Database) -> None:
    assert (acting(), acting("")) == ("you", "")
    with acting_as("ada"), database.transaction() as db:
        assert acting() == "ada"
        access.add_user(db, "bob", "viewer")
    with database.transaction() as db:
        activity.record(db, "test.alone")
        assert Review(ticket_id=1, head_sha="x", verdict="approve").author == "you"
    with acting_as("ada"):
        assert Review(ticket_id=1, head_sha="x", verdict="approve").author == "ada"
    with database.reading() as db:
        assert [(row.kind, row.actor) for row in activity.before(db)] == [("test.alone", ""), ("access.user_added", "ada")]
        assert [row.kind for row in activity.before(db, people=True)] == ["access.user_added"]
        assert [row.kind for row in activity.before(db, actor="")] == ["test.alone"]
        assert [row.kind for row in activity.before(db, kind="access.")] == ["access.user_added"]
        assert [row.kind for row in activity.before(db, 2)] == ["access.user_added"]
        assert [row.kind for row in activity.since(db, 0, private=False)] == ["test.alone"]
        assert [row.kind for row in activity.since(db, 0, actor="ada")] == ["access.user_added"]


def test_a_database_of_before_is_brought_forward(empty_url: str) -> None:
    database = Database(empty_url)
    with database._writer.connect() as connection:
        command.upgrade(migration_config(connection), "0001")
        now = utcnow()
        commands = {"check_command": "", "setup_command": "", "merge_method": "merge"}
        tables = {
            "activity": {"at": now, "kind": "ticket.filed", "data": "{}"},
            "project": {"key": "WEB", "name": "w", "path": "/w", "default_branch": "m", "next_number": 2, "created_at": now}
            | commands,
            "ticket": {"project_id": 1, "number": 1, "key": "WEB-1", "title": "t", "body": "", "state": "done", "labels": "[]"}
            | dict.fromkeys(("position", "additions", "deletions", "files"), 0)
            | {"created_at": now, "updated_at": now},
            "review": {"ticket_id": 1, "head_sha": "abc", "verdict": "approve", "body": "", "created_at": now},
        }
        for table, row in tables.items():
            names = ", ".join(row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in row)})"), row)
        connection.commit()
    database.migrate()
    with database.transaction() as db:
        assert [row.actor for row in db.exec(select(Activity))] == [""]
        assert [row.author for row in db.exec(select(Review))] == ["you"]
        assert [(user.name, user.role) for user in db.exec(select(User))] == [("admin", "admin")]
        activity.record(db, "test.after")
    with database.engine.connect() as connection:
        assert not compare_metadata(MigrationContext.configure(connection), SQLModel.metadata)
    database.close()
