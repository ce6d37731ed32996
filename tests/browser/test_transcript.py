"""A transcript in the browser: long sessions, follow mode, search, errors, and what agents write being inert."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from adapters.base import ChildItems
from adapters.session import Item, PlanEntry, Session
from tests.browser.axe import scan
from tests.transcribing import ERRORS, end, fill, long_items, record, tell, tell_of_child
from tests.webbing import Web

LONG = 50_000
FIRST = "document.querySelector('transcript-view').scroller.first()"


def note(seq: int, text: str = "", **values: object) -> Item:
    return Item(seq=seq, kind="assistant", id=f"prt_{seq}", text=text or f"note {seq}", **values)  # type: ignore[arg-type]


def call(seq: int, status: str, **values: object) -> Item:
    given = {"tool": "bash", "tool_kind": "execute", "title": "make test", "input": {"command": "make test"}} | values
    return Item(seq=seq, kind="tool_call", id=f"prt_{seq}", status=status, **given)  # type: ignore[arg-type]


async def opened(page: Page, key: str, query: str = "") -> None:
    await page.goto(f"/tickets/{key}/transcript{query}")
    await page.wait_for_selector("transcript-view[data-ready]")


async def wheel(page: Page, pixels: int) -> None:
    """Turn the wheel, and wait until the page has begun to move and has come to rest."""
    before = await page.evaluate("window.rest = { at: scrollY, frames: 0 }, scrollY")
    await page.mouse.wheel(0, pixels)
    await page.wait_for_function(
        """(before) => {
          rest.frames = scrollY === rest.at ? rest.frames + 1 : 0;
          rest.at = scrollY;
          return scrollY !== before && rest.frames > 9;
        }""",
        arg=before,
    )


async def running(web: Web, page: Page, repository: Path) -> int:
    """Open the transcript of a run that goes on, with 300 notes as they were followed."""
    key = await web.ticket(agent="coder")
    run = web.work(key, repository, result=None, items=[note(seq) for seq in range(300)])
    await opened(page, key)
    return run


def read_back(web: Web, run: int) -> None:
    """The run's record takes the place of the 300 notes: one entry more, so that each has another number."""
    whole = [Item(kind="user", text="The prompt"), *(note(seq, f"told {seq}") for seq in range(300))]
    record(web.database, run, Session(harness="opencode", native_id="session-1", items=whole).numbered())


async def top_of(page: Page, name: str) -> float:
    return float(await page.evaluate(f"document.querySelector('[data-name={name}]').getBoundingClientRect().top"))


async def place(page: Page) -> tuple[str, float]:
    """The name of the first entry in sight, and where its upper edge is in the window."""
    name, top = await page.evaluate(
        f"(() => {{ const one = {FIRST}; return [one.dataset.name, one.getBoundingClientRect().top]; }})()"
    )
    return str(name), float(top)


async def test_fifty_thousand_entries_stay_few_in_the_page(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository)
    fill(web.database, run, long_items(LONG))
    await opened(page, key)
    await expect(page.locator(".chips [data-show=all] .chip-count")).to_have_text(" 50,000")
    await expect(page.locator(".erring-count")).to_have_text(f"{LONG // ERRORS} errors")
    for part in (0.25, 0.5, 0.99, 0.1):
        await page.evaluate(f"scrollTo({{top: document.documentElement.scrollHeight * {part}, behavior: 'instant'}})")
        await page.wait_for_timeout(300)
    seen = await page.evaluate(f"[document.querySelectorAll('article.item').length, {FIRST}?.getAttribute('aria-setsize')]")
    assert seen[0] <= 1200 and seen[1] in ("50000", None)
    await page.evaluate(f"location.hash = '#item-{run}-43210'")
    far = page.locator(f"#item-{run}-43210")
    await expect(far).to_be_focused()
    await expect(far).to_have_attribute("aria-posinset", "43211")
    await expect(far).to_be_in_viewport()


async def test_what_comes_above_the_reader_moves_nothing(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository)
    items = long_items(2000)
    for item in items:
        if item["kind"] == "assistant":  # no chunk is as high as another
            item["text"] += "\n\nAnd more." * (item["seq"] // 50 % 5)
    fill(web.database, run, items)
    await opened(page, key, f"?run={run}&at=1500#item-{run}-1500")
    await expect(page.locator(f"#item-{run}-1500.arrived")).to_be_in_viewport()
    moved = await page.evaluate(
        """async () => {
          const view = document.querySelector("transcript-view");
          const frame = () => new Promise(requestAnimationFrame);
          const frames = async () => { await frame(); await frame(); await frame(); };
          const moved = [];
          for (let time = 0; time < 3; time += 1) {
            let n = view.root.chunks.findIndex(({ element }) => element === view.scroller.first().parentElement);
            while (view.root.chunks[n].have) n -= 1;
            const { element } = view.root.chunks[n];
            view.near.disconnect();
            view.scroller.by(element.getBoundingClientRect().bottom - 500); // the empty box across the upper edge
            await frames();
            const below = view.root.chunks[n + 1].element.firstElementChild;
            const [top, height] = [below.getBoundingClientRect().top, element.offsetHeight];
            await view.root.load(n);
            await frames();
            moved.push([Math.round(below.getBoundingClientRect().top - top), element.offsetHeight === height]);
          }
          return moved;
        }"""
    )
    assert all(abs(pixels) <= 1 for pixels, _ in moved) and not all(same for _, same in moved), moved


async def test_follow_keeps_the_end_in_sight_until_the_reader_scrolls_up(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository, result=None, items=[note(seq) for seq in range(120)])
    await opened(page, key)
    pill = page.locator(".follow")
    await expect(pill).to_have_text("Following")
    tell(web.database, run, [note(120, "the newest of all"), call(121, "in_progress")])
    await expect(page.get_by_text("the newest of all")).to_be_in_viewport()
    await expect(page.locator(f"#item-{run}-121 .tag")).to_have_text("running")
    tell(web.database, run, [call(121, "completed", output="ok\n", exit_code=0)])
    await expect(page.locator(f"#item-{run}-121 .entry-end")).to_have_text("done")
    await page.mouse.move(600, 600)
    await wheel(page, -900)
    await expect(pill).to_have_text("Jump to the newest")
    before = await page.evaluate("scrollY")
    tell(web.database, run, [note(seq) for seq in range(122, 134)])
    await expect(pill).to_have_text("Jump to the newest (12 new)")
    assert await page.evaluate("scrollY") == before
    await page.keyboard.press("f")
    await expect(pill).to_have_text("Following")
    await expect(page.get_by_text("note 133")).to_be_in_viewport()
    end(web.database, run)
    await expect(pill).to_be_hidden()
    await expect(page.locator("#part-going")).to_contain_text("The run ended")


async def test_the_record_takes_the_place_of_what_was_provisional(web: Web, page: Page, repository: Path) -> None:
    run = await running(web, page, repository)
    await expect(page.get_by_text("note 299")).to_be_in_viewport()
    await page.evaluate("scrollBy({top: -2500, behavior: 'instant'})")
    await expect(page.locator(".follow")).to_have_text("Jump to the newest")
    await wheel(page, -200)
    name, top = await place(page)
    read_back(web, run)
    await expect(page.locator(f"[data-name={name}]")).to_contain_text(f"told {name[4:]}")
    await expect(page.locator(f"[data-name={name}]")).to_have_attribute("data-seq", str(int(name[4:]) + 1))
    assert abs(await top_of(page, name) - top) <= 2


async def test_who_scrolls_while_it_is_read_anew_stays_where_they_went(web: Web, page: Page, repository: Path) -> None:
    run = await running(web, page, repository)
    await page.evaluate("document.querySelector('transcript-view').live.work")
    await page.evaluate("scrollBy({top: -2500, behavior: 'instant'})")
    await expect(page.locator(".follow")).to_have_text("Jump to the newest")
    await page.evaluate("document.querySelector('transcript-view').live.work")
    asked, scrolled = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        asked.set()
        await scrolled.wait()
        await route.continue_()

    await page.route("**/transcript/outline?*", hold)
    read_back(web, run)
    await asyncio.wait_for(asked.wait(), 20)
    await wheel(page, -400)
    name, top = await place(page)
    scrolled.set()
    await expect(page.locator(f"[data-name={name}]")).to_contain_text(f"told {name[4:]}")
    assert abs(await top_of(page, name) - top) <= 2


async def test_who_scrolls_up_at_the_moment_it_is_made_anew_is_let_go(web: Web, page: Page, repository: Path) -> None:
    run = await running(web, page, repository)
    await page.evaluate("document.querySelector('transcript-view').live.work")
    await expect(page.locator(".follow")).to_have_text("Following")
    await page.evaluate(  # the browser tells of a scroll with its next frame
        """() => {
          const { root } = document.querySelector("transcript-view");
          const become = root.become;
          root.become = async (...given) => {
            const put = await become.apply(root, given);
            scrollBy({ top: -900, behavior: "instant" });
            return put;
          };
        }"""
    )
    before = await page.evaluate("scrollY")
    read_back(web, run)
    await expect(page.get_by_text("told 299")).to_be_attached()
    await expect(page.locator(".follow")).to_have_text("Jump to the newest")
    assert await page.evaluate("scrollY") < before - 600


async def test_words_are_found_far_away_and_gone_through(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository)
    items = long_items(4000)
    items[3500]["text"] = "x\n" * 400 + "another zebra in the middle\n" + "y\n" * 400
    items[3500] = {**items[3500], "kind": "reasoning"}
    fill(web.database, run, items)
    await opened(page, key)
    await page.keyboard.press("/")
    await page.keyboard.type("ZEBRA")
    told = page.locator(".found")
    await expect(told).to_have_text("2 entries")
    await page.keyboard.press("Enter")
    await expect(told).to_have_text("1 of 2")
    await expect(page.locator(f"#item-{run}-2000")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(told).to_have_text("2 of 2")
    hit = page.get_by_text("another zebra in the middle")
    await expect(hit).to_be_visible()
    await page.wait_for_function("() => CSS.highlights.get('transcript-now').size === 1")
    top = "[...CSS.highlights.get('transcript-now')][0].getBoundingClientRect().top"
    await page.wait_for_function(f"() => {top} > 0 && {top} < 900")
    await page.keyboard.press("Shift+Enter")
    await expect(told).to_have_text("1 of 2")
    await expect(page).to_have_url(re.compile("q=ZEBRA"))
    await page.keyboard.press("Escape")
    await expect(told).to_have_text("")
    await page.wait_for_function("() => CSS.highlights.get('transcript-hit').size === 0")
    await page.keyboard.type("nothing says this")
    await expect(told).to_have_text("No hit")


async def test_errors_are_jumped_to_also_in_child_sessions(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository, result=None)
    child = Session(
        harness="opencode",
        native_id="ses_child",
        title="Explore the parser",
        items=[*(note(seq, f"child {seq}") for seq in range(70)), Item(kind="error", text="the child broke", code="crashed")],
    )
    items = [
        note(0),
        call(1, "completed", title="Delegate", extra={"session": "ses_child"}),
        *(note(seq) for seq in range(2, 80)),
        call(80, "failed", output="boom"),
    ]
    record(web.database, run, Session(harness="opencode", native_id="ses_root", items=items, children=[child]).numbered())
    end(web.database, run)
    await opened(page, key)
    await expect(page.locator(".erring-count")).to_have_text("2 errors")
    await page.keyboard.press("e")
    broke = page.get_by_text("the child broke")
    await expect(broke).to_be_in_viewport()
    await expect(page.locator(f"#item-{run}-ses_child-70")).to_be_focused()
    await page.keyboard.press("e")
    await expect(page.get_by_text("boom")).to_be_in_viewport()
    await page.keyboard.press("Shift+E")
    await expect(broke).to_be_in_viewport()
    await page.locator(".chips [data-show=errors]").click()
    await expect(page.locator(".feed").first.locator(":scope > .chunk > article")).to_have_count(2)
    await expect(page).to_have_url(re.compile("show=errors"))
    await page.goto(f"/tickets/{key}/transcript?run={run}&session=ses_child&at=3#item-{run}-ses_child-3")
    await expect(page.get_by_text("child 3", exact=True)).to_be_in_viewport()
    await expect(page.get_by_role("link", name="The whole transcript")).to_be_visible()


async def test_a_child_session_is_followed_while_it_works(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository, result=None, items=[note(0)])
    await opened(page, key)
    started = {"tool": "task", "tool_kind": "other", "title": "Delegate", "extra": {"session": "ses_child"}}
    tell(web.database, run, [call(1, "in_progress", **started)])
    tell_of_child(web.database, run, ChildItems("ses_child", "session-1", "Explore the parser", [note(0, "child 0")]))
    child = page.locator(f"#item-{run}-1 details.child")
    await expect(child.locator("summary")).to_contain_text("Explore the parser")
    await child.locator("summary").click()
    await expect(child.get_by_text("child 0")).to_be_visible()
    tell_of_child(web.database, run, ChildItems("ses_child", "session-1", None, [note(1, "child 1"), call(2, "in_progress")]))
    await expect(child.get_by_text("child 1")).to_be_visible()
    await expect(page.locator(f"#item-{run}-ses_child-2 .tag")).to_have_text("running")
    tell_of_child(web.database, run, ChildItems("ses_child", "session-1", None, [call(2, "failed", exit_code=2)]))
    await expect(page.locator(f"#item-{run}-ses_child-2 .entry-end")).to_contain_text("exit 2")
    await expect(child).to_have_attribute("open", "")


async def test_the_keyboard_alone_reads_a_transcript(web: Web, page: Page, context: BrowserContext, repository: Path) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    key = await web.ticket(agent="coder")
    items = [
        note(0),
        call(1, "completed", output="fine\n"),
        Item(seq=2, kind="reasoning", text="Because."),
        *(note(seq) for seq in range(3, 130)),
    ]
    run = web.work(key, repository, items=items)
    await opened(page, key)
    await page.keyboard.press("j")
    await expect(page.locator(f"#item-{run}-0")).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("fine")).to_be_visible()
    await page.keyboard.press("y")
    await expect(page.get_by_text("Entry copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == 'make test\n\n{\n  "command": "make test"\n}\n\nfine\n'
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("fine")).to_be_hidden()
    await page.keyboard.press("r")
    await expect(page.locator(f"#item-{run}-2 .said")).to_be_visible()
    await page.keyboard.press("o")
    await expect(page.get_by_text("fine")).to_be_visible()
    for _ in range(60):
        await page.keyboard.press("j")
    await expect(page.locator(f"#item-{run}-61")).to_be_focused()
    await expect(page.locator(f"#item-{run}-61")).to_be_in_viewport()
    await page.keyboard.press("k")
    await expect(page.locator(f"#item-{run}-60")).to_be_focused()
    await page.keyboard.press("End")
    await expect(page.get_by_text("note 129")).to_be_in_viewport()
    await expect(page.locator('article.item[tabindex="0"]')).to_have_count(1)


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)> \x1b[31mred\x1b[0m \u202eevil\u202c [x](javascript:alert(1))"


async def test_what_an_agent_writes_is_inert(web: Web, page: Page, repository: Path) -> None:
    page.on("dialog", lambda _: pytest.fail("a script ran"))
    key = await web.ticket(agent="coder")
    items = [
        Item(seq=0, kind="user", text=HOSTILE),
        note(1, HOSTILE),
        call(2, "failed", title=HOSTILE, tool=HOSTILE, input={HOSTILE: HOSTILE}, output=HOSTILE),
        call(3, "completed", tool_kind="edit", input={"filePath": HOSTILE, "oldString": HOSTILE, "newString": "x"}),
        Item(seq=4, kind="plan", entries=[PlanEntry(content=HOSTILE)]),
        Item(seq=5, kind="error", text=HOSTILE, code=HOSTILE),
        Item(seq=6, kind="notice", id='"><script>alert(1)</script>', text=HOSTILE),
    ]
    run = web.work(key, repository, items=items)
    await opened(page, key)
    await page.keyboard.press("o")
    await expect(page.locator(f"#item-{run}-2 .said").last).to_contain_text("\\u202eevil")
    await expect(page.locator(f"#item-{run}-2 .ansi-red").first).to_have_text("red")
    assert await page.locator("transcript-view :is(script, img, [onerror])").count() == 0
    assert await page.locator('transcript-view a[href^="javascript"]').count() == 0
    assert (
        await page.evaluate(
            "getSelection().selectAllChildren(document.querySelector('.feed')) ?? getSelection().toString().includes('\\u202e')"
        )
        is False
    )


async def test_the_page_is_accessible_in_every_width(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository, result=None)
    child = Session(harness="opencode", native_id="ses_child", items=[note(0, "child")])
    items = [
        Item(kind="user", text="The prompt"),
        Item(kind="reasoning", text="Because."),
        call(2, "failed", exit_code=2, output="\x1b[31mred\x1b[0m \x1b[36mcyan\x1b[0m\n" * 100, extra={"session": "ses_child"}),
        call(3, "completed", tool_kind="edit", tool="edit", input={"filePath": "a.py", "oldString": "x", "newString": "y"}),
        call(4, "in_progress"),
        Item(
            kind="plan", entries=[PlanEntry(content="One", status="completed"), PlanEntry(content="Two", status="in_progress")]
        ),
        Item(kind="error", text="it broke", code="endpoint_down"),
        note(7, "# Done\n\nWith `code`."),
    ]
    record(web.database, run, Session(harness="opencode", native_id="ses_root", items=items, children=[child]).numbered())
    for width in (1440, 480, 390):
        await page.set_viewport_size({"width": width, "height": 844})
        await opened(page, key)
        await page.keyboard.press("o")
        await page.keyboard.press("r")
        await page.locator("details.child > summary").click()
        await expect(page.get_by_text("child", exact=True)).to_be_visible()
        await scan(page, "#part-transcript")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
