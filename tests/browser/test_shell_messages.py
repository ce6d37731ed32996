"""Messages, undo, failing requests, and parts of a page that are fetched again."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from playwright.async_api import BrowserContext, Page, Route, expect

from dispatcher import board
from tests.browser.axe import scan
from tests.browser.seen import allow
from tests.browser.stuff import asking
from tests.webbing import Web

TOAST = """
  import(document.querySelector("script[src*='js/app.js']").src.replace("app.js", "toasts.js"))
    .then((module) => { window.toast = module.toast; })
"""
RECORD = """
  window.said = [];
  addEventListener("DOMContentLoaded", () => new MutationObserver(() => said.push(document.getElementById("said").textContent))
    .observe(document.getElementById("said"), { childList: true }));
"""


async def _ready(page: Page, path: str = "/inbox") -> None:
    await page.goto(path)
    await expect(page.locator("#live")).to_have_text("Live")
    await page.evaluate(TOAST)


async def test_a_message_goes_by_itself_but_not_under_the_pointer_or_the_focus(web: Web, page: Page) -> None:
    await page.clock.install()
    await _ready(page)
    await page.evaluate("toast('Wrong', { error: true, hint: 'Do this.' })")
    one, two, wrong = (page.locator(".toast", has_text=text) for text in ("One", "Two", "Wrong"))
    await expect(page.get_by_role("alert")).to_contain_text("Do this.")
    await scan(page)
    await page.clock.pause_at(datetime.now() + timedelta(hours=1))
    await page.evaluate("toast('One'); toast('Two')")
    await one.hover()
    await two.get_by_role("button", name="Dismiss").focus()
    await page.clock.run_for(30_000)
    await expect(one).to_be_visible()
    await expect(two).to_be_visible()
    await page.mouse.move(5, 5)
    await page.clock.run_for(8_000)
    await expect(one).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(two).to_have_count(0)
    await expect(wrong.get_by_role("button", name="Dismiss")).to_be_focused()
    await page.clock.run_for(60_000)
    await page.keyboard.press("Enter")
    await expect(page.locator(".toast")).to_have_count(0)
    await expect(page.locator("#main")).to_be_focused()


async def test_undo_is_a_form_that_tells_its_own_result(web: Web, page: Page) -> None:
    key = await web.ticket("Undo me", agent="coder")
    await _ready(page)
    offer = f"toast('Assigned', {{ undo: {{ url: '/tickets/{key}/withdraw', fields: {{ back: 'board' }} }} }})"
    await page.evaluate(offer)
    await page.keyboard.press("z")
    await expect(page.locator(".toast", has_text="Assigned")).to_have_count(0)
    await expect(page.locator(".toast").last).not_to_have_class("toast toast-error")
    assert (await web.send("GET", f"/tickets/{key}"))["state"] == "backlog"
    allow(page, "status of 409")
    await page.evaluate(offer)
    await page.locator(".toast", has_text="Assigned").get_by_role("button", name="Undo").click()
    await expect(page.locator(".toast-error").last).to_contain_text(f"{key} is backlog: withdraw is not possible now")


async def test_a_request_that_fails_is_told_and_loses_nothing(
    web: Web, page: Page, context: BrowserContext, repository: Path
) -> None:
    allow(page, "net::ERR_", "Failed to fetch", "status of 500", "status of 401")
    key = await asking(web, repository)
    await _ready(page)
    field, button = page.locator(f"#text-{key}"), page.locator(f"#answer-{key} button")
    await field.fill("Keep it")
    path = f"**/inbox/{key}/answer"
    await page.route(path, lambda route: route.abort())
    await button.click()
    await expect(page.locator(".toast-error")).to_contain_text("The site does not answer")
    await page.unroute(path)
    await page.route(path, lambda route: route.fulfill(status=500, body="<!doctype html><html>Bad", content_type="text/html"))
    await button.click()
    await expect(page.locator(".toast-error").last).to_contain_text("The site answered with error 500")
    await page.unroute(path)
    cookies = await context.cookies()
    await context.clear_cookies()
    await button.click()
    told = page.locator(".toast-error").last
    await expect(told).to_contain_text("You are no longer logged in")
    await expect(told.get_by_role("link", name="Log in again")).to_have_attribute("href", "/login?next=%2Finbox")
    await expect(field).to_have_value("Keep it")
    await context.add_cookies(cookies)  # type: ignore[arg-type]
    await button.click()
    await expect(page.locator(f"#waiting-{key}")).to_have_count(0)


async def test_a_button_is_busy_and_sends_once(web: Web, page: Page, repository: Path) -> None:
    key = await asking(web, repository)
    await _ready(page)
    sent: list[str] = []
    go = asyncio.Event()

    async def slow(route: Route) -> None:
        sent.append(route.request.url)
        await go.wait()
        await route.continue_()

    await page.route(f"**/inbox/{key}/answer", slow)
    button = page.locator(f"#answer-{key} button")
    await page.locator(f"#text-{key}").fill("Keep it")
    await button.dblclick()
    await expect(button).to_have_attribute("aria-busy", "true")
    await page.keyboard.press("Enter")
    await page.locator(f"#text-{key}").press("Control+Enter")
    go.set()
    await expect(page.locator(f"#waiting-{key}")).to_have_count(0)
    assert len(sent) == 1


async def test_a_part_that_cannot_be_fetched_says_so_and_recovers(web: Web, page: Page, repository: Path) -> None:
    allow(page, "status of 503", "status of 404")
    await _ready(page)
    path = "**/inbox?part=waiting*"
    await page.route(path, lambda route: route.fulfill(status=503, body="down"))
    first = await asking(web, repository)
    await expect(page.locator("#part-waiting.stale")).to_be_visible()
    await expect(page.locator(".toast-error")).to_contain_text("could not be brought up to date")
    await page.unroute(path)
    await expect(page.locator(f"#waiting-{first}")).to_be_visible()
    await expect(page.locator("#part-waiting.stale")).to_have_count(0)
    await expect(page.locator(".toast-error")).to_have_count(0)
    gone = '<div class="toast toast-error"><p>It was removed</p></div>'
    await page.route(path, lambda route: route.fulfill(status=404, body=gone))
    await web.ticket("Something happens")
    await web.send("POST", f"/tickets/{first}/answer", {"text": "Yes"})
    await expect(page.locator("#part-waiting .notice")).to_have_text("It was removed")


async def test_an_older_answer_never_overwrites_a_newer_one(web: Web, page: Page, repository: Path) -> None:
    first, second = await asking(web, repository), await asking(web, repository)
    await _ready(page)
    held: list[Route] = []
    path = "**/inbox?part=waiting*"
    stale = await (await page.request.get(f"{web.url}/inbox?part=waiting")).text()

    async def hold(route: Route) -> None:
        """The first request waits; those after it go through."""
        if held:
            await route.continue_()
        else:
            held.append(route)

    await page.route(path, hold)
    await web.send("POST", f"/tickets/{first}/comment", {"body": "Something happens"}, status=201)
    await web.send("PATCH", f"/tickets/{first}", {"labels": ["new"]})
    while not held:  # noqa: ASYNC110 - the browser tells it in no other way
        await asyncio.sleep(0.02)
    # While the part is on its way, the reader's own action changes it.
    await page.locator(f"#text-{first}").fill("Keep it")
    await page.locator(f"#answer-{first} button").click()
    await expect(page.locator(f"#waiting-{first}")).to_have_count(0)
    await held[0].fulfill(status=200, body=stale, content_type="text/html")
    await page.wait_for_timeout(1000)
    await expect(page.locator(f"#waiting-{first}")).to_have_count(0)
    await expect(page.locator(f"#waiting-{second}")).to_be_visible()


async def test_many_moves_are_announced_as_one(web: Web, page: Page) -> None:
    await page.add_init_script(RECORD)
    await _ready(page, "/")
    keys = [await web.ticket(f"Work {number}") for number in range(4)]
    for key in keys:
        await expect(page.locator(f"#card-{key}")).to_be_visible()
    with web.database.transaction() as db:  # at once: what comes within 0.6 s is told together
        for key in keys:
            board.assign(db, board.get_ticket(db, key), "coder")
    await page.wait_for_function("() => said.some((text) => text.includes('4 tickets moved'))")
    assert await page.evaluate("said.filter((text) => text.includes('is queued')).length") == 0
