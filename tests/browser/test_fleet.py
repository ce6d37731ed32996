"""The fleet in the browser: live numbers, a test with its result, plots in both colour schemes, no fault that axe finds."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from dispatcher import endpoints, roster
from dispatcher.demo.scripted import Call, Request, Say, ScriptedEndpoint, Step
from tests.browser.axe import scan
from tests.fleet import FOUND, add_run, enter_worker, furnish_fleet
from tests.webbing import Web


def able(request: Request) -> Step:
    """A model that talks, and calls the tool that it is given."""
    return Call("get_time", {"city": "Paris"}) if request.body.get("tools") else Say("one, two, three, four, five")


def history(web: Web) -> None:
    """A fleet with runs of the last hours, and some under way."""
    with web.database.transaction() as db:
        furnish_fleet(db)
        for number in range(1, 13):
            speed = {"tokens_per_second": 40.0 + number, "first_token_ms": 100.0 * number}
            add_run(db, "builder", hours_ago=number * 1.5, prompt_tokens=5000 * number, completion_tokens=900, **speed)
        add_run(db, "builder", state="running", worker="forge:4711:ab12", doing="edits a.py", tokens_per_second=58.5)
        add_run(db, "builder", state="queued")


async def test_a_test_runs_in_the_background_and_its_result_stays(web: Web, page: Page) -> None:
    go = threading.Event()

    def in_time(request: Request) -> Step:
        go.wait(60)
        return able(request)

    with ScriptedEndpoint(in_time, models=("local-coder",)) as server:
        with web.database.transaction() as db:
            endpoints.edit_endpoint(db, endpoints.get_endpoint(db, "local"), base_url=server.base_url)
        await page.goto("/fleet/endpoints/local")
        await page.get_by_role("button", name="Test", exact=True).click()
        await expect(page.locator("#part-health .tag")).to_have_text("Testing")
        await expect(page.locator("#part-health [role=status]")).to_contain_text("The test waits for")
        await expect(page.get_by_role("button", name="Test", exact=True)).to_be_disabled()
        go.set()
        await expect(page.locator("#part-health .tag")).to_have_text("Ready")
        await expect(page.locator(".finding-passed")).to_have_count(4)
        await expect(page.get_by_role("button", name="Test", exact=True)).to_be_enabled()
    await page.reload()
    await expect(page.locator("#part-health")).to_contain_text("a tool call came back")


async def test_a_test_from_the_overview_is_seen_in_another_tab(web: Web, page: Page) -> None:
    other = await page.context.new_page()
    await other.goto("/fleet")
    await page.goto("/fleet")
    await page.get_by_role("button", name="Test local").click()
    for tab in (page, other):
        await expect(tab.locator("#part-endpoints")).to_contain_text("nothing listens at 127.0.0.1:1")
        await expect(tab.locator("#part-endpoints .tag-red")).to_have_text("Unreachable")


async def test_numbers_move_without_a_reload(web: Web, page: Page) -> None:
    history(web)
    await page.goto("/fleet")
    row = page.locator("tr", has_text="workstation").first
    await expect(row).to_contain_text("1 of 4")
    await expect(row).to_contain_text("58.5")
    with web.database.transaction() as db:  # no entry of the feed tells of it
        add_run(db, "builder", state="running", worker="forge:4711:ab12", tokens_per_second=10)
    await expect(row).to_contain_text("2 of 4")
    await expect(row).to_contain_text("68.5")


async def test_workers_come_and_go(web: Web, page: Page) -> None:
    with web.database.transaction() as db:
        enter_worker(db, "gone:2:b", {"opencode": FOUND}, silent=60)
    await page.goto("/fleet")
    workers = page.locator("#part-workers")
    await expect(workers).to_contain_text("Gone")
    with web.database.transaction() as db:
        roster.beat(db, "forge:1:a", host="forge", pid=1, version="0.1.0", runs_at_once=8)
        roster.report(db, "forge:1:a", {"opencode": FOUND})
    await expect(workers.locator("tr", has_text="forge")).to_contain_text("opencode 1.18.33")
    await workers.get_by_role("button", name="Forget gone").click()
    await expect(workers.locator("tr", has_text="gone")).to_have_count(0)
    with web.database.transaction() as db:
        roster.sign_off(db, "forge:1:a")
    await expect(workers).to_contain_text("No worker is running")


async def test_the_history_is_plotted_from_its_table(web: Web, page: Page) -> None:
    history(web)
    await page.goto("/fleet/endpoints/workstation")
    plots = page.locator("run-plot")
    await expect(plots).to_have_count(3)
    for number in range(3):
        await expect(plots.nth(number).locator("canvas")).to_be_visible()
    await expect(plots.first).to_have_attribute(
        "aria-label", "Tokens per second, 24 hours. 12 runs: median 46 tokens/s, from 41 to 52."
    )
    box = await plots.first.locator("canvas").bounding_box()
    wide = box["width"] if box is not None else 0.0
    light = await plots.first.evaluate("one => one.querySelector('canvas').toDataURL()")
    await page.emulate_media(color_scheme="dark")
    await page.wait_for_function("light => document.querySelector('run-plot canvas').toDataURL() !== light", arg=light)
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.wait_for_function("w => document.querySelector('run-plot canvas').getBoundingClientRect().width !== w", arg=wide)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    with web.database.transaction() as db:
        add_run(db, "builder", hours_ago=0.01, tokens_per_second=80, first_token_ms=50)
    await page.goto("/fleet/endpoints/workstation?hours=168")
    await expect(page.locator("#part-history [aria-current]")).to_have_text("7 days")
    await expect(page.locator("#history-runs tbody tr")).to_have_count(13)
    await page.get_by_text("The same as tables").click()
    await expect(page.locator("#history-time tbody tr")).to_have_count(7)


async def test_a_plot_of_one_run_has_a_scale_only_where_there_is_something(web: Web, page: Page) -> None:
    with web.database.transaction() as db:
        furnish_fleet(db)
        add_run(db, "builder", hours_ago=3, tokens_per_second=61, first_token_ms=120)
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto("/fleet/endpoints/workstation")
    plots = page.locator("run-plot")
    await expect(plots.nth(2).locator("canvas")).to_be_visible()
    times, rates = await plots.first.evaluate("one => one.plot.axes.map((axis) => axis._values)")
    assert rates[0] == "0" and float(rates[-1]) >= 50
    assert all(":" in time for time in times) and "\n" in times[0]
    counted = await plots.nth(2).evaluate("one => one.plot.axes[1]._values")
    assert counted[0] == "0" and not any(counted[1:])
    await plots.first.scroll_into_view_if_needed()
    over = await plots.first.locator(".u-over").bounding_box()
    box = await plots.first.bounding_box()
    assert over is not None and box is not None
    await page.mouse.move(over["x"] + over["width"] - 4, over["y"] + 20)
    tip = plots.first.locator(".plot-tip")
    await expect(tip).to_contain_text("61 tokens/s")
    told = await tip.bounding_box()
    assert told is not None and told["x"] >= box["x"] and told["x"] + told["width"] <= box["x"] + box["width"] + 1


async def test_a_path_is_looked_at_in_place(web: Web, page: Page, repository: Path) -> None:
    await page.goto("/fleet/add/project")
    await page.get_by_label("Check command").fill("make lint")
    await page.get_by_label("Path of the repository").fill("/nowhere/at/all")
    await page.get_by_role("button", name="Look", exact=True).click()
    await expect(page.locator("#part-look [role=alert]")).to_be_visible()
    await page.get_by_label("Path of the repository").fill(str(repository))
    await page.get_by_role("button", name="Look", exact=True).click()
    await expect(page.locator("#part-look")).to_contain_text("is project WEB already")
    await expect(page.get_by_label("Check command")).to_have_value("make lint")


@pytest.mark.parametrize(
    "path",
    [
        "/fleet",
        "/fleet/endpoints/workstation",
        "/fleet/endpoints/rack-a100",
        "/fleet/endpoints/workstation/edit",
        "/fleet/endpoints/workstation/remove",
        "/fleet/add/endpoint",
        "/fleet/agents/builder",
        "/fleet/agents/builder/edit",
        "/fleet/agents/builder/remove",
        "/fleet/projects/WEB",
        "/fleet/projects/WEB/edit",
        "/fleet/projects/WEB/remove",
        "/fleet/add/project",
        "/start",
    ],
)
async def test_axe_finds_nothing_and_nothing_overflows(web: Web, page: Page, path: str) -> None:
    history(web)
    await page.goto(path)
    await scan(page)
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than a phone"
