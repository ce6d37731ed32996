"""Long lines and ranges in a review: nothing that differs, or that is suggested, hides behind what is not shown."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page, expect

from tests.browser.test_review import PATH, file, opened
from tests.browser.test_review_lines import FORM, number
from tests.reviewing import PARSER, mended, reviewed
from tests.webbing import Web

BODY = "abc def " * 600


async def test_what_differs_far_along_a_line_is_seen(web: Web, page: Page, repository: Path) -> None:
    files = [{"data.py": f"import os\nrules = '{BODY}{word} {BODY}'\n"} for word in ("deny", "allow")]
    key = await reviewed(web, repository, dict(files[1]), dict(files[0]))
    await opened(page, key)
    removed, added = file(page, "data.py").locator("tr.del td.code"), file(page, "data.py").locator("tr.add td.code")
    for _ in ("unified", "split"):
        await expect(removed.locator("mark")).to_have_text("deny")
        await expect(added.locator("mark")).to_have_text("allow")
        await page.keyboard.press("s")
        removed, added = file(page, "data.py").locator("td.del"), file(page, "data.py").locator("td.add")
    await expect(file(page, "data.py").locator("table.unified")).not_to_have_count(0)
    removed, added = file(page, "data.py").locator("tr.del td.code"), file(page, "data.py").locator("tr.add td.code")
    assert len(await added.inner_text()) < 3_000
    await added.get_by_role("button", name="Show the whole line").click()
    await expect(added).to_have_text(f"rules = '{BODY}allow {BODY}'")
    await expect(removed).to_have_text(f"rules = '{BODY}deny {BODY}'")
    await expect(added.locator("mark")).to_have_text("allow")
    await expect(page.locator("tr.add")).to_be_focused()


async def test_a_suggestion_over_lines_that_are_not_shown_has_them(web: Web, page: Page, repository: Path) -> None:
    key = await reviewed(web, repository, {PATH: mended()}, {PATH: PARSER})
    await opened(page, key)
    await number(page, 9).click()
    await number(page, 35).click(modifiers=["Shift"])
    await expect(page.locator(FORM)).to_contain_text("About lines 9 to 35")
    await page.get_by_role("button", name="Suggest a change").click()
    lines = "\n".join(mended().split("\n")[8:35])
    await expect(page.locator(f"{FORM} textarea")).to_have_value(f"```suggestion\n{lines}\n```\n")


async def test_marks_split_no_character(web: Web, page: Page, repository: Path) -> None:
    family, other = "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f469\u200d\U0001f469\u200d\U0001f466"
    files = [
        {"a.py": f"who = 'a {one} family'\nname = '日本語の文字{last}'\n"} for one, last in ((family, "列"), (other, "数"))
    ]
    key = await reviewed(web, repository, dict(files[1]), dict(files[0]))
    await opened(page, key)
    marks = file(page, "a.py").locator("tr.add mark")
    await expect(marks).to_have_count(2)
    assert await marks.all_text_contents() == [other, "数"]
    await number(page, 1, "old", "a.py").click()
    await expect(page.locator(FORM)).to_contain_text("About line 1 that was removed")
    await expect(page.get_by_role("button", name="Suggest a change")).to_have_count(0)
