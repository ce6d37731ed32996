"""A transcript without scripts, and what its script asks for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.session import Item, Loss, PlanEntry, Session
from tests.transcribing import end, fill, long_items, record
from tests.webbing import Web, open_web


@pytest.fixture
async def web(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    """A furnished site: project WEB, endpoint local, agent coder."""
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        await web.furnish(repository, check_command="make test")
        yield web


async def page(web: Web, path: str, status: int = 200) -> str:
    answer = await web.client.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def shown(text: str) -> list[int]:
    """The `seq` of each item on a page."""
    return [int(seq) for seq in re.findall(r'<article id="item-[^"]+" class="[^"]*" data-seq="(\d+)"', text)]


def link(text: str, words: str) -> str:
    """Where the link with those words leads."""
    found = re.search(rf'<a href="([^"]+)">{words}</a>', text)
    assert found is not None, words
    return found[1].replace("&amp;", "&")


NESTED = Session(
    harness="opencode",
    native_id="ses_root",
    items=[
        Item(kind="user", text="Find it"),
        Item(kind="tool_call", tool="task", title="Delegate", status="completed", extra={"session": "ses_child"}),
        Item(kind="plan", entries=[PlanEntry(content="Look", status="in_progress")]),
        Item(kind="error", text="it broke", code="endpoint_down"),
        Item(kind="assistant", text="See **WEB-1** <script>alert(1)</script>"),
    ],
    children=[
        Session(
            harness="opencode",
            native_id="ses_child",
            title="Explore",
            items=[
                Item(kind="assistant", text="I explore the zebra."),
                Item(kind="tool_call", tool="bash", tool_kind="execute", status="completed", exit_code=1),
            ],
        ),
        Session(harness="opencode", native_id="ses_lost", items=[Item(kind="assistant", text="Nobody called me.")]),
    ],
    losses=[Loss(where="part prt_9", what="its type is not known")],
)


async def nested(web: Web, repository: Path) -> tuple[str, int]:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository, result=None)
    record(web.database, run, NESTED.model_copy(deep=True).numbered())
    end(web.database, run)
    return key, run


async def test_a_long_session_is_read_window_by_window(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository)
    fill(web.database, run, long_items(1234))
    text = await page(web, f"/tickets/{key}/transcript")
    seen = set(shown(text))
    while ">Later</a>" in text:
        text = await page(web, link(text, "Later"))
        seen |= set(shown(text))
    assert seen == set(range(1234))
    assert shown(await page(web, link(await page(web, f"/tickets/{key}/transcript"), "To the newest")))[-1] == 1233
    middle = shown(await page(web, f"/tickets/{key}/transcript?run={run}&at=777"))
    assert 777 in middle and len(middle) == 200 and middle[0] % 50 == 0
    before = shown(await page(web, f"/tickets/{key}/transcript?run={run}&before=100"))
    assert before == list(range(100))


async def test_filters_and_words_narrow_it(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository)
    fill(web.database, run, long_items(3000))
    errors = await page(web, f"/tickets/{key}/transcript?show=errors")
    assert shown(errors) == [997, 1994, 2991] and "In context" in errors
    found = await page(web, f"/tickets/{key}/transcript?q=ZEBRA")
    assert shown(found) == [1500] and "1 entry" in found and 'value="ZEBRA"' in found
    assert 1500 in shown(await page(web, link(found, "In context").partition("#")[0]))
    assert "Nothing in this transcript says that." in await page(web, f"/tickets/{key}/transcript?q=unheard+of")
    assert shown(await page(web, f"/tickets/{key}/transcript?q=zebra&show=errors")) == []
    many = shown(await page(web, f"/tickets/{key}/transcript?q=parse"))
    assert len(many) == 200 and all(seq % 5 == 0 for seq in many)
    assert len(shown(await page(web, f"/tickets/{key}/transcript?run={run}&show=tools&before=1000000"))) >= 150


async def test_child_sessions_and_losses_are_shown(web: Web, repository: Path) -> None:
    key, run = await nested(web, repository)
    text = await page(web, f"/tickets/{key}/transcript")
    call = text[text.index(f'id="item-{run}-1"') : text.index(f'id="item-{run}-2"')]
    assert "Child session" in call and "Explore" in call and "2 entries" in call
    assert "1 thing of the session could not be read" in text and "prt_9" in text
    assert text.count('class="child"') == 2 and text.index("ses_lost") > text.index(f'id="item-{run}-4"')
    assert "<script>alert" not in text and "<strong>" in text
    child = await page(web, f"/tickets/{key}/transcript?run={run}&session=ses_child")
    assert f'id="item-{run}-ses_child-0"' in child and "The whole transcript" in child and "I explore the zebra." in child
    assert "no such session" in await page(web, f"/tickets/{key}/transcript?run={run}&session=ses_other", 404)


async def test_windows_are_given_as_asked(web: Web, repository: Path) -> None:
    key, run = await nested(web, repository)
    base = f"/tickets/{key}/transcript/window?run={run}"
    assert shown(await page(web, f"{base}&seqs=1-2")) == [1, 2]
    assert shown(await page(web, f"{base}&seqs=4,0,9")) == [0, 4]
    assert shown(await page(web, f"{base}&seqs=0-1&session=ses_child")) == [0, 1]
    for wrong in ("x", "1-", "-1", "0-400", "1,,2", "9999999999"):
        await page(web, f"{base}&seqs={wrong}", 422)
    await page(web, f"{base}&seqs=1&session=nothing", 404)
    other = await web.ticket()
    await page(web, f"/tickets/{other}/transcript/window?run={run}&seqs=1", 404)


async def test_a_long_output_is_cut_and_given_whole(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    output = "\n".join(f"line {number}" for number in range(500))
    run = web.work(key, repository, items=[Item(seq=0, kind="tool_call", tool="bash", status="completed", output=output)])
    cut = await page(web, f"/tickets/{key}/transcript/window?run={run}&seqs=0")
    assert "line 0\n" in cut and "line 499" in cut and "line 250" not in cut and "Show all 500 lines" in cut
    whole = await page(web, f"/tickets/{key}/transcript/window?run={run}&seqs=0&whole=true")
    assert "line 250" in whole and "Show all" not in whole


async def outline(web: Web, key: str, run: int, query: str = "") -> dict[str, Any]:
    answer = await web.client.get(f"/tickets/{key}/transcript/outline?run={run}{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_the_outline_says_where_what_is(web: Web, repository: Path) -> None:
    key, run = await nested(web, repository)
    told = await outline(web, key, run, "&q=zebra&anchor=prt_1")
    assert (told["live"], told["errors"], told["hits"], told["more"], told["anchor"]) == (
        False,
        [["ses_child", 1], ["", 3]],
        [["ses_child", 0]],
        False,
        None,
    )
    root, child, lost = told["sessions"]
    assert (root["begin"], root["count"], root["seqs"], root["errors"]) == (0, 5, None, 1)
    assert (child["name"], child["parent"], child["call"]) == ("ses_child", "", 1) and lost["call"] is None
    assert told["counts"] == {"all": 5, "messages": 2, "tools": 1, "edits": 0, "errors": 1}
    errors = await outline(web, key, run, "&show=errors")
    assert [session["seqs"] for session in errors["sessions"]] == [[1, 3], [1], []]
    messages = await outline(web, key, run, "&show=messages&q=it")
    assert messages["sessions"][0]["seqs"] == [0, 4] and messages["hits"] == [["", 0]]
    assert (await web.client.get(f"/tickets/{key}/transcript/outline?run=999")).status_code == 404


async def test_a_run_that_has_said_nothing_has_an_empty_outline(web: Web) -> None:
    key = await web.ticket(agent="coder")
    run = (await web.send("GET", f"/tickets/{key}"))["run"]["id"]
    told = await outline(web, key, run, "&q=x&anchor=y")
    assert (told["live"], told["sessions"], told["errors"], told["hits"]) == (True, [], [], [])
    assert "The run has said nothing yet." in await page(web, f"/tickets/{key}/transcript")
    assert "No run yet" in await page(web, f"/tickets/{await web.ticket()}/transcript")


@pytest.mark.parametrize("part", ["picker", "going", "ending", "panel", "pane"])
async def test_parts_of_the_page_come_alone(web: Web, repository: Path, part: str) -> None:
    key, run = await nested(web, repository)
    text = await page(web, f"/tickets/{key}/transcript?part={part}")
    assert "<html" not in text and ("item-" in text) == (part in ("panel", "pane"))
    assert text.lstrip().startswith("<transcript-view") or f'id="part-{part}"' in text
    assert run


async def test_the_api_gives_child_items_and_atif(web: Web, repository: Path) -> None:
    _, run = await nested(web, repository)
    items = await web.send("GET", f"/runs/{run}/items?session=ses_child&after=0&limit=5")
    assert [item["seq"] for item in items] == [1]
    assert len(await web.send("GET", f"/runs/{run}/items")) == 5
    assert (await web.refused("GET", f"/runs/{run}/items?session=none"))["status"] == 404
    assert (await web.send("GET", f"/runs/{run}/session?form=atif"))["schema_version"] == "ATIF-v1.7"
    assert (await web.send("GET", f"/runs/{run}/session"))["native_id"] == "ses_root"
