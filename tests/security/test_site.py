"""Other sites cannot drive this one, and nothing that was written elsewhere runs in its pages."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from adapters.session import Item
from dispatcher import runs
from tests.webbing import Web, open_web
from web.assets import STATIC, static

HERE = "http://127.0.0.1:8484"
OURS = re.compile(
    r'<script src="/static/[0-9a-f]{12}/(?:js|vendor)/[a-z0-9/-]+\.js"(?: defer| type="module")?>'
    r'|<img src="/static/[0-9a-f]{12}/icon\.svg" alt="" width="20" height="20">'
    r'|<svg class="glyph" viewBox="0 0 16 16" aria-hidden="true">'
    r'|<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
)
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'; alert(1); '",
    "</textarea><script>alert(1)</script>",
    "</pre></details><iframe src=//evil.example>",
    "[click](javascript:alert(1))",
    "<!--<style>*{display:none}</style>",
    "{{ 7 * 191 }} {% for x in y %}",
    "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07 \u202egpj.exe \x00",
    "data: {}\n\nevent: fake\nid: 99\n\n",
]


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(
        f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path / "data", allowed_hosts=["Board.example.org"]
    ) as web:
        yield web


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8484", True),
        ("127.0.0.1", True),
        ("localhost:1234", True),
        ("LOCALHOST", True),
        ("[::1]:8484", True),
        ("board.example.org", True),
        ("board.example.org.:80", True),
        ("evil.example", False),
        ("evil.example:8484", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("evil.example#127.0.0.1", False),
        ("evil@127.0.0.1", False),
        ("192.168.1.5:8484", False),
        ("0.0.0.0:8484", False),
        ("", False),
        ("127.0.0.1:8484, evil.example", False),
    ],
)
@pytest.mark.guarantee("the local site cannot be driven by other sites")
@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/static/site.css", "/api/v1/events"])
async def test_only_our_own_names_are_answered(web: Web, host: str, path: str, allowed: bool) -> None:
    if allowed and path.endswith("events"):
        path = "/api/v1/events?ticket=NONE-1"  # a stream has no end; that it looks for the ticket is enough
    answer = await web.client.get(path, headers={"Host": host})
    assert (answer.status_code == 400) != allowed
    if not allowed and path.startswith("/api"):
        assert answer.json()["error"]["code"] == "foreign_host" and "DISPATCHER_ALLOWED_HOSTS" in answer.text


@pytest.mark.guarantee("the local site cannot be driven by other sites")
async def test_two_hosts_are_none(web: Web) -> None:
    request = httpx.Request("GET", f"{HERE}/", headers=[("Host", "127.0.0.1"), ("Host", "evil.example")])
    assert (await web.client.send(request)).status_code == 400


async def test_a_site_for_other_machines_is_called_by_its_addresses_and_by_no_name(tmp_path: Path) -> None:
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path, host="0.0.0.0") as web:
        for host, status in (("192.168.1.5:8484", 200), ("[fe80::1]:8484", 200), ("evil.example", 400), ("0.0.0.0", 200)):
            assert (await web.client.get("/inbox", headers={"Host": host})).status_code == status, host


REQUESTS = [
    ({}, True),  # a program
    ({"Sec-Fetch-Site": "same-origin", "Origin": HERE}, True),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Origin": HERE}, True),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:3000"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "odd"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": HERE}, False),
    ({"Origin": "http://127.0.0.1:3000"}, False),
    ({"Origin": "http://evil.example"}, False),
    ({"Origin": "http://127.0.0.1:8484.evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": ""}, False),
]


@pytest.mark.guarantee("the local site cannot be driven by other sites")
@pytest.mark.parametrize(("headers", "allowed"), REQUESTS)
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_another_site_cannot_change_anything(web: Web, method: str, headers: dict[str, str], allowed: bool) -> None:
    for path in ("/api/v1/tickets/WEB-1", "/tickets", "/tickets/WEB-1/cancel"):
        answer = await web.client.request(method, path, headers=headers)
        assert (answer.status_code == 403) != allowed, (path, answer.status_code)


READS = [
    *REQUESTS,
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, True),  # a link
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, False),
    ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "object"}, False),
    ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, False),
]


@pytest.mark.guarantee("the local site cannot be driven by other sites")
@pytest.mark.parametrize("path", ["/api/v1/status", "/", "/api/v1/events?ticket=NONE-1", "/live?since=x"])
@pytest.mark.parametrize(("headers", "allowed"), READS)
async def test_another_site_may_link_here_and_read_nothing(web: Web, headers: dict[str, str], path: str, allowed: bool) -> None:
    answer = await web.client.get(path, headers=headers)
    assert (answer.status_code != 403) == allowed
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.guarantee("the local site cannot be driven by other sites")
async def test_a_preflight_is_not_answered(web: Web) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST", "Sec-Fetch-Site": "cross-site"}
    answer = await web.client.options("/api/v1/tickets", headers=headers)
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.guarantee("the local site cannot be driven by other sites")
async def test_every_answer_carries_the_headers(web: Web) -> None:
    @web.app.get("/broken")
    def broken() -> None:
        raise RuntimeError("oops")

    paths = {
        "/": 303,
        "/start": 200,
        "/api/v1/status": 200,
        "/nothing": 404,
        "/api/v1/runs/x": 422,
        static("js/live.js"): 200,
        "/broken": 500,
    }
    for path, status in paths.items():
        answer = await web.client.get(path)
        assert answer.status_code == status
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        for part in ("script-src 'self'", "form-action 'self'", "base-uri 'none'"):
            assert f"{part};" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-opener-policy"] == answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in answer.headers["permissions-policy"]
        assert answer.headers["x-frame-options"] == "DENY" and answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == ("public, max-age=31536000, immutable" if "static" in path else "no-store")
    refused = await web.client.get("/", headers={"Host": "evil.example"})
    assert "content-security-policy" in refused.headers


async def test_the_pages_load_nothing_from_elsewhere(web: Web) -> None:
    for path in ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"):
        assert (await web.client.get(path)).status_code == 404
    for file in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        addresses = set(re.findall(r"""https?://[^\s"')]+|(?<=url\()[^)]+|@import""", file.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, file.name


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/api/v1/tickets", "/tickets"])
async def test_a_body_that_is_too_large_is_refused(tmp_path: Path, path: str, chunked: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 1000

    kind = "application/json" if path.startswith("/api") else "application/x-www-form-urlencoded"
    async with open_web(f"sqlite:///{tmp_path / 'dispatcher.db'}", tmp_path, max_body=20_000) as web:
        content = parts() if chunked else b"x" * 40_000
        answer = await web.client.post(path, content=content, headers={"Content-Type": kind})
        assert answer.status_code == 413 and "DISPATCHER_MAX_BODY" in answer.text
        assert "20,000 bytes" in answer.text
        small = await web.client.post(path, content=b"x" * 100, headers={"Content-Type": kind})
        assert small.status_code != 413
        for length in ("many", "-1", "1" * 30):
            odd = await web.client.post(path, content=b"", headers={"Content-Length": length})
            assert odd.status_code in (400, 413)


@pytest.mark.guarantee("no script from transcripts, diffs or markdown")
@pytest.mark.parametrize("text", HOSTILE)
async def test_what_others_wrote_is_inert(web: Web, repository: Path, text: str) -> None:
    await web.furnish(repository)
    title = " ".join(text.split()) or "x"
    label = re.sub(r"[,\n\x00]", "", text).strip()[:49]
    key = await web.ticket(f"T {title}", body=text, labels=[label], agent="coder")
    items = [
        Item(seq=0, kind="user", text=text),
        Item(seq=1, kind="reasoning", text=text),
        Item(seq=2, kind="tool_call", tool=text, title=text, input={"command": text}, output=text, status="failed"),
        Item(seq=3, kind="assistant", text=text),
        Item(seq=4, kind="error", text=text, code=text),
    ]
    stored = text.replace("\x00", "")
    blocked = runs.Result("block", "question", stored, "question", evidence=stored)
    web.work(key, repository, result=blocked, items=items)
    await web.send("POST", f"/tickets/{key}/comment", {"body": f"C {text}", "path": text, "line": 1}, status=201)
    tabs = [f"/tickets/{key}{tab}" for tab in ("", "/transcript", "/changes", "/checks", "/runs", "/discard")]
    pages = [await web.client.get(path) for path in ("/", *tabs)]
    pages.append(await web.client.get("/", params={"q": title[:20], "project": text}))
    pages.append(await web.client.post(f"/tickets/{key}/approve", data={"message": text, "method": text}))
    pages.append(await web.client.post("/tickets", data={"project": text, "title": text, "body": text, "labels": text}))
    for answer in pages:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        tags = re.findall(r"<(?:script|iframe|svg|img|style|object|embed)\b[^>]*>", answer.text)
        assert tags and not [tag for tag in tags if not OURS.fullmatch(tag)]
        assert not re.search(r"<[^>]*\s(?:on\w+|style)\s*=", re.sub(r'"[^"]*"', '""', answer.text))
        assert "javascript:" not in "".join(re.findall(r'(?:href|src|action)="([^"]*)"', answer.text))
        assert "1337" not in answer.text, "a template ran what it was given"
        assert not set(answer.text) & {"\x1b", "\x07", "\x00", "\u202e"}
    document = await web.client.get(f"/api/v1/tickets/{key}")
    assert document.headers["content-type"] == "application/json" and document.json()["body"]


async def test_an_entry_of_the_feed_cannot_forge_another(web: Web, repository: Path) -> None:
    await web.furnish(repository)
    await web.ticket("x data: {}\rid: 99", body="\n\nid: 99\n\n")
    feed = web.app.state.site.feed
    sent = b""
    async for part in feed.events(0):
        sent += part
        if b"ticket.filed" in part:
            break
    events = [block for block in sent.decode().split("\n\n") if "data:" in block]
    for block in events:
        names = [line.partition(":")[0] for line in block.split("\n")]
        assert names == ["event", "data", "id"] and "\r" not in block
        assert json.loads(block.split("\n")[1].removeprefix("data: "))["id"] < 99
