"""Comments on lines in the browser: by mouse and by keys, with suggestions, as drafts that stay, at their lines."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.browser.test_review import PATH, file, opened, simple
from tests.reviewing import PARSER, mended, work
from tests.webbing import Web

FORM = ".remark-form"


def number(page: Page, line: int, side: str = "new", path: str = PATH) -> Locator:
    return file(page, path).locator(f"td.no.{side}[data-n='{line}']")


async def drag(page: Page, first: int, last: int) -> None:
    """Draw the mouse over the numbers of lines."""
    await number(page, first).scroll_into_view_if_needed()
    await number(page, first).hover()
    await page.mouse.down()
    await number(page, last).hover()
    await page.mouse.up()


async def test_a_range_by_mouse_with_a_suggestion(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await drag(page, 7, 9)
    await expect(page.locator("tr.chosen")).to_have_count(3)
    await expect(page.locator(FORM)).to_contain_text("About lines 7 to 9")
    await page.get_by_role("button", name="Suggest a change").click()
    text = page.locator(f"{FORM} textarea")
    await expect(text).to_have_value(
        "```suggestion\n        if not line.strip():\n            continue\n"
        '        key, value = line.partition("=")[::2]\n```\n'
    )
    await page.keyboard.type("        pass")
    await page.get_by_role("button", name="Add to the review").click()
    shown = file(page).locator(".remark")
    await expect(shown).to_contain_text("Pending")
    await expect(shown.locator(".suggestion tr.del")).to_have_count(3)
    await expect(shown.locator(".suggestion tr.add")).to_have_text("        pass")
    await expect(page.locator(FORM)).to_have_count(0)
    (draft,) = await web.send("GET", f"/tickets/{key}/drafts")
    assert (draft["start_line"], draft["line"], draft["side"]) == (7, 9, "new")
    assert draft["body"] == "```suggestion\n        pass\n```\n"


async def test_shift_and_click_reaches_further_and_a_click_is_one_line(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await number(page, 7, "old").click()
    await expect(page.locator(FORM)).to_contain_text("About line 7 that was removed")
    await page.get_by_role("button", name="Cancel").click()
    await number(page, 10).click()
    await page.get_by_role("button", name="Cancel").click()
    await drag(page, 10, 10)
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator(FORM)).to_have_count(0)
    await number(page, 8).click()
    await number(page, 11).click(modifiers=["Shift"])
    await expect(page.locator(FORM)).to_have_count(1)
    await expect(page.locator(FORM)).to_contain_text("About lines 8 to 11")


async def test_a_range_by_keys(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await page.keyboard.press("n")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("tr.ln:focus.add")).to_have_count(1)
    await page.keyboard.press("Shift+ArrowDown")
    await expect(page.locator("tr.chosen")).to_have_count(2)
    await page.keyboard.press("c")
    await expect(page.locator(f"{FORM} textarea")).to_be_focused()
    await expect(page.locator(FORM)).to_contain_text("About lines 7 to 8")
    await page.keyboard.type("By keys alone.")
    await page.keyboard.press("Control+Enter")
    await expect(file(page).locator(".remark")).to_contain_text("By keys alone.")
    await expect(page.locator("tr.ln:focus")).to_have_count(1)
    await page.keyboard.press("c")
    await expect(page.locator(f"{FORM} textarea")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator(FORM)).to_have_count(0)


async def test_a_draft_is_there_in_another_browser_is_changed_and_taken_back(
    web: Web, page: Page, context: BrowserContext, repository: Path
) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await number(page, 7).click()
    await page.locator(f"{FORM} textarea").fill("First words.")
    await page.get_by_role("button", name="Add to the review").click()
    await expect(page.locator("[data-tally]")).to_have_text("1")
    other = await context.new_page()
    await opened(other, key)
    mine = file(other).locator(".remark")
    await expect(mine).to_contain_text("First words.")
    await mine.get_by_text("Edit", exact=True).click()
    await mine.get_by_label("What it says").fill("Better words.")
    await mine.get_by_role("button", name="Save").click()
    await expect(mine).to_contain_text("Better words.")
    await other.reload()
    await expect(mine).to_contain_text("Better words.")
    await mine.get_by_role("button", name="Delete").click()
    await expect(mine).to_have_count(0)
    await expect(other.locator("[data-tally]")).to_be_hidden()
    assert await web.send("GET", f"/tickets/{key}/drafts") == []


async def test_what_was_typed_and_not_sent_is_there_again(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await number(page, 7).click()
    await page.locator(f"{FORM} textarea").fill("Half a thou")
    await page.keyboard.press("Shift+R")  # a letter of the comment, not the verdict's key
    await page.reload()
    await expect(file(page).locator("tr.add").first).to_be_visible()
    await expect(page.locator(FORM)).to_have_count(0)
    await number(page, 7).click()
    await expect(page.locator(f"{FORM} textarea")).to_have_value("Half a thouR")
    await page.get_by_role("button", name="Add to the review").click()
    await expect(file(page).locator(".remark")).to_contain_text("Half a thou")
    await number(page, 7).click()
    await expect(page.locator(f"{FORM} textarea")).to_have_value("")


async def test_the_whole_batch_goes_with_the_verdict(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await number(page, 7).click()
    await page.locator(f"{FORM} textarea").fill("Why strip?")
    await page.get_by_role("button", name="Add to the review").click()
    await expect(file(page).locator(".remark")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("Shift+R")
    await expect(page.locator("#changes-body")).to_be_focused()
    await expect(page.locator("#part-pending")).to_contain_text("Why strip?")
    await page.keyboard.type("Nearly.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#part-head")).to_contain_text("Queued")
    await expect(page.locator("#part-verdict .verdict-bar")).to_have_count(0)
    run = (await web.send("GET", f"/tickets/{key}"))["run"]
    assert run["feedback"] == f"Nearly.\n\n1. {PATH}:7:\n```\n7:         if not line.strip():\n```\nWhy strip?"
    shown = file(page).locator(".remark")
    await expect(shown).to_contain_text("Why strip?")
    await expect(shown).not_to_contain_text("Pending")


async def test_comments_follow_their_lines_or_are_outdated(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    comments = [{"path": PATH, "line": line, "body": f"About {line}"} for line in (7, 36)]
    await web.send("POST", f"/tickets/{key}/changes", {"body": "Again.", "comments": comments})
    text = "# One line more.\n" + mended().replace("raise KeyError(wanted)", "raise LookupError(wanted)")
    work(web, repository, {PATH: text})
    await opened(page, key)
    moved = file(page).locator(".remark", has_text="About 7")
    await expect(moved).to_contain_text("the lines have moved")
    above = moved.locator("xpath=ancestor::tr/preceding-sibling::tr[1]")
    await expect(above.locator("td.no.new")).to_have_attribute("data-n", "8")
    outdated = file(page).locator(".remark", has_text="About 36")
    await expect(outdated).to_contain_text("outdated")
    await expect(outdated.locator(".quoted")).to_have_text("    raise KeyError(wanted)")


async def test_a_comment_between_the_hunks_shows_its_line(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await web.send("POST", f"/tickets/{key}/drafts", {"path": PATH, "line": 20, "body": "And here?"}, status=201)
    await opened(page, key)
    shown = file(page).locator(".remark", has_text="And here?")
    await expect(shown).to_be_visible()
    await expect(shown.locator("xpath=ancestor::tr/preceding-sibling::tr[1]/td[2]")).to_have_attribute("data-n", "20")


async def test_a_refused_comment_says_why_in_its_place(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await number(page, 7).click()
    await page.locator(f"{FORM} textarea").fill("x" * 200_001)
    await page.get_by_role("button", name="Add to the review").click()
    await expect(page.locator(f"{FORM} .problem")).to_contain_text("200,000 is the limit")
    await page.locator(f"{FORM} textarea").fill("Shorter.")
    await page.get_by_role("button", name="Comment at once").click()
    await expect(file(page).locator(".remark")).to_contain_text("Shorter.")
    assert [one["body"] for one in (await web.send("GET", f"/tickets/{key}"))["comments"]] == ["Shorter."]


async def test_what_is_typed_stays_when_something_happens(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await number(page, 7).click()
    await page.locator(f"{FORM} textarea").fill("In the middle of")
    await web.send("POST", f"/tickets/{key}/comment", {"body": "Meanwhile"}, status=201)
    await web.send("POST", f"/tickets/{key}/changes", {"body": "Another was faster."})
    await expect(page.locator("#part-head")).to_contain_text("Queued")
    work(web, repository, {PATH: PARSER + "# new\n"})
    await expect(page.get_by_text("The branch has moved since you opened it.")).to_be_visible()
    await expect(page.locator(f"{FORM} textarea")).to_have_value("In the middle of")
    await expect(file(page).locator("tr.add", has_text="# new")).to_have_count(0)
