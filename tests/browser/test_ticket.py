"""A ticket's page: its tabs keep their place, what happens comes in by itself, and what is typed stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

from playwright.async_api import BrowserContext, Page, Route, expect

from dispatcher import board, runs
from dispatcher.db import Database
from tests.browser.axe import scan
from tests.browser.seen import allow
from tests.ticketing import end
from tests.webbing import Web

QUESTION = runs.Result("block", "question", "Which **greeting**?", "question", evidence="\x1b[31mhello\x1b[0m or hi")
BODY = "One.\n\n" + "\n\n".join(f"Line {number} of a long description." for number in range(60))


async def opened(page: Page, path: str) -> None:
    """Open a page of a ticket's, and wait until its scripts are there and the site is listened to."""
    await page.goto(path)
    await expect(page.locator("html[data-ticket=ready]")).to_have_count(1)
    await expect(page.locator("#live")).to_have_attribute("data-state", "open")


def say(database: Database, key: str, words: str) -> None:
    with database.transaction() as db:
        board.comment(db, board.get_ticket(db, key), words, author="ben")


async def test_a_tab_is_left_and_found_again_as_it_was(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket("Long", body=BODY, agent="coder")
    web.work(key, repository, result=QUESTION)
    await opened(page, f"/tickets/{key}")
    await page.locator(".entry-blocker summary").click()
    await page.evaluate("scrollTo({top: 900, behavior: 'instant'})")
    await page.get_by_role("link", name="Runs", exact=True).click()
    await expect(page).to_have_url(f"{web.url}/tickets/{key}/runs")
    await expect(page.locator("#part-runs")).to_be_visible()
    await expect(page.locator("#part-story")).to_be_hidden()
    await page.get_by_role("link", name="Checks", exact=True).click()
    await expect(page.locator("#part-checks")).to_contain_text("make test")
    await page.get_by_role("link", name="Conversation", exact=True).click()
    await expect(page.locator("#part-story")).to_be_visible()
    await page.wait_for_function("() => Math.abs(scrollY - 900) < 3")
    await expect(page.locator(".entry-blocker pre")).to_be_visible()
    await expect(page.locator(".ticket-tabs [aria-current]")).to_have_text("Conversation")
    await page.go_back()
    await expect(page.locator("#part-checks")).to_be_visible()
    await expect(page).to_have_url(f"{web.url}/tickets/{key}/checks")
    await page.reload()
    await expect(page.locator("#part-checks")).to_be_visible()


async def test_a_key_pressed_before_the_scripts_of_a_ticket_are_there_is_not_lost(
    web: Web, page: Page, repository: Path
) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository)
    come = asyncio.Event()

    async def hold(route: Route) -> None:
        await come.wait()
        await route.continue_()

    await page.route("**/ticket.js*", hold)
    for typing in (False, True):
        come.clear()
        await page.goto(f"/tickets/{key}")
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")
        await page.keyboard.press("5")
        if typing:  # by then it may have been meant for something else
            await page.locator("#comment-body").focus()
        await expect(page.locator("html[data-ticket=ready]")).to_have_count(0)
        come.set()
        await expect(page.locator("html[data-ticket=ready]")).to_have_count(1)
        await page.evaluate("() => new Promise(requestAnimationFrame)")
        await expect(page).to_have_url(f"{web.url}/tickets/{key}" + ("" if typing else "/runs"))
    await expect(page.locator("#comment-body")).to_be_focused()
    await expect(page.locator("#comment-body")).to_have_value("")


async def test_a_tab_that_cannot_be_had_takes_nobody_away_who_has_chosen_another(web: Web, page: Page) -> None:
    key = await web.ticket()
    await opened(page, f"/tickets/{key}")
    left = asyncio.Event()

    async def fail(route: Route) -> None:
        await left.wait()
        await route.abort()

    await page.route("**/checks?part=panel", fail)
    allow(page, "Failed to load resource: net::ERR_FAILED")
    checks = page.get_by_role("link", name="Checks", exact=True)
    await checks.click()
    await expect(checks).to_have_attribute("aria-busy", "true")
    await page.get_by_role("link", name="Conversation", exact=True).click()
    left.set()
    await expect(checks).not_to_have_attribute("aria-busy", "true")
    await page.wait_for_timeout(300)
    await expect(page).to_have_url(f"{web.url}/tickets/{key}")
    await expect(page.locator("#part-story")).to_be_visible()


async def test_a_hidden_tab_is_up_to_date_when_it_is_seen_again(web: Web, page: Page) -> None:
    key = await web.ticket()
    await opened(page, f"/tickets/{key}")
    await page.get_by_role("link", name="Runs", exact=True).click()
    await expect(page.locator("#part-runs")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    say(web.database, key, "Said meanwhile")
    with web.database.transaction() as db:
        board.edit_ticket(db, board.get_ticket(db, key), title="A better title")
    await expect(page.locator("#ticket-title")).to_have_text("A better title")
    assert not [url for url in asked if "part=story" in url]
    await page.get_by_role("link", name="Conversation", exact=True).click()
    await expect(page.locator(".entry-comment")).to_contain_text("Said meanwhile")


async def test_a_comment_comes_in_while_somebody_types(web: Web, page: Page, context: BrowserContext) -> None:
    key = await web.ticket()
    other = await context.new_page()
    for tab in (page, other):
        await opened(tab, f"/tickets/{key}")
    await page.locator("#comment-body").press_sequentially("I am still thi")
    await other.locator("#comment-body").fill("**Look** at #1")
    await other.locator("#comment-body").press("Control+Enter")
    await expect(page.locator(".entry-comment strong").nth(1)).to_have_text("Look")
    await expect(page.locator("#comment-body")).to_be_focused()
    await page.locator("#comment-body").press_sequentially("nking")
    await expect(page.locator("#comment-body")).to_have_value("I am still thinking")
    await expect(other.locator("#comment-body")).to_have_value("")
    await expect(other.locator("#comment-body")).to_be_focused()
    await expect(other.locator(".entry-comment")).to_have_count(1)
    await page.reload()
    await expect(page.locator("#comment-body")).to_have_value("I am still thinking")
    await page.locator("#comment-button").click()
    await expect(page.locator(".entry-comment")).to_have_count(2)
    await page.reload()
    await expect(page.locator("#comment-body")).to_have_value("")


async def test_the_page_follows_a_run_to_its_end(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket()
    await opened(page, f"/tickets/{key}")
    await page.locator("#assign-button").click()
    await expect(page.locator("#part-head .state").first).to_have_text("Queued")
    await expect(page.locator("#toasts")).to_contain_text(f"{key} assigned to coder")
    await expect(page.locator("#doing")).to_contain_text("waits for a free slot of local")
    run_id = web.work(key, repository, result=None)
    await expect(page.locator("#doing")).to_contain_text("edits hello.txt")
    await expect(page.locator("#doing")).to_contain_text("12.3k tokens")
    await expect(page.locator("#branch-name")).to_have_text(f"agent/{key}")
    with web.database.transaction() as db:
        runs.progress(db, runs.get_run(db, run_id), doing="runs make test", plan_done=2, plan_total=5)
    await expect(page.locator("#doing")).to_contain_text("plan 2 of 5")
    end(web, run_id, QUESTION)
    await expect(page.locator("#blocker")).to_contain_text("Which greeting?")
    await expect(page.locator("#doing")).to_have_count(0)
    await page.locator("#answer-text").fill("hello")
    await page.locator("#answer-text").press("Control+Enter")
    await expect(page.locator("#blocker")).to_have_count(0)
    await expect(page.locator(".entry-answer")).to_contain_text("hello")
    await expect(page.locator("#part-head .state").first).to_have_text("Queued")


async def test_a_question_is_asked_before_a_ticket_is_cancelled_and_it_can_be_undone(web: Web, page: Page) -> None:
    key = await web.ticket()
    await opened(page, f"/tickets/{key}")
    await page.keyboard.press("Shift+X")
    dialog = page.get_by_role("dialog", name=f"Cancel {key}?")
    await expect(dialog).to_contain_text("Closes the ticket without a merge.")
    await scan(page)
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(page.locator("#cancel-link")).to_be_focused()
    await page.keyboard.press("Enter")
    await dialog.get_by_role("button", name="Cancel the ticket").click()
    await expect(page.locator("#part-head .state").first).to_have_text("Cancelled")
    await expect(dialog).to_have_count(0)
    await page.locator("#toasts").get_by_role("button", name="Undo").click()
    await expect(page.locator("#part-head .state").first).to_have_text("Backlog")
    await expect(page.locator("#cancel-link")).to_be_visible()
    await page.keyboard.press("Shift+X")
    await dialog.get_by_role("link", name="Keep it").click()
    await expect(dialog).to_have_count(0)


async def test_an_action_that_comes_too_late_is_told_in_its_place(web: Web, page: Page) -> None:
    allow(page, "status of 409", "ERR_FAILED")
    key = await web.ticket(agent="coder")
    await opened(page, f"/tickets/{key}")
    await page.route("**/tickets/*?part=*", lambda route: route.abort())
    with web.database.transaction() as db:
        board.withdraw(db, board.get_ticket(db, key))
    await page.locator("#withdraw-button").click()
    await expect(page.locator("#part-actions .problem")).to_contain_text("withdraw is not possible now")
    await expect(page.locator("#part-head .state").first).to_have_text("Backlog")
