"""The gateway against a real HTTP endpoint: what passes, what is waited for, what is counted, what stays outside."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dispatcher.demo.scripted import Cut, RawHtml, Request, Say, ScriptedEndpoint, Stall, Status, Step
from dispatcher.models import Endpoint
from tests import sandboxes
from workers.gateway import Door, Gateway

BODY: dict[str, Any] = {"model": "scripted", "messages": [{"role": "user", "content": "hello"}]}


@asynccontextmanager
async def opened(
    endpoint: ScriptedEndpoint, patience: float = 5, key_env: str = "", *, budget: int = 0
) -> AsyncIterator[tuple[Door, httpx.AsyncClient]]:
    row = Endpoint(name="local", base_url=endpoint.base_url, model="local-coder", key_env=key_env)
    async with Gateway().open(row, patience, budget=budget) as door:
        headers = {"Authorization": f"Bearer {door.token}"}
        async with httpx.AsyncClient(base_url=door.base_url, headers=headers, timeout=30) as client:
            yield door, client


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # what is waited for is told in no other way
            await asyncio.sleep(0.01)


async def test_a_completion_passes_and_is_counted() -> None:
    with ScriptedEndpoint([Say("one two three"), Say("four")]) as endpoint:
        async with opened(endpoint) as (door, client):
            whole = await client.post("/chat/completions", json=BODY)
            streamed = await client.post(
                "/chat/completions", json=BODY | {"stream": True, "stream_options": {"include_usage": True}}
            )
    usage = whole.json()["usage"]
    assert whole.json()["choices"][0]["message"]["content"] == "one two three"
    assert streamed.headers["content-type"].startswith("text/event-stream") and "data: [DONE]" in streamed.text
    assert door.meter.requests == 2 and door.meter.prompt_tokens > usage["prompt_tokens"]
    assert door.meter.completion_tokens >= usage["completion_tokens"]
    assert door.meter.models == {"scripted"} and door.fault is None


@pytest.mark.guarantee("no key inside")
async def test_the_key_is_added_here_and_the_token_goes_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_KEY", "sk-outside-only")
    with ScriptedEndpoint([Say("yes")], api_key="sk-outside-only") as endpoint:
        async with opened(endpoint, key_env="LOCAL_KEY") as (door, client):
            assert (await client.post("/chat/completions", json=BODY)).status_code == 200
            seen = [value for request in endpoint.requests for value in request.headers.values()]
            assert any("sk-outside-only" in value for value in seen) and not any(door.token in value for value in seen)


@pytest.mark.guarantee("no key inside")
async def test_without_the_runs_token_nothing_passes() -> None:
    with ScriptedEndpoint([Say("yes")]) as endpoint:
        async with opened(endpoint) as (_, client):
            refused = await client.post("/chat/completions", json=BODY, headers={"Authorization": "Bearer other"})
            assert refused.status_code == 401
        assert endpoint.requests == []


PASSES = "GET /v1/models"
REFUSED = {
    "GET /v1/../admin": 404,
    "GET /v1/models/../../admin": 404,
    "GET /v1/models/%2e%2e/%2e%2e/admin": 404,
    "GET /v1/models%2f..%2fadmin": 404,
    "GET //v1/models": 404,
    "GET /v1//models": 404,
    "GET /v1/models/": 404,
    "GET /V1/models": 404,
    "GET /v1/models%00": 404,
    "GET /v1/models;x": 404,
    "GET http://127.0.0.1/api/pull": 404,
    "POST /api/pull": 404,
    "POST /v1/models": 405,
    "DELETE /v1/models": 405,
    "GET /v1/chat/completions": 405,
    "OPTIONS /v1/chat/completions": 405,
    "TRACE /v1/chat/completions": 405,
    "CONNECT 127.0.0.1:22": 404,
}


@pytest.mark.parametrize("line", [PASSES, "GET /v1/%6dodels", *REFUSED])
async def test_only_model_paths_pass(line: str) -> None:
    with ScriptedEndpoint([]) as endpoint:
        async with opened(endpoint) as (door, _):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(door.base_url.rpartition(":")[2].removesuffix("/v1"))
            )
            writer.write(
                f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {door.token}\r\nConnection: close\r\n\r\n".encode()
            )
            status = int((await reader.readline()).split()[1])
            writer.close()
        assert status == REFUSED.get(line, 200)
        assert {request.path for request in endpoint.requests} <= {"/v1/models"}
        assert bool(endpoint.requests) == (line not in REFUSED)


async def test_a_redirect_is_not_followed() -> None:
    with ScriptedEndpoint([Say("never asked")]) as other:
        moved = Status(307, "moved", headers={"Location": f"{other.base_url}/chat/completions"})
        with ScriptedEndpoint([moved]) as endpoint:
            async with opened(endpoint) as (door, client):
                answer = await client.post("/chat/completions", json=BODY)
        assert answer.status_code == 400 and other.base_url in answer.json()["error"]["message"]
        assert door.gave_up.is_set() and door.fault is not None and door.fault.final and not other.requests


async def test_after_the_last_token_of_the_budget_nothing_passes() -> None:
    with ScriptedEndpoint([Say("one two three four"), Say("never asked")]) as endpoint:
        async with opened(endpoint, budget=3) as (door, client):
            assert (await client.post("/chat/completions", json=BODY)).status_code == 200
            refused = await client.post("/chat/completions", json=BODY)
            assert refused.status_code == 403 and "3 is the run's limit" in refused.json()["error"]["message"]
        assert len(endpoint.requests) == 1 and door.meter.tokens > 3


async def test_a_stream_passes_as_it_is_written() -> None:
    step = Stall(60, "chunks", then=Say("one two three four five six"))
    with ScriptedEndpoint([step]) as endpoint:
        async with (
            opened(endpoint) as (_, client),
            client.stream("POST", "/chat/completions", json=BODY | {"stream": True}) as answer,
        ):
            heard = b""
            async for piece in answer.aiter_raw():
                heard += piece
                if b"one" in heard:
                    break
            assert not endpoint.requests[0].usage, "the first is heard before the last is written"


async def test_a_stream_is_counted_where_the_harness_does_not_ask_for_it() -> None:
    with ScriptedEndpoint([Say("one two three")]) as endpoint:
        async with opened(endpoint) as (door, client):
            await client.post("/chat/completions", json=BODY | {"stream": True})
    assert (door.meter.prompt_tokens, door.meter.completion_tokens) == endpoint.usage


async def test_a_server_that_knows_no_count_of_tokens_is_asked_without() -> None:
    step = Status(422, "extra field not permitted: stream_options")
    with ScriptedEndpoint([step, Say("one"), Say("two")]) as endpoint:
        async with opened(endpoint) as (door, client):
            answers = [await client.post("/chat/completions", json=BODY | {"stream": True}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200] and door.fault is None
        assert ["stream_options" in request.body for request in endpoint.requests] == [True, False, False]


@pytest.mark.skipif(
    sandboxes.default() != "strict" or shutil.which("openssl") is None, reason="needs a mount namespace and openssl"
)
async def test_a_name_is_looked_up_once_and_leads_to_no_link_local_address(tmp_path: Path) -> None:
    (tmp_path / "hosts").touch()
    (tmp_path / "nsswitch.conf").write_text("hosts: files\n")
    binds = [part for name in ("hosts", "nsswitch.conf") for part in ("--bind", str(tmp_path / name), f"/etc/{name}")]
    certificate = {"SSL_CERT_FILE": str(tmp_path / "certificate"), "KEY_FILE": str(tmp_path / "key")}
    asked = f"req -x509 -nodes -newkey rsa:2048 -keyout {certificate['KEY_FILE']} -out {certificate['SSL_CERT_FILE']} -days 2"
    asked += " -subj /CN=tls.test -addext subjectAltName=DNS:tls.test"
    await asyncio.to_thread(subprocess.run, ["openssl", *asked.split()], capture_output=True, check=True)
    argv = ["bwrap", "--dev-bind", "/", "/", *binds, sys.executable, "-m", "tests.moving"]
    env = {**os.environ, **certificate}
    ran = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, timeout=60, env=env)
    assert ran.stdout == "kept\n", ran.stderr


@pytest.mark.guarantee("an endpoint that restarts does not fail a run")
async def test_a_busy_endpoint_is_waited_for() -> None:
    with ScriptedEndpoint([Status(429, "slow down", headers={"Retry-After": "0.2"}), Status(503), Say("now")]) as endpoint:
        async with opened(endpoint) as (door, client):
            answer = await client.post("/chat/completions", json=BODY)
    assert answer.status_code == 200 and door.fault is None and not door.gave_up.is_set()


@pytest.mark.guarantee("an endpoint that restarts does not fail a run")
async def test_an_endpoint_that_comes_back_is_waited_for() -> None:
    with ScriptedEndpoint([Say("back again")]) as endpoint:
        async with opened(endpoint, patience=20) as (door, client):
            await asyncio.to_thread(endpoint.stop)
            waiting = asyncio.create_task(client.post("/chat/completions", json=BODY))
            await until(lambda: "does not answer" in door.waiting)
            assert door.quiet_seconds == 0
            await asyncio.to_thread(endpoint.start)
            assert (await waiting).json()["choices"][0]["message"]["content"] == "back again"
    assert door.waiting == ""


async def test_patience_has_an_end() -> None:
    with ScriptedEndpoint([Say("never asked")]) as endpoint:
        async with opened(endpoint, patience=0.6) as (door, client):
            await asyncio.to_thread(endpoint.stop)
            answer = await client.post("/chat/completions", json=BODY)
    assert answer.status_code == 503 and door.gave_up.is_set()
    assert door.fault is not None and door.fault.kind == "endpoint_down"


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (Status(401, "bad key"), "endpoint_auth"),
        (Status(404, "model x does not exist"), "endpoint_error"),
        (Status(400, "maximum context length is 10"), "context_overflow"),
        (Status(500, "CUDA out of memory"), "endpoint_error"),
    ],
)
async def test_a_refusal_passes_at_once_and_is_remembered_until_a_success(step: Status, kind: str) -> None:
    with ScriptedEndpoint([step, Say("better")]) as endpoint:
        async with opened(endpoint) as (door, client):
            assert (await client.post("/chat/completions", json=BODY)).status_code == step.code
            assert door.fault is not None and door.fault.kind == kind
            await client.post("/chat/completions", json=BODY)
            assert door.fault is None


async def test_a_web_page_is_no_completion_and_not_worth_another_try() -> None:
    with ScriptedEndpoint([RawHtml("<html>hello</html>")]) as endpoint:
        async with opened(endpoint) as (door, client):
            answer = await client.post("/chat/completions", json=BODY)
            assert answer.status_code == 400 and "text/html" in answer.json()["error"]["message"]
            assert door.gave_up.is_set() and door.fault is not None and door.fault.final and door.meter.tokens == 0


async def test_an_open_request_is_not_silence() -> None:
    asked, go = threading.Event(), threading.Event()

    def thinks(_: Request) -> Step:
        asked.set()
        go.wait(60)
        return Say("Now.")

    with ScriptedEndpoint(thinks) as endpoint:
        async with opened(endpoint) as (door, client):
            asking = asyncio.create_task(client.post("/chat/completions", json=BODY | {"stream": True}))
            await until(asked.is_set)
            assert door.quiet_seconds == 0
            go.set()
            await asking
            await until(lambda: door.quiet_seconds > 0)


async def test_a_harness_that_hangs_up_at_the_last_word_is_counted_whole() -> None:
    with ScriptedEndpoint([Say("one two three four five six")], chunk_delay=0.03) as endpoint:
        async with opened(endpoint) as (door, client):
            body = BODY | {"stream": True, "stream_options": {"include_usage": True}}
            async with client.stream("POST", "/chat/completions", json=body) as response:
                async for _ in response.aiter_raw():
                    break
            await until(lambda: door.meter.tokens > 0)  # the count comes after the client has gone
            assert (door.meter.prompt_tokens, door.meter.completion_tokens) == endpoint.usage


async def test_an_answer_that_breaks_off_is_seen_to_break_off() -> None:
    with ScriptedEndpoint([Cut(Say("one two three four five six"), "drop"), Say("whole")]) as endpoint:
        async with opened(endpoint) as (door, client):
            with pytest.raises(httpx.HTTPError):
                await client.post("/chat/completions", json=BODY | {"stream": True})
            assert door.fault is not None and "broke off" in door.fault.text
            await client.post("/chat/completions", json=BODY)
            assert door.fault is None
