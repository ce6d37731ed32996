"""The frame of every page: navigation, keys, palette, theme, and what a narrow window makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.axe import scan
from tests.browser.seen import allow
from tests.browser.stuff import full
from tests.webbing import Web


async def test_places_are_marked_and_reached_by_key(web: Web, page: Page) -> None:
    await page.goto("/")
    await expect(page.locator(".nav [aria-current=page]")).to_have_text("Board")
    await page.keyboard.press("g")
    await page.keyboard.press("i")
    await page.wait_for_url("**/inbox")
    await expect(page.locator(".nav [aria-current=page]")).to_contain_text("Inbox")
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("g b parser")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/?q=g+b+parser")
    await page.goto("/inbox")
    await page.keyboard.press("c")
    await page.wait_for_url("**/tickets/new")


async def test_single_keys_can_be_switched_off(web: Web, page: Page) -> None:
    await page.goto("/inbox")
    await expect(page.locator("[data-module=inbox][data-loaded=yes]")).to_be_visible()
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    await expect(dialog).to_contain_text("Go to the board")
    await expect(dialog.get_by_role("heading", name="Inbox")).to_be_visible()
    await scan(page)
    await dialog.get_by_label("Shortcuts of a single character").uncheck()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await page.keyboard.press("?")
    await page.keyboard.press("/")
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#search")).not_to_be_focused()
    await page.reload()
    await page.keyboard.press("?")
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("combobox", name="Command")).to_be_focused()
    await expect(dialog).to_have_count(0)


async def test_the_palette_finds_pages_commands_and_tickets(web: Web, page: Page) -> None:
    key = await web.ticket("Parser drops the last line")
    await web.ticket("Other work")
    await page.goto("/inbox")
    await page.locator("#main").focus()
    await page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Command")
    await expect(field).to_be_focused()
    await scan(page)
    await page.keyboard.press("Escape")
    await expect(page.locator("#main")).to_be_focused()
    await page.get_by_role("button", name="Command palette").first.click()
    await field.fill("parser drops")
    await expect(page.get_by_role("option", name="Parser drops")).to_have_attribute("aria-selected", "true")
    await scan(page, "#palette")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/tickets/{key}")
    await page.goto("/inbox")
    await page.keyboard.press("Control+k")
    await expect(page.locator("#palette [role=group]").first).to_contain_text("Recent")
    await expect(page.get_by_role("option", name=key)).to_be_visible()
    await field.fill("colours dark")
    await page.keyboard.press("Enter")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(page.locator("#palette")).to_be_hidden()
    await page.keyboard.press("Control+k")
    await field.fill("zzz nothing like it")
    await expect(page.get_by_text("Nothing of that name")).to_be_visible()
    await field.fill("")
    await page.keyboard.press("ArrowUp")
    last = page.get_by_role("option").last
    await expect(last).to_have_attribute("aria-selected", "true")
    await expect(field).to_have_attribute("aria-activedescendant", str(await last.get_attribute("id")))


async def test_the_chosen_colours_stay_and_hold_in_other_tabs(web: Web, page: Page, context: BrowserContext) -> None:
    other = await context.new_page()
    for tab in (page, other):
        await tab.goto("/inbox")
    await page.get_by_role("button", name="You and your settings").click()
    await scan(page)
    await page.get_by_label("Dark").check()
    await expect(other.locator("html")).to_have_attribute("data-theme", "dark")
    await page.reload()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 21, 23)"
    await page.get_by_role("button", name="You and your settings").click()
    await expect(page.get_by_label("Dark")).to_be_checked()
    await page.get_by_label("System").check()
    assert await page.locator("html").get_attribute("data-theme") is None
    await page.keyboard.press("Escape")
    await expect(page.get_by_label("System")).to_be_hidden()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (320, 568), (360, 225)])
async def test_narrow_and_zoomed_windows_need_no_scrolling_sideways(
    web: Web, page: Page, repository: Path, width: int, height: int
) -> None:
    allow(page, "status of 404")
    await full(web, repository)
    await web.send("PATCH", "/tickets/WEB-4", {"labels": ["x" * 49]})
    await page.set_viewport_size({"width": width, "height": height})
    for path in ("/inbox", "/nothing", "/tickets/WEB-4"):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
        box = await page.get_by_role("button", name="You and your settings").bounding_box()
        assert box is not None and box["x"] + box["width"] <= width and min(box["width"], box["height"]) >= 24


async def test_an_error_page_tells_and_leads_on(web: Web, page: Page) -> None:
    allow(page, "status of 404")
    await page.goto("/tickets/WEB-99")
    await expect(page.get_by_role("heading", level=1)).to_have_text("There is no ticket WEB-99")
    await scan(page)
    await page.keyboard.press("g")
    await page.keyboard.press("b")
    await page.wait_for_url(f"{web.url}/")
