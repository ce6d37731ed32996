"""A transcript of fifty thousand entries in a real browser: until it is painted, a window, a search, and scrolling."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import BrowserContext, Page, async_playwright
from sqlmodel import Session

from dispatcher.db import Database
from dispatcher.embedded import EmbeddedRedis
from dispatcher.models import Agent, Endpoint, Run, SessionRow, Ticket
from dispatcher.projects import add_project
from dispatcher.settings import Settings
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.ground import repository
from tests.benchmarks.pages import opened, web_app
from tests.browser.chromium import launched
from tests.entering import bearer
from tests.transcribing import fill, long_items

ENTRIES = 50_000
ASKED = 9

SCROLL = """async ([pixels, frames]) => {
  const took = [];
  let last = performance.now();
  for (let frame = 0; frame < frames; frame += 1) {
    scrollBy({ top: pixels, behavior: "instant" });
    await new Promise(requestAnimationFrame);
    took.push(performance.now() - last);
    last = performance.now();
  }
  return took;
}"""


async def bench(folder: Path) -> list[Figure]:
    with EmbeddedRedis(folder / "redis") as redis:
        settings = Settings(home=folder / "home", redis_url=redis.url)
        database = Database(settings.database)
        database.migrate()
        with database.transaction() as db:
            run = _run(db, repository(folder / "repo"))
        fill(database, run, long_items(ENTRIES))
        try:
            with web_app(settings) as url:
                figures = await _asking(url, bearer(database), run)
                async with (
                    async_playwright() as playwright,
                    launched(playwright) as browser,
                    opened(browser, url, database) as context,
                ):
                    return [*figures, *await _reading(context)]
        finally:
            database.close()


def _run(db: Session, checkout: Path) -> int:
    """A finished run with a session; its id."""
    project = add_project(db, path=str(checkout), key="WEB")
    endpoint = Endpoint(name="local", base_url="http://127.0.0.1:9/v1", model="m", slots=1)
    db.add(endpoint)
    db.flush()
    agent = Agent(name="coder", harness="opencode", endpoint_id=endpoint.id or 0)
    ticket = Ticket(project_id=project.id or 0, number=1, key="WEB-1", title="Long", state="review")
    db.add_all([agent, ticket])
    db.flush()
    ids = {"ticket_id": ticket.id or 0, "agent_id": agent.id or 0, "endpoint_id": endpoint.id or 0}
    run = Run(**ids, number=1, harness="opencode", model="m", state="succeeded")
    db.add(run)
    db.flush()
    assert run.id is not None
    db.add(SessionRow(run_id=run.id, native_id="ses_1", header={"harness": "opencode"}, provisional=False))
    return run.id


async def _asking(url: str, headers: dict[str, str], run: int) -> list[Figure]:
    asked = {
        "a window at its end": (f"window?run={run}&seqs={ENTRIES - 50}-{ENTRIES - 1}", 200),
        "its outline, with its errors": (f"outline?run={run}", 700),
        "a search through all of it": (f"outline?run={run}&q=zebra", 2000),
    }
    figures = []
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        for what, (path, bound) in asked.items():
            times = [await _timed(client, f"/tickets/WEB-1/transcript/{path}") for _ in range(ASKED)]
            figures.append(Figure(f"{ENTRIES:,} entries: {what}", statistics.median(times), bound, "ms"))
    return figures


async def _timed(client: httpx.AsyncClient, path: str) -> float:
    began = time.perf_counter()
    (await client.get(path)).raise_for_status()
    return (time.perf_counter() - began) * 1000


async def _reading(context: BrowserContext) -> list[Figure]:
    page = await context.new_page()
    await page.goto("/tickets/WEB-1/transcript")
    await page.wait_for_selector("transcript-view[data-ready]")
    painted = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    slow = await _scroll(page, 100, 300)
    fast = await _scroll(page, 4000, 300)
    nodes = await page.evaluate("document.querySelectorAll('*').length")
    what = f"{ENTRIES:,} entries"
    return [
        Figure(f"{what}: first paint, nothing cached", painted, 1000, "ms"),
        Figure(f"{what}: a frame while scrolling, 95th percentile", percentile(slow, 0.95), 50, "ms", _told(slow)),
        Figure(
            f"{what}: a frame while dragging the scroll bar, 95th percentile", percentile(fast, 0.95), 50, "ms", _told(fast)
        ),
        Figure(f"{what}: elements in the page after that", nodes, 40_000, "", "however long the session is"),
    ]


async def _scroll(page: Page, pixels: int, frames: int) -> list[float]:
    took: Any = await page.evaluate(SCROLL, [pixels, frames])
    return [float(one) for one in took]


def _told(frames: list[float]) -> str:
    return f"median {percentile(frames, 0.5):.0f} ms, worst {max(frames):.0f} ms of {len(frames)} frames"
