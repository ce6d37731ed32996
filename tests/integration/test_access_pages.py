"""People, sessions, tokens and the audit, as a browser without scripts uses their pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dispatcher import access, activity, credentials
from tests.entering import bearer, secret
from tests.integration.test_pages import Page, page, post
from tests.webbing import Web, open_web

SECRET = re.compile(r"dsp_[\w-]{43}")


@pytest.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(database_url, tmp_path / "data") as web:
        yield web


async def made(web: Web, where: str, **form: str) -> tuple[Page, str]:
    """A page that shows a secret, and the secret."""
    answer = await web.client.post(where, data=form)
    assert answer.status_code == 200, answer.text
    found = SECRET.search(answer.text)
    assert found is not None
    return Page(answer.text), found[0]


async def test_somebody_is_added_and_logs_in_by_the_link(web: Web) -> None:
    shown, link = await made(web, "/people", name="Ada", role="viewer", hours="72")
    assert f"http://127.0.0.1:8484/login?token={link}" in shown.text and "A login link for ada" in shown.text
    people = await page(web, "/people")
    assert "ada" in people.text and "never" in people.text and link not in people.text
    entered = await web.anonymous.post("/login", data={"token": f" http://127.0.0.1:8484/login?token={link} "})
    assert entered.status_code == 303
    again = await post(web, "/people", 409, name="ADA", role="viewer", hours="24")
    assert 'value="ADA" aria-invalid="true"' in again.text and "already" in again.text
    assert "is no user name" in (await post(web, "/people", 422, name="a b", role="viewer")).text
    assert "there is no role" in (await post(web, "/people", 422, name="bob", role="king")).text
    assert "is no number" in (await post(web, "/people", 422, name="bob", role="viewer", hours="soon")).text
    assert "lasts 1 to" in (await post(web, "/people", 422, name="bob", role="viewer", hours="9999")).text


async def test_a_role_is_given_and_somebody_is_shut_out_and_let_in(web: Web) -> None:
    await made(web, "/people", name="ada", role="viewer")
    assert (await post(web, "/people/ada/role", role="admin")).headers["location"] == "/people/ada"
    secret(web.database, "ada", "session")
    assert "Firefox on Linux" in (await page(web, "/people/ada")).text
    await post(web, "/people/ada/disable")
    out = await page(web, "/people/ada")
    assert "Enable again" in out.text and "Make a login link" not in out.text and "logged in with no browser" in out.text
    assert "is disabled" in (await post(web, "/people/ada/link", 409)).text
    last = await post(web, "/people/admin/disable", 409)
    assert "last administrator" in last.text
    assert "last administrator" in (await post(web, "/people/admin/role", 409, role="viewer")).text
    await post(web, "/people/ada/enable")
    _, first = await made(web, "/people/ada/link", hours="24")
    _, second = await made(web, "/people/ada/link", hours="24")
    replaced = await web.anonymous.post("/login", data={"token": first})
    assert replaced.status_code == 401 and "newer one" in replaced.text
    assert (await web.anonymous.post("/login", data={"token": second})).status_code == 303
    assert (await web.client.get("/people/nobody")).status_code == 404


async def test_tokens_are_shown_once_and_revoked(web: Web) -> None:
    await made(web, "/people", name="ci", role="member")
    shown, token = await made(web, "/people/ci/tokens", label="nightly <b>build</b>", days="90")
    assert "nightly <b>build</b>" in shown.text and "DISPATCHER_TOKEN" in shown.text
    assert (await web.anonymous.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})).json()["name"] == "ci"
    listed = await page(web, "/people/ci")
    assert token not in listed.text
    assert "needs a label" in (await post(web, "/people/ci/tokens", 422, label=" ")).text
    number = (await web.send("GET", "/users/ci/tokens"))[0]["id"]
    assert (await web.client.post(f"/people/admin/credentials/{number}/end")).status_code == 404, "of somebody else"
    await post(web, f"/people/ci/credentials/{number}/end")
    assert (await web.anonymous.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_one_s_own_page_lists_and_ends_sessions(web: Web) -> None:
    own = {"Origin": "http://127.0.0.1:8484"}
    held = {"Cookie": f"dispatcher-8484={secret(web.database, kind='session')}"} | own
    other = {"Cookie": f"dispatcher-8484={secret(web.database, kind='session')}"} | own
    shown = await web.anonymous.get("/me", headers=held)
    assert "this browser" in Page(shown.text).text and shown.text.count(">End</button>") == 2
    numbers = [int(number) for number in re.findall(r"/me/credentials/(\d+)/end", shown.text)]
    ended = await web.anonymous.post(f"/me/credentials/{min(numbers)}/end", headers=other)
    assert ended.headers["location"] == "/me"
    assert (await web.anonymous.get("/me", headers=held)).status_code == 303
    left = await web.anonymous.post(f"/me/credentials/{max(numbers)}/end", headers=other)
    assert left.headers["location"] == "/login" and 'dispatcher-8484=""' in left.headers["set-cookie"]
    third = {"Cookie": f"dispatcher-8484={secret(web.database, kind='session')}"} | own
    everywhere = await web.anonymous.post("/me/logout", headers=third)
    assert everywhere.headers["location"] == "/login"
    assert (await web.anonymous.get("/me", headers=third)).status_code == 303


async def test_one_s_own_tokens_and_nobody_else_s(web: Web) -> None:
    with web.database.transaction() as db:
        access.add_user(db, "ada", "viewer")
        credentials.make_token(db, access.get_user(db, "admin"), "of the administrator")
    headers = bearer(web.database, "ada")
    answer = await web.anonymous.post("/me/tokens", data={"label": "mine", "days": ""}, headers=headers)
    found = SECRET.search(answer.text)
    assert found is not None and "of the administrator" not in answer.text
    mine = (await web.anonymous.get("/api/v1/me/tokens", headers=headers)).json()
    assert [(row["label"], row["expires_at"]) for row in mine] == [("mine", None)]
    theirs = (await web.send("GET", "/users/admin/tokens"))[0]["id"]
    for call in (f"/me/credentials/{theirs}/end", f"/people/admin/credentials/{theirs}/end"):
        assert (await web.anonymous.post(call, headers=headers)).status_code in (403, 404)
    assert (await web.anonymous.delete(f"/api/v1/me/credentials/{theirs}", headers=headers)).status_code == 404
    assert (await web.anonymous.delete(f"/api/v1/me/credentials/{mine[0]['id']}", headers=headers)).status_code == 204
    by_token = await web.anonymous.get("/me", headers=bearer(web.database, "ada", "token"))
    assert "You came here with an API token" in by_token.text


async def test_the_api_of_users(web: Web) -> None:
    added = await web.send("POST", "/users", {"name": "Ada", "role": "viewer", "hours": 1}, status=201)
    assert added["name"] == "ada" and added["link"]["path"].startswith("/login?token=dsp_")
    assert (await web.refused("POST", "/users", {"name": "ada"}))["code"] == "conflict"
    assert (await web.refused("POST", "/users", {"name": "x", "role": "root"}))["field"] == "role"
    assert (await web.refused("POST", "/users", {"name": "x", "hours": 0}))["field"] == "hours"
    assert (await web.refused("PATCH", "/users/ada", {"rule": "admin"}))["field"] == "rule"
    assert (await web.send("PATCH", "/users/ada", {"role": "member", "disabled": True}))["disabled_at"]
    assert (await web.refused("POST", "/users/ada/link", {}))["status"] == 409
    assert not (await web.send("PATCH", "/users/ada", {"disabled": False}))["disabled_at"]
    token = await web.send("POST", "/users/ada/tokens", {"label": "ci", "days": 3}, status=201)
    assert SECRET.fullmatch(token["token"]) and token["made_by"] == "admin"
    me = await web.anonymous.get("/api/v1/me", headers={"Authorization": f"Bearer {token['token']}"})
    assert me.json() == {"name": "ada", "role": "member", "by": "token"}
    assert (await web.refused("GET", "/users/nobody"))["status"] == 404
    assert (await web.send("GET", "/me"))["name"] == "admin"
    await web.send("DELETE", "/me/sessions", status=204)


async def test_the_audit_tells_who_did_what_page_by_page(web: Web, repository: Path) -> None:
    await web.furnish(repository)
    await made(web, "/people", name="ada", role="member")
    headers = bearer(web.database, "ada")
    filed = await web.anonymous.post("/api/v1/tickets", json={"project": "WEB", "title": "<i>x</i>"}, headers=headers)
    assert filed.status_code == 201
    said = await web.anonymous.post("/api/v1/tickets/WEB-1/comment", json={"body": "Hm"}, headers=headers)
    assert said.json()["author"] == "ada"
    with web.database.transaction() as db:
        activity.record(db, "run.by_itself", text="x" * 500)
    assert "by_itself" not in (await page(web, "/audit")).text
    assert "by_itself" in (await page(web, "/audit?who=*")).text
    alone = await page(web, "/audit?who=-")
    assert "by_itself" in alone.text and "ticket.filed" not in alone.text and "x" * 161 not in alone.text
    of_ada = await page(web, "/audit?who=ada")
    assert "ticket.filed" in of_ada.text and "title: <i>x</i>" in of_ada.text and "project.added" not in of_ada.text
    of_ticket = await page(web, "/audit?who=*&ticket=web-1")
    assert "comment.added" in of_ticket.text and "access." not in of_ticket.text
    rights = await page(web, "/audit?kind=access.")
    assert "user: ada, role: member" in rights.text and "comment.added" not in rights.text
    assert "there is no ticket" in (await page(web, "/audit?ticket=WEB-99", 404)).text
    assert "there is no kind" in (await page(web, "/audit?kind=x", 404)).text
    assert "Nothing like this" in (await page(web, "/audit?who=ada&kind=github.")).text
    with web.database.transaction() as db:
        for number in range(205):
            activity.record(db, "test.many", number=number)
    seen: list[str] = []
    address = "/audit?who=-"
    while address:
        answer = await web.client.get(address)
        seen += re.findall(r"number: (\d+)", answer.text)
        older = re.search(r'href="(/audit\?[^"]*before=[^"]*)"', answer.text)
        address = older[1].replace("&amp;", "&") if older else ""
    assert seen == [str(number) for number in reversed(range(205))]


async def test_what_is_hostile_is_shown_as_it_is(web: Web) -> None:
    hostile = '"><script>alert(1)</script>\u202e'
    with web.database.transaction() as db:
        user = access.get_user(db, "admin")
        credentials.redeem(db, credentials.make_link(db, user).secret, hostile)
        credentials.make_token(db, user, hostile)
    for path in ("/me", "/people/admin", "/audit"):
        answer = await web.client.get(path)
        assert isinstance(answer, httpx.Response) and "<script>alert" not in answer.text and "\u202e" not in answer.text
        assert "&lt;script&gt;" in answer.text
        Page(answer.text)
