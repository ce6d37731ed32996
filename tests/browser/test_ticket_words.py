"""Words on a ticket's page: edited in their place, previewed, copied; and all of it by keyboard."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.axe import scan
from tests.browser.seen import allow
from tests.browser.test_ticket import QUESTION, opened
from tests.webbing import Web

SHOWN = "navigator.clipboard.readText()"


async def test_the_title_is_edited_in_its_place(web: Web, page: Page) -> None:
    allow(page, "status of 422")
    key = await web.ticket("Old words")
    await opened(page, f"/tickets/{key}")
    await page.keyboard.press("e")
    field = page.get_by_label("Title", exact=True)
    await expect(field).to_be_focused()
    await expect(page.locator("#ticket-title")).to_be_hidden()
    await page.keyboard.type("Never mind")
    await page.keyboard.press("Escape")
    await expect(page.locator("#ticket-title")).to_have_text("Old words")
    await expect(page.locator("#edit-title > summary")).to_be_focused()
    await page.keyboard.press("e")
    await expect(field).to_have_value("Old words")
    await field.fill("New <b>words</b>")
    await page.keyboard.press("Enter")
    await expect(page.locator("#ticket-title")).to_have_text("New <b>words</b>")
    await expect(page.locator("#edit-title > summary")).to_be_focused()
    await page.keyboard.press("l")
    await page.get_by_label("Labels, by commas").fill("bug, " + "y" * 60)
    await page.keyboard.press("Enter")
    await expect(page.locator("#part-head .problem")).to_contain_text("is no label")
    await scan(page, "#part-pane")
    await page.get_by_label("Labels, by commas").fill("bug, parser")
    await page.keyboard.press("Enter")
    await expect(page.locator("#part-head .labels li")).to_have_text(["bug", "parser"])


async def test_markdown_is_previewed_as_it_will_be(web: Web, page: Page) -> None:
    key = await web.ticket(body="- [x] done")
    await opened(page, f"/tickets/{key}")
    await page.locator("#comment-body").fill("**Bold** WEB-1 <script>alert(1)</script> ![x](https://pics.example/x.png)")
    say = page.locator("#part-say")
    await say.get_by_role("button", name="Preview").click()
    shown = say.get_by_role("region", name="Preview")
    await expect(shown.locator("strong")).to_have_text("Bold")
    await expect(shown.locator("a").first).to_have_attribute("href", "/tickets/WEB-1")
    await expect(shown).to_contain_text("<script>alert(1)</script>")
    await expect(shown.locator("img, script")).to_have_count(0)
    await expect(page.locator("#comment-body")).to_be_hidden()
    await scan(page, "#part-say")
    await say.get_by_role("button", name="Write").click()
    await expect(page.locator("#comment-body")).to_be_focused()
    await say.get_by_role("button", name="Preview").click()
    await shown.press("Control+Enter")
    await expect(page.locator(".entry-comment strong").nth(1)).to_have_text("Bold")
    await expect(page.locator("#comment-body")).to_have_value("")


async def test_names_and_commands_are_copied(web: Web, page: Page, context: BrowserContext, repository: Path) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    key = await web.ticket(agent="coder")
    web.work(key, repository)
    await opened(page, f"/tickets/{key}")
    await page.keyboard.press("y")
    await expect(page.locator("#toasts")).to_contain_text("Copied")
    assert await page.evaluate(SHOWN) == f"agent/{key}"
    await page.locator("#copy-worktree").click()
    await page.wait_for_function(f"{SHOWN}.then((text) => text.startsWith('git -C'))")
    command = (await web.send("GET", f"/tickets/{key}"))["workspace"]["checkout"]
    assert await page.evaluate(SHOWN) == command
    await page.locator("#worktree summary").click()
    await expect(page.locator(".command")).to_have_text(command)
    await page.keyboard.press("4")
    await page.locator("#part-checks summary").click()
    await page.locator("#part-checks").get_by_role("button", name="Copy command").click()
    await page.wait_for_function(f"{SHOWN}.then((text) => text === 'make test')")


async def test_copying_needs_no_permission_and_no_tls(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository)
    await page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    await opened(page, f"/tickets/{key}")
    button = page.get_by_role("button", name="Copy name")
    await button.click()
    await expect(page.locator("#toasts")).to_contain_text("Copied")
    await expect(button).to_be_focused()
    await page.locator("#comment-body").click()
    await page.keyboard.press("Control+v")
    await expect(page.locator("#comment-body")).to_have_value(f"agent/{key}")


async def left(page: Page) -> None:
    """Leave the field that has the focus, once the answer to what was sent from it has put the focus where it belongs."""
    await expect(page.locator("form[aria-busy=true]")).to_have_count(0)
    await page.evaluate("document.activeElement.blur()")


async def test_a_ticket_is_worked_through_by_keyboard_alone(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket("By keys")
    await opened(page, f"/tickets/{key}")
    await page.keyboard.press("a")
    await expect(page.locator("#assign-agent")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("#part-head .state").first).to_have_text("Queued")
    await expect(page.locator("#part-actions")).to_be_focused()
    web.work(key, repository, result=QUESTION)
    await expect(page.locator("#blocker")).to_be_visible()
    await page.keyboard.press("]")
    await expect(page.locator("#part-story")).to_be_hidden()
    await page.keyboard.press("5")
    await expect(page.locator("#part-runs")).to_be_visible()
    await page.keyboard.press("[")
    await expect(page.locator("#part-checks")).to_be_visible()
    await page.keyboard.press("1")
    await expect(page.locator("#part-story")).to_be_visible()
    await page.keyboard.press("r")
    await expect(page.locator("#answer-text")).to_be_focused()
    await page.keyboard.type("hello")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#part-head .state").first).to_have_text("Queued")
    await left(page)
    await page.keyboard.press("Shift+W")
    await expect(page.locator("#part-head .state").first).to_have_text("Backlog")
    await expect(page.locator("#part-actions")).to_be_focused()
    await page.keyboard.press("r")
    await expect(page.locator("#comment-body")).to_be_focused()
    await page.keyboard.type("Enough.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".entry-comment")).to_contain_text("Enough.")
    await left(page)
    await page.keyboard.press("Shift+X")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.locator("#part-head .state").first).to_have_text("Cancelled")
