"""What waits is shown where nobody looks: the tab's title and icon, and notifications, once for each ticket."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.stuff import asking
from tests.webbing import Web

RECORD = """
  window.notes = [];
  window.heard = [];
  document.addEventListener("live", ({ detail }) => heard.push(detail.kind));
  window.Notification = class {
    constructor(title, options) { notes.push({ title, ...options }); }
    static get permission() { return localStorage.getItem("test-allowed") || "default"; }
    static async requestPermission() { localStorage.setItem("test-allowed", "granted"); return "granted"; }
    close() {}
  };
  const away = () => localStorage.getItem("test-away") === "yes";
  const focused = Document.prototype.hasFocus;
  Document.prototype.hasFocus = function () { return !away() && focused.call(this); };
"""
"""Notifications are noted: a headless shell shows none, and says `denied` whatever it is granted. A reader who is elsewhere
has no focus here: a headless browser gives it to every tab."""


async def _tabs(context: BrowserContext, *paths: str) -> list[Page]:
    tabs = []
    for path in paths:
        tab = await context.new_page()
        await tab.goto(path)
        await expect(tab.locator("#live")).to_have_text("Live")
        tabs.append(tab)
    return tabs


async def _keep(tabs: list[Page], **values: str) -> None:
    """Put values into what the tabs share, and wait until each of them has them."""
    put = "values => { for (const [name, value] of Object.entries(values)) localStorage.setItem(name, value); }"
    await tabs[0].evaluate(put, values)
    for tab in tabs:
        for name, value in values.items():
            await tab.wait_for_function("([name, value]) => localStorage.getItem(name) === value", arg=[name, value])


async def _notes(tabs: list[Page]) -> list[str]:
    return [note["title"] for tab in tabs for note in await tab.evaluate("notes")]


async def test_title_and_icon_tell_how_many_wait(web: Web, page: Page, repository: Path) -> None:
    await page.goto("/")
    await expect(page).to_have_title("Board · Dispatcher")
    usual = await page.locator("#icon").get_attribute("href")
    key = await asking(web, repository)
    await expect(page).to_have_title("(1) Board · Dispatcher")
    await expect(page.locator("#waiting")).to_have_text("1 waiting for a person")
    assert "icon-waiting" in str(await page.locator("#icon").get_attribute("href"))
    await page.reload()
    await expect(page).to_have_title("(1) Board · Dispatcher")
    await web.send("POST", f"/tickets/{key}/cancel")
    await expect(page).to_have_title("Board · Dispatcher")
    assert str(await page.locator("#icon").get_attribute("href")).endswith(str(usual))
    await expect(page.locator("#waiting")).to_be_empty()


async def test_notifications_are_asked_for_by_a_click_and_come_once(
    web: Web, context: BrowserContext, repository: Path
) -> None:
    await context.add_init_script(RECORD)
    tabs = await _tabs(context, "/inbox", "/", "/inbox")
    await _keep(tabs, **{"test-away": "yes"})
    await asking(web, repository)
    await expect(tabs[0].locator(".waiting")).to_have_count(1)
    for tab in tabs:
        await tab.wait_for_function("() => heard.includes('ticket.blocked')")
    await tabs[0].wait_for_timeout(400)
    assert await _notes(tabs) == []  # nobody has switched them on
    assert await tabs[0].evaluate("Notification.permission") == "default"  # nor asked whether they may come
    await tabs[0].locator(".inbox").get_by_label("Notify me").click()
    await expect(tabs[0].locator(".inbox").get_by_label("Notify me")).to_be_checked()
    for tab in tabs[1:]:
        await tab.wait_for_function("() => localStorage.getItem('notifications') === 'on'")
    second = await asking(web, repository, "Second")
    await tabs[0].wait_for_function("() => notes.length")
    await tabs[1].wait_for_timeout(500)
    assert await _notes(tabs) == [f"{second} needs you"]
    note = (await tabs[0].evaluate("notes"))[0]
    assert note["tag"] == f"ticket-{second}"
    await _keep(tabs, **{"test-away": "no"})
    await asking(web, repository, "While the reader is here")
    await expect(tabs[0].locator(".waiting")).to_have_count(3)
    await tabs[0].wait_for_timeout(1200)
    assert len(await _notes(tabs)) == 1


async def test_no_notification_of_the_ticket_that_is_in_sight(web: Web, context: BrowserContext, repository: Path) -> None:
    await context.add_init_script(RECORD)
    key, other = await web.ticket("In sight", agent="coder"), await web.ticket("Out of sight", agent="coder")
    tabs = await _tabs(context, "/inbox", f"/tickets/{key}")
    await _keep(tabs, **{"test-away": "yes", "test-allowed": "granted", "notifications": "on"})
    web.work(key, repository)
    await expect(tabs[0].locator(f"#waiting-{key}")).to_be_visible()
    web.work(other, repository)
    await tabs[0].wait_for_function("() => notes.length")
    await tabs[0].wait_for_timeout(600)
    assert await _notes(tabs) == [f"{other} is ready for review"]


async def test_what_the_browser_refuses_is_explained(web: Web, page: Page) -> None:
    await page.add_init_script("Notification.requestPermission = () => Promise.resolve('denied');")
    await page.goto("/inbox")
    await page.locator(".inbox").get_by_label("Notify me").click()
    await expect(page.locator(".toast-error")).to_contain_text("No notifications were allowed")
    await expect(page.locator(".inbox").get_by_label("Notify me")).not_to_be_checked()
