"""Pages follow what happens, without a reload: over one stream for all tabs, through restarts, crashes and long absences."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from dispatcher import activity
from tests.browser.seen import Seen, allow
from tests.browser.standing import Standing
from tests.entering import cookie
from tests.webbing import Web

RECORD = """
  window.ids = []; window.behind = 0; window.states = [];
  document.addEventListener("live", ({ detail }) => ids.push(detail.id));
  document.addEventListener("live:behind", () => { behind += 1; });
  document.addEventListener("live:status", ({ detail }) => states.push(detail));
"""
INSECURE = """
  delete window.BroadcastChannel;
  Object.defineProperty(navigator, "locks", { value: undefined });
  Object.defineProperty(crypto, "randomUUID", { value: undefined });
"""
"""What pages lack over plain HTTP from another machine."""

REFUSED = "net::ERR_"


@pytest_asyncio.fixture(loop_scope="session")
async def standing(web: Web) -> AsyncIterator[Standing]:
    """Another process's site on the same database, as far as a test can tell; it can be stopped."""
    standing = Standing(web.settings)
    await standing.start()
    yield standing
    await standing.stop()


async def _enter(context: BrowserContext, web: Web, url: str) -> None:
    await context.add_init_script(RECORD)
    await context.add_cookies([{**cookie(url, web.database), "url": url, "httpOnly": True, "sameSite": "Strict"}])


def _newest(web: Web) -> int:
    with web.database.reading() as db:
        return activity.newest(db)


async def _whole(page: Page, first: int, last: int) -> None:
    """Every entry after `first` came, up to `last`, once and in order."""
    await page.wait_for_function("last => ids.at(-1) >= last", arg=last)
    assert await page.evaluate("ids") == list(range(first + 1, last + 1))


async def _streams(web: Web, count: int) -> None:
    """Wait until the site has so many streams open: one that was left ends when the site has noticed."""
    async with asyncio.timeout(20):
        while web.app.state.site.feed._watchers != count:  # noqa: ASYNC110 - the site tells it in no other way
            await asyncio.sleep(0.02)


async def test_a_card_moves_as_the_ticket_does(web: Web, page: Page, repository: Path) -> None:
    await page.goto("/")
    await expect(page.locator("#live")).to_have_text("Live")
    key = await web.ticket("Say hello", agent="coder")
    await expect(page.locator(f"[data-column=queued] #card-{key}")).to_be_visible()
    web.work(key, repository)
    await expect(page.locator(f"[data-column=review] #card-{key}")).to_be_visible()
    await expect(page.locator("[data-column=review] .number")).to_have_text("1")


async def test_tabs_share_one_stream_and_all_follow(web: Web, page: Page, context: BrowserContext) -> None:
    await context.add_init_script(RECORD)
    first = _newest(web)
    tabs = [page, *[await context.new_page() for _ in range(7)]]
    for tab in tabs:
        await tab.goto("/")
    for number in range(5):
        await web.ticket(f"For all {number}")
    for tab in tabs:
        await _whole(tab, first, _newest(web))
    await _streams(web, 1)
    await page.close()
    for number in range(5):
        await web.ticket(f"For the others {number}")
    for tab in tabs[1:]:
        await _whole(tab, first, _newest(web))
    await _streams(web, 1)


async def test_when_the_leading_tab_crashes_the_next_one_goes_on(web: Web, context: BrowserContext) -> None:
    await context.add_init_script(RECORD)
    first = _newest(web)
    leader, other = await context.new_page(), await context.new_page()
    for tab in (leader, other):
        await tab.goto("/")
    await web.ticket("Before")
    await _whole(other, first, _newest(web))
    session = await context.new_cdp_session(leader)
    crash = asyncio.create_task(session.send("Page.crash"))
    await leader.wait_for_event("crash")
    for number in range(3):
        await web.ticket(f"After {number}")
    await _whole(other, first, _newest(web))
    crash.cancel()


async def test_a_frozen_leader_is_relieved_and_catches_up(web: Web, context: BrowserContext) -> None:
    await context.add_init_script(RECORD)
    first = _newest(web)
    leader = await context.new_page()
    await leader.goto("/")
    await expect(leader.locator("#live")).to_have_text("Live")
    session = await context.new_cdp_session(leader)
    await session.send("Page.setWebLifecycleState", {"state": "frozen"})
    await web.ticket("While it sleeps")
    begun = _newest(web)
    other = await context.new_page()
    await other.goto("/")
    await web.ticket("Later")
    await _whole(other, begun, _newest(web))
    await session.send("Page.setWebLifecycleState", {"state": "active"})
    await web.ticket("Awake")
    await _whole(leader, first, _newest(web))
    await _whole(other, begun, _newest(web))
    await _streams(web, 1)


async def test_a_restart_of_the_site_is_waited_out(web: Web, standing: Standing, page: Page, context: BrowserContext) -> None:
    allow(page, REFUSED)
    await _enter(context, web, standing.url)
    first = _newest(web)
    await page.goto(standing.url)
    await expect(page.locator("#live")).to_have_text("Live")
    await web.ticket("Before")
    await _whole(page, first, _newest(web))
    await standing.stop()
    await expect(page.locator("#live")).to_contain_text("Not connected since")
    for number in range(3):
        await web.ticket(f"Meanwhile {number}")
    await standing.start()
    await expect(page.locator("#live")).to_have_text("Live again")
    await web.ticket("After")
    await _whole(page, first, _newest(web))
    await expect(page.locator(".card")).to_have_count(5)
    assert await page.evaluate("behind") == 0


async def test_who_is_far_behind_fetches_the_page_anew(web: Web, page: Page) -> None:
    with web.database.transaction() as db:
        for _ in range(600):
            activity.record(db, "check.passed")
    while web.app.state.site.feed.head < _newest(web):  # noqa: ASYNC110 - another process wrote it: the site looks once a second
        await asyncio.sleep(0.02)
    await page.add_init_script(RECORD)

    async def old(route: object) -> None:
        answer = await route.fetch()  # type: ignore[attr-defined]
        body = (await answer.text()).replace(f'data-cursor="{_newest(web)}"', 'data-cursor="1"')
        await route.fulfill(response=answer, body=body)  # type: ignore[attr-defined]

    await page.route(f"{web.url}/inbox", old)
    await page.goto("/inbox")
    await page.wait_for_function("() => behind === 1")
    at = _newest(web)
    await web.ticket("New")
    await _whole(page, at, _newest(web))


async def test_who_is_logged_out_is_told_and_asks_no_more(
    web: Web, standing: Standing, page: Page, context: BrowserContext
) -> None:
    allow(page, REFUSED, "status of 401")
    await _enter(context, web, standing.url)
    await page.goto(standing.url)
    await expect(page.locator("#live")).to_have_text("Live")
    await context.clear_cookies()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await standing.stop()
    await standing.start()
    link = page.get_by_role("link", name="log in again")
    await expect(link).to_have_attribute("href", "/login?next=%2F")
    asked.clear()
    await page.wait_for_timeout(1500)
    assert not asked
    await _enter(context, web, standing.url)
    await page.evaluate("dispatchEvent(new Event('online'))")
    await expect(page.locator("#live")).to_have_text("Live")


async def test_without_locks_and_channels_each_tab_has_its_own_stream(web: Web, context: BrowserContext) -> None:
    await context.add_init_script(RECORD)
    await context.add_init_script(INSECURE)
    first = _newest(web)
    tabs = [await context.new_page() for _ in range(2)]
    for tab in tabs:
        seen = Seen(tab)
        await tab.goto("/")
        await expect(tab.locator("#live")).to_have_text("Live")
        seen.verify()
    await web.ticket("For both")
    for tab in tabs:
        await _whole(tab, first, _newest(web))
    await _streams(web, 2)


async def test_going_back_to_a_page_follows_again(web: Web, page: Page) -> None:
    await page.goto("/")
    await page.goto("/inbox")
    await page.go_back()
    await expect(page.locator("#live")).to_have_text("Live")
    key = await web.ticket("After going back")
    await expect(page.locator(f"#card-{key}")).to_be_visible()
