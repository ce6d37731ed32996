"""Verdicts in the browser: three ways to merge, by keys too; what would happen is told before; moved branches; conflicts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.axe import scan
from tests.browser.seen import allow
from tests.browser.test_review import PATH, file, opened, simple
from tests.entering import cookie
from tests.gitting import commit, git
from tests.reviewing import PARSER, mended, work
from tests.webbing import Web


@pytest.mark.parametrize("method", ["Merge commit", "Squash", "Fast-forward"])
async def test_the_three_ways_to_merge(web: Web, page: Page, repository: Path, method: str) -> None:
    key = await simple(web, repository)
    head = (await web.send("GET", f"/tickets/{key}"))["workspace"]["head_sha"]
    await opened(page, key)
    await expect(page.locator("#part-verdict")).to_contain_text("main has not moved")
    await page.locator("#verdict-approve summary").click()
    await page.get_by_role("radio", name=method).check()
    await expect(page.locator("#verdict-approve")).to_contain_text("is on main and is brought along")
    if method != "Fast-forward":
        await page.get_by_label("Commit message").fill("In my own words")
    await page.get_by_role("button", name="Approve and merge").click()
    await expect(page.locator("#part-head")).to_contain_text("Done")
    await expect(page.locator("#toasts")).to_contain_text(f"{key} is merged as")
    assert (repository / PATH).read_text() == mended() and git(repository, "status", "--porcelain") == ""
    parents = git(repository, "log", "-1", "--format=%P").split()
    subject = git(repository, "log", "-1", "--format=%s")
    if method == "Merge commit":
        assert parents[1] == head and subject == "In my own words"
    elif method == "Squash":
        assert len(parents) == 1 and subject == "In my own words" and git(repository, "rev-parse", "HEAD") != head
    else:
        assert git(repository, "rev-parse", "main") == head
    await page.reload()
    await expect(file(page).locator("tr.add").first).to_be_attached()
    await expect(page.get_by_role("button", name="Approve and merge")).to_have_count(0)


async def test_an_answer_that_the_news_overtakes_is_still_told(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    heard = asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        await heard.wait()
        await route.fulfill(response=answer)

    await page.route("**/approve", late)
    await page.keyboard.press("Shift+A")
    await page.get_by_role("button", name="Approve and merge").click()
    await expect(page.locator("#part-verdict .verdict-bar")).to_have_count(0)
    heard.set()
    await expect(page.locator("#toasts")).to_contain_text(f"{key} is merged as")
    await expect(page.locator("#part-head")).to_contain_text("Done")


async def test_approved_by_keys_alone(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await page.keyboard.press("Shift+A")
    await expect(page.get_by_role("radio", name="Merge commit")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator("#verdict-approve summary")).to_be_focused()
    await page.keyboard.press("Shift+A")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#part-head")).to_contain_text("Done")
    assert git(repository, "log", "-1", "--format=%s") == f"Mend the parser ({key})"


async def test_a_target_that_has_gone_on_cannot_be_fast_forwarded(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    commit(repository, other_txt="other\n")
    await opened(page, key)
    await expect(page.locator("#part-verdict")).to_contain_text("main has gone on by 1 commit")
    await page.keyboard.press("Shift+A")
    await expect(page.get_by_role("radio", name="Fast-forward")).to_be_disabled()
    (repository / "README.md").write_text("mine\n")
    await page.reload()
    await expect(page.locator("#part-verdict")).to_contain_text("Your checkout is in the way")
    allow(page, "status of 409")
    await page.keyboard.press("Shift+A")
    await page.get_by_role("button", name="Approve and merge").click()
    await expect(page.locator("#verdict-approve .problem")).to_contain_text("has changes of yours: README.md")


async def test_a_conflict_is_seen_before_and_its_files_after(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    (repository / PATH).write_text(PARSER.replace('line.split("=")', 'line.rsplit("=")'))
    git(repository, "commit", "-qam", "Meanwhile")
    await opened(page, key)
    await expect(page.locator("#part-verdict")).to_contain_text("Conflicts in 1 file")
    await page.keyboard.press("Shift+A")
    await expect(page.get_by_role("button", name="block it with these files")).to_be_focused()
    await page.locator(".clashes summary").click()
    await expect(page.locator(".clashes .quoted")).to_contain_text('line.rsplit("=")')
    allow(page, "status of 409")
    await page.get_by_role("button", name="block it with these files").click()
    await expect(page.locator("#part-head")).to_contain_text("Blocked")
    await expect(page.locator("#part-blocker")).to_contain_text(PATH)


async def test_a_verdict_on_what_has_moved_is_refused(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await page.keyboard.press("Shift+A")
    await page.get_by_label("Commit message").fill("Too late")
    await web.send("POST", f"/tickets/{key}/changes", {"body": "Another was faster."})
    work(web, repository, {PATH: PARSER + "# new\n"})
    await expect(page.get_by_text("The branch has moved since you opened it.")).to_be_visible()
    allow(page, "status of 409")
    await page.get_by_role("button", name="Approve and merge").click()
    await expect(page.locator("#verdict-approve .problem")).to_contain_text("has moved since you looked at it")
    await expect(page.get_by_label("Commit message")).to_have_value("Too late")
    await page.get_by_role("link", name="See what is new").first.click()
    await expect(file(page).locator("tr.add", has_text="# new")).to_be_visible()
    assert "since=" in page.url


async def test_what_the_page_does_not_show_is_not_approved_from_it(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await opened(page, key)
    await web.send("POST", f"/tickets/{key}/changes", {"body": "Once more."})
    work(web, repository, {PATH: PARSER + "# new\n"})
    await expect(page.locator("#part-verdict")).to_contain_text("Not all is on this page")
    allow(page, "status of 409")
    for _ in range(2):
        await page.keyboard.press("Shift+A")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator("#verdict-approve .problem")).to_contain_text("has moved since you looked at it")
        await page.keyboard.press("Escape")
    await scan(page)
    await page.keyboard.press("u")
    await expect(file(page).locator("tr.add", has_text="# new")).to_be_visible()
    await expect(page.locator("#part-verdict")).to_contain_text("Can be merged")
    await page.keyboard.press("Shift+A")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#part-head .state").first).to_have_text("Done")


async def test_what_is_new_since_my_last_review(web: Web, page: Page, repository: Path) -> None:
    key = await simple(web, repository)
    await web.send("POST", f"/tickets/{key}/changes", {"body": "More."})
    work(web, repository, {"src/shop/more.py": "MORE = True\n"})
    await opened(page, key)
    await expect(page.locator(".file")).to_have_count(2)
    await page.get_by_role("link", name="Since my last review").click()
    await expect(page.locator(".file")).to_have_count(1)
    await expect(file(page, "src/shop/more.py").locator("tr.add")).to_be_visible()
    await expect(page).to_have_url(f"{web.url}/tickets/{key}/changes?since=review")
    await page.get_by_label("From", exact=True).select_option("")
    await expect(page.locator(".file")).to_have_count(2)
    await page.get_by_label("To", exact=True).select_option(label="to after run 1")
    await expect(page.locator(".file")).to_have_count(1)
    await expect(file(page).locator("tr.add").first).to_be_visible()


async def test_a_viewer_reads_and_nothing_more(web: Web, browser: Browser, repository: Path) -> None:
    key = await simple(web, repository)
    await web.send("POST", "/users", {"name": "eve", "role": "viewer"}, status=201)
    context = await browser.new_context(base_url=web.url)
    jar = {**cookie(web.url, web.database, "eve"), "url": web.url, "httpOnly": True, "sameSite": "Strict"}
    await context.add_cookies([jar])  # type: ignore[list-item]
    page = await context.new_page()
    await opened(page, key)
    await expect(file(page).locator("tr.add").first).to_be_visible()
    await page.keyboard.press("n")
    await page.keyboard.press("c")
    await page.keyboard.press("Shift+A")
    await expect(page.locator(".remark-form, .verdict-bar, .viewed-form")).to_have_count(0)
    await context.close()
