"""How often one may try, what is remembered for how long, and that what is revoked is out."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from sqlalchemy import event

import web.gate
from dispatcher import access, board, credentials
from tests.entering import bearer, cookie, secret
from tests.webbing import BASE, Web, open_web
from web.limits import MOST_KEYS, Buckets
from web.main import bind

OWN = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as made:
        yield made


@asynccontextmanager
async def served(made: Web) -> AsyncIterator[str]:
    """The site on a real socket, since streams have no end in this process."""
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(made.app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        made.app.state.site.feed.close()
        server.should_exit = True
        await task


def from_address(made: Web, address: str, **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=made.app, client=(address, 5000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=BASE, headers=OWN | headers)


def test_a_bucket_fills_with_time_and_forgets_whom_it_must() -> None:
    now = [0.0]
    buckets = Buckets(burst=3, per_second=0.5, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(5)] == [0, 0, 0, 2, 2] and buckets.wait("b") == 0
    now[0] = 2.0
    assert [buckets.wait("a"), buckets.take("a"), buckets.take("a")] == [0, 0, 2]
    now[0] = 1000.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 2]
    for number in range(MOST_KEYS + 50):
        buckets.take(str(number))
    assert len(buckets) == MOST_KEYS and buckets.wait("a") == 0


async def test_who_tries_links_is_slowed_down_and_others_are_not(site: Web) -> None:
    async with from_address(site, "10.0.0.9") as guesser, from_address(site, "10.0.0.8") as other:
        for _ in range(10):
            assert (await guesser.post("/login", data={"token": "dsp_" + "x" * 43})).status_code == 401
        refused = await guesser.post("/login", data={"token": secret(site.database, kind="link")})
        assert refused.status_code == 429 and 0 < int(refused.headers["retry-after"]) <= 5
        assert "ry again in" in refused.text and "set-cookie" not in refused.headers
        assert (await other.post("/login", data={"token": secret(site.database, kind="link")})).status_code == 303


async def test_all_together_are_slowed_down_too(site: Web) -> None:
    site.app.state.site.gate.all_failures = Buckets(burst=5, per_second=0.01)
    for number in range(5):
        async with from_address(site, f"10.0.1.{number}") as client:
            assert (await client.post("/login", data={"token": "wrong"})).status_code == 401
    async with from_address(site, "10.0.2.1") as client:
        assert (await client.post("/login", data={"token": "wrong"})).status_code == 429


async def test_who_tries_tokens_is_slowed_down(site: Web) -> None:
    async with from_address(site, "10.0.0.9", Authorization="Bearer dsp_" + "x" * 43) as guesser:
        statuses = [(await guesser.get("/api/v1/status")).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


async def test_the_address_behind_a_proxy_is_the_one_that_it_names(tmp_path: Path) -> None:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path, trusted_proxies=["10.0.0.0/8"]) as site:
        for address, forwarded, expected in (
            ("10.0.0.1", "198.51.100.7", 429),
            ("10.0.0.1", "198.51.100.8", 401),
            ("10.0.0.1", "198.51.100.8, 198.51.100.7, 10.2.0.1", 429),  # what the client itself sent stands first
            ("203.0.113.5", "198.51.100.7", 401),  # no proxy of ours
        ):
            gate = site.app.state.site.gate
            gate.failures = Buckets(burst=1, per_second=0.01)
            gate.failures.take("198.51.100.7")
            async with from_address(site, address, **{"X-Forwarded-For": forwarded}) as client:
                assert (await client.post("/login", data={"token": "x"})).status_code == expected, (address, forwarded)


async def test_a_user_writes_so_often_and_reads_as_it_likes(tmp_path: Path) -> None:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path, writes_per_minute=5) as site:
        with site.database.transaction() as db:
            access.add_user(db, "ada", "member")
        headers = bearer(site.database, kind="token")
        for number in range(7):
            answer = await site.anonymous.post("/api/v1/tickets", json={}, headers=headers)
            assert answer.status_code == (422 if number < 5 else 429)
        error = answer.json()["error"]
        assert error["code"] == "too_often" and answer.headers["retry-after"] in error["hint"]
        assert (await site.anonymous.get("/api/v1/tickets", headers=headers)).status_code == 200
        other = await site.anonymous.post("/api/v1/tickets", json={}, headers=bearer(site.database, "ada", "token"))
        assert other.status_code == 422
        assert (await site.client.post("/api/v1/tickets", json={})).status_code == 422, "this machine's own is not held up"


async def test_a_request_asks_the_database_once_and_the_next_ones_not_at_all(
    site: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    engine = site.app.state.site.database.engine
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]) if "credential" in args[2] else None)
    compared: list[tuple[str, str]] = []
    real = hmac.compare_digest
    monkeypatch.setattr(credentials.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    headers = bearer(site.database, kind="token")
    site.app.state.site.gate._noting.clear()
    for _ in range(5):
        assert (await site.anonymous.get("/api/v1/status", headers=headers)).status_code == 200
    await site.app.state.site.gate.close()
    assert len([query for query in asked if query.startswith("SELECT") and "JOIN account" in query]) == 1
    assert len(compared) == 1 and compared[0][0] == compared[0][1]


async def test_what_another_process_revokes_is_out_within_seconds(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.gate, "KEEP", 0.2)
    headers = bearer(site.database, kind="token")
    assert (await site.anonymous.get("/api/v1/status", headers=headers)).status_code == 200
    with site.database.transaction() as db:
        user = access.get_user(db, "admin")
        for row in credentials.list_credentials(db, user, "token"):
            credentials.revoke(db, row, user)
    await asyncio.sleep(0.3)
    assert (await site.anonymous.get("/api/v1/status", headers=headers)).status_code == 401


@pytest.mark.parametrize("how", ["revoked", "disabled", "demoted", "logged out"])
async def test_what_this_process_revokes_is_out_at_once(site: Web, how: str) -> None:
    await site.send("POST", "/users", {"name": "ada", "role": "admin"}, status=201)
    held = {"Cookie": f"dispatcher-8484={cookie(BASE, site.database, 'ada')['value']}"}
    assert (await site.anonymous.get("/people", headers=held)).status_code == 200
    if how == "revoked":
        sessions = await site.send("GET", "/users/ada/sessions")
        await site.send("DELETE", f"/users/ada/credentials/{sessions[0]['id']}", status=204)
    elif how == "logged out":
        await site.send("DELETE", "/users/ada/sessions", status=204)
    else:
        await site.send("PATCH", "/users/ada", {"disabled": True} if how == "disabled" else {"role": "member"})
    assert (await site.anonymous.get("/people", headers=held)).status_code == (403 if how == "demoted" else 303)


async def test_what_is_remembered_has_bounds(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.gate, "MOST", 3)
    for _ in range(6):
        assert (await site.anonymous.get("/api/v1/status", headers=bearer(site.database, kind="token"))).status_code == 200
    assert len(site.app.state.site.gate._known) == 3


@pytest.mark.parametrize("path", ["/live", "/api/v1/events"])
@pytest.mark.parametrize("by", ["session", "token"])
async def test_a_stream_ends_with_what_it_was_opened_with(
    site: Web, path: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.gate, "KEEP", 600)  # it is told, and need not look
    await site.send("POST", "/users", {"name": "ada", "role": "viewer"}, status=201)
    async with served(site) as url:
        if by == "session":
            found = cookie(url, site.database, "ada")
            headers = {"Cookie": f"{found['name']}={found['value']}"}
        else:
            headers = bearer(site.database, "ada", "token")
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:  # before a sign of life comes
            async with client.stream("GET", path, headers=headers) as stream:
                assert stream.status_code == 200
                lines = stream.aiter_lines()
                assert (await anext(lines)).startswith("retry")
                await site.send("PATCH", "/users/ada", {"disabled": True})
                rest = [line async for line in lines]  # it ends, and in an orderly way
                assert not [line for line in rest if "access." in line], "no viewer is told of rights"
            assert (await client.get(path, headers=headers)).status_code == 401
        async with asyncio.timeout(20):
            while site.app.state.site.feed._watchers:  # noqa: ASYNC110  # it is told in no other way
                await asyncio.sleep(0.01)


async def test_a_stream_ends_soon_after_another_process_revoked_it(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.gate, "KEEP", 0.3)
    async with (
        served(site) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client,
        client.stream("GET", "/live", headers=bearer(site.database, kind="token")) as stream,
    ):
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("retry")
        with site.database.transaction() as db:
            user = access.get_user(db, "admin")
            for row in credentials.list_credentials(db, user, "token"):
                credentials.revoke(db, row, user)
        assert not [line async for line in lines if line.startswith("data") and "access." in line]


async def test_a_stream_goes_on_while_it_may(site: Web, monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.setattr(web.gate, "KEEP", 0.05)
    await site.furnish(repository)
    async with (
        served(site) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client,
        client.stream("GET", "/live", headers=bearer(site.database, kind="token")) as stream,
    ):
        lines = stream.aiter_lines()
        await anext(lines)
        await asyncio.sleep(0.5)
        await site.send("POST", "/users", {"name": "ada"}, status=201)  # somebody else's rights
        with site.database.transaction() as db:
            board.file_ticket(db, project="WEB", title="Still here")
        async for line in lines:
            if line.startswith("data") and "ticket.filed" in line:
                break
