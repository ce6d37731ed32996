"""The door that is open to the internet: nothing but what GitHub signed gets in, once, and nothing is told to who tries."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, select

from dispatcher.github import inbox, secrets
from dispatcher.github.connect import connect_repo
from dispatcher.github.verify import sign, signed
from dispatcher.models import GitHubDelivery, GitHubRepo, Project
from tests.gitting import begin_repository
from tests.webbing import Web, open_web

pytestmark = pytest.mark.guarantee("a webhook counts once and only if signed")

SECRET = "s3cret-of-the-webhook"
BODY = json.dumps(
    {"action": "opened", "issue": {"number": 1, "title": "Ü", "user": {"login": "ada"}}, "sender": {"login": "ada"}}
).encode()


@dataclass
class Door:
    """The site's hook for one project, used without a login."""

    web: Web
    client: httpx.AsyncClient

    async def knock(self, body: bytes = BODY, /, *, project: str = "WEB", **headers: str | None) -> httpx.Response:
        usual: dict[str, str | None] = {
            "content-type": "application/json",
            "x_github_event": "issues",
            "x_github_delivery": str(uuid.uuid4()),
            "x_hub_signature_256": sign(SECRET, body),
        }
        send = {name.replace("_", "-"): value for name, value in (usual | headers).items() if value is not None}
        return await self.client.post(f"/hooks/github/{project}", content=body, headers=send)

    def inbox(self) -> list[GitHubDelivery]:
        with self.web.database.reading() as db:
            return list(db.exec(select(GitHubDelivery)))

    def repo(self) -> GitHubRepo:
        with self.web.database.reading() as db:
            return db.exec(select(GitHubRepo)).one()


@pytest.fixture
async def door(tmp_path: Path, database_url: str, repository: Path) -> AsyncIterator[Door]:
    async with open_web(database_url, tmp_path / "data") as web:
        await web.furnish(repository)
        secrets.write(web.settings, "WEB", "secret", SECRET)
        with web.database.transaction() as db:
            connect_repo(db, web.settings, "WEB", repository="octo/web")
        transport = httpx.ASGITransport(app=web.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8484") as client:
            yield Door(web, client)


async def test_a_signed_delivery_is_taken_once(door: Door) -> None:
    first = await door.knock(x_github_delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    again = await door.knock(x_github_delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    other = await door.knock(b'{"action": "edited"}', x_github_delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 200)
    (row,) = door.inbox()
    assert row.payload == json.loads(BODY) and (row.event, row.action, row.number, row.sender) == ("issues", "opened", 1, "ada")


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256=",
        "sha256=" + "0" * 64,
        sign("", BODY),
        sign(SECRET + "x", BODY),
        sign(SECRET, BODY).upper(),
        sign(SECRET, BODY)[7:],
        sign(SECRET, BODY) + " ",
        "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest(),
        "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest(),
        "sha512=" + hmac.new(SECRET.encode(), BODY, hashlib.sha512).hexdigest(),
        "sha256=\xff\xfe",
    ],
)
async def test_a_wrong_signature_is_refused(door: Door, signature: str | None) -> None:
    headers = {"x-hub-signature": "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest()}
    if signature is not None:
        headers["x-hub-signature-256"] = signature
    sent = {"content-type": "application/json", "x-github-event": "issues", "x-github-delivery": "1"} | headers
    raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
    answer = await door.client.post("/hooks/github/WEB", content=BODY, headers=raw)
    if signature == sign(SECRET, BODY) + " ":  # blanks around a header's value are no part of it
        assert answer.status_code in (202, 401)
        return
    assert answer.status_code == 401 and door.inbox() == []
    assert SECRET not in answer.text and door.repo().refused


@pytest.mark.parametrize("place", [0, 1, len(BODY) // 2, len(BODY) - 1])
async def test_a_changed_byte_is_refused(door: Door, place: int) -> None:
    changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
    assert (await door.knock(changed, x_hub_signature_256=sign(SECRET, BODY))).status_code == 401
    assert (await door.knock(BODY + b" ", x_hub_signature_256=sign(SECRET, BODY))).status_code == 401
    assert door.inbox() == []


async def test_an_empty_secret_opens_nothing(door: Door) -> None:
    secrets.place(door.web.settings, "WEB", "secret").write_text("\n")
    assert (await door.knock(x_hub_signature_256=sign("", BODY))).status_code == 401
    secrets.place(door.web.settings, "WEB", "secret").unlink()
    assert (await door.knock(x_hub_signature_256=sign("", BODY))).status_code == 401
    assert not signed("", BODY, sign("", BODY)) and "no secret" in door.repo().refused


async def test_who_asks_for_other_projects_learns_nothing(door: Door) -> None:
    for shape in ("{}", "..", "{}/..", "{}%2F..", "{}.secret", "{}%00", "%00{}", "{}/", " {}", "{}?project=WEB", "Ⅷ{}"):
        known, unknown = [await door.knock(project=shape.format(key), x_hub_signature_256="sha256=0") for key in ("WEB", "WXY")]
        told = [(one.status_code, one.text.replace(key, "KEY")) for one, key in ((known, "WEB"), (unknown, "WXY"))]
        assert told[0] == told[1] and known.status_code in (307, 401, 404, 405), (shape, known.status_code)
        assert "set-cookie" not in known.headers
    assert door.inbox() == []
    assert (await door.knock(project="WXY")).json() == (await door.knock(x_hub_signature_256="sha256=0")).json()
    assert (await door.knock(project="web")).status_code == 202, "a key in small letters is the same project"


async def test_a_redelivery_of_what_was_worked_off_changes_nothing(door: Door) -> None:
    assert (await door.knock(x_github_delivery="the-same")).status_code == 202
    with door.web.database.transaction() as db:
        inbox.settle(db, door.inbox()[0], "done", "WEB-1 follows")
    before = door.inbox()[0].model_dump()
    for body in (BODY, b'{"action": "deleted", "issue": {"number": 1}}'):
        answer = await door.knock(body, x_github_delivery="the-same")
        assert (answer.status_code, answer.json()["new"]) == (200, False)
    assert [row.model_dump() for row in door.inbox()] == [before]


async def test_ten_megabytes_are_refused_and_not_kept(door: Door) -> None:
    big = b'{"pad": "' + b"x" * 10_000_000 + b'"}'
    assert (await door.knock(big)).status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 50_000

    headers = {"x-hub-signature-256": "sha256=0", "x-github-event": "issues", "x-github-delivery": "1"}
    assert (await door.client.post("/hooks/github/WEB", content=chunks(), headers=headers)).status_code == 413
    fits = json.dumps({"pad": "x" * 999_000}).encode()
    assert (await door.knock(fits)).status_code == 202 and len(door.inbox()) == 1


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"x_github_delivery": None}, BODY, 400),
        ({"x_github_delivery": "../../etc"}, BODY, 400),
        ({"x_github_delivery": "a" * 65}, BODY, 400),
        ({"x_github_event": None}, BODY, 400),
        ({"x_github_event": "Issues/.."}, BODY, 400),
        ({"content-type": "application/x-www-form-urlencoded"}, BODY, 415),
        ({}, b"", 400),
        ({}, b"[1]", 400),
        ({}, b'{"a": NaN', 400),
        ({}, b"\xff\xfe", 400),
        ({}, b'{"a": NaN}', 400),
        ({}, b"[" * 100_000, 400),
    ],
)
async def test_what_is_signed_and_no_delivery(door: Door, headers: dict[str, str | None], body: bytes, status: int) -> None:
    assert (await door.knock(body, **headers)).status_code == status and door.inbox() == []


async def test_what_a_database_refuses_is_taken_all_the_same(door: Door) -> None:
    odd = json.dumps({"action": "a\0", "sender": {"login": "b\0"}, "issue": {"title": "\ud800\0"}}).encode()
    assert (await door.knock(odd)).status_code == 202
    assert (await door.knock(b'{"sender": "x", "repository": []}')).status_code == 202
    assert {row.sender for row in door.inbox()} == {"b\\x00", ""}


async def test_five_hundred_at_once(door: Door) -> None:
    async def one(number: int) -> int:
        body = json.dumps({"action": "edited", "issue": {"number": number}, "sender": {"login": "ada"}}).encode()
        return (await door.knock(body, x_github_delivery=f"delivery-{number % 250}")).status_code

    statuses = await asyncio.gather(*(one(number) for number in range(500)))
    assert sorted(statuses) == [200] * 250 + [202] * 250
    assert len(door.inbox()) == 250


async def test_it_is_open_to_programs_and_not_to_pages(door: Door) -> None:
    foreign = await door.client.post("/hooks/github/WEB", content=BODY, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert (await door.client.get("/hooks/github/WEB")).status_code in (303, 404, 405)
    assert (await door.client.post("/hooks/gitlab/WEB", content=BODY)).status_code in (404, 405)


async def test_secrets_are_nowhere_but_in_files_of_their_owner(door: Door) -> None:
    path = secrets.place(door.web.settings, "WEB", "secret")
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o077 == 0
    await door.knock()
    with door.web.database.engine.connect() as connection:
        for table in ("github_repo", "github_delivery", "activity"):
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            assert SECRET not in repr(rows)


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    from dispatcher.settings import Settings

    settings = Settings(home=tmp_path)
    secrets.write(settings, "web", "token", " of the file \n")
    assert secrets.read(settings, "WEB", "token", {}) == "of the file"
    assert secrets.read(settings, "web", "token", {"DISPATCHER_GITHUB_WEB_TOKEN": "of the variable"}) == "of the variable"


async def test_an_apps_one_webhook_serves_all_its_repositories(door: Door, tmp_path: Path) -> None:
    """Signed with the App's secret is what is about any repository that is connected as this App, and nothing else is."""
    connected = {
        "WEB": {"repository": "octo/web", "app_id": "7", "installation_id": "55"},
        "API": {"repository": "octo/api", "app_id": "7", "installation_id": "56"},
        "OPS": {"repository": "octo/ops", "app_id": "8", "installation_id": "57"},
        "LIB": {"repository": "octo/lib"},
        "FAR": {"repository": "octo/far", "app_id": "7", "installation_id": "1", "api_url": "https://git.example/api/v3"},
    }
    for key, how in connected.items():
        if key != "WEB":
            begin_repository(tmp_path / key)
            await door.web.send("POST", "/projects", {"path": str(tmp_path / key), "key": key}, status=201)
        with door.web.database.transaction() as db:
            connect_repo(db, door.web.settings, key, **how)
    for key, how in connected.items():
        body = json.dumps(json.loads(BODY) | {"repository": {"id": 1, "full_name": how["repository"]}}).encode()
        assert (await door.knock(body, x_github_delivery=f"about-{key}")).status_code == 202
    with door.web.database.reading() as db:
        query = select(GitHubDelivery.guid, Project.key, GitHubDelivery.state, GitHubDelivery.note)
        rows = db.exec(query.join(GitHubRepo, col(GitHubRepo.id) == GitHubDelivery.repo_id).join(Project)).all()
    assert {guid: tuple(rest) for guid, *rest in rows} == {
        "about-WEB": ("WEB", "waiting", ""),
        "about-API": ("API", "waiting", ""),
        "about-OPS": ("WEB", "ignored", "it is about octo/ops"),
        "about-LIB": ("WEB", "ignored", "it is about octo/lib"),
        "about-FAR": ("WEB", "ignored", "it is about octo/far"),
    }
