"""The changes of a ticket in the browser: drawn file by file, found one's way in by keys, marked as viewed, inert."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.browser.axe import scan
from tests.reviewing import BUSY, PARSER, busy, mended, reviewed, work
from tests.webbing import Web

PATH = "src/shop/parser.py"


def file(page: Page, path: str = PATH) -> Locator:
    return page.locator(f".file[data-path='{path}']")


async def opened(page: Page, key: str, query: str = "") -> None:
    """Open the changes, and wait until the first file is drawn."""
    await page.goto(f"/tickets/{key}/changes{query}")
    await expect(page.locator(".file[data-drawn]").first).to_be_attached()


async def simple(web: Web, repository: Path) -> str:
    return await reviewed(web, repository, {PATH: mended()}, {PATH: PARSER})


async def test_lines_are_drawn_with_marks_and_colours_in_both_views(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    shown = file(page)
    await expect(shown.locator("table.unified tr.add")).to_have_count(3)
    await expect(shown.locator("tr.add mark").first).to_be_attached()
    await expect(shown.locator("tr.same .hljs-keyword").first).to_be_attached()
    assert await shown.locator("tr.del td.code").first.inner_text() == "        if not line:"
    await page.keyboard.press("s")
    await expect(shown.locator("table.split tr.changed")).to_have_count(3)
    pair = shown.locator("tr.changed").first
    await expect(pair.locator("td.old.del")).to_have_text("        if not line:")
    await expect(pair.locator("td.new.add mark")).to_contain_text(".strip()")
    await page.reload()
    await expect(shown.locator("table.split")).not_to_have_count(0)
    await page.get_by_role("button", name="Unified").click()
    await expect(shown.locator("table.unified")).not_to_have_count(0)


async def test_space_can_be_left_out(web: Web, page: Page, repository: Path) -> None:
    text = PARSER.replace("    rows = []", "        rows = []").replace("return None", "return 0")
    key = await reviewed(web, repository, {PATH: text}, {PATH: PARSER})
    await opened(page, key)
    await expect(file(page).locator("tr.add")).to_have_count(2)
    await page.keyboard.press("w")
    await expect(file(page).locator("tr.add")).to_have_count(1)
    await page.reload()
    await expect(file(page).locator("tr.add")).to_have_count(1)
    await page.get_by_role("link", name="Show space").click()
    await expect(file(page).locator("tr.add")).to_have_count(2)


async def test_what_stands_between_the_hunks_can_be_shown(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    rows = file(page).locator("tr.ln")
    before = await rows.count()
    await page.get_by_role("button", name="Show the 20 lines here").click()
    await expect(rows).to_have_count(before + 20)
    await expect(file(page).locator("tr.same td.code", has_text="class Store:")).to_be_visible()
    await expect(page.locator("tr.ln:focus")).to_have_count(1)
    ident = await file(page).get_attribute("data-file")
    await opened(page, key, f"?#f-{ident}-R20")
    await expect(page.locator("tr.chosen td.new[data-n='20']")).to_be_in_viewport()


async def test_ones_way_by_keys(web: Web, page: Page, repository: Path) -> None:
    key = await reviewed(web, repository, busy, BUSY)
    await opened(page, key)
    current = page.locator(".tree-file[aria-current]")
    await expect(current).to_contain_text("src/shop/auth.py")
    await page.keyboard.press("j")
    await expect(current).to_contain_text("AGENTS.md")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await expect(current).to_contain_text("AGENTS.md")
    await page.keyboard.press("x")
    await expect(file(page, "AGENTS.md")).to_have_class("file folded")
    await page.keyboard.press("x")
    await page.keyboard.press("n")
    await expect(page.locator("tr.ln:focus")).to_have_count(1)
    await page.keyboard.press("n")
    await expect(file(page, ".github/workflows/test.yml").locator("tr.ln:focus.del")).to_have_count(1)
    await page.keyboard.press("p")
    await expect(file(page, "AGENTS.md").locator("tr.ln:focus")).to_have_count(1)
    await page.keyboard.press("j")  # from the line, though another file is at the top of the window
    await expect(file(page, ".github/workflows/test.yml").locator("h3")).to_be_focused()
    await page.keyboard.press("t")
    await expect(page.locator(".review-tree")).to_be_hidden()
    await page.keyboard.press("t")
    await page.get_by_label("Filter files by name").fill("shop view")
    await expect(page.locator(".tree-file:visible")).to_have_count(1)
    await page.locator(".tree-file:visible").click()
    await expect(file(page, "src/shop/view.js").locator("h3")).to_be_focused()
    await page.get_by_label("Filter files by name").fill("nothing like it")
    await expect(page.get_by_text("No file has that in its name.")).to_be_visible()


async def test_viewed_marks_stay_until_the_file_changes(
    web: Web, page: Page, context: BrowserContext, repository: Path
) -> None:
    key = await reviewed(web, repository, {"a.txt": "one\n", "b.txt": "two\n"})
    await opened(page, key)
    async with page.expect_response("**/viewed"):
        await page.keyboard.press("v")
    await expect(page.locator("#part-progress")).to_contain_text("1 of 2 viewed")
    await expect(file(page, "a.txt")).to_have_class("file folded")
    other = await context.new_page()
    await opened(other, key)
    await expect(other.locator("#part-progress")).to_contain_text("1 of 2 viewed")
    await expect(file(other, "a.txt").locator(".viewed-form button")).to_have_attribute("aria-pressed", "true")
    async with page.expect_response("**/viewed"):
        await page.keyboard.press("v")
    await page.reload()
    await expect(page.locator("#part-progress")).to_contain_text("2 of 2 viewed")
    await web.send("POST", f"/tickets/{key}/changes", {"body": "More."})
    work(web, repository, {"a.txt": "other\n"})
    await opened(other, key)
    await expect(other.locator("#part-progress")).to_contain_text("1 of 2 viewed")
    await expect(file(other, "a.txt")).to_contain_text("changed since you viewed it")
    await expect(file(other, "b.txt").locator(".viewed-form button")).to_have_attribute("aria-pressed", "true")


async def test_large_files_wait_to_be_asked_for(web: Web, page: Page, repository: Path) -> None:
    lock = "{\n" + "".join(f'  "dependency-{number}": "{number}",\n' for number in range(300)) + "}\n"
    key = await reviewed(web, repository, {"package-lock.json": lock, "a.txt": "a\n"})
    await opened(page, key)
    held = file(page, "package-lock.json")
    await expect(held).to_contain_text("Not shown at first: a lock file of 302 lines.")
    await held.get_by_role("button", name="Show it").click()
    await expect(held.locator("tr.ln")).to_have_count(302)


HOSTILE = (
    "<script>document.title = 'gone'</script><img src=x onerror=\"document.title='gone'\"> "
    "\x1b[31mred\x1b[0m \u202eabc\u2066 ${1} {{7}}"
)


async def test_hostile_names_and_contents_do_nothing(web: Web, page: Page, repository: Path) -> None:
    name = "<img src=x onerror=document.title=1>\n\u202etxt.py"

    def change(folder: Path) -> None:
        (folder / name).write_text(f"x = 1  # {HOSTILE}\n")
        (folder / "a.txt").write_text(f"{HOSTILE}\n--- a/x\n+++ b/x\n@@ -1 +1 @@\ndiff --git a/evil b/evil\n")

    key = await reviewed(web, repository, change, {"a.txt": f"{HOSTILE} before\n"}, title=HOSTILE[:60])
    for view in ("unified", "split"):
        await opened(page, key)
        await page.get_by_role("button", name=view.capitalize()).click()
        await expect(page.locator(".file[data-drawn]")).to_have_count(2)
        await expect(page.locator(f"table.{view}").first).to_be_attached()
        await expect(page.locator(".odd").first).to_have_text("U+001B")
        assert await page.locator(".file-body img, .file-body script, .file-body a").count() == 0
        text = await file(page, "a.txt").locator("td.add, tr.add td.code").first.inner_text()
        assert "<script>" in text and "U+202E" in text and "\u202e" not in text and "\x1b" not in text
    await expect(file(page, "a.txt").locator(".add", has_text="diff --git a/evil b/evil").first).to_be_attached()
    assert f"{key} <script>" in await page.title() and await page.locator(".file").count() == 2


@pytest.mark.parametrize("width", [1440, 720, 390])
async def test_it_is_accessible_and_fits(web: Web, page: Page, repository: Path, width: int) -> None:
    key = await reviewed(web, repository, busy, BUSY)
    await page.set_viewport_size({"width": width, "height": 900})
    await opened(page, key)
    await file(page, "tests/test_parser.py").scroll_into_view_if_needed()
    await expect(file(page, "tests/test_parser.py").locator("tr.ln").first).to_be_attached()
    await file(page, "AGENTS.md").get_by_role("button", name="Comment").click()
    await page.locator(".remark-form textarea").fill("Look.\n\n```suggestion\nx\n```")
    await page.get_by_role("button", name="Add to the review").click()
    await expect(page.locator(".file .remark")).to_be_visible()
    await expect(page.locator(".hljs-keyword").first).to_be_attached()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # All of it at once: what a bar that sticks hides now and then is no small target.
    await page.set_viewport_size({"width": width, "height": await page.evaluate("document.documentElement.scrollHeight") + 900})
    await scan(page)
    await page.locator("#verdict-approve summary").click()
    await scan(page, ".verdict")
    await page.locator("#verdict-changes summary").click()
    await scan(page, ".verdict")
    if width == 1440:
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Split").click()
        await expect(page.locator("table.split").first).to_be_attached()
        await scan(page)


async def test_five_thousand_lines(
    web: Web, page: Page, repository: Path, record_property: Callable[[str, object], None]
) -> None:
    """How long they take is measured by `make bench`; here they are all there."""
    before = "".join(f"def part_{number}(value):\n    return value + {number}\n" for number in range(2500))
    key = await reviewed(web, repository, {"big.py": before.replace("value", "given")}, {"big.py": before})
    await page.goto(f"/tickets/{key}/changes")
    await expect(file(page, "big.py")).to_contain_text("Not shown at first: 10,000 lines")
    start = time.perf_counter()
    await file(page, "big.py").get_by_role("button", name="Show it").click()
    await expect(file(page, "big.py").locator("tr.ln").first).to_be_visible()
    record_property("first", round(time.perf_counter() - start, 2))
    await expect(file(page, "big.py").locator("tr.ln")).to_have_count(10_000)
    record_property("all", round(time.perf_counter() - start, 2))
