"""What is typed is not lost: to a login that ran out, a reload, a page that did not take it, or somebody who was quicker."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.boarding import card, ready
from tests.browser.stuff import asking
from tests.entering import cookie, secret
from tests.webbing import Web


async def log_in(page: Page, web: Web) -> None:
    """By the page that asks for it."""
    await page.get_by_label("Or paste the link here").fill(secret(web.database, kind="link"))
    await page.get_by_role("button", name="Log in").click()


async def test_a_login_that_runs_out_takes_nothing_with_it(
    web: Web, page: Page, context: BrowserContext, repository: Path
) -> None:
    key = await asking(web, repository)
    await ready(page)
    await card(page, key).locator("textarea").fill("Keep it")
    await context.clear_cookies()
    await card(page, key).get_by_role("button", name="Answer").click()
    await page.locator(".toast").get_by_role("link", name="Log in again").click()
    await log_in(page, web)
    await expect(card(page, key).locator("textarea")).to_have_value("Keep it")
    await expect(page.locator(".toast")).to_contain_text("What you had typed is here again")
    await card(page, key).get_by_role("button", name="Answer").click()
    await expect(card(page, key, "queued")).to_be_visible()
    await page.goto("/fleet/add/agent")  # a form of the page itself
    await page.get_by_label("Name").fill("second")
    await page.get_by_label("Answers of a run").fill("7")
    await context.clear_cookies()
    await page.get_by_role("button", name="Add agent").click()
    await expect(page.get_by_role("alert")).to_contain_text("so this was not sent")
    await log_in(page, web)
    await expect(page.get_by_label("Name")).to_have_value("second")
    await expect(page.get_by_label("Answers of a run")).to_have_value("7")
    await page.get_by_role("button", name="Add agent").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("second")
    await page.goto("/fleet/add/agent")  # what was sent does not come again
    await expect(page.get_by_label("Name")).to_have_value("")


async def test_who_logs_out_leaves_no_words_behind(web: Web, page: Page, repository: Path) -> None:
    key = await asking(web, repository)
    await page.goto(f"/tickets/{key}")
    await page.locator("#edit-title summary").click()
    await page.locator("#edit-title-field").fill("Not yet")
    await page.reload()
    await expect(page.locator("#edit-title-field")).to_have_value("Not yet")
    await expect(page.locator("#edit-title-field")).to_be_visible()
    await page.goto("/fleet/agents/coder/edit")
    first = await page.locator("select[name=harness] option").first.get_attribute("value") or ""
    assert await page.locator("select[name=harness]").input_value() != first, "a choice of the first is one too"
    await page.locator("select[name=harness]").select_option(first)
    await page.reload()
    await expect(page.locator("select[name=harness]")).to_have_value(first)
    await page.get_by_role("button", name="You and your settings").click()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert await page.evaluate("sessionStorage.length") == 0


async def test_words_whose_place_has_gone_are_shown(web: Web, page: Page, context: BrowserContext, repository: Path) -> None:
    key = await asking(web, repository)
    await ready(page)
    await card(page, key).locator("textarea").fill("My long answer")
    await web.send("POST", f"/tickets/{key}/answer", {"text": "Quicker"})
    await expect(card(page, key, "queued")).to_be_visible()
    await expect(page.locator(".toast-typed")).to_have_text("My long answer")
    await context.clear_cookies()
    await page.keyboard.press("c")
    await expect(page.locator(".toast-error").last).to_contain_text("You are no longer logged in")
    await context.add_cookies([{**cookie(web.url, web.database), "url": web.url}])


async def test_two_write_the_same_description(web: Web, page: Page) -> None:
    key = await web.ticket("For two", body="One")
    await page.goto(f"/tickets/{key}")
    await page.locator("#edit-body summary").click()
    field = page.locator("#edit-body-field")
    await field.fill("Mine")
    await web.send("PATCH", f"/tickets/{key}", {"body": "Theirs"})
    await expect(page.locator("#description .md").first).to_have_text("Theirs")
    await expect(field).to_have_value("Mine")
    for shown in ("Theirs", "Mine"):
        await field.press("Control+Enter")
        await expect(page.locator("#description .problem")).to_have_count(1 if shown == "Theirs" else 0)
        await expect(page.locator("#description .md").first).to_have_text(shown)
        if shown == "Theirs":
            await expect(field).to_have_value("Mine")
            await expect(field).to_be_focused()


async def test_a_question_that_is_closed_keeps_its_answer(web: Web, page: Page, repository: Path) -> None:
    key = await asking(web, repository)
    await ready(page)
    for _ in range(2):
        await card(page, key).locator(".card-title").focus()
        await page.keyboard.press("Shift+ArrowLeft")
        answer = page.locator("#move-text")
        await expect(answer).to_be_focused()
        if await answer.input_value():
            break
        await answer.fill("Keep it")
        await page.mouse.click(2, 400)
        await expect(page.locator("#move-dialog")).to_be_hidden()
    await expect(answer).to_have_value("Keep it")
    await page.locator("#move-go").click()
    await expect(card(page, key, "queued")).to_be_visible()
