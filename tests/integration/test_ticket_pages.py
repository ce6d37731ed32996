"""A ticket's page by forms without scripts, and the parts that scripts fetch of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dispatcher import board, runs
from dispatcher.actor import acting_as
from tests.entering import bearer
from tests.integration.test_pages import QUESTION, Page, page, post
from tests.ticketing import again
from tests.webbing import Web, open_web

HTMX = {"HX-Request": "true"}


@pytest.fixture
async def web(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        await web.furnish(repository, check_command="make test")
        yield web


def fragment(html: str) -> Page:
    """A part of a page, checked as a page is."""
    return Page(html if "<h1" in html else f"<h1>Part</h1>{html}")


async def scripted(web: Web, where: str, status: int = 200, /, **form: str) -> dict[str, str]:
    """The parts that htmx is answered, by the names of their targets."""
    answer = await web.client.post(where, data=form, headers=HTMX)
    assert answer.status_code == status, answer.text
    found = re.findall(r'<hx-partial hx-target="#(?:part-)?(\w+)" hx-swap="\w+">(.*?)</hx-partial>', answer.text, re.S)
    for name, html in found:
        fragment(html)
        assert name == "toasts" or f'id="part-{name}"' in html
    return dict(found)


async def test_title_labels_and_description_are_edited_in_their_place(web: Web) -> None:
    key = await web.ticket("Old words", labels=["bug"], body="Old")
    await post(web, f"/tickets/{key}/edit", at="title", title="  New   words ")
    await post(web, f"/tickets/{key}/edit", at="labels", labels="bug, urgent ,,")
    await post(web, f"/tickets/{key}/edit", at="body", body="New *body*")
    ticket = await web.send("GET", f"/tickets/{key}")
    assert (ticket["title"], ticket["labels"], ticket["body"]) == ("New words", ["bug", "urgent"], "New *body*")
    shown = await page(web, f"/tickets/{key}")
    assert "edited by admin" in shown.text and "changed the title, the description and the labels" in " ".join(
        shown.text.split()
    )
    wrong = await post(web, f"/tickets/{key}/edit", 422, at="title", title="x" * 501)
    assert "500 is the limit" in wrong.text and '<details class="in-place" id="edit-title" data-key="e" open>' in wrong.text
    odd = await post(web, f"/tickets/{key}/edit", 422, at="labels", labels="y" * 60)
    assert "is no label" in odd.text and f'value="{"y" * 60}"' in odd.text
    await post(web, f"/tickets/{key}/edit", at="labels", labels=" ")
    assert (await web.send("GET", f"/tickets/{key}"))["labels"] == []


async def test_htmx_is_answered_the_parts_that_changed(web: Web, repository: Path) -> None:
    key = await web.ticket()
    assigned = await scripted(web, f"/tickets/{key}/assign", agent="coder")
    assert set(assigned) == {"head", "actions", "blocker", "toasts"} and "Queued" in assigned["head"]
    assert f"{key} assigned to coder" in assigned["toasts"] and f'action="/tickets/{key}/withdraw"' in assigned["toasts"]
    late = await scripted(web, f"/tickets/{key}/assign", 409, agent="coder")
    assert "assign is not possible now" in late["actions"] and "toasts" not in late
    said = await scripted(web, f"/tickets/{key}/comment", body="Mind **this**.")
    assert "<strong>this</strong>" in said["story"] and "Mind" not in said["say"]
    empty = await scripted(web, f"/tickets/{key}/comment", 422, body=" \n")
    assert "the comment is empty" in empty["say"]
    renamed = await scripted(web, f"/tickets/{key}/edit", at="title", title="Better")
    assert "Better" in renamed["head"] and " open>" not in renamed["head"]
    web.work(key, repository, result=QUESTION)
    refused = await scripted(web, f"/tickets/{key}/answer", 422, text=" ")
    assert "the answer is empty" in refused["blocker"]
    answered = await scripted(web, f"/tickets/{key}/answer", text="hello")
    assert "Which greeting?" not in answered["blocker"] and "Queued" in answered["head"]
    gone = await web.client.post("/tickets/WEB-99/comment", data={"body": "x"}, headers=HTMX)
    assert gone.status_code == 404 and gone.headers["hx-retarget"] == "#toasts"


async def test_an_answer_may_give_the_ticket_to_another_agent(web: Web, repository: Path) -> None:
    await web.send("POST", "/agents", {"name": "second", "harness": "aider", "endpoint": "local"}, status=201)
    key = await web.ticket(agent="coder")
    web.work(key, repository, result=QUESTION)
    assert "Goes on with" in (await page(web, f"/tickets/{key}")).text
    await post(web, f"/tickets/{key}/answer", text="hi", agent="second")
    ticket = await web.send("GET", f"/tickets/{key}")
    assert ticket["agent"] == "second" and ticket["run"]["feedback"] == "hi"


async def test_a_cancel_is_asked_about_first(web: Web) -> None:
    key = await web.ticket(agent="coder")
    asked = await page(web, f"/tickets/{key}/cancel")
    assert f"Cancel {key}?" in asked.text and "Its queued run is taken back." in asked.text
    question = (await web.client.get(f"/tickets/{key}/cancel?part=question")).text
    assert 'id="part-question"' in question and "<html" not in question
    await post(web, f"/tickets/{key}/cancel")
    assert "A closed ticket cannot be cancelled" in (await page(web, f"/tickets/{key}/cancel")).text
    assert "cancelled it" in (await page(web, f"/tickets/{key}")).text
    assert "has no run under way" in (await post(web, f"/tickets/{key}/stop", 409)).text


async def test_each_part_is_given_alone(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository, result=QUESTION)
    parts = {
        "": ("pane", "head", "actions", "blocker", "story", "say"),
        "/checks": ("pane", "checks"),
        "/runs": ("pane", "runs"),
    }
    for tab, names in parts.items():
        for name in names:
            answer = await web.client.get(f"/tickets/{key}{tab}?part={name}")
            assert answer.status_code == 200 and f'id="part-{name}"' in answer.text and "<html" not in answer.text
            fragment(answer.text)
    pane = (await web.client.get(f"/tickets/{key}?part=pane")).text
    assert "Open full page" in pane and 'id="part-story"' in pane
    panel = (await web.client.get(f"/tickets/{key}/checks?part=panel")).text
    assert 'id="part-checks"' in panel and "part-head" not in panel
    assert (await web.client.get(f"/tickets/{key}?part=none", headers=HTMX)).status_code == 404


async def test_the_conversation_tells_all_in_order(web: Web, repository: Path) -> None:
    with web.database.transaction() as db, acting_as("ada"):
        key = board.file_ticket(db, project="WEB", title="Say hello", body="See WEB-1 and <b>", agent="coder").key
    web.work(key, repository, result=QUESTION)
    with acting_as("ben"):
        with web.database.transaction() as db:
            board.comment(db, board.get_ticket(db, key), "Not `hi`.")
        with web.database.transaction() as db:
            board.answer(db, board.get_ticket(db, key), "hello")
    with web.database.transaction() as db:
        board.withdraw(db, board.get_ticket(db, key))
    with web.database.transaction() as db, acting_as("cleo"):
        board.cancel(db, board.get_ticket(db, key))
    shown = await page(web, f"/tickets/{key}")
    words = " ".join(shown.text.split())
    told = [
        "ada filed this",
        "See WEB-1 and <b>",
        "ada assigned it to coder",
        "Run 1 of coder (goose, local-coder) begins",
        "Run 1 blocked question",
        "The agent asks",
        "ben 2",
        "Not hi .",
        "ben answered",
        "The dispatcher took it back to the backlog",
        "Run 2 cancelled",
        "cleo cancelled it",
    ]
    at = -1
    for one in told:
        found = words.find(one.replace(" .", "."), at + 1)
        assert found > at, (one, words[max(at, 0) : at + 300])
        at = found
    assert {"comment-1", "blocker-1", "answer-1", "run-1", "run-1-end", "run-2-end"} <= set(shown.ids)


async def test_a_verdict_holds_its_comments_and_the_merge(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository)
    comments = [{"path": "hello.txt", "line": 1, "body": "Why so *quiet*?"}]
    await web.send("POST", f"/tickets/{key}/changes", {"body": "Louder.", "comments": comments})
    shown = await page(web, f"/tickets/{key}")
    words = " ".join(shown.text.split())
    assert "admin requested changes at" in words and "Louder." in words and "hello.txt:1" in words
    assert shown.ids.index("review-1") < shown.ids.index("comment-1") < shown.ids.index("run-2")
    again(web, key)
    done = await web.send("POST", f"/tickets/{key}/approve", {"method": "ff"})
    merged = " ".join((await page(web, f"/tickets/{key}")).text.split())
    assert f"merged as {done['merged_sha'][:10]}" in merged and "Reopen" in merged


async def test_a_long_conversation_shows_its_end_first(web: Web) -> None:
    key = await web.ticket()
    with web.database.transaction() as db:
        for number in range(160):
            board.comment(db, board.get_ticket(db, key), f"comment number {number}.")
    shown = await page(web, f"/tickets/{key}")
    assert "Show 10 earlier entries" in shown.text
    assert "number 9." not in shown.text and "number 10." in shown.text and "number 159." in shown.text
    assert "number 9." in (await page(web, f"/tickets/{key}?all=1")).text


async def test_checks_of_each_run_are_found_and_failed_ones_are_open(web: Web, repository: Path) -> None:
    key = await web.ticket()
    assert "No check has run yet" in (await page(web, f"/tickets/{key}/checks")).text
    await web.send("POST", f"/tickets/{key}/assign", {"agent": "coder"})
    first = web.work(key, repository)
    await web.send("POST", f"/tickets/{key}/changes", {"body": "More."})
    output = "\x1b[31mFAILED\x1b[0m \u202e<script>" + "x" * 30_000
    second = again(web, key, None, check={"command": "make all", "state": "failed", "exit_code": 2, "output": output})
    answer = await web.client.get(f"/tickets/{key}/checks")
    shown = Page(answer.text)
    assert "Checks of run 2" in shown.text and "exit 2" in shown.text and "characters before this are left out" in shown.text
    assert "\x1b" not in shown.text and re.search(r'<details id="check-\d+" class="fold check" open>', answer.text)
    older = await web.client.get(f"/tickets/{key}/checks?run={first}")
    assert "make test" in older.text and not re.search(r'<details id="check-\d+" class="fold check" open>', older.text)
    assert [one["command"] for one in await web.send("GET", f"/runs/{second}/checks")] == ["make all"]


async def test_runs_are_compared_and_each_has_a_page(web: Web, repository: Path) -> None:
    key = await web.ticket()
    assert "No run yet" in (await page(web, f"/tickets/{key}/runs")).text
    await web.send("POST", f"/tickets/{key}/assign", {"agent": "coder"})
    run_id = web.work(key, repository)
    with web.database.transaction() as db:
        runs.get_run(db, run_id).prompt = "Do <b>this</b>"
    shown = await page(web, f"/tickets/{key}/runs")
    words = " ".join(shown.text.split())
    for told in ("Run 1 succeeded", "goose", "local-coder on local", "12.0k", "345", "+2 −0 in 1 file", "session-1", "4 items"):
        assert told in words, told
    one = await page(web, f"/tickets/{key}/runs/1")
    assert "Do <b>this</b>" in one.text and "The change is made." in one.text and "session-1" in one.text
    assert (await web.client.get(f"/tickets/{key}/runs/2")).status_code == 404
    api = await web.send("GET", f"/runs/{run_id}")
    assert api["session"] == "session-1" and api["changed"] == {"files": 1, "additions": 2, "deletions": 0}


async def test_a_ticket_that_there_is_not_says_what_may_have_become_of_it(web: Web) -> None:
    assert "ere is no ticket in sample yet" in (await page(web, "/tickets/WEB-1", 404)).text
    await web.ticket()
    for tab in ("", "/transcript", "/changes", "/checks", "/runs", "/cancel"):
        assert "ewest ticket of sample is WEB-1" in (await page(web, f"/tickets/WEB-9{tab}", 404)).text
    assert "o project has the key OLD" in (await page(web, "/tickets/OLD-1", 404)).text
    await web.client.post("/tickets/WEB-1/cancel")
    await web.client.delete("/api/v1/projects/WEB")
    assert "takes its tickets with it" in (await page(web, "/tickets/WEB-1", 404)).text
    assert (await page(web, "/tickets/%3Cscript%3E", 404)).text


async def test_a_viewer_reads_and_is_offered_nothing(web: Web, repository: Path) -> None:
    from dispatcher import access

    key = await web.ticket(agent="coder", body="Read me")
    web.work(key, repository, result=QUESTION)
    with web.database.transaction() as db:
        access.add_user(db, "eve", "viewer")
    transport = httpx.ASGITransport(app=web.app)
    headers = bearer(web.database, "eve")
    async with httpx.AsyncClient(transport=transport, base_url=str(web.client.base_url), headers=headers) as viewer:
        for tab in ("", "/checks", "/runs"):
            answer = await viewer.get(f"/tickets/{key}{tab}")
            assert answer.status_code == 200
            main = answer.text[answer.text.index("<main") :]
            assert '<form method="post"' not in main and 'class="stack"' not in main and "data-ask" not in main
        assert "Read me" in (await viewer.get(f"/tickets/{key}")).text
