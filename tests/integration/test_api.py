"""The API end to end on both engines: from a repository to a merged branch, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.session import Item
from dispatcher import runs
from dispatcher.demo.scripted import Call, Request, Say, ScriptedEndpoint, Step
from tests.gitting import commit, git
from tests.webbing import Web, open_web

QUESTION = runs.Result("block", "question", "Which greeting?", "question", evidence="hello or hi")


@pytest.fixture
async def web(database_url: str, tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(database_url, tmp_path / "data") as web:
        yield web


@pytest.fixture
async def furnished(web: Web, repository: Path) -> Web:
    await web.furnish(repository)
    return web


async def test_a_ticket_goes_from_the_repository_to_the_merge(furnished: Web, repository: Path) -> None:
    web = furnished
    key = await web.ticket("Say hello", body="In a file.", labels=["greeting"], agent="coder")
    queued = await web.send("GET", f"/tickets/{key}")
    assert (queued["state"], queued["agent"], queued["project"], queued["run"]["state"]) == ("queued", "coder", "WEB", "queued")
    run_id = web.work(key, repository)
    ticket = await web.send("GET", f"/tickets/{key}")
    assert ticket["state"] == "review" and ticket["triggers"] == ["change", "conflict", "merge", "cancel"]
    assert ticket["workspace"]["branch"] == f"agent/{key}" and ticket["workspace"]["checkout"].startswith("git -C ")
    assert [check["state"] for check in ticket["checks"]] == ["passed"]
    assert [(run["id"], run["state"], run["prompt_tokens"]) for run in ticket["runs"]] == [(run_id, "succeeded", 12_000)]

    diff = await web.send("GET", f"/tickets/{key}/diff")
    assert [(file["path"], file["status"], file["additions"]) for file in diff["files"]] == [("hello.txt", "added", 2)]
    for asked in ({"params": {"format": "text"}}, {"headers": {"Accept": "text/x-diff"}}):
        plain = await web.client.get(f"/api/v1/tickets/{key}/diff", **asked)
        assert plain.headers["content-type"] == "text/x-diff; charset=utf-8" and "+hello" in plain.text

    moved = await web.refused("POST", f"/tickets/{key}/approve", {"head": "0" * 40})
    assert moved["status"] == 409 and "moved" in moved["message"]
    merged = await web.send("POST", f"/tickets/{key}/approve", {"method": "squash", "head": diff["head_sha"]})
    assert merged["state"] == "done" and merged["merged_sha"] == git(repository, "rev-parse", "main")
    assert (repository / "hello.txt").read_text().startswith("hello")
    reviews = (await web.send("GET", f"/tickets/{key}"))["reviews"]
    assert [(review["verdict"], review["run"]) for review in reviews] == [("approve", run_id)]
    project = await web.send("GET", "/projects/web")
    assert project["counts"]["done"] == 1 and project["notes"] == []


async def test_a_blocker_is_answered_and_changes_are_requested(furnished: Web, repository: Path) -> None:
    web = furnished
    key = await web.ticket(agent="coder")
    web.work(key, repository, result=QUESTION)
    blocked = await web.send("GET", f"/tickets/{key}")
    assert blocked["state"] == "blocked" and blocked["blocker"]["evidence"] == "hello or hi"
    empty = await web.refused("POST", f"/tickets/{key}/answer", {"text": " "})
    assert (empty["field"], empty["code"]) == ("text", "invalid") and "Which greeting?" in empty["hint"]
    seen = blocked["blocker"]["id"]
    late = await web.refused("POST", f"/tickets/{key}/answer", {"text": "hello", "blocker": seen + 1})
    assert (late["status"], late["field"], late["code"]) == (409, "text", "conflict") and "Which greeting?" in late["hint"]
    assert (await web.send("GET", f"/tickets/{key}"))["blocker"]["answer"] is None
    answered = await web.send("POST", f"/tickets/{key}/answer", {"text": "hello", "blocker": seen})
    assert (answered["state"], answered["run"]["reason"], answered["run"]["resume"]) == ("queued", "answer", "session-1")
    assert answered["blocker"] is None
    stopped = await web.send("POST", f"/runs/{answered['run']['id']}/stop")
    assert stopped["state"] == "cancelled"
    assert (await web.send("GET", f"/tickets/{key}"))["state"] == "backlog"

    other = await web.ticket(agent="coder")
    web.work(other, repository)
    line = {"path": "hello.txt", "line": 1, "body": "Louder"}
    changed = await web.send("POST", f"/tickets/{other}/changes", {"body": "Nearly.", "comments": [line]})
    assert changed["state"] == "queued"
    assert changed["run"]["feedback"] == "Nearly.\n\n1. hello.txt:1:\n```\n1: hello\n```\nLouder"
    detail = await web.send("GET", f"/tickets/{other}")
    assert [(said["path"], said["line"], said["review"]) for said in detail["comments"]] == [
        ("hello.txt", 1, detail["reviews"][0]["id"])
    ]


async def test_a_conflict_blocks_the_ticket_and_names_the_files(furnished: Web, repository: Path) -> None:
    web = furnished
    key = await web.ticket(agent="coder")
    web.work(key, repository)
    commit(repository, hello_txt="something else\n")
    refused = await web.refused("POST", f"/tickets/{key}/approve", {})
    assert (refused["status"], refused["code"]) == (409, "merge_conflict")
    ticket = await web.send("GET", f"/tickets/{key}")
    assert ticket["state"] == "blocked" and ticket["blocker"]["files"] == ["hello.txt"]


async def test_discard_wants_the_key_again(furnished: Web, repository: Path) -> None:
    web = furnished
    key = await web.ticket(agent="coder")
    web.work(key, repository)
    refused = await web.refused("POST", f"/tickets/{key}/discard", {"confirm": "WEB-9"})
    assert refused["field"] == "confirm" and key in refused["hint"]
    assert git(repository, "branch", "--list", f"agent/{key}")
    gone = await web.send("POST", f"/tickets/{key}/discard", {"confirm": key})
    assert gone["state"] == "cancelled" and not git(repository, "branch", "--list", f"agent/{key}")
    assert (await web.send("GET", f"/tickets/{key}"))["workspace"] is None


async def test_tickets_are_edited_moved_and_listed(furnished: Web) -> None:
    web = furnished
    first = await web.ticket("First ünïcode 🙂", labels=["bug"])
    second = await web.ticket("Second")
    edited = await web.send("PATCH", f"/tickets/{second.lower()}", {"title": "Second, better", "position": 0.5})
    assert (edited["title"], edited["body"]) == ("Second, better", "")
    assert [ticket["key"] for ticket in await web.send("GET", "/tickets")] == [second, first]
    for query, keys in (
        ("label=bug", [first]),
        ("q=better", [second]),
        ("state=queued", []),
        ("project=web&limit=1", [second]),
    ):
        assert [ticket["key"] for ticket in await web.send("GET", f"/tickets?{query}")] == keys
    assigned = await web.send("POST", f"/tickets/{first}/assign", {"agent": "coder"})
    assert assigned["state"] == "queued"
    assert (await web.send("POST", f"/tickets/{first}/withdraw"))["state"] == "backlog"
    assert (await web.send("POST", f"/tickets/{first}/cancel"))["state"] == "cancelled"
    assert (await web.send("POST", f"/tickets/{first}/reopen"))["state"] == "backlog"
    said = await web.send("POST", f"/tickets/{first}/comment", {"body": "Hm", "path": "a b/ü.py", "line": 3}, status=201)
    assert (said["author"], said["path"], said["line"]) == ("admin", "a b/ü.py", 3)
    kinds = [entry["kind"] for entry in await web.send("GET", f"/activity?ticket={first}")]
    assert kinds[0] == "ticket.filed" and "comment.added" in kinds


async def test_a_run_shows_what_it_said_and_printed(furnished: Web, repository: Path) -> None:
    web = furnished
    key = await web.ticket(agent="coder")
    half = [Item(seq=0, kind="assistant", text="half a pair: \ud83d"), *(Item(seq=n, kind="assistant") for n in (1, 2))]
    run_id = web.work(key, repository, result=None, items=half)
    folder = web.settings.runs / str(run_id)
    folder.mkdir(parents=True)
    (folder / "stdout").write_bytes(b"one\n\xfftwo\n")
    assert [item["seq"] for item in await web.send("GET", f"/runs/{run_id}/items?after=0&limit=1")] == [1]
    session = await web.send("GET", f"/runs/{run_id}/session")
    assert session["native_id"] == "session-1" and session["items"][0]["text"] == "half a pair: ?"
    assert (await web.send("GET", f"/runs/{run_id}"))["prompt"] == ""
    log = await web.client.get(f"/api/v1/runs/{run_id}/log?offset=4&limit=3")
    assert (log.content, log.headers["x-next-offset"]) == (b"\xfftw", "7")
    assert (await web.client.get(f"/api/v1/runs/{run_id}/log?stream=stderr&offset=5")).headers["x-next-offset"] == "5"
    assert (await web.send("POST", f"/runs/{run_id}/stop"))["cancel_requested"] is True
    assert [run["id"] for run in await web.send("GET", f"/runs?ticket={key}&state=running")] == [run_id]
    assert (await web.send("GET", "/endpoints"))[0]["slots_in_use"] == 1


async def test_endpoints_are_checked_over_the_api(furnished: Web) -> None:
    def able(request: Request) -> Step:
        return Call("get_time", {"city": "Paris"}) if request.body.get("tools") else Say("one, two")

    web = furnished
    with ScriptedEndpoint(able) as server:
        body = {"name": "demo", "base_url": server.base_url, "model": "scripted"}
        await web.send("POST", "/endpoints", body, status=201)
        health = await web.send("POST", "/endpoints/demo/check")
    assert health["ok"] and health["tools"]
    shown = {row["name"]: row for row in await web.send("GET", "/endpoints")}["demo"]
    assert shown["health"] == health and shown["checked_at"]
    await web.send("DELETE", "/endpoints/demo", status=204)
    assert (await web.refused("DELETE", "/endpoints/local"))["code"] == "conflict"
    assert isinstance(await web.send("POST", "/endpoints/discover"), list)


async def test_status_workers_and_harnesses(furnished: Web) -> None:
    web = furnished
    status = await web.send("GET", "/status")
    assert (status["workers"], status["redis"], status["counts"]["backlog"]) == (0, "none", 0)
    assert status["home"] == str(web.settings.home)
    assert await web.send("GET", "/workers") == []
    assert [row["name"] for row in await web.send("GET", "/harnesses")] == ["aider", "goose", "opencode"]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/tickets/WEB-99", None, (404, "key", "not_found")),
        ("GET", "/tickets?state=open", None, (422, "state", "invalid")),
        ("GET", "/tickets?limit=0", None, (422, "limit", "invalid")),
        ("GET", "/runs/seven", None, (422, "run_id", "invalid")),
        ("GET", "/runs/77", None, (404, "run", "not_found")),
        ("GET", "/nothing", None, (404, None, "not_found")),
        ("PUT", "/tickets", None, (405, None, "method_not_allowed")),
        ("POST", "/tickets", {"title": "x"}, (422, "project", "invalid")),
        ("POST", "/tickets", {"project": "WEB", "title": "x", "lables": []}, (422, "lables", "invalid")),
        ("POST", "/tickets", {"project": "NO", "title": "x"}, (404, "project", "not_found")),
        ("POST", "/tickets", {"project": "WEB", "title": "x" * 10_000}, (422, "title", "invalid")),
        ("POST", "/tickets", {"project": "WEB", "title": "x", "agent": "nobody"}, (404, "agent", "not_found")),
        ("POST", "/tickets", {"project": "WEB", "title": " \n "}, (422, "title", "invalid")),
        ("POST", "/projects", {"path": "/nowhere"}, (422, "path", "invalid")),
        ("POST", "/endpoints", {"name": "x", "base_url": "http://h:1", "model": "m"}, (422, "base_url", "invalid")),
        ("POST", "/agents", {"name": "x", "harness": "vim", "endpoint": "local"}, (422, "harness", "invalid")),
        (
            "POST",
            "/agents",
            {"name": "x", "harness": "goose", "endpoint": "local", "max_turns": "many"},
            (422, "max_turns", "invalid"),
        ),
        ("DELETE", "/agents/nobody", None, (404, "agent", "not_found")),
    ],
)
async def test_a_refusal_names_the_field(furnished: Web, method: str, path: str, body: object, expected: object) -> None:
    error = await furnished.refused(method, path, body)
    assert (error["status"], error["field"], error["code"]) == expected and error["message"]


async def test_a_body_that_is_no_json_is_told(web: Web) -> None:
    answer = await web.client.post("/api/v1/tickets", content=b"{oops", headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and "no JSON" in answer.json()["error"]["message"]


async def test_what_nobody_foresaw_is_one_line_and_in_the_log(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    @web.app.get("/api/v1/broken")
    def broken() -> None:
        raise RuntimeError("secret details")

    answer = await web.client.get("/api/v1/broken")
    assert answer.status_code == 500 and answer.json()["error"]["code"] == "internal"
    assert "secret details" not in answer.text and "Traceback" not in answer.text
    assert "secret details" in caplog.text


async def test_the_openapi_document_is_complete(web: Web) -> None:
    document = (await web.client.get("/api/v1/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len(operations) > 35
    for operation in operations:
        assert operation["summary"] and operation["description"] and operation["tags"]
        assert "ErrorOut" in json.dumps(operation["responses"]["422"])
    assert not [path for path in document["paths"] if not path.startswith("/api/v1/")]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/runs/99999999999999999999"),
        ("GET", "/api/v1/activity?since=9223372036854775808"),
        ("DELETE", "/api/v1/me/credentials/39520105294682932575287115776"),
        ("GET", "/audit?before=99999999999999999999"),
    ],
)
async def test_a_number_that_no_database_takes_is_told(web: Web, method: str, path: str) -> None:
    answer = await web.client.request(method, path)
    assert answer.status_code == 422 and "less than or equal" in answer.text


async def test_a_body_that_is_no_text_is_told_as_others_are(web: Web) -> None:
    sent = await web.client.post("/api/v1/tickets", content=b'"\xff"', headers={"Content-Type": "application/json"})
    assert sent.status_code == 422 and sent.json()["error"]["code"] == "invalid" and "UTF-8" in sent.text
