"""What a page loads: quickly, from memory, as it is on disk; and nothing that the frame names hides what a page was given."""

from __future__ import annotations

import ast
import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from dispatcher.stack import listen
from web.assets import DIGEST, LIBRARIES, STATIC, VENDOR, Assets, modules
from web.main import bind

WEB = Path(__file__).parents[2] / "web"


@pytest.fixture
async def site() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=Starlette(routes=[Mount("/static", Assets())]))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.parametrize("name", ["js/app.js", "css/base.css", "icon.svg", "vendor/htmx.js"])
async def test_a_file_is_kept_for_ever_and_is_what_stands_on_disk(site: httpx.AsyncClient, name: str) -> None:
    path = LIBRARIES / VENDOR[name.removeprefix("vendor/")] if name.startswith("vendor/") else STATIC / name
    whole = await site.get(f"/static/{DIGEST}/{name}", headers={"accept-encoding": "identity"})
    assert whole.content == path.read_bytes() and "content-encoding" not in whole.headers
    small = await site.get(f"/static/{DIGEST}/{name}", headers={"accept-encoding": "gzip, br"})
    assert small.content == whole.content and small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < len(whole.content) and small.headers["vary"] == "Accept-Encoding"
    assert small.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert small.headers["content-type"] == whole.headers["content-type"] != "application/octet-stream"
    head = await site.head(f"/static/{DIGEST}/{name}", headers={"accept-encoding": "identity"})
    assert head.content == b"" and int(head.headers["content-length"]) == len(whole.content)


async def test_what_no_memory_answers_comes_from_disk(site: httpx.AsyncClient) -> None:
    old = await site.get("/static/000000000000/js/app.js")
    assert old.status_code == 200 and old.headers["cache-control"] == "no-cache"
    part = await site.get(f"/static/{DIGEST}/js/app.js", headers={"range": "bytes=0-9"})
    assert part.status_code == 206 and part.content == (STATIC / "js" / "app.js").read_bytes()[:10]
    same = await site.get(f"/static/{DIGEST}/js/app.js", headers={"if-none-match": old.headers["etag"]})
    assert same.status_code == 304
    fresh = await site.get(f"/static/{DIGEST}/js/app.js", headers={"cache-control": "no-cache"})
    assert fresh.headers["etag"] == old.headers["etag"]


@pytest.mark.parametrize("name", ["js/none.js", "../app.py", "js/../../app.py", "vendor/none.js", "vendor/../app.js", ""])
async def test_there_is_nothing_else(site: httpx.AsyncClient, name: str) -> None:
    for path in (name, name.replace("..", "%2e%2e")):
        assert (await site.get(f"/static/{DIGEST}/{path}")).status_code == 404


def test_the_board_names_all_its_scripts_at_once() -> None:
    named = modules("app", "board")
    assert {"js/app.js", "js/keys.js", "js/board-live.js", "js/board-dialog.js"} <= set(named)
    assert all((STATIC / name).is_file() for name in named)
    for name in named:
        text = (STATIC / name).read_text(encoding="utf-8")
        assert {f"js/{one}.js" for one in re.findall(r'^import .*"\./([\w-]+)\.js"', text, re.MULTILINE)} <= set(named), name


@pytest.mark.parametrize("listening", [listen, bind])
async def test_answers_wait_for_no_acknowledgement(listening: Callable[[str, int], socket.socket]) -> None:
    """Without TCP_NODELAY an answer of two writes takes 40 ms: the other side delays what it acknowledges, as Linux does."""
    found: list[int] = []
    done = asyncio.Event()

    async def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        done.set()

    listener = listening("127.0.0.1", 0)
    async with await asyncio.start_server(look, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        await asyncio.wait_for(done.wait(), 10)
        writer.close()
    assert found[0] == 1


def test_the_frame_hides_nothing_that_a_page_was_given() -> None:
    """A `set` at the top of base.html hides a page's own value of that name in every block: `at` once broke the forms."""
    taken = set(re.findall(r"{% set (\w+) =", (WEB / "templates" / "base.html").read_text(encoding="utf-8")))
    assert taken
    for path in (WEB / "pages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("page", "render"):
                assert not taken & {one.arg for one in node.keywords}, f"{path}:{node.lineno}"
            if isinstance(node, ast.Dict):
                names = {key.value for key in node.keys if isinstance(key, ast.Constant)}
                assert not taken & names, f"{path}:{node.lineno}"
