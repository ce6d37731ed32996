"""Logging in: links, cookies, where one is led afterwards, and what is told to whom."""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest

from dispatcher import access, credentials
from tests.entering import cookie, secret
from tests.webbing import BASE, Web, open_web
from web.pages.login import browser_of
from web.refusals import local

OWN = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
NAME = "dispatcher-8484"


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        yield web


@asynccontextmanager
async def browser(web: Web, base: str = BASE, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies as a browser does, and tells what a browser tells."""
    transport = httpx.ASGITransport(app=web.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=OWN | {"Origin": base} | headers) as client:
        yield client


def cookies(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in answer.headers.get_list("set-cookie"):
        found |= SimpleCookie(line)
    return found


async def log_in(web: Web, client: httpx.AsyncClient, name: str = "admin", back: str = "/") -> httpx.Response:
    await client.get("/login", params={"token": secret(web.database, name, "link")})
    answer = await client.post("/login", data={"next": back})
    assert answer.status_code == 303, answer.text
    return answer


async def test_a_link_is_opened_confirmed_and_gone(web: Web) -> None:
    link = secret(web.database, kind="link")
    async with browser(web) as client:
        opened = await client.get("/login", params={"token": link, "next": "/inbox"})
        assert (opened.status_code, opened.headers["location"]) == (303, "/login?next=%2Finbox")
        for _ in range(3):  # previews, and impatient people
            asked = await client.get("/login?next=%2Finbox")
            assert asked.status_code == 200 and "Log in as admin" in asked.text
            assert link not in asked.text and asked.headers["cache-control"] == "no-store"
        entered = await client.post("/login", data={"next": "/inbox"})
        assert (entered.status_code, entered.headers["location"]) == (303, "/inbox")
        assert (await client.get("/people")).status_code == 200
        assert link not in "".join(entered.headers.values())
    async with browser(web) as other:
        again = await other.post("/login", data={"token": link})
        assert again.status_code == 401 and "used already" in again.text and "dispatcher login" in again.text
        assert (await other.get("/people")).status_code == 303


async def test_the_flags_of_the_cookies(web: Web) -> None:
    async with browser(web) as client:
        opened = await client.get("/login", params={"token": secret(web.database, kind="link")})
        waiting = cookies(opened)["dispatcher-link-8484"]
        assert waiting["httponly"] and waiting["samesite"] == "lax" and int(waiting["max-age"]) == 600
        entered = await client.post("/login")
        kept = cookies(entered)[NAME]
        assert kept["httponly"] and kept["samesite"] == "strict" and kept["path"] == "/" and not kept["domain"]
        assert not kept["secure"] and int(kept["max-age"]) == 400 * 86400
        assert int(cookies(entered)["dispatcher-link-8484"]["max-age"]) == 0


@pytest.mark.parametrize(
    ("proxies", "forwarded", "secure"), [(["127.0.0.1"], "https", True), ([], "https", False), (["127.0.0.1"], "http", False)]
)
async def test_by_https_the_cookie_is_for_this_host_and_by_https_alone(
    tmp_path: Path, proxies: list[str], forwarded: str, secure: bool
) -> None:
    async with open_web(
        f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path, allowed_hosts=["board.example.org"], trusted_proxies=proxies
    ) as web:
        base = "http://board.example.org"
        async with browser(web, base, Origin="https://board.example.org", **{"X-Forwarded-Proto": forwarded}) as client:
            link = secret(web.database, kind="link")
            entered = await client.post("/login", data={"token": link})
            name = "__Host-dispatcher" if secure else "dispatcher"
            kept = cookies(entered)[name]
            assert bool(kept["secure"]) == secure and kept["path"] == "/" and not kept["domain"]
            value = kept.value
            for sent, status in ((name, 200), ("dispatcher" if secure else "__Host-dispatcher", 303)):
                client.cookies.clear()
                assert (await client.get("/people", headers={"Cookie": f"{sent}={value}"})).status_code == status


async def test_a_session_of_another_port_is_not_ours(web: Web) -> None:
    value = cookie(BASE, web.database)["value"]
    for name, status in ((NAME, 200), ("dispatcher-8485", 303), ("dispatcher", 303), (f"__Host-{NAME}", 303)):
        answer = await web.anonymous.get("/people", headers={"Cookie": f"{name}={value}"})
        assert answer.status_code == status, name


async def test_logging_out_ends_the_session_and_takes_the_cookie_back(web: Web) -> None:
    async with browser(web) as client:
        value = cookies(await log_in(web, client))[NAME].value
        assert (await client.get("/me")).status_code == 200
        left = await client.post("/logout")
        assert left.headers["location"] == "/login" and int(cookies(left)[NAME]["max-age"]) == 0
    answer = await web.anonymous.get("/me", headers={"Cookie": f"{NAME}={value}"})
    assert answer.status_code == 303


async def test_logging_in_anew_ends_the_browser_s_old_session(web: Web) -> None:
    async with browser(web) as client:
        first = cookies(await log_in(web, client))[NAME].value
        second = cookies(await log_in(web, client))[NAME].value
    answers = [await web.anonymous.get("/me", headers={"Cookie": f"{NAME}={value}"}) for value in (first, second)]
    assert [answer.status_code for answer in answers] == [303, 200]


async def test_what_others_want_somebody_to_do_while_logged_in(web: Web) -> None:
    held = {"Cookie": f"{NAME}={cookie(BASE, web.database)['value']}"}
    attacks = [
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {},  # a program that found the cookie, or a browser of long ago
    ]
    for headers in attacks:
        for path in ("/people", "/logout", "/api/v1/users", "/me/logout"):
            answer = await web.anonymous.post(path, data={"name": "eve", "role": "admin"}, headers=held | headers)
            assert answer.status_code == 403, (path, headers)
    async with browser(web) as client:
        forced = await client.post("/login", data={"token": secret(web.database, kind="link")}, headers=attacks[0])
        assert forced.status_code == 403 and not cookies(forced)
    with web.database.reading() as db:
        assert [user.name for user in access.list_users(db)] == ["admin"]
    assert (await web.anonymous.post("/people", data={"name": "ada", "role": "viewer"}, headers=held | OWN)).status_code == 200


PLACES = [
    ("/tickets/WEB-1?run=3", "/tickets/WEB-1?run=3"),
    ("/", "/"),
    ("", "/"),
    ("//evil.example", "/"),
    ("///evil.example", "/"),
    ("/\\evil.example", "/"),
    ("\\\\evil.example", "/"),
    ("https://evil.example", "/"),
    ("javascript:alert(1)", "/"),
    ("/\t/evil.example", "/"),
    ("/\n/evil.example", "/"),
    (" //evil.example", "/"),
    ("/%0d%0aSet-Cookie:x=y", "/%0d%0aSet-Cookie:x=y"),
    ("/a\r\nSet-Cookie: x=y", "/"),
    ("evil.example", "/"),
    ("/login?next=//evil.example", "/"),
    ("/logout", "/"),
    ('/"><script>alert(1)</script>', "/"),
    ("/é", "/"),
    ("/" + "a" * 3000, "/"),
]


@pytest.mark.parametrize(("asked", "led"), PLACES)
async def test_nobody_is_led_elsewhere(web: Web, asked: str, led: str) -> None:
    assert local(asked) == led
    async with browser(web) as client:
        answer = await client.post("/login", data={"token": secret(web.database, kind="link"), "next": asked})
        assert (answer.status_code, answer.headers["location"]) == (303, led)
        again = await client.get("/login", params={"next": asked})
        assert again.headers["location"] == led


async def test_who_must_log_in_comes_back_to_where_it_was_going(web: Web) -> None:
    async with browser(web) as client:
        sent = await client.get("/tickets/WEB-1/changes?file=a%20b%26c")
        assert sent.headers["location"] == "/login?next=%2Ftickets%2FWEB-1%2Fchanges%3Ffile%3Da%2520b%2526c"
        assert (
            (await log_in(web, client, back="/tickets/WEB-1/changes?file=a%20b%26c"))
            .headers["location"]
            .endswith("file=a%20b%26c")
        )


async def test_a_link_from_elsewhere_finds_the_strict_cookie_by_one_step_of_our_own(web: Web) -> None:
    from_mail = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    first = await web.anonymous.get("/tickets/WEB-1", headers=from_mail)
    assert first.headers["location"] == "/login?next=%2Ftickets%2FWEB-1"
    step = await web.anonymous.get(first.headers["location"], headers=from_mail)
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', step.text)
    assert step.status_code == 200 and found is not None
    address = found[1].replace("&amp;", "&")
    assert address == "/login?next=%2Ftickets%2FWEB-1&tried=1"
    held = {"Cookie": f"{NAME}={cookie(BASE, web.database)['value']}"}
    assert (await web.anonymous.get(address, headers=held)).headers["location"] == "/tickets/WEB-1"
    for headers in ({}, from_mail):  # once, and then the login: no circle
        last = await web.anonymous.get(address, headers=headers)
        assert last.status_code == 200 and "http-equiv" not in last.text and "paste the link" in last.text


async def test_programs_streams_parts_and_forms_are_each_told_in_their_form(web: Web) -> None:
    for path in ("/api/v1/tickets", "/api/v1/events", "/live"):
        answer = await web.anonymous.get(path)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (401, "login_needed") and "DISPATCHER_TOKEN" in error["hint"]
        assert answer.headers["www-authenticate"] == "Bearer"
    part = await web.anonymous.get("/?part=x", headers={"HX-Request": "true", "HX-Current-URL": f"{BASE}/inbox?a=1"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login?next=%2Finbox%3Fa%3D1")
    elsewhere = await web.anonymous.get("/", headers={"HX-Request": "true", "HX-Current-URL": "http://x//evil.example"})
    assert elsewhere.headers["hx-redirect"] == "/login"
    form = await web.anonymous.post("/tickets", data={"title": "x"})
    assert form.status_code == 401 and "was not sent" in form.text and "go back" in form.text
    for token in ("nonsense", "dsp_" + "a" * 43, ""):
        wrong = await web.anonymous.get("/api/v1/tickets", headers={"Authorization": f"Bearer {token}"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "token_refused")
        assert "DISPATCHER_TOKEN" in wrong.text


async def test_secrets_are_in_no_log_no_page_and_no_table(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    link = secret(web.database, kind="link")
    async with browser(web) as client:
        pages = [await client.get("/login", params={"token": link}), await client.get("/login")]
        pages.append(await client.post("/login"))
        value = cookies(pages[-1])[NAME].value
        pages += [
            await client.get(path)
            for path in ("/me", "/people", "/people/admin", "/audit", "/api/v1/activity", "/api/v1/users/admin/sessions")
        ]
        made = await client.post("/me/tokens", data={"label": "ci", "days": "30"})
        found = re.search(r"dsp_[\w-]{43}", made.text)
        assert found is not None and made.headers["cache-control"] == "no-store"
        pages += [await client.get(path) for path in ("/me", "/audit", "/api/v1/me/tokens")]
    secrets = (link, value, found[0])
    own = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    for hidden in secrets:
        assert not [text for text in own if hidden in text]
        assert not [answer.url for answer in pages if hidden in answer.text]
    with sqlite3.connect(web.database.url.removeprefix("sqlite:///")) as raw:
        dumped = "\n".join(raw.iterdump())
    raw.close()
    assert not [hidden for hidden in secrets if hidden in dumped]
    assert all(credentials.digest(hidden) in dumped for hidden in secrets)


async def test_a_database_that_is_away_is_told_and_is_no_logout(web: Web) -> None:
    held = {"Cookie": f"{NAME}={cookie(BASE, web.database)['value']}"}
    path = web.database.url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as raw:
        raw.execute("ALTER TABLE credential RENAME TO away")
    raw.close()
    for address in ("/", "/tickets/WEB-1", "/login"):
        answer = await web.anonymous.get(address, headers=held)
        assert answer.status_code == 503 and "database does not answer" in answer.text and not cookies(answer)
    told = await web.anonymous.get("/api/v1/status", headers=held)
    assert (told.status_code, told.json()["error"]["code"]) == (503, "database_down")
    with sqlite3.connect(path) as raw:
        raw.execute("ALTER TABLE away RENAME TO credential")
    raw.close()
    assert (await web.anonymous.get("/me", headers=held)).status_code == 200


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("", "unknown browser"),
        ("\x1b[31m<b>" + "x" * 200, "?[31m<b>" + "x" * 52),
    ],
)
def test_browsers_in_a_few_words(agent: str, words: str) -> None:
    assert browser_of(agent) == words
