"""A site on a real socket, and the machine's Chromium to open it with; one browser for the whole test run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.browser.chromium import MISSING, installed, launched
from tests.browser.seen import Seen
from tests.entering import cookie
from tests.webbing import Web, open_web
from web.main import bind

PATIENCE_MS = 30_000
"""A busy machine is no failure: what does not come within this time does not come."""
expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here runs in the loop that the browser lives in."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The machine's Chromium, headless."""
    if installed() is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    async with async_playwright() as playwright, launched(playwright) as browser:
        yield browser


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
    """A browser profile of the test's own, logged in as the administrator; give `context.new_page()` another tab."""
    context = await browser.new_context(base_url=web.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    await context.add_cookies([{**cookie(web.url, web.database), "url": web.url, "httpOnly": True, "sameSite": "Strict"}])
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A tab; the test fails for errors in its console, and for anything that the content policy refused."""
    page = await context.new_page()
    seen = Seen(page)
    yield page
    seen.verify()
