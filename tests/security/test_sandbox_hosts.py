"""Hosts that a project names: these are reached, by this port, and no others; the set-up may reach more than the agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatcher.models import Project
from dispatcher.projects import edit_project
from dispatcher.sandboxes import Reach
from tests.gitting import git
from tests.house import House, house
from tests.sandboxes import needs_landlock, needs_strict

pytestmark = pytest.mark.guarantee("the agent writes only its workspace, and reaches only its endpoint")
ADDRESS = "127.0.0.2"
"""Not the address that programs take for this machine itself, for which no proxy is asked."""
ASK = """
import http.client, os, sys, urllib.request
from urllib.parse import urlsplit
how, host, port = sys.argv[1:]
try:
    if how == "plain":
        print(urllib.request.urlopen(f"http://{host}:{port}/a?b=c", timeout=5).read().decode())
    elif how == "tunnel":
        proxy = urlsplit(os.environ["HTTPS_PROXY"])
        through = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=5)
        through.set_tunnel(host, int(port))
        through.request("GET", "/tunnel")
        print(through.getresponse().read().decode())
    else:
        direct = http.client.HTTPConnection(host, int(port), timeout=5)
        direct.request("GET", "/direct")
        print(direct.getresponse().read().decode())
except Exception as error:
    print(f"refused: {getattr(error, 'read', lambda: b'')().decode() or error}".strip())
"""


@pytest.fixture(params=[pytest.param("strict", marks=needs_strict), pytest.param("landlock", marks=needs_landlock)])
async def home(request: pytest.FixtureRequest, tmp_path: Path, repository: Path) -> AsyncIterator[House]:
    (repository / "ask.py").write_text(ASK)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "Ask")
    async with house(tmp_path, "", repository, sandbox=request.param) as made:
        yield made


@pytest.fixture
async def server() -> AsyncIterator[tuple[int, list[str]]]:
    """A plain server outside, and the first lines of what it was asked."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, ADDRESS, 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], asked


async def seen(home: House, *lines: str) -> list[str]:
    """What the agent's lines printed."""
    key = home.file(f"{{ {'; '.join(lines)}; }} > seen.txt 2>&1", "say Done.")
    assert await home.work(key) == "review", home.run(key).summary
    with home.database.reading() as db:
        path = db.get_one(Project, 1).path
    return git(Path(path), "show", f"agent/{key}:seen.txt").splitlines()


async def test_a_named_host_is_reached_by_its_port_alone(home: House, server: tuple[int, list[str]]) -> None:
    port, asked = server
    edit_project(home.database, "SAMPLE", reach=Reach(hosts=[f"{ADDRESS}:{port}"]))
    other = await asyncio.start_server(lambda *_: None, ADDRESS, 0)
    closed = other.sockets[0].getsockname()[1]
    answers = await seen(
        home,
        f"python3 ask.py plain {ADDRESS} {port}",
        f"python3 ask.py tunnel {ADDRESS} {port}",
        f"python3 ask.py direct {ADDRESS} {port}",
        f"python3 ask.py plain {ADDRESS} {closed}",
        f"python3 ask.py tunnel {ADDRESS} {closed}",
        f"python3 ask.py plain example.org {port}",
    )
    other.close()
    assert answers[:2] == ["hello", "hello"] and all(line.startswith("refused") for line in answers[2:]), answers
    assert asked == ["GET /a?b=c HTTP/1.1", "GET /tunnel HTTP/1.1"]
    receipt = home.run("SAMPLE-1").receipt
    assert receipt is not None and receipt["hosts"] == [f"{ADDRESS}:{port}"] and receipt["of"] == len(receipt["refused"])


async def test_the_set_up_may_reach_what_the_agent_may_not(home: House, server: tuple[int, list[str]]) -> None:
    port, asked = server
    edit_project(
        home.database,
        "SAMPLE",
        reach=Reach(setup_hosts=[f"{ADDRESS}:{port}"]),
        setup_command=f"python3 ask.py plain {ADDRESS} {port} | grep -q hello",
        check_command=f"! python3 ask.py plain {ADDRESS} {port} | grep -q hello",
    )
    answers = await seen(home, f"python3 ask.py plain {ADDRESS} {port}", "echo proxy $HTTPS_PROXY")
    assert answers[0].startswith("refused") and answers[1:] == ["proxy"] and asked == ["GET /a?b=c HTTP/1.1"]


async def test_a_name_that_leads_to_this_machine_is_refused(home: House, server: tuple[int, list[str]]) -> None:
    port, asked = server
    edit_project(home.database, "SAMPLE", reach=Reach(hosts=[f"localhost:{port}"]))
    [answer] = await seen(home, f"python3 ask.py tunnel localhost {port}")
    assert answer.startswith("refused") and asked == []
