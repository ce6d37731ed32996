"""The pages as a browser without scripts uses them: reading, forms, refusals in place."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from adapters.session import Item, PlanEntry, Usage
from dispatcher import board as use_cases
from dispatcher import runs
from tests.gitting import git
from tests.webbing import Web, open_web
from web.assets import static
from web.diffs import sections
from web.render import count, output, span, visible

QUESTION = runs.Result("block", "question", "Which greeting?", "question", evidence="\x1b[31mhello\x1b[0m or hi")
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta"}


class Page(HTMLParser):
    """A page, checked while it is read: nesting, unique ids, labelled fields, no inline script or style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.ids: list[str] = []
        self.scripts: list[str | None] = []
        self._open: list[str] = []
        self._fields: list[str] = []
        self._labels: list[str] = []
        self.headings: list[int] = []
        self.feed(text)
        assert not self._open, f"left open: {self._open}"
        assert len(self.ids) == len(set(self.ids)), "an id stands twice"
        assert set(self._fields) <= set(self._labels), f"no label: {set(self._fields) - set(self._labels)}"
        assert self.headings.count(1) == 1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert "style" not in given and not [name for name in given if name.startswith("on")], (tag, given)
        if tag not in VOID:
            self._open.append(tag)
        if given.get("id"):
            self.ids.append(given["id"] or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "script":
            self.scripts.append(given.get("src"))
        if tag == "label" and given.get("for"):
            self._labels.append(given["for"] or "")
        if tag in ("input", "select", "textarea") and given.get("type") not in ("hidden", "checkbox", "radio"):
            self._fields.append(given.get("id") or f"unnamed {tag}")

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            raise AssertionError("inline script")
        self.text += data


async def page(web: Web, path: str, status: int = 200) -> Page:
    answer = await web.client.get(path)
    assert answer.status_code == status, answer.text
    return Page(answer.text)


async def post(web: Web, where: str, status: int = 303, /, **form: str) -> httpx.Response:
    answer = await web.client.post(where, data=form)
    assert answer.status_code == status, answer.text
    if status != 303:
        Page(answer.text)
    return answer


@pytest.fixture
async def web(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        await web.furnish(repository, check_command="make test")
        yield web


async def test_an_empty_board_says_how_to_begin(tmp_path: Path) -> None:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        answer = await web.client.get("/")
        assert (answer.status_code, answer.headers["location"]) == (303, "/start")
        await page(web, "/start")


async def test_the_board_shows_each_ticket_in_its_column(web: Web, repository: Path) -> None:
    idle, queued, running, blocked, reviewed = [await web.ticket(f"Number {number}") for number in range(5)]
    for key in (queued, running, blocked, reviewed):
        await web.send("POST", f"/tickets/{key}/assign", {"agent": "coder"})
    web.work(running, repository, result=None)
    web.work(blocked, repository, result=QUESTION)
    web.work(reviewed, repository)
    shown = await page(web, "/")
    columns = [name for name in shown.ids if name.startswith(("part-", "card-"))]
    assert columns == [
        "part-columns",
        *("part-backlog", f"card-{idle}", "part-queued", f"card-{queued}", "part-running", f"card-{running}"),
        *("part-blocked", f"card-{blocked}", "part-review", f"card-{reviewed}", "part-done", "part-cancelled"),
    ]
    assert "edits hello.txt" in shown.text and "Which greeting?" in shown.text and "12.3k tokens" in shown.text
    assert shown.scripts == [static(name) for name in ("js/theme.js", "vendor/htmx.js", "js/app.js", "js/board.js")]
    filtered = await page(web, "/?q=%22Number+3%22&project=WEB")
    assert [name for name in filtered.ids if name.startswith("card-")] == [f"card-{blocked}"]


async def test_a_ticket_is_filed_assigned_and_withdrawn_by_forms(web: Web) -> None:
    filed = await post(web, "/tickets", project="WEB", title="Grüße", body="a\r\nb", labels="bug, urgent ,", agent="")
    assert filed.headers["location"] == "/tickets/WEB-1"
    ticket = await web.send("GET", "/tickets/WEB-1")
    assert (ticket["title"], ticket["body"], ticket["labels"]) == ("Grüße", "a\nb", ["bug", "urgent"])
    assert (await post(web, "/tickets/WEB-1/assign", agent="coder", back="q=x%26y")).headers["location"] == "/?q=x%26y"
    assert (await post(web, "/tickets/WEB-1/withdraw")).headers["location"] == "/tickets/WEB-1"
    await post(web, "/tickets/WEB-1/comment", body="Mind the umlaut.")
    await post(web, "/tickets/WEB-1/cancel")
    await post(web, "/tickets/WEB-1/reopen")
    shown = await page(web, "/tickets/WEB-1")
    assert "Mind the umlaut." in shown.text and "Backlog" in shown.text


async def test_a_refused_form_keeps_what_was_typed(web: Web) -> None:
    typed = {"title": "x" * 501, "body": "\n  Kept <b>as it is</b>", "labels": "one", "project": "WEB"}
    refused = await post(web, "/tickets", 422, **typed)
    assert "500 is the limit" in refused.text and "put the rest into the body" in refused.text
    assert 'rows="9">\n\n  Kept &lt;b&gt;as it is&lt;/b&gt;</textarea>' in refused.text
    assert f'value="{typed["title"]}" aria-invalid="true"' in refused.text and '<h1 id="new-title-words"' in refused.text
    key = await web.ticket()
    unknown = await post(web, f"/tickets/{key}/assign", 404, agent="nobody")
    assert "there is no agent" in unknown.text and "agents: coder" in unknown.text
    late = await post(web, f"/tickets/{key}/answer", 409, text="an answer to nothing")
    assert "waits for no answer" in late.text
    line = await post(web, f"/tickets/{key}/comment", 422, body="hm", path="a.py", line="two", at="line")
    assert "no line number" in line.text
    assert (await web.client.post("/tickets/WEB-99/cancel")).status_code == 404


async def test_a_blocked_ticket_asks_and_is_answered(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository, result=QUESTION)
    shown = await page(web, f"/tickets/{key}")
    assert "The agent asks" in shown.text and "answer it: the agent goes on" in shown.text
    assert "hello or hi" in shown.text and "\x1b" not in shown.text
    empty = await post(web, f"/tickets/{key}/answer", 422, text="  ")
    assert "the answer is empty" in empty.text
    await post(web, f"/tickets/{key}/answer", text="hello")
    assert (await web.send("GET", f"/tickets/{key}"))["state"] == "queued"


async def test_a_ticket_is_reviewed_by_forms(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder", body="In a file.")
    web.work(key, repository)
    tabs = {
        "": ("In a file.", "git -C", "The change is made."),
        "/transcript": ("First I look.", "1 failed"),
        "/changes": ("hello.txt", "Approve and merge"),
        "/checks": ("make test", "passed"),
        "/runs": ("local-coder", "12.0k"),
    }
    for tab, words in tabs.items():
        shown = await page(web, f"/tickets/{key}{tab}")
        for told in (*words, "Say hello", "assigned to coder"):
            assert told in shown.text, (tab, told)
    await post(web, f"/tickets/{key}/comment", at="line", path="hello.txt", line="1", body="Why so quiet?")
    moved = await post(web, f"/tickets/{key}/approve", 409, method="merge", head="0" * 40, message="My words")
    assert "has moved since you looked" in moved.text and "My words</textarea>" in moved.text
    head = (await web.send("GET", f"/tickets/{key}"))["workspace"]["head_sha"]
    await post(web, f"/tickets/{key}/approve", method="ff", head=head, message="")
    assert git(repository, "rev-parse", "main") == head
    done = await page(web, f"/tickets/{key}/changes")
    assert "merged as" in done.text and "hello.txt" in done.text and "Discard the work" not in done.text


async def test_changes_are_requested_and_a_run_is_stopped(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository)
    assert "the request is empty" in (await post(web, f"/tickets/{key}/changes", 422, body=" ")).text
    await post(web, f"/tickets/{key}/changes", body="Louder.")
    assert (await web.send("GET", f"/tickets/{key}"))["run"]["feedback"] == "Louder."
    await post(web, f"/tickets/{key}/stop")
    assert (await web.send("GET", f"/tickets/{key}"))["state"] == "backlog"


async def test_a_discard_is_asked_about_first(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository)
    asked = await page(web, f"/tickets/{key}/discard")
    assert f"Discard the work on {key}?" in asked.text
    assert "was not confirmed" in (await post(web, f"/tickets/{key}/discard", 422)).text
    await post(web, f"/tickets/{key}/discard", confirm=key)
    assert (await web.send("GET", f"/tickets/{key}"))["state"] == "cancelled"
    assert "nothing to discard" in (await page(web, f"/tickets/{key}/discard")).text


async def test_the_transcript_of_a_long_run_is_paged(web: Web, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    items = [
        Item(seq=0, kind="user", text="The prompt"),
        Item(seq=1, kind="plan", entries=[PlanEntry(content="Think", status="completed")]),
        Item(seq=2, kind="usage", usage=Usage(prompt_tokens=1500)),
        Item(seq=3, kind="error", text="it broke", code="endpoint_down"),
        Item(seq=4, kind="tool_call", tool="odd", input={"a": [1]}, output="\x1b[1mbold\x1b[0m\x07"),
        *(Item(seq=seq, kind="notice", text=f"note {seq}") for seq in range(5, 450)),
    ]
    run_id = web.work(key, repository, result=None, items=items)
    newest = await page(web, f"/tickets/{key}/transcript")
    assert "note 449" in newest.text and "note 250" in newest.text and "note 249" not in newest.text
    first = await page(web, f"/tickets/{key}/transcript?run={run_id}&before=50")
    for told in ("The prompt", "Think", "1.5k tokens read", "it broke", "endpoint down", '"a": [', "bold\\x07", "note 49"):
        assert told in first.text
    assert "note 50" not in first.text and "To the newest" in first.text and "Earlier" not in first.text


async def test_pages_that_there_are_not(web: Web) -> None:
    paths = {"/tickets/WEB-9": 404, "/nothing": 404, "/tickets/WEB-1/transcript?run=x": 422, "/static/../app.py": 404}
    for path, status in paths.items():
        text = (await page(web, path, status)).text
        assert "To the board" in text
        assert ("The page without that" in text) == (status == 422)
    assert (await web.client.get(static("css/base.css"))).headers["content-type"].startswith("text/css")


async def test_a_refreshed_page_knows_where_the_feed_was(web: Web) -> None:
    key = await web.ticket()
    answer = await web.client.get(f"/tickets/{key}")
    newest = (await web.send("GET", "/activity"))[-1]["id"]
    assert f'data-cursor="{newest}"' in answer.text
    with web.database.transaction() as db:
        use_cases.comment(db, use_cases.get_ticket(db, key), "new")
    assert f'data-cursor="{newest + 1}"' in (await web.client.get(f"/tickets/{key}")).text


def test_a_diff_is_cut_at_files_and_numbered() -> None:
    text = (
        "diff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n@@ -3,2 +3,2 @@ def f():\n same\x0cstill\n-old\n+new\n"
        "\\ No newline at end of file\ndiff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n"
        "diff --git a/z b/z\n--- a/z\n+++ b/z\n@@ -1 +1 @@\n--- not a header\n+++ neither\n"
    )
    first, second, third = sections(text)
    assert [(line.kind, line.old, line.new, line.text) for line in first.lines] == [
        ("hunk", None, None, "@@ -3,2 +3,2 @@ def f():"),
        ("same", 3, 3, "same\x0cstill"),
        ("del", 4, None, "old"),
        ("add", None, 4, "new"),
        ("note", None, None, "No newline at end of file"),
    ]
    assert [line.text for line in second.lines][-1] == "rename to y"
    assert [(line.kind, line.text) for line in third.lines[1:]] == [("del", "-- not a header"), ("add", "++ neither")]
    cut = sections(text, most=2)
    assert [len(part.lines) for part in cut] == [2, 0, 0] and [part.left for part in cut] == [3, 3, 3]
    assert sections("") == []


def test_words_for_numbers_and_characters() -> None:
    assert [span(seconds) for seconds in (None, 0.42, 59.6, 185, 7800)] == ["", "0.4 s", "1 min", "3 min 5 s", "2 h 10 min"]
    assert [count(number) for number in (None, 999, 12_345, 999_999, 4_500_000)] == ["0", "999", "12.3k", "1.0M", "4.5M"]
    assert visible("a\tb\nc\x00\x1b\x7f\x9b\u202e\ud800é🙂") == "a\tb\nc\\x00\\x1b\\x7f\\x9b\\u202e\\ud800é🙂"
    assert output("\x1b[31mred\x1b[0m", 100) == "red" and output("x" * 30, 10).endswith(f"left out]\n{'x' * 10}")
