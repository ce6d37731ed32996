"""Every address against every role, by the site's own list of addresses and the one table of roles."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from dispatcher import access
from dispatcher.actor import acting
from dispatcher.credentials import Kind
from tests.entering import bearer
from tests.webbing import BASE, Web, open_web, operations
from web.access import ANYONE, OPEN, RULES, Access, rule_of
from web.who import me

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
EXPECTED = {
    "open": ["GET /static/x/js/app.js", "POST /hooks/github/WEB", "GET /healthz", "GET /readyz"],
    "anyone": ["GET /login", "POST /login"],
    "viewer": [
        *(
            "GET /",
            "GET /live",
            "GET /inbox",
            "GET /tickets/WEB-1",
            "GET /tickets/WEB-1/transcript",
            "GET /tickets/WEB-1/changes",
        ),
        *("GET /api/v1/events", "GET /api/v1/tickets", "GET /api/v1/tickets/WEB-1/diff", "GET /api/v1/runs/1/log"),
        *("POST /logout", "GET /me", "POST /me/tokens", "GET /api/v1/me", "DELETE /api/v1/me/credentials/3", "GET /fleet"),
        *("GET /api/v1/projects", "GET /api/v1/activity", "GET /metrics", "GET /api/v1/openapi.json"),
    ],
    "member": [
        *("POST /tickets", "POST /tickets/WEB-1/assign", "POST /tickets/WEB-1/approve", "POST /tickets/WEB-1/stop"),
        *("POST /api/v1/tickets", "PATCH /api/v1/tickets/WEB-1", "POST /api/v1/tickets/WEB-1/answer", "GET /tickets/new"),
        *("POST /api/v1/tickets/WEB-1/changes", "POST /api/v1/runs/3/stop", "POST /api/v1/tickets/WEB-1/discard"),
        *("POST /preview", "POST /inbox/WEB-1/answer", "GET /tickets/WEB-1/discard", "POST /tickets/bulk"),
    ],
    "admin": [
        *("POST /api/v1/projects", "DELETE /api/v1/projects/WEB", "POST /api/v1/endpoints", "POST /api/v1/endpoints/discover"),
        *("POST /api/v1/agents", "DELETE /api/v1/agents/coder", "POST /api/v1/endpoints/local/check", "GET /fleet/add/agent"),
        *("POST /fleet/endpoints", "POST /fleet/harnesses/goose/install", "GET /start", "POST /start/project"),
        *("GET /people", "POST /people", "GET /people/ada", "POST /people/ada/role", "GET /audit", "GET /api/v1/users"),
        *(
            "POST /api/v1/users",
            "PATCH /api/v1/users/ada",
            "POST /api/v1/users/ada/link",
            "GET /github/WEB",
            "POST /github/WEB",
        ),
        *("GET /nothing", "POST /nothing", "GET /api/v1/nothing", "PUT /tickets/WEB-1", "DELETE /api/v1/activity"),
    ],
}


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        with web.database.transaction() as db:
            for role in access.ROLES:
                access.add_user(db, f"a-{role}", role)
        yield web


def addresses(routes: Any) -> Iterator[tuple[str, str]]:
    """Method and path of every route, its parameters filled in."""
    return ((method, re.sub(r"\{[^}]*\}", "1", path)) for method, path in operations(routes))


class Door:
    """The layer alone: behind it nothing is done, whatever is let in."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._layer = Access(self._inside, web.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._layer(scope | {"app": self._web.app}, receive, send)

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = me()
        await PlainTextResponse(f"{who.name if who else 'nobody'} as {acting('-')}")(scope, receive, send)

    def client(self, role: str, kind: Kind = "machine") -> httpx.AsyncClient:
        headers = bearer(self._web.database, f"a-{role}", kind) if role != "nobody" else {}
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=self), base_url=BASE, headers=headers)


def test_the_table_covers_every_address(web: Web) -> None:
    found = set(addresses(web.app.routes))
    assert len(found) > 120
    uncovered = {f"{method} {path}" for method, path in found if rule_of(method, path) is None}
    assert not uncovered, f"add them to RULES in web/access.py: {sorted(uncovered)}"


def test_every_rule_is_about_something(web: Web) -> None:
    found = {*addresses(web.app.routes), ("GET", "/static/x")}
    used = {rule_of(method, path) for method, path in found}
    unused = [f"{rule.methods} {rule.path}" for rule in RULES if rule not in used]
    spare = {"* /api/v1/github/**", "* /github/**", "POST PATCH PUT DELETE /api/v1/harnesses/**"}
    assert set(unused) <= spare, "rules that nothing needs, or that an earlier one hides"


def test_what_changes_something_needs_more_than_a_look(web: Web) -> None:
    own = ("/me/", "/api/v1/me/", "/logout", "/login", "/hooks/")
    for method, path in addresses(web.app.routes):
        rule = rule_of(method, path)
        assert rule is not None
        if method in ("GET", "HEAD") or path.startswith(own):
            continue
        assert rule.role in ("member", "admin"), f"{method} {path}"
        if re.match(r"(/api/v1)?/(users|people|projects|endpoints|agents|harnesses|workers|fleet|start|github)\b", path):
            assert rule.role == "admin", f"{method} {path}"
        if re.match(r"(/api/v1)?/(users|people)\b", path):
            assert rule.person, f"{method} {path}"


@pytest.mark.parametrize("role", ["nobody", *access.ROLES])
async def test_each_role_reaches_what_is_its_own_and_nothing_more(web: Web, role: str) -> None:
    async with Door(web).client(role) as client:
        for needed, calls in EXPECTED.items():
            for call in calls:
                method, path = call.split()
                answer = await client.request(method, path)
                let_in = needed in (OPEN, ANYONE) or (
                    role != "nobody" and access.ROLES.index(role) >= access.ROLES.index(needed)
                )
                if let_in:
                    expected = {200}
                elif role != "nobody":
                    expected = {403}
                else:
                    expected = {401} if path.startswith("/api/") or path == "/live" or method != "GET" else {303}
                assert answer.status_code in expected, f"{role}: {call} gave {answer.status_code}"
                if let_in and needed not in (OPEN, ANYONE):
                    assert answer.text == f"a-{role} as a-{role}"
                elif let_in:
                    assert "a-" not in answer.text or needed == ANYONE


@pytest.mark.parametrize("role", ["nobody", *access.ROLES])
async def test_each_address_of_the_site_is_behind_its_role(web: Web, role: str) -> None:
    async with Door(web).client(role) as client:
        for method, path in sorted(set(addresses(web.app.routes))):
            rule = rule_of(method, path)
            assert rule is not None
            open_to_all = rule.role in (OPEN, ANYONE)
            let_in = open_to_all or (role != "nobody" and access.ROLES.index(role) >= access.ROLES.index(rule.role))
            answer = await client.request(method, path)
            assert (answer.status_code == 200) == let_in, f"{role}: {method} {path} gave {answer.status_code}"


async def test_a_token_cannot_manage_access_whatever_its_role(web: Web) -> None:
    async with Door(web).client("admin", kind="token") as client:
        for call in (
            "POST /people",
            "POST /me/tokens",
            "POST /api/v1/users/ada/link",
            "POST /api/v1/me/tokens",
            "PATCH /api/v1/users/a",
        ):
            method, path = call.split()
            answer = await client.request(method, path)
            assert answer.status_code == 403 and "token cannot manage access" in answer.text, call
        for call in ("GET /api/v1/users", "POST /api/v1/projects", "DELETE /api/v1/agents/coder", "GET /audit"):
            method, path = call.split()
            assert (await client.request(method, path)).status_code == 200, call


@pytest.mark.parametrize(
    "path",
    [
        "/people/",
        "//people",
        "/people/../people",
        "/%70eople",
        "/PEOPLE",
        "/people;x",
        "/api/v1/users/",
        "/api/v1/users%2f",
        "/static/../people",
    ],
)
async def test_odd_spellings_open_nothing(web: Web, path: str) -> None:
    headers = bearer(web.database, "a-viewer")
    for method in ("GET", "POST"):
        answer = await web.anonymous.request(method, f"{BASE}{path}", headers=headers, data={"name": "eve", "role": "admin"})
        assert answer.status_code in (403, 404, 405, 307, 401), (method, path, answer.status_code)
        assert "a-admin" not in answer.text or "ask one of" in answer.text
    with web.database.reading() as db:
        assert len(access.list_users(db)) == 1 + len(access.ROLES)


async def test_a_refusal_says_who_may(web: Web) -> None:
    headers = bearer(web.database, "a-viewer")
    answer = await web.anonymous.post("/api/v1/tickets", json={"project": "WEB", "title": "x"}, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (403, "not_allowed")
    assert "viewer" in error["message"] and "member" in error["hint"] and "admin, a-admin" in error["hint"]
    told = await web.anonymous.get("/people", headers=headers)
    assert told.status_code == 403 and "our role, viewer" in told.text and "ask one of: admin, a-admin" in told.text


async def test_logins_and_rights_are_told_to_administrators_alone(web: Web) -> None:
    def kinds(answer: httpx.Response) -> set[str]:
        return {entry["kind"].partition(".")[0] for entry in answer.json()}

    await web.send("POST", "/users", {"name": "eve"}, status=201)
    everything = kinds(await web.client.get("/api/v1/activity"))
    assert "access" in everything
    for role, seen in (("viewer", False), ("member", False), ("admin", True)):
        answer = await web.anonymous.get("/api/v1/activity", headers=bearer(web.database, f"a-{role}"))
        assert ("access" in kinds(answer)) == seen
    added = await web.client.get("/api/v1/activity", params={"actor": "admin"})
    assert [(entry["kind"], entry["actor"]) for entry in added.json()][-2:] == [
        ("access.user_added", "admin"),
        ("access.link_made", "admin"),
    ]
