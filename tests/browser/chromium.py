"""The machine's own Chromium, headless: its headless shell where there is one, which takes half the time of a whole one."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Playwright

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
MISSING = "there is no Chromium here: apt install chromium"
OPTIONS = [
    "--no-sandbox",  # the tests run as root where CI does
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def installed() -> str | None:
    """Its path, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def launched(playwright: Playwright) -> AsyncIterator[Browser]:
    """A browser; raises `RuntimeError` where none is installed."""
    path = installed()
    if path is None:
        raise RuntimeError(MISSING)
    browser = await playwright.chromium.launch(executable_path=path, args=OPTIONS)
    try:
        yield browser
    finally:
        await browser.close()
