"""A ticket, its transcript and its review in a browser that runs no scripts: links, forms, and whole pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from dispatcher import runs
from tests.entering import cookie
from tests.gitting import commit, git
from tests.reviewing import BUSY, PARSER, busy, mended, reviewed, work
from tests.transcribing import fill, long_items
from tests.webbing import Web

PATH = "src/shop/parser.py"
QUESTION = runs.Result("block", "question", "Which greeting?", "question")


@pytest_asyncio.fixture(loop_scope="session")
async def plain(browser: Browser, web: Web) -> AsyncIterator[Page]:
    """A tab in which no script runs."""
    context = await browser.new_context(base_url=web.url, java_script_enabled=False, viewport={"width": 1280, "height": 900})
    jar = {**cookie(web.url, web.database), "url": web.url, "httpOnly": True, "sameSite": "Strict"}
    await context.add_cookies([jar])  # type: ignore[list-item]
    yield await context.new_page()
    await context.close()


async def test_a_ticket_is_worked_with(web: Web, plain: Page, repository: Path) -> None:
    key = await web.ticket("Say helo")
    await plain.goto(f"/tickets/{key}")
    await plain.locator("#edit-title summary").click()
    await plain.get_by_label("Title", exact=True).fill("Say hello")
    await plain.get_by_role("button", name="Save").first.click()
    await expect(plain.locator("#ticket-title")).to_have_text("Say hello")
    await plain.get_by_label("Assign to").select_option("coder")
    await plain.get_by_role("button", name="Assign").click()
    await expect(plain.locator("#part-head .state").first).to_have_text("Queued")
    web.work(key, repository, result=QUESTION)
    await plain.reload()
    await plain.locator("#answer-text").fill("hello")
    await plain.get_by_role("button", name="Answer", exact=True).click()
    await expect(plain.locator(".entry-answer")).to_contain_text("hello")
    await plain.locator("#comment-body").fill("And be **kind**.")
    await plain.get_by_role("button", name="Comment", exact=True).click()
    await expect(plain.locator(".entry-comment strong").last).to_have_text("kind")
    for tab, part in (("Runs", "#part-runs"), ("Checks", "#part-checks"), ("Transcript", "#part-transcript")):
        await plain.get_by_role("navigation", name=f"Parts of {key}").get_by_role("link", name=tab).click()
        await expect(plain.locator(part)).to_be_visible()
    await plain.goto(f"/tickets/{key}")
    await plain.get_by_role("link", name="Cancel the ticket").click()
    await plain.get_by_role("button", name="Cancel the ticket").click()
    await expect(plain.locator("#part-head .state").first).to_have_text("Cancelled")
    await plain.get_by_role("button", name="Reopen").click()
    await expect(plain.locator("#part-head .state").first).to_have_text("Backlog")


async def test_a_transcript_is_read_and_searched(web: Web, plain: Page, repository: Path) -> None:
    key = await web.ticket(agent="coder")
    run = web.work(key, repository)
    fill(web.database, run, long_items(1000))
    await plain.goto(f"/tickets/{key}/transcript")
    await expect(plain.locator("article.item")).to_have_count(200)
    await plain.get_by_role("link", name="Later", exact=True).first.click()
    await expect(plain.locator(f"#item-{run}-349")).to_be_attached()
    call = plain.locator(f"#item-{run}-202")
    await expect(call.locator(".body")).to_be_hidden()
    await call.locator("summary").click()
    await expect(call.locator(".body")).to_be_visible()
    await plain.get_by_role("searchbox", name="Search in the transcript").fill("zebra")
    await plain.get_by_role("button", name="Search", exact=True).click()
    await expect(plain.locator("article.item")).to_have_count(1)
    await plain.get_by_role("link", name="In context").click()
    await expect(plain.locator(f"#item-{run}-500")).to_be_in_viewport()
    await plain.get_by_role("navigation", name="Show").get_by_role("link", name="Errors").click()
    await expect(plain.locator("article.item")).to_have_count(1)


async def test_changes_are_commented_on_and_sent_back(web: Web, plain: Page, repository: Path) -> None:
    key = await reviewed(web, repository, busy, BUSY)
    await plain.goto(f"/tickets/{key}/changes")
    await expect(plain.locator(".tree-care .tree-file, .review-tree .tree-file").first).to_contain_text("auth.py")
    await plain.get_by_role("link", name="All lines").click()
    await expect(plain.locator(f".file[data-path='{PATH}'] tr.add").first).to_be_visible()
    own = plain.locator(f".file[data-path='{PATH}']")
    await own.get_by_role("button", name=f"Viewed: {PATH}").click()
    await expect(own.get_by_role("button", name=f"Viewed: {PATH}")).to_have_attribute("aria-pressed", "true")
    await expect(plain.locator("#part-progress")).to_contain_text("1 of 13 viewed")
    await plain.locator("#line-comment summary").click()
    await plain.get_by_label("File", exact=True).select_option(PATH)
    await plain.get_by_label("First line, of several").fill("7")
    await plain.get_by_label("Line", exact=True).fill("8")
    await plain.locator("#line-body").fill("Too much.\n\n```suggestion\n        if not line:\n            continue\n```")
    await plain.get_by_role("button", name="Add to the review").click()
    await expect(plain.locator(".remark.pending")).to_contain_text("lines 7 to 8")
    await expect(plain.locator(".suggestion tr.add")).to_have_count(2)
    await plain.locator(".remark summary").click()
    await plain.get_by_label("What it says").fill("Simpler, please.\n\n```suggestion\n        if not line:\n```")
    await plain.get_by_role("button", name="Save").click()
    await expect(plain.locator(".suggestion tr.add")).to_have_count(1)
    await plain.locator("#verdict-changes > summary").click()
    await expect(plain.locator("#part-pending")).to_contain_text("1 pending comment goes with it")
    await plain.get_by_label("What is to be changed").fill("Nearly.")
    await plain.get_by_role("button", name="Send the agent back").click()
    await expect(plain.locator("#part-head .state").first).to_have_text("Queued")
    feedback = (await web.send("GET", f"/tickets/{key}"))["run"]["feedback"]
    assert feedback.startswith(f"Nearly.\n\n1. {PATH}:7-8:\n```\n7: ") and "Simpler, please." in feedback
    assert feedback.endswith("```\n        if not line:\n```")


async def test_what_is_new_is_approved(web: Web, plain: Page, repository: Path) -> None:
    key = await reviewed(web, repository, {PATH: mended()}, {PATH: PARSER})
    await web.send("POST", f"/tickets/{key}/changes", {"body": "More."})
    work(web, repository, {"more.txt": "more\n"})
    await plain.goto(f"/tickets/{key}/changes")
    await plain.get_by_role("link", name="Since my last review").click()
    await expect(plain.locator(".file")).to_have_count(1)
    await plain.get_by_label("From", exact=True).select_option("")
    await plain.get_by_role("button", name="Show", exact=True).click()
    await expect(plain.locator(".file")).to_have_count(2)
    await plain.locator("#verdict-approve > summary").click()
    await plain.get_by_role("radio", name="Squash").check()
    await plain.get_by_label("Commit message").fill("In my words")
    await plain.get_by_role("button", name="Approve and merge").click()
    await expect(plain.locator("#part-head .state").first).to_have_text("Done")
    assert git(repository, "log", "-1", "--format=%s") == "In my words" and (repository / "more.txt").exists()


async def test_a_conflict_is_foreseen_and_the_work_discarded(web: Web, plain: Page, repository: Path) -> None:
    key = await reviewed(web, repository, {"a.txt": "theirs\n"}, {"a.txt": "before\n"})
    commit(repository, a_txt="mine\n")
    await plain.goto(f"/tickets/{key}/changes")
    await expect(plain.locator("#part-verdict")).to_contain_text("Conflicts in 1 file")
    await plain.locator("#verdict-approve > summary").click()
    await plain.locator(".clashes summary").click()
    await expect(plain.locator(".clashes .quoted")).to_contain_text("theirs")
    await plain.get_by_role("button", name="block it with these files").click()
    await expect(plain.locator("#blocker .conflicts")).to_contain_text("a.txt")
    await plain.goto(f"/tickets/{key}/discard")
    await plain.get_by_label(f"Discard the branch and the worktree of {key}").check()
    await plain.get_by_role("button", name="Discard").click()
    await expect(plain.locator("#part-head .state").first).to_have_text("Cancelled")
    assert git(repository, "branch", "--list", f"agent/{key}") == ""
