"""Moving cards in the browser: by drag, by key, by menu; what is said before, and undone after."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect

from dispatcher import access
from tests.browser.axe import scan
from tests.browser.boarding import LOOKED, another_agent, card, cards_of, drag, lift, ready, stands
from tests.entering import cookie
from tests.gitting import git
from tests.webbing import Web


async def test_a_card_is_dragged_within_its_column_and_another_browser_sees_it(
    web: Web, page: Page, context: BrowserContext
) -> None:
    one, two, three = [await web.ticket(f"Number {number}") for number in range(3)]
    await ready(page)
    other = await context.new_page()
    await ready(other)
    await drag(page, three, card(page, one))
    for tab in (page, other):
        await stands(tab, "backlog", three, one, two)
    await expect(page.locator(".toast")).to_contain_text(f"{three} moved within its column")
    await page.get_by_role("button", name="Undo").click()
    for tab in (page, other):
        await stands(tab, "backlog", one, two, three)
    await page.reload()
    await stands(page, "backlog", one, two, three)


async def test_a_card_is_dragged_to_be_assigned_and_taken_back(web: Web, page: Page) -> None:
    key, other = await web.ticket("Do it"), await web.ticket("Later", agent="coder")
    await ready(page)
    await drag(page, key, card(page, other))
    await stands(page, "queued", key, other)
    await expect(page.locator(".toast")).to_contain_text(f"{key} assigned to coder")
    await page.keyboard.press("z")
    await expect(page.locator(".toast").last).to_contain_text(f"{key} is back in the backlog")
    await expect(card(page, key, "backlog")).to_be_visible()
    assert (await web.send("GET", f"/tickets/{key}"))["state"] == "backlog"
    await drag(page, other, cards_of(page, "backlog"))
    await expect(page.locator(".toast").last).to_contain_text(f"{other} is back in the backlog")
    assert (await web.send("GET", f"/tickets/{other}"))["run"]["state"] == "cancelled"


async def test_columns_say_what_dropping_does_and_those_that_may_not_are_dimmed(web: Web, page: Page) -> None:
    key = await web.ticket()
    await ready(page)
    await lift(page, key)
    queued, review = page.locator("#part-queued"), page.locator("#part-review")
    await expect(queued.locator(".column-says")).to_have_text("Assign. Queues a run of the agent.")
    await expect(review.locator(".column-says")).to_have_text("Nobody has worked on it yet: assign it first.")
    await expect(review).to_have_class("part column refuses")
    await expect(page.locator("#part-running .column-says")).to_contain_text("as soon as its endpoint has a free slot")
    box = await cards_of(page, "review").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 50, box["y"] + 50, steps=6)
    await page.evaluate(LOOKED)
    await page.mouse.up()
    await stands(page, "backlog", key)
    assert (await web.send("GET", f"/tickets/{key}"))["state"] == "backlog"


async def test_what_happens_during_a_drag_waits_for_its_end(web: Web, page: Page) -> None:
    key = await web.ticket("Held")
    await ready(page)
    await lift(page, key)
    later = await web.ticket("Filed meanwhile")
    await page.wait_for_timeout(300)
    await expect(card(page, later)).to_have_count(0)
    await page.mouse.up()
    await stands(page, "backlog", key, later)


async def test_a_card_is_dropped_on_the_shelf_to_be_cancelled(web: Web, page: Page) -> None:
    key = await web.ticket()
    await ready(page)
    await drag(page, key, page.locator("#part-cancelled"))
    await expect(card(page, key)).to_have_count(0)
    await expect(page.locator("#part-cancelled .number")).to_have_text("1")
    await page.get_by_role("button", name="Undo").click()
    await expect(card(page, key, "backlog")).to_be_visible()
    await page.goto("/?show=cancelled")
    await expect(page.locator("#part-cancelled .cards")).to_be_visible()


@pytest.mark.parametrize("by", ["drag", "key"])
async def test_an_approval_says_what_it_merges_before_it_does(web: Web, page: Page, repository: Path, by: str) -> None:
    key = await web.ticket("Say hello", agent="coder")
    web.work(key, repository)
    await ready(page)
    if by == "drag":
        await drag(page, key, cards_of(page, "done"))
    else:
        await card(page, key).locator(".card-title").focus()
        await page.keyboard.press("Shift+ArrowRight")
    dialog = page.locator("#move-dialog")
    await expect(dialog).to_contain_text("into main of")
    await expect(dialog).to_contain_text("make test")
    await stands(page, "review", key)
    await scan(page, "#move-dialog")
    await dialog.get_by_role("button", name="Approve and merge").click()
    await expect(card(page, key, "done")).to_be_visible()
    await expect(page.locator(".toast")).to_contain_text(f"{key} is merged")
    assert "hello.txt" in git(repository, "ls-tree", "--name-only", "main")


async def test_requested_changes_need_words_and_escape_gives_the_focus_back(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket("Say hello", agent="coder")
    web.work(key, repository)
    await ready(page)
    await drag(page, key, cards_of(page, "queued"))
    await expect(page.locator("#move-text")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator(f"#open-{key}")).to_be_focused()
    await page.keyboard.press("Shift+ArrowLeft")
    await expect(page.locator("#part-review .card")).to_have_count(1)
    await page.locator("#move-text").fill("Louder, please.")
    await page.locator("#move-go").click()
    await expect(card(page, key, "queued")).to_be_visible()
    assert (await web.send("GET", f"/tickets/{key}"))["run"]["feedback"] == "Louder, please."


async def test_the_whole_board_by_keyboard(web: Web, page: Page) -> None:
    await another_agent(web)
    one, two, three = [await web.ticket(f"Number {number}") for number in range(3)]
    await ready(page)
    await page.keyboard.press("j")
    await expect(page.locator(f"#open-{one}")).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("Shift+ArrowUp")
    await stands(page, "backlog", two, one, three)
    await expect(page.locator(f"#open-{two}")).to_be_focused()
    await page.keyboard.press("Shift+ArrowRight")
    await expect(page.locator("#move-agent")).to_be_focused()  # there are two: which one?
    await page.locator("#move-agent").select_option("reviewer")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(card(page, two, "queued")).to_be_visible()
    await expect(page.locator(f"#open-{two}")).to_be_focused()
    await page.keyboard.press("Shift+ArrowRight")
    await expect(page.locator(".toast-error")).to_contain_text("stays where it is")
    await page.keyboard.press("h")
    await expect(page.locator("#part-backlog .card-title:focus")).to_have_count(1)
    await page.keyboard.press("l")
    await expect(page.locator(f"#open-{two}")).to_be_focused()
    await page.keyboard.press("m")
    await page.get_by_role("button", name="Back to the backlog").press("Enter")
    await expect(card(page, two, "backlog")).to_be_visible()
    await expect(page.locator(".toast").last).to_contain_text(f"{two} is back in the backlog")
    await page.keyboard.press("z")
    await expect(card(page, two, "queued")).to_be_visible()
    assert (await web.send("GET", f"/tickets/{two}"))["agent"] == "reviewer"


async def test_an_undo_that_comes_too_late_says_why(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket()
    await ready(page)
    await page.locator(f"#open-{key}").focus()
    await page.keyboard.press("Shift+ArrowRight")
    await expect(card(page, key, "queued")).to_be_visible()
    web.work(key, repository, result=None)
    await expect(card(page, key, "running")).to_be_visible()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.locator(".toast-error")).to_contain_text(f"{key} is running")


async def test_the_menu_button_offers_what_the_state_allows(web: Web, page: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    web.work(key, repository, result=None)
    await ready(page)
    await card(page, key).hover()
    await page.get_by_role("link", name=f"Move {key}").click()
    choices = page.locator("#move-dialog .move-choice")
    await expect(choices).to_have_count(1)
    await scan(page)
    await choices.click()
    await expect(page.locator("#move-dialog")).to_contain_text("Its agent is stopped.")
    await page.get_by_role("button", name="Cancel the ticket").click()
    await expect(page.locator("#part-cancelled .number")).to_have_text("1")
    await expect(card(page, key)).to_have_count(0)


async def test_a_viewer_may_look_and_not_move(web: Web, page: Page, context: BrowserContext) -> None:
    key = await web.ticket()
    with web.database.transaction() as db:
        access.add_user(db, "val", "viewer")
    await context.clear_cookies()
    await context.add_cookies(
        [{**cookie(web.url, web.database, "val"), "url": web.url, "httpOnly": True, "sameSite": "Strict"}]
    )
    await page.goto("/")
    await page.locator(f"#open-{key}").focus()
    await page.keyboard.press("m")
    await page.keyboard.press("x")
    await page.keyboard.press("Shift+ArrowRight")
    await page.wait_for_timeout(200)
    await expect(page.locator("#move-dialog")).to_be_hidden()
    await expect(card(page, key).locator(".card-menu")).to_be_hidden()
    await expect(page.locator("#bulk")).to_be_hidden()
    await expect(page.get_by_role("link", name="New ticket")).to_have_count(0)
