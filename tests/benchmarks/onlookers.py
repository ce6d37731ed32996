"""Browsers that show a page while nobody controls them, as those of users do.

A page that Playwright drives is under a debugger, which is told of each message and each request: work that the pages of users
do not have. These pages are spoken to in between only, over the browser's own session.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from playwright.async_api import Browser, CDPSession

PATIENCE = 30
READY = "document.readyState === 'complete'"


class Onlooker:
    """One page in a browser profile of its own."""

    def __init__(self, session: CDPSession, target: str) -> None:
        self.session = session
        self.target = target

    async def ask(self, script: str) -> Any:
        """What the expression is, as JSON; the page is under a debugger for as long as that takes.

        Raises `RuntimeError` with what the page threw.
        """
        # Not `flatten`: Playwright hands on what a session of its own is told, and not what one within it is.
        attached = await self.session.send("Target.attachToTarget", {"targetId": self.target, "flatten": False})
        mine = attached["sessionId"]
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def hear(event: dict[str, Any]) -> None:
            if event["sessionId"] == mine and not answer.done():
                answer.set_result(json.loads(event["message"]))

        self.session.on("Target.receivedMessageFromTarget", hear)
        try:
            call = {"id": 1, "method": "Runtime.evaluate", "params": {"expression": script, "returnByValue": True}}
            await self.session.send("Target.sendMessageToTarget", {"sessionId": mine, "message": json.dumps(call)})
            told = (await asyncio.wait_for(answer, PATIENCE))["result"]
        finally:
            self.session.remove_listener("Target.receivedMessageFromTarget", hear)
            await self.session.send("Target.detachFromTarget", {"sessionId": mine})
        if "exceptionDetails" in told:
            raise RuntimeError(f"the page threw: {told['exceptionDetails']}")
        return told["result"].get("value")


@asynccontextmanager
async def onlookers(
    browser: Browser, url: str, cookies: list[dict[str, str]], size: dict[str, int]
) -> AsyncIterator[list[Onlooker]]:
    """A loaded page at `url` for each of the cookies, each in a profile of its own; they end with the block."""
    session = await browser.new_browser_cdp_session()
    profiles = []
    try:
        pages = []
        for cookie in cookies:
            profile = (await session.send("Target.createBrowserContext"))["browserContextId"]
            profiles.append(profile)
            strict = {**cookie, "url": url, "httpOnly": True, "sameSite": "Strict"}
            await session.send("Storage.setCookies", {"browserContextId": profile, "cookies": [strict]})
            made = await session.send("Target.createTarget", {"url": url, "browserContextId": profile, **size})
            pages.append(Onlooker(session, made["targetId"]))
            await _loaded(pages[-1])
        yield pages
    finally:
        for profile in profiles:
            await session.send("Target.disposeBrowserContext", {"browserContextId": profile})


async def _loaded(page: Onlooker) -> None:
    deadline = time.monotonic() + PATIENCE
    while not await page.ask(READY):
        if time.monotonic() > deadline:
            raise RuntimeError("a page did not load")
        await asyncio.sleep(0.05)


async def hear(url: str, cookie: dict[str, str]) -> None:
    """Reads what a browser is sent, and draws nothing: one on a machine of its own. It goes on until it is cancelled."""
    cookies = {cookie["name"]: cookie["value"]}
    async with (
        httpx.AsyncClient(base_url=url, cookies=cookies, timeout=None, trust_env=False) as client,
        client.stream("GET", "/live", headers={"Sec-Fetch-Site": "same-origin"}) as answer,
    ):
        answer.raise_for_status()
        async for _ in answer.aiter_raw():
            pass
