"""A site on a real socket, and the machine's Chromium to open it with; one browser for the whole test run."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.browser.seen import Seen
from tests.webbing import Web, open_web
from web.main import bind

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--no-sandbox",  # the tests run as root where CI does
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here runs in the loop that the browser lives in."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The machine's Chromium, headless."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium here: apt install chromium")
        pytest.skip("there is no Chromium here: apt install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        await browser.close()


@asynccontextmanager
async def serving(web: Web) -> AsyncIterator[str]:
    """The app of `web` on a port of its own; gives its address."""
    listener = bind("127.0.0.1", 0)
    config = uvicorn.Config(web.app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        web.app.state.site.feed.close()
        server.should_exit = True
        await task


@pytest_asyncio.fixture(loop_scope="session")
async def web(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    """A furnished site (project WEB, endpoint local, agent coder), served at `web.url`."""
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data") as web:
        await web.furnish(repository, check_command="make test")
        async with serving(web) as url:
            web.url = url
            yield web


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, web: Web) -> AsyncIterator[BrowserContext]:
    """A browser profile of the test's own; give `context.new_page()` another tab."""
    context = await browser.new_context(base_url=web.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(10_000)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A tab; the test fails for errors in its console, and for anything that the content policy refused."""
    page = await context.new_page()
    seen = Seen(page)
    yield page
    seen.verify()
