"""A ticket beside the board, at a phone's width, and as axe sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.axe import scan
from tests.browser.boarding import ready
from tests.browser.test_ticket import QUESTION, opened
from tests.ticketing import again
from tests.webbing import Web

RICH = (
    "# One\n\n- [x] done\n- [ ] to do\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n```py\nx = 1\n```\n\n> said, see WEB-1\n\n### Two\n"
)
FAILED = {"command": "make test", "state": "failed", "exit_code": 2, "seconds": 3.0, "output": "FAILED tests/test_x.py\n" * 40}
OVER = "document.documentElement.scrollWidth - innerWidth"


async def story(web: Web, repository: Path) -> str:
    """A ticket that has all kinds of entries."""
    title = "A long title that goes on and on, past the end of its line, about a parser that drops the last line of a file"
    key = await web.ticket(title, body=RICH, labels=["bug", "parser"], agent="coder")
    web.work(key, repository, result=QUESTION)
    await web.send("POST", f"/tickets/{key}/comment", {"body": RICH}, status=201)
    await web.send("POST", f"/tickets/{key}/answer", {"text": "Drop *it*."})
    again(web, key, check=FAILED)
    comments = [{"path": "hello.txt", "line": 1, "body": "Why?"}]
    await web.send("POST", f"/tickets/{key}/changes", {"body": "Nearly.", "comments": comments})
    again(web, key, QUESTION, check=FAILED)
    return key


@pytest.mark.parametrize("width", [390, 1440])
async def test_each_tab_is_accessible_and_fits(web: Web, page: Page, repository: Path, width: int) -> None:
    key = await story(web, repository)
    await page.set_viewport_size({"width": width, "height": 844})
    for tab in ("", "/checks", "/runs", "/runs/1"):
        await opened(page, f"/tickets/{key}{tab}")
        assert await page.evaluate(OVER) <= 0, tab
        await scan(page)
    await page.goto(f"/tickets/{key}/cancel")
    await scan(page)


async def test_beside_the_board_tabs_change_within_the_pane(web: Web, page: Page, repository: Path) -> None:
    key = await story(web, repository)
    await opened(page, f"/?open={key}")
    pane = page.locator("#pane")
    await expect(pane.locator("#part-story")).to_be_visible()
    await expect(pane.get_by_role("link", name="Open full page")).to_have_attribute("href", f"/tickets/{key}")
    address = page.url
    await pane.get_by_role("link", name="Runs", exact=True).click()
    await expect(pane.locator("#part-runs")).to_be_visible()
    await pane.get_by_role("link", name="Prompt of run 1").click()
    await expect(pane.locator("#part-attempt")).to_be_visible()
    await pane.get_by_role("link", name="Conversation", exact=True).click()
    await expect(pane.locator("#part-story")).to_be_visible()
    assert page.url == address
    await pane.locator("#comment-body").fill("From beside the board")
    await pane.locator("#comment-body").press("Control+Enter")
    await expect(pane.locator(".entry-comment").last).to_contain_text("From beside the board")
    await pane.locator("#answer-text").fill("hello")
    await pane.locator("#answer-text").press("Control+Enter")
    await expect(page.locator(f"[data-column=queued] #card-{key}")).to_be_visible()
    await expect(pane.locator("#blocker")).to_have_count(0)
    await scan(page)


async def test_what_was_typed_beside_the_board_waits_while_another_ticket_is_shown(web: Web, page: Page) -> None:
    first, second = await web.ticket("First"), await web.ticket("Second")
    await opened(page, f"/?open={first}")
    pane, title = page.locator("#pane"), page.locator("#edit-title-field")
    await expect(pane.locator("#part-story")).to_be_visible()
    await pane.locator("#edit-title summary").click()
    await title.fill("First, but bet")
    await page.locator(f"#open-{second}").click()
    await expect(pane.locator("#ticket-title")).to_have_text("Second")
    await expect(page.locator(".toast")).to_contain_text(f"What you typed on {first} is kept")
    await expect(title).to_have_value("Second")
    await page.keyboard.press("Escape")
    await expect(pane).to_be_hidden()
    await page.locator(f"#open-{first}").click()
    await expect(title).to_have_value("First, but bet")
    await expect(title).to_be_visible()
    await page.keyboard.press("Escape")  # closes the field, and nothing is kept of it
    await page.keyboard.press("Escape")
    await expect(pane).to_be_hidden()
    await page.locator(f"#open-{first}").click()
    await pane.locator("#edit-title summary").click()
    await title.fill("First, but better")
    await page.locator(f"#open-{second}").click()
    await expect(pane.locator("#ticket-title")).to_have_text("Second")
    await page.reload()
    await page.locator(f"#open-{first}").click()
    await expect(title).to_have_value("First, but better")
    await title.press("Enter")
    await expect(pane.locator("#ticket-title")).to_have_text("First, but better")


async def test_what_was_typed_beside_the_board_goes_along_to_the_full_page(web: Web, page: Page) -> None:
    key = await web.ticket("First")
    await opened(page, f"/?open={key}")
    pane, title = page.locator("#pane"), page.locator("#edit-title-field")
    await expect(pane.locator("#part-story")).to_be_visible()
    await pane.locator("#edit-title summary").click()
    await title.fill("First, but better")
    await pane.locator(".open-full").click()
    await page.wait_for_url(f"**/tickets/{key}")
    await expect(title).to_have_value("First, but better")
    await expect(title).to_be_visible()
    await title.press("Enter")
    await expect(page.locator("#ticket-title")).to_have_text("First, but better")
    await page.goto("/")
    await page.goto(f"/tickets/{key}")
    await expect(page.locator("html[data-ticket=ready]")).to_be_attached()
    await expect(title).to_have_value("First, but better")
    await expect(title).to_be_hidden()


async def test_a_ticket_that_is_gone_is_told(web: Web, page: Page) -> None:
    await page.goto("/")
    answer = await page.request.get("/tickets/WEB-99/checks")
    assert answer.status == 404 and "There is no ticket WEB-99" in await answer.text()


@pytest.mark.parametrize("tab", ["", "Runs"])
async def test_what_happens_while_a_part_is_on_its_way_is_shown_with_it(
    web: Web, page: Page, repository: Path, tab: str
) -> None:
    """The pane, or a tab of it: the server has made it before, and it stands in the page after somebody else did something."""
    key = await web.ticket("Do it", agent="coder")
    web.work(key, repository, result=QUESTION)
    pane = page.locator("#pane")
    await ready(page, f"/?open={key}" if tab else "/")

    async def late(route: Route) -> None:
        answer = await route.fetch()
        await web.send("POST", f"/tickets/{key}/answer", {"text": "Drop it."})
        await expect(page.locator(f"#card-{key}")).to_have_attribute("data-state", "queued")
        await route.fulfill(response=answer)

    await page.route(f"**/tickets/{key}/runs?part=panel" if tab else f"**/tickets/{key}?part=pane", late, times=1)
    if tab:
        await expect(page.locator("html[data-ticket=ready]")).to_have_count(1)
        await pane.get_by_role("link", name=tab, exact=True).click()
        await expect(pane.locator("#part-runs")).to_contain_text("Run 2")
    else:
        await page.locator(f"#card-{key} .card-title").click()
        await expect(pane.locator("#part-story")).to_contain_text("Drop it.")
        await expect(pane.locator("#part-head")).to_contain_text("Queued")
