"""The board in the browser: the pane, new tickets, several at once, long columns, phones."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

from dispatcher import board as cases
from tests.browser.axe import scan
from tests.browser.boarding import card, many, ready, stands
from tests.browser.stuff import FAILED, full
from tests.gitting import git
from tests.webbing import Web
from web.pages.board import COLUMN

NEVER = "Math.random = () => 1e5"
"""A column whose end is near fetches what follows in a time of its own, which a slow machine sees come: here it never does."""


async def test_the_board_is_accessible_with_all_that_can_stand_on_it(web: Web, page: Page, repository: Path) -> None:
    await full(web, repository)
    await web.ticket("Idle", labels=["bug", "good first issue"])
    await ready(page)
    await expect(page.locator("#part-blocked .card")).to_have_count(2)
    await scan(page)
    await page.locator(".card").first.hover()
    await page.locator("#part-backlog .pick").check()
    await scan(page)
    await page.keyboard.press("c")
    await expect(page.locator("#new-title")).to_be_focused()
    await scan(page)


async def test_blocked_cards_are_answered_in_place(web: Web, page: Page, repository: Path) -> None:
    asked, failed, *_ = await full(web, repository)
    await ready(page)
    answer = page.get_by_label(f"Answer {asked}")
    await answer.fill("Keep it")
    with web.database.transaction() as db:
        cases.comment(db, cases.get_ticket(db, asked), "The card is drawn anew meanwhile.")
    await page.wait_for_timeout(200)
    await expect(answer).to_have_value("Keep it")
    await card(page, asked).get_by_role("button", name="Answer").click()
    await expect(card(page, asked, "queued")).to_be_visible()
    assert (await web.send("GET", f"/tickets/{asked}"))["run"]["feedback"] == "Keep it"
    await expect(card(page, failed)).to_contain_text(FAILED.text.replace("`", ""))
    await card(page, failed).get_by_role("button", name="Accept as it is").click()
    await expect(card(page, failed, "review")).to_be_visible()


async def test_a_card_opens_beside_the_board(web: Web, page: Page, context: BrowserContext) -> None:
    one, two = await web.ticket("The first"), await web.ticket("The second")
    await ready(page)
    await page.locator(f"#open-{one}").click()
    pane = page.locator("#pane")
    await expect(pane.get_by_role("heading", level=1)).to_have_text("The first")
    await expect(page).to_have_url(f"{web.url}/?open={one}")
    await scan(page)
    await page.locator(f"#open-{one}").focus()
    await page.keyboard.press("j")
    await expect(pane.get_by_role("heading", level=1)).to_have_text("The second")
    await page.keyboard.press("p")
    await expect(pane).to_be_focused()
    shared = await context.new_page()
    await shared.goto(page.url)
    await expect(shared.locator("#pane h1")).to_have_text("The second")
    await page.keyboard.press("Escape")
    await expect(pane).to_be_hidden()
    await expect(page.locator(f"#open-{two}")).to_be_focused()
    await expect(page).to_have_url(f"{web.url}/")
    await page.go_back()
    await expect(pane.get_by_role("heading", level=1)).to_have_text("The second")
    await page.keyboard.press("Escape")
    await page.locator(f"#open-{two}").focus()
    await page.keyboard.press("o")
    await expect(page).to_have_url(f"{web.url}/tickets/{two}")


async def test_a_ticket_is_written_previewed_and_filed_by_keyboard(web: Web, page: Page, repository: Path) -> None:
    folder = repository / ".dispatcher" / "templates"
    folder.mkdir(parents=True)
    (folder / "bug.md").write_text("---\nname: Bug\ntitle: 'Bug: '\nlabels: bug\n---\n## What happens\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "A template")
    await ready(page)
    await page.keyboard.press("c")
    await page.locator("#new-body").fill("My own words")
    await page.get_by_role("link", name="Bug").click()
    await expect(page.locator("#new-body")).to_have_value("## What happens\n")
    await page.get_by_role("button", name="Put back what I wrote").click()
    await expect(page.locator("#new-body")).to_have_value("My own words")
    await page.get_by_role("link", name="Bug").click()
    await expect(page.locator("#new-labels")).to_have_value("bug")
    await page.get_by_role("button", name="Preview").click()
    await expect(page.locator("#new-dialog .editor-preview")).to_contain_text("What happens")
    await page.locator("#new-title").fill("Bug: it drops a line")
    await page.keyboard.press("Escape")
    await expect(page.locator("#new-dialog")).to_be_hidden()
    await page.keyboard.press("c")
    await expect(page.locator("#new-title")).to_have_value("Bug: it drops a line")
    await expect(page.locator("#new-body")).to_have_value("## What happens\n")
    await page.locator("#new-agent").select_option("coder")
    await page.keyboard.press("Control+Enter")
    await expect(card(page, "WEB-1", "queued")).to_contain_text("Bug: it drops a line")
    await expect(page.locator("#new-dialog")).to_be_hidden()
    await page.keyboard.press("c")
    await expect(page.locator("#new-title")).to_have_value("")
    await expect(page.locator("#new-body")).to_have_value("")


async def test_a_ticket_that_is_refused_stays_in_its_dialog(web: Web, page: Page) -> None:
    await ready(page)
    await page.keyboard.press("c")
    await page.locator("#new-title").fill("Right")
    await page.locator("#new-labels").fill("x" * 60)
    await page.locator("#new-body").fill("Kept")
    await page.get_by_role("button", name="File the ticket").click()
    await expect(page.locator("#new-dialog .problem")).to_contain_text("is no label")
    await expect(page.locator("#new-labels")).to_be_focused()
    await expect(page.locator("#new-body")).to_have_value("Kept")
    await page.locator("#new-labels").fill("ui")
    await page.get_by_role("button", name="File the ticket").click()
    await expect(card(page, "WEB-1", "backlog")).to_be_visible()


async def test_several_are_chosen_and_labelled_assigned_cancelled(web: Web, page: Page) -> None:
    keys = [await web.ticket(f"Number {number}") for number in range(5)]
    await ready(page)
    await page.keyboard.press("j")
    await page.keyboard.press("x")
    for _ in range(3):
        await page.keyboard.press("j")
    await page.keyboard.press("Shift+X")
    await expect(page.locator("#picked")).to_have_text("4 tickets selected")
    await page.locator("#bulk-label").fill("later")
    await page.keyboard.press("Enter")
    for key in keys[:4]:
        await expect(card(page, key).locator(".labels")).to_have_text("later")
    await expect(page.locator("#bulk")).to_be_hidden()
    await expect(card(page, keys[3]).locator(".card-title")).to_be_focused()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.locator(".card .labels")).to_have_count(0)
    await page.locator(f"#open-{keys[1]}").click(modifiers=["Shift"])
    await page.locator(f"#open-{keys[3]}").click(modifiers=["Shift"])
    await expect(page.locator(".card.picked")).to_have_count(3)
    await web.send("POST", f"/tickets/{keys[2]}/assign", {"agent": "coder"})
    await expect(card(page, keys[2], "queued").locator(".pick")).to_be_checked()
    await page.locator("#bulk-agent").select_option("coder")
    await page.get_by_role("button", name="Assign", exact=True).click()
    await expect(page.locator(".toast-error")).to_contain_text(f"{keys[2]} is queued")
    await expect(card(page, keys[3], "queued")).to_be_visible()
    await page.locator(f"#card-{keys[0]}").hover()
    await page.locator(f"#card-{keys[0]} .pick").check()
    await page.get_by_role("button", name="Cancel tickets").click()
    await expect(page.locator("#move-dialog")).to_contain_text("Cancel 1 ticket?")
    await page.locator("#cancel-go").click()
    await expect(card(page, keys[0])).to_have_count(0)


async def test_two_thousand_tickets_load_as_they_are_seen(web: Web, page: Page) -> None:
    many(web)
    await page.add_init_script(NEVER)
    sizes: dict[str, int] = {}
    session = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: int(event["encodedDataLength"])}))
    await ready(page)
    assert sum(sizes.values()) < 150_000, sizes
    assert await page.locator(".card").count() == 5 * COLUMN
    assert await page.evaluate("document.getElementsByTagName('*').length") < 8000
    await expect(page.locator("#part-backlog .number")).to_have_text("1000")
    column = page.locator("#part-backlog .cards")
    await column.evaluate("(list) => { list.scrollTop = list.scrollHeight; }")
    await expect(page.locator("#part-backlog .card")).to_have_count(2 * COLUMN)
    last = await page.locator("#part-backlog .card").last.get_attribute("data-key")
    filed = await web.ticket("At the very end")
    await expect(page.locator("#part-backlog .number")).to_have_text("1001")
    await expect(card(page, filed)).to_have_count(0)
    assert await page.locator("#part-backlog .card").last.get_attribute("data-key") == last
    await page.locator("#filter-q").fill('"At the very"')
    await stands(page, "backlog", filed)


async def test_a_column_goes_on_loading_when_its_cards_leave(web: Web, page: Page) -> None:
    await page.add_init_script(NEVER)
    keys = [await web.ticket(f"Number {number}") for number in range(COLUMN + 2)]
    await ready(page)
    await expect(page.locator("#part-backlog .card")).to_have_count(COLUMN)
    with web.database.transaction() as db:
        for key in keys[: COLUMN - 1]:
            cases.cancel(db, cases.get_ticket(db, key))
    await stands(page, "backlog", *keys[COLUMN - 1 :])
    await expect(page.locator(".more")).to_have_count(0)


async def test_not_every_browser_asks_for_more_in_the_moment_that_cards_leave(web: Web, page: Page) -> None:
    await page.set_viewport_size({"width": 1440, "height": 500})
    await page.add_init_script(NEVER)
    keys = [await web.ticket(f"Number {number}") for number in range(COLUMN + 2)]
    await ready(page)
    cards = page.locator("#part-backlog .card")
    await expect(cards).to_have_count(COLUMN)
    gone = 3
    with web.database.transaction() as db:
        for key in keys[:gone]:
            cases.cancel(db, cases.get_ticket(db, key))
    await expect(page.locator("#part-backlog .number")).to_have_text(str(COLUMN + 2 - gone))
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await expect(cards).to_have_count(COLUMN - gone)
    await expect(page.locator(".more")).not_to_be_in_viewport()
    await page.locator("#part-backlog .cards").evaluate("(list) => { list.scrollTop = 10; }")
    await stands(page, "backlog", *keys[gone:])


async def test_what_has_grown_long_is_let_go_far_below_what_is_seen(web: Web, page: Page) -> None:
    many(web, 200)
    await ready(page)
    column, cards = page.locator("#part-backlog .cards"), page.locator("#part-backlog .card")
    for times in (2, 3, 4):
        await column.evaluate("(list) => { list.scrollTop = list.scrollHeight; }")
        await expect(cards.nth((times - 1) * COLUMN)).to_be_attached()  # the last ones may be let go already
    keys = [f"WEB-{number}" for number in range(2, 201, 2)]
    await page.wait_for_timeout(1500)
    assert await cards.count() > 3 * COLUMN  # the reader is there
    await page.locator(f"#card-{keys[3 * COLUMN + 1]} .pick").check()
    await column.evaluate("(list) => { list.scrollTop = 0; }")
    await stands(page, "backlog", *keys[: 3 * COLUMN + 2])  # what is chosen stays
    await page.keyboard.press("Escape")
    await page.locator(f"#card-{keys[0]} .card-title").focus()
    await expect(cards).to_have_count(2 * COLUMN)
    with web.database.transaction() as db:
        cases.cancel(db, cases.get_ticket(db, keys[2 * COLUMN - 1]))  # the card behind which it goes on
    await expect(cards).to_have_count(2 * COLUMN - 1)
    del keys[2 * COLUMN - 1]
    await page.wait_for_function(
        """() => {
          const list = document.querySelector("#part-backlog .cards");
          list.scrollTop = list.scrollHeight;
          return !list.querySelector(".more");
        }"""
    )
    assert await cards.evaluate_all("(all) => all.map((card) => card.dataset.key)") == keys


async def test_a_phone_shows_one_column_at_a_time(web: Web, page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    key, other = await web.ticket("Small"), await web.ticket("Queued", agent="coder")
    await page.goto("/")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await expect(page.get_by_role("link", name="Backlog 1")).to_have_attribute("aria-current", "true")
    await page.get_by_role("link", name="Queued 1").click()
    await expect(card(page, other)).to_be_in_viewport()
    await expect(page.get_by_role("link", name="Queued 1")).to_have_attribute("aria-current", "true")
    await page.get_by_role("link", name="Backlog 1").click()
    await scan(page)
    await page.get_by_role("link", name=f"Move {key}").click()
    await page.get_by_role("button", name="Assign to coder").click()
    await expect(page.get_by_role("link", name="Queued 2")).to_be_visible()
    await page.get_by_role("link", name="Queued 2").click()
    await page.locator(f"#open-{key}").click()
    await expect(page).to_have_url(f"{web.url}/tickets/{key}")
