"""Schemathesis asks the API all that its own description allows, and much that it does not: no answer is a fault of the site's,
and every answer is one that the description names, in the form that it gives (https://schemathesis.readthedocs.io)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from dispatcher import access
from tests.browser.conftest import serving
from tests.entering import bearer
from tests.webbing import Web, open_web

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
LEFT_OUT = ("/api/v1/events", "/api/v1/endpoints/discover")
"""A stream without an end, and one that takes seconds a call; both have tests of their own."""


@pytest.fixture
async def web(tmp_path: Path, repository: Path) -> AsyncIterator[Web]:
    """A site on a port of its own with tickets in several states."""
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data", writes_per_minute=100_000) as web:
        await web.furnish(repository)
        for number in range(3):
            key = await web.ticket(f"Number {number}", agent="coder")
            if number:
                web.work(key, repository)
        async with serving(web) as url:
            web.url = url
            yield web


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Schemathesis's own: it works out tables of Unicode once for this folder, and looks through all variables at each call."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("home")),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path_factory.mktemp("hypothesis")),
    }


async def asked(web: Web, folder: Path, environment: dict[str, str], headers: dict[str, str], arguments: Sequence[str]) -> str:
    """What Schemathesis says at its end; fails with its report where it found a fault."""
    described = folder / "openapi.json"
    described.write_text((await web.client.get("/api/v1/openapi.json")).text)
    argv = [str(Path(sys.executable).with_name("st")), "run", str(described), "--url", web.url, "--no-color"]
    argv += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    argv += [part for path in LEFT_OUT for part in ("--exclude-path", path)]
    argv += ["--checks", CHECKS, "--generation-deterministic", "--continue-on-failure"]
    process = await asyncio.create_subprocess_exec(
        *argv, *arguments, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), 100)
    finally:
        if process.returncode is None:
            process.kill()
    text = printed.decode("utf-8", "replace")
    assert process.returncode == 0, text
    return text


async def test_an_administrator_finds_no_fault(web: Web, tmp_path: Path, environment: dict[str, str]) -> None:
    said = await asked(web, tmp_path, environment, bearer(web.database), ["-n", "2", "--phases", "coverage,fuzzing"])
    assert "Tested: 92" in said and (await web.client.get("/api/v1/me")).status_code == 200, "it was heard to the end"


@pytest.mark.parametrize("who", ["viewer", "nobody"])
async def test_others_find_no_fault(web: Web, tmp_path: Path, environment: dict[str, str], who: str) -> None:
    headers: dict[str, str] = {}
    if who == "viewer":
        with web.database.transaction() as db:
            access.add_user(db, "vera", "viewer")
        headers = bearer(web.database, "vera")
    await asked(web, tmp_path, environment, headers, ["-n", "1", "--phases", "fuzzing"])
