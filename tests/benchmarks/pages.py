"""The board in a real browser: its weight, how soon it can be used, and how soon twenty browsers show what happened."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from dispatcher import board
from dispatcher.client import running_server
from dispatcher.db import Database
from dispatcher.embedded import EmbeddedRedis
from dispatcher.models import Agent, Endpoint, Project, Run, Ticket
from dispatcher.projects import add_project
from dispatcher.queue import Bell
from dispatcher.settings import Settings
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.ground import repository
from tests.benchmarks.onlookers import hear, onlookers
from tests.browser.chromium import launched
from tests.entering import cookie

TICKETS = 2000
BROWSERS = 20
MOVES = 100
PAUSE = 0.8
"""Seconds between two changes. Browsers and server share the machine's cores: a change that met another would measure those."""
SETTLE = 8
"""Seconds after the last page was loaded, until what browsers put off is done."""
NEVER = (float("inf"),) * 3
IN_VIEW = 6
"""The tickets that go to and fro: those of the backlog that are in view."""
LOADS = 7
WIDTH, HEIGHT = 1440, 900
STATES = ("backlog",) * 10 + ("queued",) * 2 + ("running",) * 2 + ("blocked",) * 2 + ("review",) * 3 + ("done",) * 21
WORDS = [
    "parser",
    "worker",
    "import",
    "timeout",
    "Grüße",
    "flaky",
    "test",
    "release",
    "table",
    "query",
    "cache",
    "login",
    "header",
    "retry",
]

SEEN = """() => {
  window.seen = {};
  window.begun = {};
  const look = (records) => {
    for (const record of records) for (const node of record.addedNodes) {
      if (node.nodeType !== 1 || !node.matches('.card')) continue;
      const place = `${node.dataset.key} ${node.dataset.state}`;
      node.querySelector('.card-title').setAttribute('elementtiming', place);
      requestAnimationFrame(() => (window.begun[place] ??= []).push(Date.now()));
    }
  };
  new MutationObserver(look).observe(document.getElementById('part-columns'), { childList: true, subtree: true });
  new PerformanceObserver((list) => {
    for (const { identifier, paintTime, presentationTime } of list.getEntries()) {
      const { timeOrigin } = performance;
      const times = [window.begun[identifier].at(-1), timeOrigin + paintTime, timeOrigin + presentationTime];
      (window.seen[identifier] ??= []).push(times);
    }
  }).observe({ type: 'element' });
}"""
"""Of each card that came to its column: when the frame with it was begun, when it was painted, and when it was on the screen,
in ms since 1970. The latter two are those of https://www.w3.org/TR/paint-timing/."""


async def bench(folder: Path) -> list[Figure]:
    with EmbeddedRedis(folder / "redis") as redis:
        settings = Settings(home=folder / "home", redis_url=redis.url, runs_at_once=1)
        async with Bell.open(redis.url) as bell:
            database = Database(settings.database, after_commit=bell.after_commit)
            database.migrate()
            fill(database, repository(folder / "repo"))
            try:
                with web_app(settings) as url:
                    async with async_playwright() as playwright, launched(playwright) as browser:
                        return [*await loading(browser, url, database), *await telling(browser, url, database)]
            finally:
                database.close()


def fill(database: Database, checkout: Path) -> None:
    """Two thousand tickets in all states, those that are worked on with a run."""
    with database.transaction() as db:
        project = add_project(db, path=str(checkout), key="WEB")
        endpoint = Endpoint(name="local", base_url="http://127.0.0.1:9/v1", model="qwen3-coder-30b", slots=8)
        db.add(endpoint)
        db.flush()
        agent = Agent(name="coder", harness="opencode", endpoint_id=endpoint.id or 0)
        db.add(agent)
        db.flush()
        for number in range(1, TICKETS + 1):
            _ticket(db, project, agent, number)
        project.next_number = TICKETS + 1


def _ticket(db: Any, project: Project, agent: Agent, number: int) -> None:
    state = STATES[number % len(STATES)]
    words = [WORDS[(number * step) % len(WORDS)] for step in (1, 3, 5)]
    ticket = Ticket(
        project_id=project.id or 0,
        number=number,
        key=f"WEB-{number}",
        title=f"The {words[0]} of the {words[1]} drops the last line when the {words[2]} is empty",
        body="It happens with every file that has no newline at its end. " * 5,
        state=state,
        labels=["bug", words[0]] if number % 3 else [],
        agent_id=agent.id if state != "backlog" else None,
        position=float(number),
        additions=number % 90,
        deletions=number % 40,
        files=number % 7 if state in ("review", "done", "blocked") else 0,
    )
    db.add(ticket)
    db.flush()
    if state != "backlog":
        ends = {"queued": "queued", "running": "running", "blocked": "blocked"}
        run = Run(
            ticket_id=ticket.id or 0,
            number=1,
            agent_id=agent.id or 0,
            endpoint_id=agent.endpoint_id,
            harness="opencode",
            model="qwen3-coder-30b",
            state=ends.get(state, "succeeded"),
            doing="edits src/parser.py" if state == "running" else "",
            prompt_tokens=120_000,
            completion_tokens=4_000,
        )
        db.add(run)


@contextmanager
def web_app(settings: Settings) -> Iterator[str]:
    """The web app in a process of its own."""
    environment = {"DISPATCHER_HOME": str(settings.home), "DISPATCHER_REDIS_URL": settings.redis_url}
    command = [sys.executable, "-m", "dispatcher.cli", "web", "--port", "0"]
    with subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield _address(settings)
        finally:
            process.terminate()


def _address(settings: Settings) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if url := running_server(settings):
            return url
        time.sleep(0.05)
    raise RuntimeError("the web app did not start")


@asynccontextmanager
async def opened(browser: Browser, url: str, database: Database) -> AsyncIterator[BrowserContext]:
    """A browser profile that is logged in and knows nothing yet."""
    context = await browser.new_context(base_url=url, viewport={"width": WIDTH, "height": HEIGHT})
    await context.add_cookies([{**cookie(url, database), "url": url, "httpOnly": True, "sameSite": "Strict"}])
    yield context
    await context.close()


async def loading(browser: Browser, url: str, database: Database) -> list[Figure]:
    weights, times = [], []
    for _ in range(LOADS):
        async with opened(browser, url, database) as context:
            page = await context.new_page()
            weights.append(await _weigh(context, page, "/"))
            times.append(await page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
            assert await page.locator(".card").count() > 5 * 10
    detail = f"median of {LOADS} loads with nothing cached; all {' '.join(f'{value:.0f}' for value in times)}"
    return [
        Figure(f"the board with {TICKETS} tickets over the wire", max(weights) / 1000, 150, "kB", "html, css and js"),
        Figure(f"the board with {TICKETS} tickets until its scripts have run", statistics.median(times), 500, "ms", detail),
    ]


async def _weigh(context: BrowserContext, page: Page, path: str) -> int:
    """The bytes that opening a page takes over the wire, headers too; its event stream is left out."""
    session = await context.new_cdp_session(page)
    sizes: dict[str, int] = {}
    session.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: int(event["encodedDataLength"])}))
    await session.send("Network.enable")
    await page.goto(path, wait_until="load")
    await asyncio.sleep(0.3)
    return sum(sizes.values())


async def telling(browser: Browser, url: str, database: Database) -> list[Figure]:
    """How soon a change is on the screen: of one browser that has its cores, and of twenty that share them with the server."""
    hearing = [asyncio.create_task(hear(url, cookie(url, database))) for _ in range(BROWSERS - 1)]
    try:
        (begun, painted, shown) = await _told(browser, url, database, 1)
        assert all(not task.done() for task in hearing), "a client was sent away"
    finally:
        for task in hearing:
            task.cancel()
    what = f"a change of state until a browser shows it while {BROWSERS - 1} others hear of it, 99th percentile"
    detail = f"median {percentile(shown, 0.5):.0f} ms over {len(shown)} changes, by its presentation time"
    alone = Figure(what, percentile(shown, 0.99), 150, "ms", detail)
    (begun, painted, shown) = await _told(browser, url, database, BROWSERS)
    what = f"a change of state until {BROWSERS} browsers on {os.cpu_count()} cores show it, 99th percentile"
    before = (
        f"{percentile(begun, 0.99):.0f} ms until its frame is begun, {percentile(painted, 0.99):.0f} ms until it is painted"
    )
    detail = f"median {percentile(shown, 0.5):.0f} ms over {len(shown)} changes seen; {before}"
    return [alone, Figure(what, percentile(shown, 0.99), 150, "ms", detail)]


async def _told(browser: Browser, url: str, database: Database, number: int) -> list[list[float]]:
    """From a change until the pages begin its frame, have painted it, and show it: in ms, for each page and change."""
    cookies = [cookie(url, database) for _ in range(number)]
    async with onlookers(browser, f"{url}/", cookies, {"width": WIDTH, "height": HEIGHT}) as pages:
        for page in pages:
            await page.ask(f"({SEEN})()")
        await asyncio.sleep(SETTLE)
        sent = await _changes(database)
        await asyncio.sleep(1)
        took: list[list[float]] = [[], [], []]
        for page in pages:
            seen = await page.ask("window.seen")
            for place, times in sent.items():
                shown = seen.get(place, []) + [NEVER] * len(times)
                for at, stages in zip(times, shown, strict=False):
                    for stage, moment in zip(took, stages, strict=True):
                        stage.append(moment - at)
    return took


async def _changes(database: Database) -> dict[str, list[float]]:
    """Moves tickets to and fro; by place, when each change was committed, in ms since 1970."""
    with database.reading() as db:
        keys = [ticket.key for ticket in board.list_tickets(db, state="backlog", limit=IN_VIEW)]
    sent: dict[str, list[float]] = {}
    for number in range(MOVES):
        place, at = await asyncio.to_thread(_move, database, keys[number % IN_VIEW])
        sent.setdefault(place, []).append(at * 1000)
        await asyncio.sleep(PAUSE)
    return sent


def _move(database: Database, key: str) -> tuple[str, float]:
    """Assign a ticket, or withdraw one that is queued; its key with its new state, and when that was committed."""
    with database.transaction() as db:
        ticket = board.get_ticket(db, key)
        if ticket.state == "backlog":
            board.assign(db, ticket, "coder")
        else:
            board.withdraw(db, ticket)
        place = f"{key} {ticket.state}"
    return place, time.time()
