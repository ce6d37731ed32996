"""The board follows what happens, without a reload."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

from tests.webbing import Web


async def test_a_card_moves_as_the_ticket_does(web: Web, page: Page, repository: Path) -> None:
    await page.goto("/")
    key = await web.ticket("Say hello", agent="coder")
    await expect(page.locator(f"[data-column=queued] #card-{key}")).to_be_visible()
    web.work(key, repository)
    await expect(page.locator(f"[data-column=review] #card-{key}")).to_be_visible()
    await expect(page.locator("[data-column=review] .number")).to_have_text("1")


async def test_tabs_share_one_stream_and_all_follow(web: Web, page: Page, context: BrowserContext) -> None:
    tabs = [page, *[await context.new_page() for _ in range(8)]]
    for tab in tabs:
        await tab.goto("/")
    key = await web.ticket("For all")
    for tab in tabs:
        await expect(tab.locator(f"#card-{key}")).to_be_visible()
    assert web.app.state.site.feed._watchers == 1
    await page.close()
    other = await web.ticket("For the others")
    for tab in tabs[1:]:
        await expect(tab.locator(f"#card-{other}")).to_be_visible()
