"""The board as a browser without scripts uses it, what its scripts ask for, and its part of the API."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.gitting import git
from tests.integration.test_pages import QUESTION, Page, page, post
from tests.webbing import Web, open_web
from web.pages.board import COLUMN

SCRIPTED = {"HX-Request": "true"}
FAILED = re.compile(r"toast-error")


@pytest.fixture
async def web(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        await web.furnish(repository, check_command="make test")
        yield web


async def state(web: Web, key: str) -> str:
    return str((await web.send("GET", f"/tickets/{key}"))["state"])


def cards(shown: Page) -> list[str]:
    return [name.removeprefix("card-") for name in shown.ids if name.startswith("card-")]


async def scripted(web: Web, where: str, status: int = 200, /, **form: str) -> str:
    """What a script is answered: parts, and never a whole page."""
    answer = await web.client.post(where, data=form, headers=SCRIPTED)
    assert answer.status_code == status, answer.text
    assert "<html" not in answer.text
    return answer.text


def undo_of(text: str) -> tuple[str, dict[str, str]]:
    form = re.search(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', text, re.S)
    assert form is not None, text
    return form[1], dict(re.findall(r'name="([^"]*)" value="([^"]*)"', form[2]))


async def test_a_filter_is_in_the_address_and_every_link_keeps_it(web: Web) -> None:
    for title, label in (("Parser drops a line", "bug"), ("Other", "docs"), ("Parser again", "docs")):
        await web.ticket(title, labels=[label])
    shown = await page(web, "/?q=parser&label=DOCS&project=web")
    assert cards(shown) == ["WEB-3"] and "1 of 3 tickets" in shown.text
    assert cards(await page(web, "/?q=label:docs+-parser")) == ["WEB-2"]
    assert cards(await page(web, "/?agent=none&q=key:web-1")) == ["WEB-1"]
    assert cards(await page(web, "/?agent=coder")) == []
    assert 'data-empty="Nothing here matches the filter."' in (await web.client.get("/?agent=coder")).text
    wrong = await page(web, "/?q=state:rev")
    assert "There is no state 'rev'." in wrong.text and cards(wrong) == []
    one = await page(web, "/?q=state:backlog")
    assert [name for name in one.ids if name.startswith("title-")] == ["title-backlog", "title-cancelled"]


async def wrong(web: Web, where: str, **query: str) -> dict[str, str]:
    """What a page says of its address, by field; the page itself is there, and the field is marked where it has one."""
    answer = await web.client.get(where, params=query)
    assert answer.status_code == 200 and "<h1" in answer.text
    told = re.findall(r'id="wrong-(\w+)" data-wrong.*?<strong>(.*?)</strong>.*?<p class="row">(.*?)</p>', answer.text, re.S)
    assert told and all("<a " in ways for _, _, ways in told), "no way out"
    for field, _, _ in told:
        if f'name="{field}"' in answer.text and field != "show":
            assert re.search(rf'name="{field}"[^>]* aria-invalid="true" aria-describedby="wrong-{field}"', answer.text)
    return {field: f"{unescape(words)} {unescape(re.sub('<[^>]*>', ' ', ways))}" for field, words, ways in told}


async def test_what_an_address_asks_for_and_is_not_there_is_told_at_its_field_with_the_way_out(web: Web) -> None:
    await web.ticket("Known", labels=["bug"])
    told = await wrong(web, "/", project="NOPE", agent="coder")
    assert "There is no project 'NOPE'." in told["project"] and "WEB" in told["project"] and "All projects" in told["project"]
    assert list(told) == ["project"]
    assert 'href="/?project=WEB&amp;agent=coder"' in (await web.client.get("/?project=NOPE&agent=coder")).text
    told = await wrong(web, "/", agent="nobody", label="odd", q="label:bug agent:other")
    assert "There is no agent 'nobody'." in told["agent"] and "coder" in told["agent"]
    assert "No ticket has the label 'odd'." in told["label"] and "bug" in told["label"]
    assert "There is no agent 'other'." in told["q"]
    assert "There is no state 'rev'." in (await wrong(web, "/", q="state:rev"))["q"]
    assert "'none' is nothing to show" in (await wrong(web, "/", show="none"))["show"]
    assert "There is no column 'odd'." in (await wrong(web, "/", column="odd"))["column"]
    assert "'odd' is no place in a column." in (await wrong(web, "/", column="backlog", after="odd"))["after"]
    for field in ("q", "project", "label"):
        assert "has 501 characters; 500 is the limit." in (await wrong(web, "/", **{field: "x" * 501}))[field]
    # A part, as scripts fetch it, says the same; what is there is not told of, though it finds nothing.
    assert 'data-wrong="agent"' in (await web.client.get("/?part=columns&agent=nobody", headers=SCRIPTED)).text
    for fine in ("/?project=web&agent=coder", "/?agent=none&label=none", "/?label=BUG&q=agent:coder", "/?q=-label:odd"):
        assert "data-wrong" not in (await web.client.get(fine)).text
    told = await wrong(web, "/inbox", project="x" * 200)
    assert "There is no project 'xxx" in told["project"] and "WEB" in told["project"]
    assert 'data-wrong="project"' in (await web.client.get("/inbox?part=waiting&project=NOPE", headers=SCRIPTED)).text
    for page_of in ("/fleet/agents/coder", "/fleet/endpoints/local"):
        for hours in ("soon", "25", "9" * 30):
            shown = await web.client.get(page_of, params={"hours": hours})
            assert shown.status_code == 200 and f"There is no history of “{hours}” hours" in shown.text
        assert "There is no history" not in (await web.client.get(page_of, params={"hours": "168"})).text


async def test_a_card_names_some_labels_and_counts_the_rest(web: Web) -> None:
    await web.ticket("Much labelled", labels=[f"label-{number}" for number in range(10)])
    shown = (await web.client.get("/?part=columns")).text
    assert "<li>label-7</li>" in shown and '<li title="label-8, label-9">2 more</li>' in shown


async def test_cancelled_tickets_have_a_column_where_somebody_wants_to_see_them(web: Web) -> None:
    key = await web.ticket("Gone")
    await web.send("POST", f"/tickets/{key}/cancel")
    shelf = await web.client.get("/?label=none")
    assert f"card-{key}" not in shelf.text and 'href="/?label=none&amp;show=cancelled"' in shelf.text
    assert cards(await page(web, "/?show=cancelled")) == [key]
    assert cards(await page(web, "/?q=state:cancelled")) == [key]


async def test_a_long_column_comes_page_by_page(web: Web) -> None:
    keys = [await web.ticket(f"Number {number}") for number in range(COLUMN + 5)]
    first = await web.client.get("/?project=WEB")
    assert cards(Page(first.text)) == keys[:COLUMN]
    more = re.search(r'href="(/\?project=WEB&amp;column=backlog&amp;after=[^"]+)"', first.text)
    assert more is not None
    rest = await page(web, more[1].replace("&amp;", "&"))
    assert cards(rest) == keys[COLUMN:] and "The whole board" in rest.text
    assert [name for name in rest.ids if name.startswith("title-")] == ["title-backlog"]
    part = await web.client.get(f"{more[1].replace('&amp;', '&')}&part=columns", headers=SCRIPTED)
    assert part.text.lstrip().startswith('<div id="part-columns"') and part.text.count('<li class="card ') == 5
    again = await web.client.get(f"/?part=columns&seen=backlog.{COLUMN + 2},done.3")
    assert again.text.count('<li class="card ') == COLUMN + 5 - 3


async def test_a_card_tells_how_its_ticket_stands_to_everybody_alike(web: Web, repository: Path) -> None:
    asked, failed, fine = [await web.ticket(title, agent="coder", labels=["ui"]) for title in ("Asks", "Fails", "Fine")]
    web.work(asked, repository, result=QUESTION)
    from dispatcher import runs

    web.work(failed, repository, result=runs.Result("block", "check_failed", "2 failed", "check_failed"))
    web.work(fine, repository)
    shown = await web.client.get("/")
    text = Page(shown.text).text
    for told in (
        "asks you",
        "Which greeting?",
        "2 failed",
        "Try again",
        "Accept as it is",
        "checks passed",
        "The change is made.",
    ):
        assert told in text, told
    for told in ("local-coder", "12.3k tokens", "+2", "ui", "needs you"):
        assert told in text, told
    assert f'href="/tickets/{fine}/changes"' in shown.text
    ticket = await web.send("GET", f"/tickets/{fine}")
    assert ticket["check"] == "passed" and (await web.send("GET", "/tickets?q=asks"))[0]["check"] == "passed"


async def test_a_ticket_is_moved_by_links_and_forms(web: Web, repository: Path) -> None:
    key = await web.ticket("Say hello")
    menu = await page(web, f"/tickets/{key}/move?back=q%3Dx")
    assert "Assign to coder" in menu.text and "Closes the ticket without a merge." in menu.text
    moved = await post(web, f"/tickets/{key}/move", to="queued", back="q=hello&evil=//x")
    assert moved.headers["location"] == "/?q=hello" and await state(web, key) == "queued"
    web.work(key, repository, result=QUESTION)
    asked = await page(web, f"/tickets/{key}/move?to=queued")
    assert "Which greeting?" in asked.text and "The agent goes on in the same session" in asked.text
    empty = await post(web, f"/tickets/{key}/move", 422, to="queued", text=" ")
    assert "the answer is empty" in empty.text
    await post(web, f"/tickets/{key}/move", to="queued", text="Moin")
    assert (await web.send("GET", f"/tickets/{key}"))["run"]["feedback"] == "Moin"
    refused = await post(web, f"/tickets/{key}/move", 409, to="done", text="kept")
    assert "is queued and cannot be moved to done" in refused.text and "Its run has not begun" in refused.text
    assert "cannot be moved to nowhere" in (await post(web, f"/tickets/{key}/move", 409)).text
    await post(web, f"/tickets/{key}/move", to="cancelled")
    await post(web, f"/tickets/{key}/move", to="backlog")
    assert await state(web, key) == "backlog"


async def test_an_approval_is_confirmed_for_the_head_that_was_seen(web: Web, repository: Path) -> None:
    key = await web.ticket("Say hello", agent="coder")
    web.work(key, repository)
    shown = await web.client.get(f"/tickets/{key}/move?to=done")
    assert "into <code>main</code>" in shown.text and "make test" in shown.text
    head = re.search(r'name="head" value="([0-9a-f]{40})"', shown.text)
    assert head is not None
    unconfirmed = await post(web, f"/tickets/{key}/move", 422, to="done", head=head[1])
    assert "was not confirmed" in unconfirmed.text
    moved = await post(web, f"/tickets/{key}/move", 409, to="done", head="0" * 40, confirm="yes")
    assert "has moved since you looked" in moved.text and "look at its changes again" in moved.text
    await post(web, f"/tickets/{key}/move", to="done", head=head[1], confirm="yes", method="squash")
    assert await state(web, key) == "done" and "hello.txt" in git(repository, "ls-tree", "--name-only", "main")
    assert "stand by when they were closed" in (await post(web, f"/tickets/{key}/move", 409, to="done", after="WEB-1")).text


async def test_a_question_about_the_agent_comes_only_where_there_is_a_choice(web: Web) -> None:
    key = await web.ticket("Say hello")
    await web.send("POST", "/agents", {"name": "other", "harness": "aider", "endpoint": "local"}, status=201)
    asked = await scripted(web, f"/tickets/{key}/move", 422, to="queued")
    assert f"{key} needs an agent" in asked and 'id="move-agent"' in asked and 'aria-invalid="true"' in asked
    said = await scripted(web, f"/tickets/{key}/move", to="queued", agent="other")
    assert f"{key} assigned to other" in said
    url, fields = undo_of(said)
    assert (url, fields["to"]) == (f"/tickets/{key}/move", "backlog")
    back = await scripted(web, url, **fields)
    url, fields = undo_of(back)
    assert fields["to"] == "queued" and fields["agent"] == "other"
    assert f"{key} assigned to other" in await scripted(web, f"/tickets/{key}/move", to="queued")


async def test_order_is_kept_and_undone(web: Web) -> None:
    one, two, three = [await web.ticket(f"Number {number}") for number in range(3)]
    said = await scripted(web, f"/tickets/{three}/move", to="backlog", before=one)
    assert cards(await page(web, "/")) == [three, one, two]
    url, fields = undo_of(said)
    await scripted(web, url, **fields)
    assert cards(await page(web, "/")) == [one, two, three]
    await post(web, f"/tickets/{one}/move", to="backlog", after=two)
    assert cards(await page(web, "/")) == [two, one, three]
    await web.send("POST", f"/tickets/{three}/place", {"before": two})
    assert cards(await page(web, "/")) == [three, two, one]
    assert (await web.refused("POST", f"/tickets/{three}/place", {"after": "WEB-99"}))["status"] == 404
    await web.send("POST", f"/tickets/{one}/assign", {"agent": "coder"})
    await scripted(web, f"/tickets/{two}/move", to="queued", before=one)
    assert cards(await page(web, "/?q=state:queued")) == [two, one]


async def test_several_tickets_at_once_with_what_became_of_each(web: Web) -> None:
    keys = [await web.ticket(f"Number {number}") for number in range(3)]
    await web.send("POST", f"/tickets/{keys[2]}/cancel")
    done = await web.client.post(
        "/tickets/bulk", data={"action": "label", "label": "later", "key": keys[:2], "back": "project=WEB"}
    )
    assert done.status_code == 303 and done.headers["location"] == "/?project=WEB"
    some = await web.client.post("/tickets/bulk", data={"action": "assign", "agent": "coder", "key": keys})
    assert some.status_code == 409 and "2 of 3 tickets assigned to coder." in Page(some.text).text
    assert f"{keys[2]} is cancelled: it cannot be assigned now" in Page(some.text).text
    said = await scripted(web, "/tickets/bulk", action="withdraw", keys=",".join(keys))
    assert "2 tickets taken back" in said and FAILED.search(said) and f"{keys[2]}: " in said
    wrong = await scripted(web, "/tickets/bulk", 422, action="assign", keys=keys[0])
    assert "no agent is named" in wrong
    assert (
        "Nothing was done" in Page((await web.client.post("/tickets/bulk", data={"action": "label", "label": "x"})).text).text
    )


async def test_cancelling_several_asks_first_and_is_undone(web: Web, repository: Path) -> None:
    keys = [await web.ticket(f"Number {number}", agent="coder") for number in range(2)]
    web.work(keys[1], repository, result=None)
    asked = await web.client.post("/tickets/bulk", data={"action": "cancel", "key": keys})
    shown = Page(asked.text)
    assert "Cancel 2 tickets?" in shown.text and f"1 agent is stopped: {keys[1]}." in shown.text
    assert await state(web, keys[0]) == "queued"
    closed = await web.ticket("Closed")
    await web.send("POST", f"/tickets/{closed}/cancel")
    part = await scripted(web, "/tickets/bulk", action="cancel", key=keys[0], keys=",".join([*keys, closed]))
    assert 'id="part-cancel"' in part and "Cancel 2 tickets?" in part
    assert "1 of those selected is closed already" in part and f'name="keys" value="{",".join(keys)}"' in part
    none = await scripted(web, "/tickets/bulk", action="cancel", keys=closed)
    assert "Nothing to cancel" in none and "cancel-go" not in none
    said = await scripted(web, "/tickets/bulk", action="cancel", keys=",".join(keys), confirm="2")
    assert "2 tickets cancelled" in said and await state(web, keys[1]) == "cancelled"
    url, fields = undo_of(said)
    back = await scripted(web, url, **fields)
    assert "1 ticket back in the backlog" in back and "still being stopped" in back


async def test_the_api_does_several_at_once(web: Web) -> None:
    keys = [await web.ticket(f"Number {number}", labels=["Old"]) for number in range(2)]
    out = await web.send("POST", "/tickets/bulk", {"action": "unlabel", "keys": [*keys, "WEB-99"], "label": "old"})
    assert [(one["key"], one["changed"]) for one in out["results"]] == [(keys[0], True), (keys[1], True), ("WEB-99", False)]
    assert out["results"][0]["error"] is None and out["results"][2]["error"]["code"] == "not_found"
    assert (await web.refused("POST", "/tickets/bulk", {"action": "assign", "keys": keys}))["field"] == "agent"
    assert (await web.refused("POST", "/tickets/bulk", {"action": "odd", "keys": keys}))["status"] == 422
    await web.send("POST", "/tickets/bulk", {"action": "label", "keys": keys[:1], "label": "new one"})
    assert await web.send("GET", "/labels") == ["new one"] and await web.send("GET", "/labels?project=NONE") == []
    found = await web.send("GET", '/tickets?q=label:"new one"&state=backlog')
    assert [one["key"] for one in found] == keys[:1]
    assert (await web.refused("GET", "/tickets?q=state:odd"))["field"] == "state"


async def test_a_new_ticket_begins_as_a_template(web: Web, repository: Path) -> None:
    folder = repository / ".github" / "ISSUE_TEMPLATE"
    folder.mkdir(parents=True)
    (folder / "bug.md").write_text("---\nname: Bug <b>\ntitle: 'Bug: '\nlabels: bug, ui\n---\n## <What>\n")
    (folder / "broken.md").write_text("---\nname: [\n---\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Templates")
    shown = await web.client.get("/tickets/new")
    assert "Bug &lt;b&gt;" in shown.text and "broken.md</code> cannot be used" in shown.text
    link = re.search(r'href="(/tickets/new\?project=WEB&amp;template=[^"]+)"', shown.text)
    assert link is not None
    assert parse_qs(urlsplit(link[1].replace("&amp;", "&")).query)["template"] == [".github/ISSUE_TEMPLATE/bug.md"]
    begun = await web.client.get(link[1].replace("&amp;", "&"))
    assert 'value="Bug: "' in begun.text and 'value="bug, ui"' in begun.text and "## &lt;What&gt;" in begun.text
    Page(begun.text)
    told = await web.send("GET", "/projects/web/templates")
    assert [(one["name"], bool(one["problem"])) for one in told] == [("Bug <b>", False), ("Broken", True)]
    assert (await web.client.get("/tickets/new?project=NOPE")).status_code == 200


async def test_a_ticket_is_filed_by_a_script_and_by_a_form(web: Web) -> None:
    answer = await web.client.post("/tickets", data={"project": "WEB", "title": "One", "agent": "coder"}, headers=SCRIPTED)
    assert answer.status_code == 201 and answer.headers["x-ticket"] == "WEB-1"
    assert "WEB-1 filed and assigned to coder" in answer.text
    refused = await scripted(web, "/tickets", 422, project="WEB", title=" ", body="Kept", labels="a, b")
    assert refused.lstrip().startswith('<section id="part-new"') and "Kept</textarea>" in refused
    assert 'value="a, b"' in refused and "say in one line what is to be done" in refused
    await post(web, "/tickets", 404, project="NOPE", title="Two")
    assert (await post(web, "/tickets", project="WEB", title="Two")).headers["location"] == "/tickets/WEB-2"


async def test_a_board_with_nothing_on_it_says_what_to_do(tmp_path: Path, web: Web) -> None:
    assert "No ticket yet" in (await page(web, "/")).text
    async with open_web(f"sqlite:///{tmp_path / 'empty.db'}", tmp_path / "other") as empty:
        assert "There is no project to file it in yet." in (await page(empty, "/tickets/new")).text
