"""A diff of five thousand lines in a real browser: from its address until its lines stand in the page."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from dispatcher.db import Database
from dispatcher.embedded import EmbeddedRedis
from tests.benchmarks.figures import Figure
from tests.benchmarks.ground import IDENTITY, repository
from tests.benchmarks.pages import opened, web_app
from tests.browser.chromium import launched
from tests.desk import Desk
from tests.gitting import commit

LINES = 5000
FILES = 50
LOADS = 5
BOUND = 1000

WATCH = """() => {
  window.standing = new Promise((done) => {
    let first = 0;
    const drawn = (file) => file.dataset.drawn !== undefined || !file.near;
    const look = () => {
      if (!first && document.querySelector("tr.ln")) first = performance.now();
      if (first && [...document.querySelectorAll(".file")].every(drawn)) done([first, performance.now()]);
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
}"""


def module(number: int, functions: int, name: str) -> str:
    """A module of four lines a function, two of which have `name` in them."""
    return "".join(
        f'def part_{number}_{one}({name}: int) -> int:\n    """Part {one}."""\n    return {name} + {one}\n\n'
        for one in range(functions)
    )


async def bench(folder: Path) -> list[Figure]:
    os.environ.update(IDENTITY)
    checkout = repository(folder / "repo")
    one, many = LINES // 4, LINES // 4 // FILES
    before = {"big_py": module(0, one, "value")} | {f"small{n}_py": module(n, many, "value") for n in range(FILES)}
    commit(checkout, **before)
    with EmbeddedRedis(folder / "redis") as redis:
        desk = Desk.make(folder / "home", "", checkout)
        settings = desk.settings.model_copy(update={"redis_url": redis.url})
        big, small = desk.file("One file"), desk.file("Many files")
        desk.work(big_py=module(0, one, "given"))
        desk.work(**{f"small{n}_py": module(n, many, "given") for n in range(FILES)})
        try:
            with web_app(settings) as url:
                at = (url, desk.database)
                async with async_playwright() as playwright, launched(playwright) as browser:
                    return [
                        await _opening(browser, at, big, "in one file", "unified"),
                        await _opening(browser, at, big, "in one file, in two columns", "split"),
                        await _opening(browser, at, small, f"in {FILES} files, those in sight", "unified"),
                    ]
        finally:
            desk.database.close()


async def _opening(browser: Browser, at: tuple[str, Database], key: str, what: str, view: str) -> Figure:
    times = []
    for _ in range(LOADS):
        async with opened(browser, *at) as context:
            await context.add_init_script(f"localStorage.setItem('review-view', '{view}'); ({WATCH})()")
            page = await context.new_page()
            await page.goto(f"/tickets/{key}/changes", wait_until="domcontentloaded")
            times.append(await page.evaluate("window.standing"))
            if "one file" in what:
                lines = await page.locator("td.code.add, tr.add, td.code.del, tr.del").count()
                assert lines == LINES, lines
    whole = [one[1] for one in times]
    all_of_them = " ".join(f"{one:.0f}" for one in whole)
    detail = f"the first {statistics.median(one[0] for one in times):.0f} ms; median of {LOADS}, nothing cached: {all_of_them}"
    return Figure(f"a diff of {LINES:,} lines {what}: until its lines stand", statistics.median(whole), BOUND, "ms", detail)
