"""The inbox by API, by command, and as a page whose forms work without scripts and with htmx."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from dispatcher import runs
from tests.integration.cli import Cli
from tests.webbing import Web, open_web

ASKS = runs.Result("block", "blocked", "Keep <b>the name</b>?", blocker="question")
FAILED = runs.Result("block", "blocked", "1 failed", blocker="check_failed")
HTMX = {"HX-Request": "true"}


@pytest_asyncio.fixture
async def web(database_url: str, tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    async with open_web(database_url, tmp_path / "data") as web:
        await web.furnish(repository)
        yield web


async def _post(web: Web, path: str, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
    return await web.client.post(path, data=fields, headers=headers)


async def test_the_api_tells_what_waits(web: Web, repository: Path) -> None:
    nothing = await web.send("GET", "/inbox")
    assert nothing == {"count": 0, "faults": [], "blocked": [], "review": []}
    for result in (FAILED, ASKS, None):
        web.work(await web.ticket("Say hello", agent="coder"), repository, **({"result": result} if result else {}))
    await web.ticket("Waits", agent="coder")
    found = await web.send("GET", "/inbox?project=web")
    assert [one["ticket"]["key"] for one in found["blocked"]] == ["WEB-2", "WEB-1"]
    assert [(one["ticket"]["key"], one["ticket"]["files"]) for one in found["review"]] == [("WEB-3", 1)]
    assert [fault["kind"] for fault in found["faults"]] == ["no_worker"] and found["count"] == 4
    assert (await web.refused("GET", "/inbox?project=NO"))["status"] == 404


async def test_the_page_is_inert_and_counts_in_every_page(web: Web, repository: Path) -> None:
    assert "Nothing waits for you" in (await web.client.get("/inbox")).text
    web.work(await web.ticket("<script>alert(1)</script>", agent="coder"), repository, result=ASKS)
    text = (await web.client.get("/inbox")).text
    assert "Keep &lt;b&gt;the name&lt;/b&gt;?" in text and "<script>alert" not in text
    assert 'data-waiting="1"' in text and 'data-waiting="1"' in (await web.client.get("/")).text
    part = (await web.client.get("/inbox?part=waiting")).text
    assert part.lstrip().startswith('<div id="part-waiting"') and "<html" not in part


async def test_answering_without_scripts_leads_back(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository, result=ASKS)
    empty = await _post(web, f"/inbox/{key}/answer", text=" ", project="WEB")
    assert empty.status_code == 422 and "the agent asks a question; the answer is empty" in empty.text and "<html" in empty.text
    done = await _post(web, f"/inbox/{key}/answer", text="Keep it", project="WEB")
    assert (done.status_code, done.headers["location"]) == (303, "/inbox?project=WEB")
    assert (await web.send("GET", f"/tickets/{key}"))["state"] == "queued"


async def test_htmx_gets_the_list_and_a_message(web: Web, repository: Path) -> None:
    await web.send("POST", "/agents", {"name": "other", "harness": "goose", "endpoint": "local"}, status=201)
    keys = [await web.ticket(agent="coder") for _ in range(3)]
    for key in keys:
        web.work(key, repository, result=FAILED)
    refused = await _post(web, f"/inbox/{keys[0]}/assign", HTMX, agent="nobody")
    assert refused.status_code == 404 and "there is no agent" in refused.text and "<html" not in refused.text
    given = await _post(web, f"/inbox/{keys[0]}/assign", HTMX, agent="other")
    assert given.status_code == 200 and f"{keys[0]} given to other" in given.text and f"waiting-{keys[0]}" not in given.text
    accepted = await _post(web, f"/inbox/{keys[1]}/accept", HTMX)
    assert "taken into review" in accepted.text and f'class="waiting waiting-review" id="waiting-{keys[1]}"' in accepted.text
    again = await _post(web, f"/inbox/{keys[2].lower()}/answer", HTMX, text="")
    assert f"{keys[2]} tries again" in again.text and 'hx-target="#toasts"' in again.text


async def test_somebody_was_quicker(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository, result=FAILED)
    await web.send("POST", f"/tickets/{key}/answer", {"text": ""})
    late = await _post(web, f"/inbox/{key}/answer", HTMX, text="Mine")
    assert late.status_code == 200 and "toast-error" in late.text and "waits for no answer" in late.text


async def test_an_error_for_htmx_is_a_message_and_no_page(web: Web) -> None:
    answer = await _post(web, "/nothing", HTMX)
    assert answer.status_code == 404 and "<html" not in answer.text and 'class="toast toast-error" role="alert"' in answer.text
    assert (answer.headers["hx-retarget"], answer.headers["hx-reswap"]) == ("#toasts", "beforeend")
    whole = await web.client.get("/nothing")
    assert whole.status_code == 404 and "<html" in whole.text and "hx-retarget" not in whole.headers


def test_the_command_lists_it(tmp_path: Path, repository: Path) -> None:
    cli = Cli(tmp_path / "data", {})
    assert cli.ok("inbox").out == ""
    cli.ok("project", "add", repository, "--key", "WEB")
    cli.ok("endpoint", "add", "local", "--url", "http://127.0.0.1:9/v1", "--model", "m")
    cli.ok("agent", "add", "coder", "--harness", "goose", "--endpoint", "local")
    cli.ok("ticket", "new", "Wait", "--project", "WEB", "--assign", "coder")
    told = cli.ok("inbox")
    assert told.out == "no worker is alive, and WEB-1 waits in the queue\n" and "hint: start one" in told.err
    assert json.loads(cli.ok("inbox", "--json", "--project", "WEB").out)["count"] == 1
    wrong = cli.run("inbox", "--project", "NO")
    assert wrong.status == 1 and "hint:" in wrong.err
