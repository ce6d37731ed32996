"""The registries of endpoints and agents; checks and discovery against servers that answer as the documented ones do."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dispatcher import agents, endpoints
from dispatcher.demo.scripted import Call, Empty, RawHtml, Request, Say, ScriptedEndpoint, Stall, Status, Step
from dispatcher.endpoints import check, discover
from dispatcher.errors import Conflict, DispatcherError, Invalid, NotFound
from dispatcher.models import Endpoint
from tests.board import Board

ADD: dict[str, Any] = {"name": "second", "base_url": "http://127.0.0.1:11434/v1", "model": "qwen3-coder:30b"}
KEY = "sk-abcdefghijklmnopqrstuvwxyz0123456789"


def test_endpoints_are_added_listed_and_removed(board: Board) -> None:
    with board.database.transaction() as db:
        added = endpoints.add_endpoint(db, **ADD, key_env="LOCAL_API_KEY", context_length=16_384, slots=3)
        assert (added.output_length, added.slots, added.key_env) == (4096, 3, "LOCAL_API_KEY")
    with board.database.transaction() as db:
        assert [row.name for row in endpoints.list_endpoints(db)] == ["local", "second"]
        endpoints.remove_endpoint(db, endpoints.get_endpoint(db, "second"))
        with pytest.raises(NotFound, match="second"):
            endpoints.get_endpoint(db, "second")


@pytest.mark.parametrize(
    ("change", "field", "fix"),
    [
        ({"name": "My Server"}, "name", "my-server"),
        ({"name": ""}, "name", "local"),
        ({"base_url": "http://127.0.0.1:11434"}, "base_url", "use http://127.0.0.1:11434/v1"),
        ({"base_url": "http://127.0.0.1:11434/api"}, "base_url", "use http://127.0.0.1:11434/v1"),
        ({"base_url": "http://127.0.0.1:1/v1/chat/completions"}, "base_url", "use http://127.0.0.1:1/v1"),
        ({"base_url": "127.0.0.1:11434/v1"}, "base_url", "http://127.0.0.1:11434/v1"),
        ({"base_url": "ftp://127.0.0.1/v1"}, "base_url", "http://"),
        ({"base_url": "http://127.0.0.1:99999/v1"}, "base_url", "http://"),
        ({"base_url": "http://127.0.0.1/v1?x=1"}, "base_url", "use http://127.0.0.1/v1"),
        ({"base_url": f"http://me:{KEY}@127.0.0.1/v1"}, "base_url", "key_env"),
        ({"model": "  "}, "model", "discover"),
        ({"model": "a\nb"}, "model", "one line"),
        ({"key_env": KEY}, "key_env", "LOCAL_API_KEY"),
        ({"key_env": "my key"}, "key_env", "LOCAL_API_KEY"),
        ({"context_length": 0}, "context_length", "32768"),
        ({"output_length": 0}, "output_length", "more than 0"),
        ({"context_length": 4096, "output_length": 8192}, "output_length", "no more"),
        ({"slots": 0}, "slots", "1 to"),
    ],
)
def test_a_wrong_endpoint_names_the_field_and_the_fix(board: Board, change: dict[str, Any], field: str, fix: str) -> None:
    with pytest.raises(Invalid) as caught, board.database.transaction() as db:
        endpoints.add_endpoint(db, **ADD | change)
    assert caught.value.field == field
    assert fix in caught.value.hint
    assert KEY not in caught.value.line(), "a key shall not reach logs and terminals"


def test_what_is_used_stays(board: Board) -> None:
    with board.database.transaction() as db:
        with pytest.raises(Conflict, match="local is used by coder"):
            endpoints.remove_endpoint(db, endpoints.get_endpoint(db, "local"))
        ticket = board.ticket(db, agent_id=board.agent(db).id)
        with pytest.raises(Conflict, match="coder is assigned to WEB-1"):
            agents.remove_agent(db, board.agent(db))
        board.run(db, ticket=ticket, state="succeeded")
        ticket.agent_id = None
        db.add(ticket)
        with pytest.raises(Conflict, match="coder has runs of WEB-1"):
            agents.remove_agent(db, board.agent(db))
        endpoints.add_endpoint(db, **ADD)
        with pytest.raises(Conflict, match="already"):
            endpoints.add_endpoint(db, **ADD)


def test_agents_are_added_and_removed(board: Board) -> None:
    with board.database.transaction() as db:
        agents.add_agent(db, name="pair", harness="aider", endpoint="local", max_tokens=5000)
        assert [agent.name for agent in agents.list_agents(db)] == ["coder", "pair"]
        agents.remove_agent(db, agents.get_agent(db, "pair"))
        with pytest.raises(NotFound, match="pair"):
            agents.get_agent(db, "pair")


@pytest.mark.parametrize(
    ("change", "field", "fix"),
    [
        ({"name": "Über"}, "name", "ber"),
        ({"harness": "gooze"}, "harness", "aider, goose, opencode"),
        ({"endpoint": "nowhere"}, "endpoint", "local"),
        ({"max_seconds": 0}, "max_seconds", "seconds"),
        ({"max_seconds": float("nan")}, "max_seconds", "seconds"),
        ({"max_silence": float("inf")}, "max_silence", "seconds"),
        ({"max_tokens": -1}, "max_tokens", "0 for no limit"),
        ({"max_turns": 0}, "max_turns", "1 to"),
        ({"instructions": "x" * 50_001}, "instructions", "AGENTS.md"),
    ],
)
def test_a_wrong_agent_names_the_field_and_the_fix(board: Board, change: dict[str, Any], field: str, fix: str) -> None:
    with pytest.raises(DispatcherError) as caught, board.database.transaction() as db:
        agents.add_agent(db, **{"name": "pair", "harness": "aider", "endpoint": "local"} | change)
    assert caught.value.field == field
    assert fix in caught.value.hint


def at(base_url: str, model: str = "scripted", key_env: str = "") -> Endpoint:
    return Endpoint(name="local", base_url=base_url, model=model, key_env=key_env)


def able(request: Request) -> Step:
    """A model that talks, and calls the tool that it is given."""
    return Call("get_time", {"city": "Paris"}) if request.body.get("tools") else Say("one, two, three, four, five, six, seven")


async def test_a_healthy_endpoint_is_measured() -> None:
    with ScriptedEndpoint(able, chunk_delay=0.02) as server:
        health = await check(at(server.base_url))
    assert (health.ok, health.state, health.models, health.model_listed, health.tools) == (True, "ok", ["scripted"], True, True)
    assert health.first_token_ms is not None and 10 < health.first_token_ms < 2000
    assert health.tokens_per_second is not None and 1 < health.tokens_per_second < 500


async def test_a_model_that_calls_no_tool_is_told() -> None:
    with ScriptedEndpoint([Say("one, two"), Say("It is noon, I guess.")]) as server:
        health = await check(at(server.base_url))
    assert health.ok and health.tools is False
    assert "Aider does not" in health.hint and "does not work" in health.message


async def test_a_server_that_refuses_tools_is_told() -> None:
    with ScriptedEndpoint([Say("one, two"), Status(400, "tools are not supported")]) as server:
        health = await check(at(server.base_url))
    assert health.ok and health.tools is False and "tools are not supported" in health.tools_text


async def test_a_missing_model_names_those_that_there_are() -> None:
    with ScriptedEndpoint(able, models=("qwen3-coder:30b", "llama3.1:8b")) as server:
        health = await check(at(server.base_url, "qwen3-coder"))
    assert health.state == "model_missing" and health.close == ["qwen3-coder:30b"]
    assert "did you mean qwen3-coder:30b?" in health.hint and "llama3.1:8b" in health.hint


@pytest.mark.parametrize(
    ("key_env", "environ", "told"),
    [
        ("", {}, "names none"),
        ("MODEL_KEY", {}, "MODEL_KEY is not set"),
        ("MODEL_KEY", {"MODEL_KEY": "wrong"}, "refuses the key in MODEL_KEY"),
    ],
)
async def test_a_key_that_is_missing_or_wrong_is_told(key_env: str, environ: dict[str, str], told: str) -> None:
    with ScriptedEndpoint(able, api_key="right") as server:
        health = await check(at(server.base_url, key_env=key_env), environ=environ)
        good = await check(at(server.base_url, key_env="MODEL_KEY"), environ={"MODEL_KEY": "right"})
    assert health.state == "auth" and told in health.message
    assert good.ok


async def test_nothing_there_an_unknown_host_and_no_tls_are_told_apart() -> None:
    with closing(socket.socket()) as taken:  # so that nobody else begins to listen there
        taken.bind(("127.0.0.1", 0))
        assert (await check(at(f"http://127.0.0.1:{taken.getsockname()[1]}/v1"))).state == "refused"
    unknown = await check(at("http://no-such-host.invalid/v1"))
    assert unknown.state == "unknown_host" and "no-such-host.invalid" in unknown.message
    with ScriptedEndpoint(able) as server:
        tls = await check(at(server.base_url.replace("http:", "https:")))
    assert tls.state == "tls" and tls.hint == f"use http://127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (RawHtml(), "not_openai"),
        (Status(429), "rate_limited"),
        (Status(503, "Loading model"), "loading"),
        (Status(500, "CUDA out of memory"), "error"),
        (Empty(), "empty"),
    ],
)
async def test_a_completion_that_does_not_come_is_diagnosed(step: Step, state: str) -> None:
    with ScriptedEndpoint([step]) as server:
        health = await check(at(server.base_url))
    assert (health.ok, health.state) == (False, state)
    assert "\n" not in health.message and health.hint


async def test_a_silent_server_is_not_waited_for_without_end() -> None:
    with ScriptedEndpoint([Stall(20)]) as server:
        health = await asyncio.wait_for(check(at(server.base_url), patience=0.3), 10)
    assert health.state == "timeout"


Answers = dict[str, tuple[int, Any]]


@contextmanager
def playing(answers: Answers) -> Iterator[int]:
    """A server that answers GETs as told, and everything else with 404; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, {"error": "not found"}))
            html = isinstance(body, bytes)
            data = body if html else json.dumps(body).encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "http://elsewhere.invalid/")
            self.send_header("Content-Type", "text/html" if html else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Silence."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "answers", "state", "told"),
    [
        ("/v1", {"/v1/models": (200, b"<!doctype html><title>Router</title>")}, "not_openai", "web page"),
        ("/api/v1", {"/api/v1/models": (404, b"<html>no</html>")}, "not_openai", "/v1"),
        ("/v1", {"/v1/models": (302, {})}, "redirect", "elsewhere.invalid"),
        ("/v1", {"/v1/models": (200, {"models": []})}, "not_openai", "list of models"),
    ],
)
async def test_a_wrong_address_is_told(path: str, answers: Answers, state: str, told: str) -> None:
    with playing(answers) as port:
        health = await check(at(f"http://127.0.0.1:{port}{path}"))
    assert health.state == state and told in f"{health.message} {health.hint}"


async def test_what_speaks_no_http_is_told() -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        health = await check(at(f"http://127.0.0.1:{port}/v1"))
    assert health.state == "not_http"


def models(owner: str, *names: str, **more: Any) -> tuple[int, Any]:
    return 200, {"object": "list", "data": [{"id": name, "object": "model", "owned_by": owner} | more for name in names]}


SERVERS: dict[str, Answers] = {
    "Ollama": {
        "/v1/models": models("library", "qwen3-coder:30b"),
        "/api/version": (200, {"version": "0.12.6"}),
        "/api/ps": (200, {"models": [{"name": "qwen3-coder:30b", "context_length": 16384}]}),
    },
    "LM Studio": {
        "/v1/models": models("organization_owner", "qwen3-coder", "text-embedding-nomic"),
        "/api/v0/models": (
            200,
            {
                "data": [
                    {"id": "qwen3-coder", "type": "llm", "max_context_length": 262144, "loaded_context_length": 16384},
                    {"id": "text-embedding-nomic", "type": "embeddings", "max_context_length": 2048},
                ]
            },
        ),
    },
    "vLLM": {
        "/v1/models": models("vllm", "Qwen/Qwen3-Coder", max_model_len=16384),
        "/version": (200, {"version": "0.11.0"}),
    },
    "llama.cpp": {
        "/v1/models": models("llamacpp", "qwen.gguf", meta={"n_ctx_train": 131072}),
        "/props": (200, {"default_generation_settings": {"n_ctx": 16384}, "total_slots": 4, "build_info": "b8681-abc"}),
    },
    "SGLang": {"/v1/models": models("sglang", "Qwen/Qwen3-Coder", max_model_len=16384)},
    "LiteLLM": {
        "/v1/models": models("openai", "gpt-oss"),
        "/health/liveliness": (200, "I'm alive!"),
        "/health/readiness": (200, {"status": "connected", "litellm_version": "1.81.10"}),
    },
}


@pytest.mark.parametrize("product", SERVERS)
async def test_each_product_is_known_by_its_answers_and_not_by_its_port(product: str) -> None:
    with playing(SERVERS[product]) as port:
        found = await discover({"whatever": port})
    assert [server.product for server in found] == [product]
    assert found[0].base_url == f"http://127.0.0.1:{port}/v1" and not found[0].needs_key
    told = {model.name: model.context_length for model in found[0].models}
    assert len(told) == 1 and list(told.values()) == [None if product == "LiteLLM" else 16384]
    assert found[0].slots == (4 if product == "llama.cpp" else None)
    assert (found[0].version is None) == (product in ("LM Studio", "SGLang"))


async def test_discovery_asks_all_at_once_and_leaves_out_what_is_no_model_server() -> None:
    locked: Answers = {"/v1/models": (401, {}), "/health/liveliness": (200, "I'm alive!")}
    other: Answers = {"/v1/models": (200, b"<html>")}
    secret: Answers = {"/v1/models": (401, {})}
    none: Answers = {"/v1/models": (200, {"object": "list", "data": None}), "/api/version": (200, {"version": "0.12.6"})}
    with playing(locked) as a, playing(other) as b, playing(secret) as c, playing(none) as d, closing(socket.socket()) as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        ports = {"a": a, "b": b, "c": c, "d": d, "mute": mute.getsockname()[1]}
        found = await asyncio.wait_for(discover(ports, seconds=2), 30)
    assert [(server.product, server.needs_key, server.models) for server in found] == [
        ("LiteLLM", True, []),
        ("Ollama", False, []),
    ]


async def test_the_demo_endpoint_is_found_as_one_of_an_unknown_make() -> None:
    with ScriptedEndpoint(able) as server:
        found = await discover({"demo": server.port})
    assert [(one.product, [model.name for model in one.models]) for one in found] == [
        ("OpenAI-compatible server", ["scripted"])
    ]


def test_a_checks_result_is_kept(board: Board) -> None:
    health = asyncio.run(check(at("http://127.0.0.1:1/v1")))
    with board.database.transaction() as db:
        endpoints.record_health(db, endpoints.get_endpoint(db, "local"), health)
    with board.database.reading() as db:
        kept = endpoints.get_endpoint(db, "local")
        assert kept.health is not None and kept.health["state"] == "refused" and kept.checked_at is not None
