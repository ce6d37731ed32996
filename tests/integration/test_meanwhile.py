"""What somebody sends from a page that is no longer as the ticket is: refused with the reason, and nothing written is lost."""

from __future__ import annotations

import re

import httpx
import pytest

from dispatcher import runs
from tests.integration.test_ticket_pages import HTMX, web
from tests.ticketing import again
from tests.webbing import Web

__all__ = ["web"]

FIRST = runs.Result("block", "question", "Which greeting?", "question")
SECOND = runs.Result("block", "question", "Shall I delete the database?", "question")


def began(html: str, name: str) -> list[str]:
    """The values of hidden fields that say what a form was begun on."""
    return re.findall(rf'name="{name}" value="(\w+)"', html)


@pytest.mark.parametrize("scripts", [{}, HTMX], ids=["forms", "htmx"])
async def test_an_answer_reaches_no_other_question(web: Web, repository: object, scripts: dict[str, str]) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository, result=FIRST)  # type: ignore[arg-type]
    places = {f"/tickets/{key}": f"/tickets/{key}/answer", "/inbox": f"/inbox/{key}/answer", "/": f"/tickets/{key}/move"}
    places[f"/tickets/{key}/move?to=queued"] = f"/tickets/{key}/move"
    shown = {page: began((await web.client.get(page)).text, "blocker") for page in places}
    await web.send("POST", f"/tickets/{key}/answer", {"text": "hello"})
    again(web, key, SECOND)
    for page, to in places.items():
        assert len(shown[page]) == 1, page
        form = {"text": "Yes, the short one", "to": "queued", "blocker": shown[page][0]}
        late = await web.client.post(to, data=form, headers=scripts)
        assert late.status_code == 409, page
        assert "waits for another answer by now" in late.text and "Shall I delete the database?" in late.text
        assert "Yes, the short one" in late.text
        assert began(late.text, "blocker") and began(late.text, "blocker") != shown[page], (
            "to be sent to the new one on purpose"
        )
    assert (await web.send("GET", f"/tickets/{key}"))["state"] == "blocked"
    form = {"text": "No", "blocker": began(late.text, "blocker")[0]}
    assert (await web.client.post(f"/tickets/{key}/answer", data=form)).status_code == 303


async def _edit(web: Web, key: str, status: int, **form: str) -> httpx.Response:
    answer = await web.client.post(f"/tickets/{key}/edit", data=form, headers=HTMX)
    assert answer.status_code == status, answer.text
    return answer


async def test_an_edit_takes_back_nobody_else_s(web: Web) -> None:
    key = await web.ticket("Title", body="One", labels=["bug"])
    title, labels, body = began((await web.client.get(f"/tickets/{key}")).text, "was")
    await _edit(web, key, 200, at="body", was=body, body="Two, by me")
    late = await _edit(web, key, 409, at="body", was=body, body="Two, by you")
    assert "the description was changed while you wrote" in late.text
    assert "<p>Two, by me</p>" in late.text and "Two, by you</textarea>" in late.text
    await web.send("PATCH", f"/tickets/{key}", {"title": "Better", "labels": ["urgent"]})
    assert "it says now: Better" in (await _edit(web, key, 409, at="title", was=title, title="Mine")).text
    seen = {"title": "Title", "body": "Two, by me", "labels": ["urgent"]}
    late_api = await web.refused("PATCH", f"/tickets/{key}", {"title": "Mine", "body": "Three", "was": seen})
    assert (late_api["status"], late_api["field"]) == (409, "title") and "it says now: Better" in late_api["hint"]
    assert (await web.send("GET", f"/tickets/{key}"))["body"] == "Two, by me", "nothing of it was changed"
    await web.send("PATCH", f"/tickets/{key}", {"labels": ["urgent"], "was": seen})
    assert "it says now: urgent" in (await _edit(web, key, 409, at="labels", was=labels, labels="bug, ui")).text
    await _edit(web, key, 200, at="title", was=title, title="Better")  # the same words are no dispute
    now = began(late.text, "was")[-1]
    await _edit(web, key, 200, at="body", was=now, body="Two, by you")
    ticket = await web.send("GET", f"/tickets/{key}")
    assert (ticket["title"], ticket["body"], ticket["labels"]) == ("Better", "Two, by you", ["urgent"])


async def test_an_answer_that_comes_too_late_is_given_back(web: Web, repository: object) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository, result=FIRST)  # type: ignore[arg-type]
    await web.send("POST", f"/tickets/{key}/answer", {"text": "hello"})
    late = await web.client.post(f"/inbox/{key}/answer", data={"text": "Mine <b>"}, headers=HTMX)
    assert "waits for no answer" in late.text and '<pre class="toast-typed">Mine &lt;b&gt;</pre>' in late.text


async def test_a_form_that_needs_a_login_leads_back_to_its_page(web: Web) -> None:
    async def refused(referer: str) -> str:
        headers = {"Referer": referer, "Sec-Fetch-Site": "same-origin"}
        answer = await web.anonymous.post("/fleet/agents", data={"name": "x"}, headers=headers)
        assert answer.status_code == 401 and "data-unsent" in answer.text
        return "".join(re.findall(r'name="next" value="([^"]*)"', answer.text))

    assert await refused("http://127.0.0.1:8484/fleet/add/agent?x=1") == "/fleet/add/agent?x=1"
    assert await refused("http://evil.example//evil.example/") == "/"
