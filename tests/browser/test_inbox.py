"""The inbox in a browser: what waits is answered in place, by mouse, by keyboard and without scripts."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.axe import scan
from tests.browser.stuff import asking, full
from tests.entering import cookie
from tests.webbing import Web


async def _open(page: Page, query: str = "") -> None:
    await page.goto(f"/inbox{query}")
    await expect(page.locator("[data-module=inbox][data-loaded=yes]")).to_be_visible()


async def test_answering_in_place_takes_it_off_and_moves_the_focus_on(web: Web, page: Page, repository: Path) -> None:
    first, second = await asking(web, repository), await asking(web, repository)
    await _open(page)
    await expect(page.locator("#waiting")).to_have_text("2 waiting for a person")
    await page.locator(f"#text-{first}").fill("Keep it")
    await page.locator(f"#answer-{first}").get_by_role("button", name="Answer").click()
    await expect(page.locator(f"#waiting-{first}")).to_have_count(0)
    await expect(page.locator(f"#waiting-{second}")).to_be_focused()
    await expect(page.locator("#said")).to_contain_text(f"{first} is off the list")
    await expect(page.locator(".toast")).to_contain_text(f"{first} answered")
    assert (await web.send("GET", f"/tickets/{first}"))["state"] == "queued"


async def test_by_keyboard_alone(web: Web, page: Page, repository: Path) -> None:
    keys = [await asking(web, repository) for _ in range(3)]
    await _open(page)
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await expect(page.locator(f"#waiting-{keys[1]}")).to_be_focused()
    await page.keyboard.press("k")
    await expect(page.locator(f"#waiting-{keys[0]}")).to_be_focused()
    await page.keyboard.press("r")
    await page.keyboard.type("jk ? is what I type")
    await expect(page.locator(f"#text-{keys[0]}")).to_have_value("jk ? is what I type")
    await page.keyboard.press("Escape")
    await expect(page.locator(f"#waiting-{keys[0]}")).to_be_focused()
    await page.keyboard.press("r")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(f"#waiting-{keys[1]}")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/tickets/{keys[1]}")


async def test_it_is_live_and_leaves_alone_what_is_typed(web: Web, page: Page, repository: Path) -> None:
    first = await asking(web, repository)
    await _open(page)
    field = page.locator(f"#text-{first}")
    await field.fill("Half an ans")
    second = await asking(web, repository, "Another one")
    await expect(page.locator(f"#waiting-{second}")).to_contain_text("Another one")
    await expect(page.locator("#said")).to_contain_text(f"{second} needs you")
    await expect(field).to_have_value("Half an ans")
    await expect(field).to_be_focused()
    await web.send("POST", f"/tickets/{second}/answer", {"text": "Yes"})
    await expect(page.locator(f"#waiting-{second}")).to_have_count(0)
    await expect(field).to_be_focused()


async def test_a_refusal_stands_at_its_form(web: Web, page: Page, repository: Path) -> None:
    key = await asking(web, repository)
    await _open(page)
    await page.locator(f"#text-{key}").evaluate("field => { field.required = false; field.value = '  '; }")
    await page.locator(f"#answer-{key}").get_by_role("button", name="Answer").click()
    await expect(page.locator(f"#waiting-{key} .problem")).to_contain_text("the agent asks a question; the answer is empty")
    await page.locator(f"#text-{key}").fill("Now an answer")
    await page.locator(f"#answer-{key}").get_by_role("button", name="Answer").click()
    await expect(page.locator(".empty, .waiting-fault").first).to_be_visible()
    await expect(page.locator(f"#waiting-{key}")).to_have_count(0)


async def test_other_ways_out_of_a_blocker(web: Web, page: Page, repository: Path) -> None:
    keys = await full(web, repository)
    await _open(page, "?project=WEB")
    await page.locator(f"#accept-{keys[0]} button").click()
    await expect(page.locator(f"#waiting-{keys[0]}.waiting-review")).to_be_visible()
    await page.locator(f"#assign-{keys[1]} button").click()
    await expect(page.locator(".toast")).to_contain_text([f"{keys[0]} taken into review", f"{keys[1]} given to fast"])
    await expect(page.locator(f"#waiting-{keys[1]}")).to_have_count(0)


async def test_without_scripts(web: Web, browser: Browser, repository: Path) -> None:
    key = await asking(web, repository)
    context = await browser.new_context(base_url=web.url, java_script_enabled=False)
    await context.add_cookies([{**cookie(web.url, web.database), "url": web.url, "httpOnly": True, "sameSite": "Strict"}])
    page = await context.new_page()
    await page.goto("/")
    await page.get_by_role("link", name="Inbox").click()
    await expect(page.locator("#waiting")).to_have_text("1 waiting for a person")
    assert not await page.get_by_label("Notify me").first.is_visible()
    await page.get_by_label(f"Answer {key}").fill("Keep it")
    await page.get_by_role("button", name="Answer").click()
    await expect(page.locator(f"#waiting-{key}")).to_have_count(0)
    await expect(page.locator(".waiting-fault")).to_contain_text("No worker is alive")
    await context.close()


async def test_axe_finds_nothing(web: Web, page: Page, context: BrowserContext, repository: Path) -> None:
    await _open(page)
    await expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
    await scan(page)
    await full(web, repository)
    await _open(page)
    await scan(page)
    for width in (390, 320):
        await page.set_viewport_size({"width": width, "height": 700})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await scan(page)
