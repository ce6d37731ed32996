"""The fleet's pages and the first run as a browser without scripts uses them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dispatcher import access, endpoints, roster, runs
from dispatcher.demo.scripted import Call, Request, Say, ScriptedEndpoint, Step
from dispatcher.models import utcnow
from tests.entering import bearer
from tests.fleet import add_run, enter_worker, furnish_fleet
from tests.integration.test_pages import Page, page, post
from tests.webbing import Web, open_web


@pytest.fixture
async def web(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        await web.furnish(repository, check_command="make test")
        yield web


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Web]:
    """A site that nothing is set up in."""
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        yield web


def able(request: Request) -> Step:
    """A model that talks, and calls the tool that it is given."""
    return Call("get_time", {"city": "Paris"}) if request.body.get("tools") else Say("one, two, three, four, five")


async def offered(web: Web, path: str, chooser: str) -> list[str]:
    """The values of a select."""
    text = (await web.client.get(path)).text
    inside = text.partition(f'id="{chooser}"')[2].partition("</select>")[0]
    return re.findall(r"<option value=\"([^\"]*)\"", inside)


def where(answer: httpx.Response) -> str:
    return answer.headers["location"]


async def checked(web: Web, name: str) -> dict[str, Any]:
    """The endpoint, once its check has ended."""
    async with asyncio.timeout(20):
        while True:
            endpoint: dict[str, Any] = await web.send("GET", f"/endpoints/{name}")
            if endpoint["health"]:
                return endpoint
            await asyncio.sleep(0.05)


async def test_the_overview_shows_all_and_each_part_alone(web: Web) -> None:
    with web.database.transaction() as db:
        furnish_fleet(db)
        add_run(db, "builder", state="running", worker="forge:4711:ab12", doing="edits a.py", tokens_per_second=58.5)
        add_run(db, "builder", state="queued")
    text = (await page(web, "/fleet")).text
    for words in ("workstation", "1 of 4", "58.5", "Unreachable", "RACK_API_KEY is not set", "Retired"):
        assert words in text, words
    for words in ("builder", "forge", "Gone", "differs", "opencode 1.18.20", "aider missing", "WEB-1", "make test"):
        assert words in text, words
    for part in ("endpoints", "agents", "workers", "harnesses", "projects"):
        answer = await web.client.get("/fleet", params={"part": part})
        assert answer.text.lstrip().startswith(f'<section id="part-{part}"'), answer.text[:100]


async def test_what_servers_and_models_say_is_inert(web: Web) -> None:
    evil = "<script>alert(1)</script>"
    with web.database.transaction() as db:
        local = endpoints.get_endpoint(db, "local")
        local.model = evil
        health = endpoints.Health(ok=False, state="error", message=f"it said {evil}\u202e", hint=evil, models=[evil])
        endpoints.record_health(db, local, health)
        enter_worker(db, "forge:1:a", {"opencode": {"version": evil, "path": evil}})
        add_run(db, "coder", state="running", doing=evil, worker="forge:1:a")
    for path in ("/fleet", "/fleet/endpoints/local", "/fleet/endpoints/local/edit", "/fleet/agents/coder"):
        answer = await web.client.get(path)
        assert "<script>alert" not in answer.text and "&lt;script&gt;alert" in answer.text, path
        assert "\u202e" not in answer.text
        Page(answer.text)


async def test_an_endpoint_is_added_tested_edited_retired_and_brought_back(web: Web) -> None:
    with ScriptedEndpoint(able, models=("one",)) as server:
        added = await post(web, "/fleet/endpoints", base_url=server.base_url)
        assert where(added) == "/fleet/endpoints/local-2"
        endpoint = await checked(web, "local-2")
    assert (endpoint["model"], endpoint["health"]["ok"], endpoint["health"]["tools"]) == ("one", True, True)
    shown = (await page(web, "/fleet/endpoints/local-2")).text
    assert "Ready" in shown and "a tool call came back" in shown
    await post(web, "/fleet/endpoints/local-2/edit", base_url=endpoint["base_url"], model="two", key_env="", slots="3")
    assert (await web.send("GET", "/endpoints/local-2"))["slots"] == 3
    refused = await post(web, "/fleet/endpoints/local-2/edit", 422, base_url="ftp://x", model="two", slots="3")
    assert (
        "no http or https URL" in refused.text and 'value="ftp://x"' in refused.text and 'aria-invalid="true"' in refused.text
    )
    wrong = await post(web, "/fleet/endpoints/local-2/edit", 422, base_url=endpoint["base_url"], model="two", slots="many")
    assert "no whole number" in wrong.text
    assert "Remove local-2?" in (await page(web, "/fleet/endpoints/local-2/remove")).text
    assert where(await post(web, "/fleet/endpoints/local-2/retire")) == "/fleet/endpoints/local-2"
    assert "Bring back" in (await page(web, "/fleet/endpoints/local-2")).text
    await post(web, "/fleet/endpoints/local-2/restore")
    assert where(await post(web, "/fleet/endpoints/local-2/remove")) == "/fleet#endpoints"
    assert (await web.refused("GET", "/endpoints/local-2"))["status"] == 404


async def test_an_address_where_nothing_listens_is_told_with_the_fix(web: Web) -> None:
    refused = await post(web, "/fleet/endpoints", 422, base_url="http://127.0.0.1:1/v1")
    assert "nothing listens at 127.0.0.1:1" in refused.text and "start the model server there" in refused.text
    bare = await post(web, "/fleet/endpoints", 422, base_url="127.0.0.1:1")
    assert "http://127.0.0.1:1" in bare.text
    with ScriptedEndpoint(able, models=("one", "two")) as server:
        several = await post(web, "/fleet/endpoints", 422, base_url=server.base_url)
        assert "the server has one, two" in several.text


async def test_a_test_that_fails_tells_evidence_and_fix(web: Web) -> None:
    assert where(await post(web, "/fleet/endpoints/local/check")) == "/fleet/endpoints/local"
    endpoint = await checked(web, "local")
    assert endpoint["health"]["state"] == "refused"
    text = (await page(web, "/fleet/endpoints/local")).text
    assert "Unreachable" in text and "nothing listens at 127.0.0.1:1" in text and "start the model server there" in text


async def test_a_second_test_waits_for_the_first(web: Web) -> None:
    with web.database.transaction() as db:
        endpoints.get_endpoint(db, "local").checking = {
            "since": utcnow().isoformat(),
            "step": "waits for local-coder to answer",
        }
    shown = await page(web, "/fleet/endpoints/local")
    assert "waits for local-coder to answer" in shown.text
    refused = await post(web, "/fleet/endpoints/local/check", 409)
    assert "being checked already" in refused.text


async def test_servers_of_this_machine_are_found_and_taken_with_one_click(tmp_path: Path) -> None:
    with ScriptedEndpoint(able, models=("small", "coder")) as server:
        settings = {"discovery_ports": [server.port]}
        async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data", **settings) as web:
            answer = await post(web, "/fleet/endpoints/discover", 200)
            assert server.base_url in answer.text and "<option selected>coder</option>" in answer.text
            form = {"name": "openai-compatible-server", "base_url": server.base_url, "model": "coder"}
            await post(web, "/fleet/endpoints", **form)
            again = await post(web, "/fleet/endpoints/discover", 200)
            assert "openai-compatible-server already" in again.text


async def test_an_agent_is_added_edited_and_retired_never_silently(web: Web) -> None:
    agent = {"name": "pair", "harness": "aider", "endpoint": "local", "max_seconds": "90", "max_tokens": "", "max_turns": "7"}
    assert where(await post(web, "/fleet/agents", **agent, instructions="Be brief.\r\nAlways.")) == "/fleet/agents/pair"
    made = await web.send("GET", "/agents/pair")
    assert (made["max_seconds"], made["max_tokens"], made["max_turns"]) == (5400, 0, 7)
    assert made["instructions"] == "Be brief.\nAlways."
    await post(
        web, "/fleet/agents/pair/edit", harness="aider", endpoint="local", max_seconds="1.5", instructions="", max_tokens="9"
    )
    made = await web.send("GET", "/agents/pair")
    assert (made["max_seconds"], made["max_tokens"], made["instructions"]) == (90, 9, "")
    taken = await post(web, "/fleet/agents", 409, **agent)
    assert "there is an agent named pair already" in taken.text and 'value="7"' in taken.text
    wrong = await post(web, "/fleet/agents/pair/edit", 422, max_silence="soon")
    assert "no number of minutes" in wrong.text
    key = await web.ticket(agent="pair")
    question = (await page(web, "/fleet/agents/pair/remove")).text
    assert "Retire pair?" in question and "live runs go on" in question and key in question
    await post(web, "/fleet/agents/pair/retire")
    assert "pair" not in [one["name"] for one in await web.send("GET", "/agents")]
    assert "pair" in [one["name"] for one in await web.send("GET", "/agents?retired=true")]
    other = await web.ticket("Another")
    refused = await web.refused("POST", f"/tickets/{other}/assign", {"agent": "pair"})
    assert "pair is retired" in refused["message"] and "restore" in refused["hint"]
    assert "pair" in (await page(web, f"/tickets/{key}")).text
    removed = await post(web, "/fleet/agents/pair/remove", 409)
    assert "is assigned to" in removed.text
    await post(web, "/fleet/agents/pair/restore")


async def test_a_retired_agent_is_found_by_while_tickets_name_it_and_assigned_nowhere(web: Web, repository: Path) -> None:
    await post(web, "/fleet/agents", name="pair", harness="aider", endpoint="local")
    key, blocked, other = await web.ticket(agent="pair"), await web.ticket(agent="coder"), await web.ticket("Another")
    web.work(blocked, repository, result=runs.Result("block", "blocked", "The check failed.", blocker="check_failed"))
    await post(web, "/fleet/agents/pair/retire")
    assert await offered(web, "/?q=", "filter-agent") == ["", "none", "coder", "pair"]
    assert key in (await page(web, "/?agent=pair")).text
    assert await offered(web, "/?q=", "bulk-agent") == ["", "coder"]
    assert await offered(web, "/tickets/new", "new-agent") == ["", "coder"]
    assert await offered(web, f"/tickets/{other}/move?to=queued", "move-agent") == ["coder"]
    for path in (f"/tickets/{other}", f"/tickets/{blocked}", f"/tickets/{blocked}/move", "/inbox"):
        assert 'value="pair"' not in (await web.client.get(path)).text, path
    await web.send("POST", f"/tickets/{key}/withdraw")
    await web.send("POST", f"/tickets/{key}/assign", {"agent": "coder"})
    assert await offered(web, "/?q=", "filter-agent") == ["", "none", "coder"]
    assert await offered(web, "/?agent=pair", "filter-agent") == ["", "none", "coder", "pair"]  # the filter that is set


async def test_an_endpoint_in_use_says_by_whom(web: Web) -> None:
    question = await web.client.get("/fleet/endpoints/local/remove")
    assert "It is in use." in question.text and "/fleet/agents/coder" in question.text and "disabled" in question.text
    refused = await post(web, "/fleet/endpoints/local/retire", 409)
    assert "local is used by coder" in refused.text


async def test_a_worker_that_is_gone_is_forgotten(web: Web) -> None:
    with web.database.transaction() as db:
        enter_worker(db, "here:1:a", {})
        enter_worker(db, "gone:2:b", {}, silent=90)
    refused = await post(web, "/fleet/workers/forget", 409, name="here:1:a")
    assert "here:1:a is alive" in refused.text
    assert where(await post(web, "/fleet/workers/forget", name="gone:2:b")) == "/fleet#workers"
    assert [worker["host"] for worker in await web.send("GET", "/workers")] == ["here"]


async def test_a_worker_that_takes_no_new_runs_says_why(web: Web) -> None:
    with web.database.transaction() as db:
        enter_worker(db, "here:1:a", {})
    with web.database.transaction() as db:
        roster.report_hindrance(db, "here:1:a", "0.1 GB are free on the disk of <data>")
    shown = (await web.client.get("/fleet")).text
    assert "takes no new runs" in shown and "0.1 GB are free on the disk of &lt;data&gt;" in shown
    with web.database.transaction() as db:
        roster.report_hindrance(db, "here:1:a", "")
    assert "takes no new runs" not in (await web.client.get("/fleet")).text


async def test_a_project_is_looked_at_added_edited_and_removed(web: Web, tmp_path: Path, repository: Path) -> None:
    nothing = await post(web, "/fleet/projects/look", 200, path=str(tmp_path), check_command="make lint")
    assert 'role="alert"' in nothing.text and 'value="make lint"' in nothing.text
    taken = await post(web, "/fleet/projects/look", 200, path=str(repository))
    assert "is project" in taken.text and "/fleet/projects/WEB" in taken.text
    refused = await post(web, "/fleet/projects", 422, path="relative")
    assert "not an absolute path" in refused.text
    shown = (await page(web, "/fleet/projects/web")).text
    assert "make test" in shown and "The repository has none" in shown
    await post(
        web,
        "/fleet/projects/WEB/edit",
        path=str(repository),
        name="Shop",
        default_branch="main",
        check_command="",
        merge_method="ff",
    )
    project = await web.send("GET", "/projects/WEB")
    assert (project["name"], project["check_command"], project["merge_method"]) == ("Shop", "", "ff")
    wrong = await post(web, "/fleet/projects/WEB/edit", 422, default_branch="nowhere")
    assert "no branch" in wrong.text and "there are: main" in wrong.text
    unsure = await post(web, "/fleet/projects/WEB/remove", 422, confirm="shop")
    assert "type WEB" in unsure.text
    key = await web.ticket()
    still = await post(web, "/fleet/projects/WEB/remove", 409, confirm="WEB")
    assert key in still.text
    await post(web, f"/tickets/{key}/cancel")
    assert where(await post(web, "/fleet/projects/WEB/remove", confirm="web")) == "/fleet#projects"
    assert await asyncio.to_thread(repository.exists)


async def test_a_repository_that_moved_is_found_again(web: Web, repository: Path) -> None:
    there = repository.with_name("moved")
    await asyncio.to_thread(repository.rename, there)
    assert "notice-red" in (await web.client.get("/fleet/projects/WEB")).text
    await post(web, "/fleet/projects/WEB/edit", path=str(there), default_branch="main")
    assert (await web.send("GET", "/projects/WEB"))["path"] == str(there)


async def test_a_path_stays_while_tickets_have_worktrees(web: Web, repository: Path, tmp_path: Path) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository)
    other = tmp_path / "other"
    await asyncio.to_thread(repository.rename, other)
    refused = await web.refused("PATCH", "/projects/WEB", {"path": str(other)})
    await asyncio.to_thread(other.rename, repository)
    assert refused["field"] == "path" and key in refused["message"]


async def test_an_install_that_fails_is_told(web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "2")
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert where(await post(web, "/fleet/harnesses/aider/install")) == "/fleet#harnesses"
    async with asyncio.timeout(60):
        while "aider could not be installed" not in (text := (await page(web, "/fleet")).text):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert "install.log" in text
    unknown = await web.client.post("/fleet/harnesses/nothing/install", data={})
    assert unknown.status_code == 404


async def test_who_may_only_look_sees_no_way_to_change(web: Web) -> None:
    with web.database.transaction() as db:
        access.add_user(db, "vera", "viewer")
    headers = bearer(web.database, "vera")
    for path in ("/fleet", "/fleet/endpoints/local", "/fleet/agents/coder", "/fleet/projects/WEB"):
        answer = await web.client.get(path, headers=headers)
        assert answer.status_code == 200, path
        main = answer.text.partition("<main")[2]
        assert 'method="post"' not in main and "/edit" not in main and "/fleet/add/" not in main, path
    for path in ("/fleet/add/endpoint", "/fleet/endpoints/local/edit", "/fleet/agents/coder/remove", "/start"):
        assert (await web.client.get(path, headers=headers)).status_code == 403, path
    assert (await web.client.post("/fleet/endpoints/local/check", headers=headers)).status_code == 403


async def test_the_first_run_leads_from_nothing_to_a_ticket(bare: Web, repository: Path) -> None:
    assert where(await bare.client.get("/")) == "/start"
    assert (await bare.client.get("/?q=")).status_code == 200
    text = (await page(bare, "/start")).text
    assert "No worker is running" in text and "Model server" in text
    with ScriptedEndpoint(able, models=("one",)) as server:
        wrong = await post(bare, "/start/endpoint", 422, base_url="http://127.0.0.1:1/v1")
        assert "nothing listens" in wrong.text
        assert where(await post(bare, "/start/endpoint", base_url=server.base_url)) == "/start#next"
        await checked(bare, "local")
    assert "Ready" in (await page(bare, "/start")).text
    no = await post(bare, "/start/agent", 422, name="My coder", harness="goose", endpoint="local")
    assert "my-coder" in no.text
    await post(bare, "/start/agent", name="coder", harness="goose", endpoint="local")
    wrong = await post(bare, "/start/project", 422, path="nowhere")
    assert "not an absolute path" in wrong.text and 'value="nowhere"' in wrong.text
    chosen = await post(bare, "/start/suggest", 200, chosen=str(repository))
    assert f'value="{repository}"' in chosen.text
    await post(bare, "/start/project", path=str(repository), check_command="make test")
    assert (await bare.client.get("/")).status_code == 200, "with all three there is a board to show"
    filed = await post(bare, "/start/ticket", title="Say hello", project="SAMPLE", agent="coder")
    assert where(filed) == "/tickets/SAMPLE-1"
    assert (await bare.send("GET", "/tickets/SAMPLE-1"))["state"] == "queued"


async def test_repositories_of_the_home_folder_are_found_on_request(bare: Web, home: Path) -> None:
    (home / "src" / "web" / ".git").mkdir(parents=True)
    (home / "node_modules" / "x" / ".git").mkdir(parents=True)
    (home / ".hidden" / ".git").mkdir(parents=True)
    for path in ("/start/suggest", "/fleet/projects/suggest"):
        text = (await post(bare, path, 200)).text
        assert str(home / "src" / "web") in text and "node_modules" not in text and ".hidden" not in text
