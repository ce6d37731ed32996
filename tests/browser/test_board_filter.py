"""The filter bar: as one types, in the address, live, and by going back."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page, expect

from dispatcher import board as cases
from tests.browser.axe import scan
from tests.browser.boarding import another_agent, card, ready, stands
from tests.webbing import Web


async def test_what_is_typed_is_found_and_stays_in_the_address(web: Web, page: Page) -> None:
    bug = await web.ticket("Parser drops a line", labels=["bug"])
    docs = await web.ticket("Write the manual", labels=["docs"], body="Of the parser too.")
    await ready(page)
    await page.keyboard.press("/")
    await expect(page.locator("#filter-q")).to_be_focused()
    await page.keyboard.type("parser label:bug")
    await stands(page, "backlog", bug)
    await expect(page.locator("#found")).to_have_text("1 ticket found")
    await expect(page).to_have_url(f"{web.url}/?q=parser+label%3Abug")
    await page.keyboard.press("Enter")
    await expect(page.locator(f"#open-{bug}")).to_be_focused()
    await page.reload()
    await expect(page.locator("#filter-q")).to_have_value("parser label:bug")
    await stands(page, "backlog", bug)
    await page.locator("#filter-q").fill("parser")
    await stands(page, "backlog", bug, docs)
    await page.locator("#filter-label").select_option("docs")
    await stands(page, "backlog", docs)
    await page.go_back()
    await expect(page.locator("#filter-label")).to_have_value("")
    await stands(page, "backlog", bug, docs)
    await page.get_by_role("link", name="Clear").click()
    await expect(page).to_have_url(f"{web.url}/")
    await expect(page.locator("#found")).to_have_text("2 tickets")


async def test_a_filtered_board_follows_what_matches_alone(web: Web, page: Page, repository: Path) -> None:
    await another_agent(web)
    await ready(page, "/?q=label:bug&agent=coder")
    await expect(page.locator("#found")).to_contain_text("0 of 0")
    other = await web.ticket("No match", labels=["docs"], agent="coder")
    mine = await web.ticket("A match", labels=["bug"], agent="coder")
    theirs = await web.ticket("Of another", labels=["bug"], agent="reviewer")
    await stands(page, "queued", mine)
    web.work(mine, repository, result=None)
    await expect(card(page, mine, "running")).to_contain_text("edits hello.txt")
    with web.database.transaction() as db:
        cases.edit_ticket(db, cases.get_ticket(db, other), labels=["bug"])
    await stands(page, "queued", other)
    with web.database.transaction() as db:
        cases.edit_ticket(db, cases.get_ticket(db, mine), labels=[])
    await expect(card(page, mine)).to_have_count(0)
    await expect(card(page, theirs)).to_have_count(0)
    await expect(page.locator("#found")).to_have_text("1 ticket found")


async def test_a_project_is_chosen_and_only_its_tickets_come(web: Web, page: Page, tmp_path: Path, repository: Path) -> None:
    import shutil

    copy = Path(shutil.copytree(repository, tmp_path / "second"))
    await web.send("POST", "/projects", {"path": str(copy), "key": "API"}, status=201)
    mine = await web.ticket("Mine")
    await ready(page)
    await page.locator("#filter-project").select_option("WEB")
    await expect(page).to_have_url(f"{web.url}/?project=WEB")
    other = await web.ticket("Not mine", project="API")
    last = await web.ticket("Mine too")
    await stands(page, "backlog", mine, last)
    await expect(page.locator("#part-backlog .number")).to_have_text("2")
    await expect(card(page, other)).to_have_count(0)


async def test_a_state_that_there_is_not_is_told_in_place(web: Web, page: Page) -> None:
    await web.ticket()
    await ready(page)
    await page.locator("#filter-q").fill("state:reviw")
    await expect(page.locator("#wrong-q strong")).to_have_text("There is no state 'reviw'.")
    await expect(page.locator("#filter-q")).to_have_attribute("aria-describedby", "wrong-q")
    await scan(page)
    await page.locator("#filter-q").press("Escape")
    await expect(page.locator("#part-backlog .card")).to_have_count(1)
    await expect(page.locator("#filter-q")).not_to_have_attribute("aria-invalid", "true")
