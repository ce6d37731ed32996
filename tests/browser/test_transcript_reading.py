"""Reading a transcript while it grows: selected text stays; words are found where they are folded, coloured or left out."""

from __future__ import annotations

import asyncio
from pathlib import Path

from playwright.async_api import Locator, Page, Route, expect

from adapters.session import Item, Session
from tests.browser.test_transcript import call, note, opened
from tests.transcribing import end, record, tell
from tests.webbing import Web

SELECTED = "getSelection().toString()"


async def select(page: Page, text: Locator, pixels: int = 120) -> None:
    """Draw the mouse over the first line of a text."""
    box = await text.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 12, box["y"] + 12)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 12 + pixels, box["y"] + 12, steps=4)


async def top_of(entry: Locator) -> float:
    box = await entry.bounding_box()
    assert box is not None
    return box["y"]


async def test_selected_text_stays_where_it_is_while_the_run_goes_on(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    items = [*(note(seq) for seq in range(60)), call(60, "in_progress", output="words to be copied\n")]
    run = web.work(key, repository, result=None, items=items)
    await opened(page, key)
    pill, entry = page.locator(".follow"), page.locator(f"#item-{run}-60")
    await expect(pill).to_have_text("Following")
    await entry.locator("summary").click()
    await select(page, entry.locator(".said").last)
    await expect(pill).to_have_text("Jump to the newest")
    chosen, top = await page.evaluate(SELECTED), await top_of(entry)
    assert "ords to be" in chosen
    tell(web.database, run, [call(60, "in_progress", output="words to be copied\nand more\n"), note(61, "late " * 200)])
    await expect(pill).to_have_text("Jump to the newest (1 new)")
    await page.mouse.up()
    whole = [Item(kind="user", text="The prompt"), *items, note(61, "late")]
    record(web.database, run, Session(harness="opencode", native_id="session-1", items=whole).numbered())
    end(web.database, run)
    await expect(page.locator("#part-going")).to_contain_text("The run ended")
    assert await page.evaluate(SELECTED) == chosen and abs(await top_of(entry) - top) < 1
    await page.mouse.click(5, 500)
    await expect(page.locator(f"#item-{run}-0")).to_have_class("item item-user")
    await expect(page.locator(f"#item-{run}-61 .entry-end")).to_be_visible()


async def test_what_happens_before_its_script_is_there_is_not_missed(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository, result=None, items=[note(0), call(1, "in_progress")])
    loads = asyncio.Event()

    async def late(route: Route) -> None:
        await loads.wait()
        await route.continue_()

    await page.route("**/transcript.js*", late)
    await page.add_init_script("window.heard = []; document.addEventListener('live', ({ detail }) => heard.push(detail.kind));")
    await page.goto(f"/tickets/{key}/transcript")
    tell(web.database, run, [call(1, "completed", output="ok\n", exit_code=0), note(2, "told meanwhile")])
    await page.wait_for_function("() => heard.includes('run.items')")
    loads.set()
    await expect(page.get_by_text("told meanwhile")).to_be_visible()
    await expect(page.locator(f"#item-{run}-1 .entry-end")).to_have_text("done")
    tell(web.database, run, [note(3, "and told afterwards")])
    await expect(page.get_by_text("and told afterwards")).to_be_in_viewport()


async def test_a_changed_entry_is_put_off_until_its_text_is_selected_no_more(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository, result=None, items=[note(0), call(1, "in_progress", output="words to be copied\n")])
    await opened(page, key)
    entry = page.locator(f"#item-{run}-1")
    await entry.locator("summary").click()
    await select(page, entry.locator(".said").last)
    await page.mouse.up()
    tell(web.database, run, [call(1, "completed", output="words to be copied\nthe end\n"), note(2, "the next")])
    await expect(page.get_by_text("the next")).to_be_visible()
    assert "ords" in await page.evaluate(SELECTED)
    await page.mouse.click(5, 500)
    await expect(entry.locator(".said").last).to_contain_text("the end")
    await page.keyboard.press("End")
    await expect(page.locator(".follow")).to_have_text("Following")
    await page.wait_for_function("() => document.querySelector('transcript-view').scroller.left <= 1")


async def test_words_are_marked_across_colours_and_in_the_midst_of_a_large_output(
    web: Web, page: Page, repository: Path
) -> None:
    key = await web.ticket(agent="coder")
    lines = [f"line {number} " + "of a large output " * 4 for number in range(20_000)]
    lines[9_000] = "here is the needle"
    items = [
        call(0, "failed", output="\x1b[1;31mFAILED\x1b[0m tests/\x1b[1mtest_a.py\x1b[0m\n"),
        call(1, "completed", output="\n".join(lines)),
        Item(seq=2, kind="assistant", text="And 猫."),
        Item(seq=3, kind="reasoning", text="a"),
    ]
    web.work(key, repository, items=items)
    await opened(page, key)
    for words in ("FAILED tests/test_a.py", "the needle", "猫", "a"):
        await page.locator("#transcript-q").fill(words)
        await page.keyboard.press("Enter")
        await expect(page.locator(".found")).to_contain_text("1 of ")
        marked = "[...CSS.highlights.get('transcript-now')][0]"
        await page.wait_for_function(f"() => String({marked} ?? '').toLowerCase() === {words.lower()!r}")
        top = f"{marked}.getBoundingClientRect().top"
        await page.wait_for_function(f"() => {top} > 0 && {top} < 900")
    large = page.locator("article.item").nth(1)
    await expect(large.locator(".left-out")).to_have_count(2)
    await expect(large.get_by_text("line 19999")).to_be_attached()
