"""Logging in and out in a browser, and what each role sees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from dispatcher import access, credentials, runs
from tests.browser.axe import scan
from tests.browser.seen import Seen, allow
from tests.entering import cookie, secret
from tests.webbing import Web

QUESTION = runs.Result("block", "question", "Which greeting?", "question", evidence="hello or hi")
ACTS = """() => [...document.querySelectorAll(
    "form[method=post] :is(button, input, textarea), [hx-post], [hx-put], [hx-delete], [hx-patch]")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest("#person-menu"))
  .map((one) => `${one.closest("form")?.getAttribute("action")} ${one.textContent}`)"""
LEADS = """() => [...document.querySelectorAll("a")].filter((one) => one.checkVisibility())
  .map((one) => one.getAttribute("href") || "")"""


async def entered(context: BrowserContext, web: Web, name: str) -> None:
    await context.clear_cookies()
    await context.add_cookies([{**cookie(web.url, web.database, name), "url": web.url, "sameSite": "Strict"}])


def add(web: Web, name: str, role: str) -> None:
    with web.database.transaction() as db:
        access.add_user(db, name, role)


async def test_in_by_a_link_and_out_again(web: Web, page: Page, context: BrowserContext) -> None:
    key = await web.ticket("Say hello")
    await context.clear_cookies()
    await page.goto(f"/tickets/{key}")
    await expect(page).to_have_url(re.compile(rf"/login\?next=%2Ftickets%2F{key}$"))
    await scan(page)
    link = f"{web.url}/login?token={secret(web.database, kind='link')}"
    await page.get_by_label("Or paste the link here").fill(link)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{web.url}/tickets/{key}")
    assert "dsp_" not in await page.evaluate("JSON.stringify(performance.getEntries()) + document.cookie + document.referrer")
    await page.get_by_role("button", name="You and your settings").click()
    await page.get_by_role("button", name="Log out").click()
    await expect(page).to_have_url(f"{web.url}/login")
    await page.go_back()
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_a_link_is_confirmed_and_never_stands_in_the_address(web: Web, page: Page, context: BrowserContext) -> None:
    await context.clear_cookies()
    await page.goto(f"/login?token={secret(web.database, kind='link')}")
    await expect(page).to_have_url(f"{web.url}/login")
    await scan(page)
    button = page.get_by_role("button", name="Log in")
    await expect(button).to_be_focused()
    assert "dsp_" not in await page.content() + await page.evaluate("document.cookie")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{web.url}/")
    kept = [one for one in await context.cookies() if one["name"].startswith("dispatcher-")]
    assert [(one["httpOnly"], one["sameSite"]) for one in kept] == [(True, "Strict")]
    assert not await page.evaluate("document.cookie.includes('dispatcher')")


async def elsewhere(page: Page) -> None:
    """A page of another site, with no content policy of ours; for the browser localhost is another site than 127.0.0.1."""
    allow(page, "asked elsewhere: http://localhost")
    await page.route("http://localhost:1/**", lambda route: route.fulfill(body="<h1>Elsewhere</h1>", content_type="text/html"))
    await page.goto("http://localhost:1/")


async def test_a_link_from_another_site_arrives_logged_in(web: Web, page: Page) -> None:
    key = await web.ticket("Say hello")
    await elsewhere(page)
    await page.evaluate("(to) => { location.href = to; }", f"{web.url}/tickets/{key}")
    await expect(page).to_have_url(f"{web.url}/tickets/{key}")
    await expect(page.get_by_role("heading", name="Say hello")).to_be_visible()


async def test_another_site_can_neither_read_nor_do_anything(web: Web, page: Page) -> None:
    allow(page, "blocked by CORS policy", "Failed to load resource")
    await elsewhere(page)
    read = """async (url) => {
      const tries = [fetch(url + "/api/v1/status", { credentials: "include" }).then((answer) => answer.text()),
        fetch(url + "/logout", { method: "POST", mode: "no-cors", credentials: "include" }).then((answer) => answer.text())];
      return (await Promise.allSettled(tries)).map((one) => one.value || "refused");
    }"""
    assert set(await page.evaluate(read, web.url)) == {"refused"}
    await page.goto(f"{web.url}/me")
    await expect(page.get_by_role("heading", name="Your sessions")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["scripted", "plain"])
async def test_people_are_added_by_form(web: Web, browser: Browser, script: bool) -> None:
    context = await browser.new_context(base_url=web.url, java_script_enabled=script)
    await entered(context, web, "admin")
    page = await context.new_page()
    seen = Seen(page)
    await page.goto("/people")
    await page.get_by_label("Name").fill("grace")
    await page.get_by_role("radio", name="viewer").check()
    await page.get_by_role("button", name="Add and make a login link").click()
    link = await page.locator("#link").inner_text()
    if script:
        await scan(page)
    await context.clear_cookies()
    await page.goto(link)
    await expect(page.get_by_role("heading", name="Log in as grace")).to_be_visible()
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_url(f"{web.url}/")
    await page.goto("/me")
    await expect(page.get_by_role("heading", name="grace")).to_be_visible()
    await page.goto(link)
    await expect(page.get_by_role("alert")).to_contain_text("used already")
    seen.allowed.append("401")
    seen.verify()
    await context.close()


async def test_a_viewer_sees_nothing_to_do(web: Web, page: Page, context: BrowserContext, repository: Path) -> None:
    add(web, "vera", "viewer")
    ready, asks, runs_now = [await web.ticket(title, agent="coder") for title in ("Ready", "Asks", "Runs")]
    idle = await web.ticket("Idle")
    web.work(ready, repository)
    web.work(asks, repository, result=QUESTION)
    web.work(runs_now, repository, result=None)
    await entered(context, web, "vera")
    tickets = [f"/tickets/{key}" for key in (ready, asks, runs_now, idle)]
    for path in (
        "/",
        "/inbox",
        "/fleet",
        "/fleet/endpoints/local",
        *tickets,
        f"/tickets/{ready}/changes",
        f"/tickets/{ready}/transcript",
    ):
        answer = await page.goto(path)
        assert answer is not None and answer.status == 200, path
        await page.wait_for_function("document.readyState === 'complete'")
        assert await page.evaluate(ACTS) == [], path
        leads = [
            href
            for href in await page.evaluate(LEADS)
            if re.search(r"/(new|cancel|discard|move|edit|remove|add/\w+)$", href or "")
        ]
        assert not leads, f"{path}: {leads}"


async def test_what_a_role_may_not_is_told(web: Web, page: Page, context: BrowserContext) -> None:
    add(web, "vera", "viewer")
    await entered(context, web, "vera")
    allow(page, "status of 403")
    answer = await page.goto("/people")
    assert answer is not None and answer.status == 403
    await expect(page.get_by_role("heading", level=1)).to_contain_text("our role, viewer, may not do this")
    await expect(page.locator("main")).to_contain_text("ask one of: admin")
    await scan(page)


async def test_who_is_shut_out_is_led_to_the_login(web: Web, page: Page, context: BrowserContext) -> None:
    add(web, "vera", "viewer")
    await entered(context, web, "vera")
    await page.goto("/")
    await web.send("PATCH", "/users/vera", {"disabled": True})
    await page.reload()
    await expect(page).to_have_url(f"{web.url}/login")


async def test_pages_of_access_are_clean(web: Web, page: Page) -> None:
    add(web, "ada", "admin")
    with web.database.transaction() as db:
        credentials.make_token(db, access.get_user(db, "admin"), "nightly build", 90)
    await web.ticket("Say hello")
    for path in ("/people", "/people/ada", "/me", "/audit", "/audit?who=-&kind=github."):
        await page.goto(path)
        await scan(page)
        await page.set_viewport_size({"width": 320, "height": 700})
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        await page.set_viewport_size({"width": 1440, "height": 900})
    await page.goto("/people/ada")
    await page.get_by_text("Disable ada …").click()
    await scan(page)
    await page.get_by_role("button", name="Disable", exact=True).click()
    await expect(page.get_by_role("button", name="Enable again")).to_be_visible()
    await scan(page)
