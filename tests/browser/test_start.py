"""The first run in the browser: from an empty site to a ticket that is assigned, without a reload by hand."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from dispatcher.demo.scripted import ScriptedEndpoint
from dispatcher.demo.scripted_demo import demo_script
from dispatcher.harnesses import adapter, install_folder
from tests.browser.axe import scan
from tests.browser.conftest import serving
from tests.browser.seen import Seen
from tests.entering import cookie
from tests.webbing import Web, open_web

TWO_MINUTES = 120.0


@pytest.fixture
def model_server() -> Iterator[ScriptedEndpoint]:
    """The demo's scripted model server."""
    with ScriptedEndpoint(demo_script, models=("scripted-coder",)) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def bare(tmp_path: Path, model_server: ScriptedEndpoint) -> AsyncIterator[Web]:
    """A site in which nothing is set up, that looks for model servers at that one's port too; a harness lies ready."""
    install(tmp_path / "data")
    settings = {"discovery_ports": [model_server.port]}
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data", **settings) as web, serving(web) as url:
        web.url = url
        yield web


def install(home: Path) -> None:
    """What a managed install leaves, as far as a page can see it."""
    harness = adapter("opencode")
    root = install_folder(harness, home)
    binary = root / harness.package.binary
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    (root / "install.json").write_text(json.dumps({"version_output": harness.package.version, "megabytes": 1}))


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browser: Browser, bare: Web) -> AsyncIterator[Page]:
    """A tab of the administrator's."""
    context = await browser.new_context(base_url=bare.url, viewport={"width": 1440, "height": 900})
    await context.add_cookies([{**cookie(bare.url, bare.database), "url": bare.url, "httpOnly": True, "sameSite": "Strict"}])
    page = await context.new_page()
    seen = Seen(page)
    yield page
    seen.verify()
    await context.close()


async def test_from_nothing_to_the_first_ticket(bare: Web, tab: Page, repository: Path) -> None:
    began = time.monotonic()
    await tab.goto("/")
    await expect(tab).to_have_url(f"{bare.url}/start")
    await expect(tab.get_by_text("No worker is running")).to_be_visible()
    await scan(tab)
    await tab.get_by_role("button", name="Use this server").click()
    step = tab.locator("#step-endpoint")
    await expect(step).to_have_class("step step-done")
    await expect(step).to_contain_text("scripted-coder")
    await expect(step.locator(".tag")).to_have_text("Ready")
    await expect(tab.locator("#step-harness")).to_have_class("step step-done")
    await expect(tab.locator("#step-agent")).to_have_attribute("aria-current", "step")
    await tab.get_by_role("button", name="Make this agent").click()
    await expect(tab.locator("#step-agent")).to_contain_text("coder")
    await tab.get_by_label("Path of a git repository").fill("relative/path")
    await tab.get_by_role("button", name="Take it under care").click()
    await expect(tab.get_by_role("alert")).to_contain_text("not an absolute path")
    await scan(tab)
    await tab.get_by_label("Path of a git repository").fill(str(repository))
    await tab.get_by_role("button", name="Take it under care").click()
    await expect(tab.locator("#step-ticket")).to_have_attribute("aria-current", "step")
    await tab.reload()
    await tab.get_by_label("What is to be done").fill("Count minutes right")
    await tab.get_by_role("button", name="File it and start").click()
    await expect(tab).to_have_url(f"{bare.url}/tickets/SAMPLE-1")
    assert (await bare.send("GET", "/tickets/SAMPLE-1"))["agent"] == "coder"
    assert time.monotonic() - began < TWO_MINUTES


async def test_the_steps_follow_what_is_done_elsewhere(bare: Web, tab: Page, model_server: ScriptedEndpoint) -> None:
    await tab.goto("/start")
    await tab.get_by_label("Base URL").fill(f"{model_server.base_url}/wrong")
    body = {"name": "elsewhere", "base_url": model_server.base_url, "model": "scripted-coder"}
    await bare.send("POST", "/endpoints", body, status=201)
    await expect(tab.locator("#step-endpoint")).to_have_class("step step-done")
    await bare.send("POST", "/agents", {"name": "builder", "harness": "opencode", "endpoint": "elsewhere"}, status=201)
    await expect(tab.locator("#step-agent")).to_contain_text("builder")
