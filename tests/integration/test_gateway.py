"""The gateway against a real HTTP endpoint: what passes, what is waited for, what is counted, what stays outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from dispatcher.demo.scripted import Cut, RawHtml, Say, ScriptedEndpoint, Stall, Status
from dispatcher.models import Endpoint
from workers.gateway import Door, Gateway

BODY: dict[str, Any] = {"model": "scripted", "messages": [{"role": "user", "content": "hello"}]}


@asynccontextmanager
async def opened(
    endpoint: ScriptedEndpoint, patience: float = 5, key_env: str = ""
) -> AsyncIterator[tuple[Door, httpx.AsyncClient]]:
    row = Endpoint(name="local", base_url=endpoint.base_url, model="local-coder", key_env=key_env)
    async with Gateway() as gateway, gateway.open(row, patience) as door:
        headers = {"Authorization": f"Bearer {door.token}"}
        async with httpx.AsyncClient(base_url=door.base_url, headers=headers, timeout=30) as client:
            yield door, client


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


async def test_only_model_paths_pass() -> None:
    with ScriptedEndpoint([]) as endpoint:
        async with opened(endpoint) as (_, client):
            assert (await client.get("/../admin")).status_code == 404
            assert (await client.get("/models")).status_code == 200


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
            await asyncio.sleep(0.7)
            assert "does not answer" in door.waiting and door.quiet_seconds == 0
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
    with ScriptedEndpoint([Stall(0.6)]) as endpoint:
        async with opened(endpoint) as (door, client):
            asking = asyncio.create_task(client.post("/chat/completions", json=BODY | {"stream": True}))
            await asyncio.sleep(0.3)
            assert door.quiet_seconds == 0
            await asking
            await asyncio.sleep(0.1)
            assert door.quiet_seconds > 0


async def test_a_harness_that_hangs_up_at_the_last_word_is_counted_whole() -> None:
    with ScriptedEndpoint([Say("one two three four five six")], chunk_delay=0.03) as endpoint:
        async with opened(endpoint) as (door, client):
            body = BODY | {"stream": True, "stream_options": {"include_usage": True}}
            async with client.stream("POST", "/chat/completions", json=body) as response:
                async for _ in response.aiter_raw():
                    break
            async with asyncio.timeout(5):
                while not door.meter.tokens:  # noqa: ASYNC110  # the count comes after the client has gone
                    await asyncio.sleep(0.02)
            assert (door.meter.prompt_tokens, door.meter.completion_tokens) == endpoint.usage


async def test_an_answer_that_breaks_off_is_seen_to_break_off() -> None:
    with ScriptedEndpoint([Cut(Say("one two three four five six"), "drop"), Say("whole")]) as endpoint:
        async with opened(endpoint) as (door, client):
            with pytest.raises(httpx.HTTPError):
                await client.post("/chat/completions", json=BODY | {"stream": True})
            assert door.fault is not None and "broke off" in door.fault.text
            await client.post("/chat/completions", json=BODY)
            assert door.fault is None
