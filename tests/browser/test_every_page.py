"""Every page that the site has, full of things, in both colour schemes, wide and as narrow as a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from dispatcher.github import secrets
from tests.browser.axe import scan
from tests.browser.stuff import full
from tests.github_server import TOKEN
from tests.webbing import Web, operations

PAGES = {
    "/": "/?open=WEB-3",
    "/tickets/new": "/tickets/new",
    "/tickets/{key}": "/tickets/WEB-1",
    "/tickets/{key}/move": "/tickets/WEB-3/move",
    "/tickets/{key}/cancel": "/tickets/WEB-3/cancel",
    "/tickets/{key}/checks": "/tickets/WEB-3/checks",
    "/tickets/{key}/runs": "/tickets/WEB-3/runs",
    "/tickets/{key}/runs/{number}": "/tickets/WEB-3/runs/1",
    "/tickets/{key}/transcript": "/tickets/WEB-3/transcript",
    "/tickets/{key}/changes": "/tickets/WEB-3/changes",
    "/tickets/{key}/discard": "/tickets/WEB-3/discard",
    "/tickets/{key}/github": "/tickets/WEB-3/github",
    "/inbox": "/inbox",
    "/github": "/github",
    "/github/{key}": "/github/WEB",
    "/login": "/login",
    "/people": "/people",
    "/people/{name}": "/people/admin",
    "/me": "/me",
    "/audit": "/audit",
    "/start": "/start",
    "/fleet": "/fleet",
    "/fleet/add/endpoint": "/fleet/add/endpoint",
    "/fleet/endpoints/{name}": "/fleet/endpoints/local",
    "/fleet/endpoints/{name}/edit": "/fleet/endpoints/local/edit",
    "/fleet/endpoints/{name}/remove": "/fleet/endpoints/local/remove",
    "/fleet/add/agent": "/fleet/add/agent",
    "/fleet/agents/{name}": "/fleet/agents/coder",
    "/fleet/agents/{name}/edit": "/fleet/agents/coder/edit",
    "/fleet/agents/{name}/remove": "/fleet/agents/coder/remove",
    "/fleet/add/project": "/fleet/add/project",
    "/fleet/projects/{key}": "/fleet/projects/WEB",
    "/fleet/projects/{key}/edit": "/fleet/projects/WEB/edit",
    "/fleet/projects/{key}/remove": "/fleet/projects/WEB/remove",
}
"""An address of each page, by its route."""
NO_PAGES = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/live",
    "/tickets/{key}/transcript/window",
    "/tickets/{key}/transcript/outline",
}


async def test_every_page_is_listed(web: Web) -> None:
    found = {
        path for method, path in operations(web.app.routes) if method == "GET" and not path.startswith(("/api/", "/static"))
    }
    assert found - NO_PAGES == set(PAGES)


@pytest.mark.parametrize("part", range(4))
async def test_every_page_is_accessible_and_fits_a_phone(web: Web, page: Page, repository: Path, part: int) -> None:
    await full(web, repository)
    secrets.write(web.settings, "WEB", "token", TOKEN)
    await web.send("PUT", "/projects/WEB/github", {"repository": "octo/web"})
    wrong: list[str] = []
    for path in list(PAGES.values())[part::4]:
        await page.set_viewport_size({"width": 1440, "height": 900})
        answer = await page.goto(path)
        assert answer is not None and answer.status == 200, path
        await expect(page.locator("#pane h1" if "open=" in path else "h1:visible").first).to_be_visible()
        for width in (1440, 390):
            await page.set_viewport_size({"width": width, "height": 844})
            try:
                await scan(page)
            except AssertionError as error:
                wrong.append(f"{path} at {width}: {error}")
            beyond = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if beyond > 0:
                wrong.append(f"{path} at {width}: {beyond} px too wide")
    assert not wrong, "\n".join(wrong)
