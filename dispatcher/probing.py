"""Whether a model endpoint does its part: lists its models, completes, calls tools; and what is wrong where it does not.

The wire format is OpenAI's (https://platform.openai.com/docs/api-reference/chat): `GET /models`, and `POST /chat/completions`
with `stream`, `stream_options.include_usage` and `tools`.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from pydantic import BaseModel

from dispatcher.diagnosis import Fault, answered, failed
from dispatcher.models import Endpoint
from dispatcher.reaching import Allowed

CONNECT_SECONDS = 5.0
LIST_SECONDS = 15.0
PATIENCE_SECONDS = 180.0
"""How long one completion may keep silent: a server that loads its model first takes minutes over the first token."""

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of one answer that are read; a completion of some words is far smaller, and a wrong address may never end."""

_WORDS = "Count from one to twenty in words, separated by commas. Write nothing else."
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Tells the time in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

State = Literal[
    "ok",
    "refused",
    "barred",
    "unknown_host",
    "unreachable",
    "timeout",
    "tls",
    "not_http",
    "redirect",
    "not_openai",
    "auth",
    "model_missing",
    "rate_limited",
    "loading",
    "error",
    "empty",
]


class Health(BaseModel):
    """What a check found. `ok` is True when a completion came; whether tools work is told apart, since not all need them."""

    ok: bool
    state: State
    message: str
    """One line for a person."""
    hint: str = ""
    models: list[str] = []
    model_listed: bool | None = None
    """None where the server lists no models."""
    close: list[str] = []
    """Listed models whose names come near, where the wanted one is not listed."""
    first_token_ms: float | None = None
    tokens_per_second: float | None = None
    tools: bool | None = None
    """Whether a tool call came back; None where that was not found out."""
    tools_text: str = ""


@dataclass
class _Heard:
    """What one streamed completion said."""

    began: float = field(default_factory=time.monotonic)
    first: float | None = None
    last: float = 0
    pieces: int = 0
    tokens: int | None = None
    calls: list[str] = field(default_factory=list)
    error: str = ""

    def take(self, chunk: dict[str, Any]) -> None:
        """One `data:` line of the stream."""
        if chunk.get("error"):
            self.error = json.dumps(chunk["error"])
        usage = chunk.get("usage")
        if isinstance(usage, dict) and isinstance(usage.get("completion_tokens"), int):
            self.tokens = usage["completion_tokens"]
        for choice in chunk.get("choices") or []:
            self._delta(choice.get("delta") or {})

    def _delta(self, delta: dict[str, Any]) -> None:
        for call in delta.get("tool_calls") or []:
            if name := (call.get("function") or {}).get("name"):
                self.calls.append(str(name))
        # Reasoning counts as tokens: llama.cpp, vLLM and SGLang send it as reasoning_content, Ollama as reasoning.
        if delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning") or delta.get("tool_calls"):
            self.last = time.monotonic()
            self.first = self.first or self.last
            self.pieces += 1

    @property
    def first_token_ms(self) -> float | None:
        """Milliseconds from the request to the first token."""
        return round((self.first - self.began) * 1000, 1) if self.first else None

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens per second after the first; by the server's count where it tells one, else by pieces of the stream."""
        count = self.tokens or self.pieces
        seconds = self.last - self.first if self.first else 0
        # Chunks that arrive in one read have no time between them: that is no speed.
        return round((count - 1) / seconds, 1) if count > 1 and seconds > 0.005 else None


Say = Callable[[str], Awaitable[None]]
"""Told what a check waits for."""


async def check(
    endpoint: Endpoint,
    *,
    patience: float = PATIENCE_SECONDS,
    environ: Mapping[str, str] = os.environ,
    say: Say | None = None,
) -> Health:
    """Try the endpoint for real: its list of models, one streamed completion, one tool call. Never raises for its faults.

    `patience` is how many seconds a completion may keep silent. The key is read from `environ` by the endpoint's `key_env`.
    """
    async with _client(endpoint, patience, environ) as (client, keyed):
        probe = _Probe(client, endpoint, keyed=keyed, say=say)
        try:
            async with asyncio.timeout(LIST_SECONDS + 3 * patience):
                return await probe.run()
        except TimeoutError:
            return probe.unwell(failed(httpx.ReadTimeout("no end"), endpoint.base_url, LIST_SECONDS + 3 * patience))
        except httpx.HTTPError as error:
            return probe.unwell(failed(error, endpoint.base_url, patience))


async def offered(endpoint: Endpoint, *, environ: Mapping[str, str] = os.environ) -> list[str] | Fault:
    """The models that the server lists, or what is wrong with it; the endpoint's own model is not looked at."""
    async with _client(endpoint, LIST_SECONDS, environ) as (client, keyed):
        probe = _Probe(client, endpoint, keyed=keyed)
        try:
            async with asyncio.timeout(LIST_SECONDS):
                return await probe.models()
        except TimeoutError:
            return failed(httpx.ReadTimeout("no end"), endpoint.base_url, LIST_SECONDS)
        except httpx.HTTPError as error:
            return failed(error, endpoint.base_url, LIST_SECONDS)


@asynccontextmanager
async def _client(
    endpoint: Endpoint, patience: float, environ: Mapping[str, str]
) -> AsyncIterator[tuple[httpx.AsyncClient, bool]]:
    """A client with the endpoint's key, and whether there is one."""
    key = endpoint.key(environ)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx.Timeout(patience, connect=CONNECT_SECONDS)
    # No proxy and no .netrc from the environment: an endpoint is where the user said, as it is for runs.
    async with httpx.AsyncClient(
        headers=headers, timeout=timeout, trust_env=False, follow_redirects=False, transport=Allowed()
    ) as client:
        yield client, bool(key)


class _Probe:
    """One check, from its first request to its verdict."""

    def __init__(self, client: httpx.AsyncClient, endpoint: Endpoint, *, keyed: bool, say: Say | None = None) -> None:
        self._client = client
        self._endpoint = endpoint
        self._keyed = keyed
        self._say = say
        self._models: list[str] | None = None

    async def models(self) -> list[str] | Fault:
        """What the server lists, or its fault."""
        return await self._list() or self._models or []

    async def _tell(self, words: str) -> None:
        if self._say is not None:
            await self._say(words)

    async def run(self) -> Health:
        """The whole check."""
        await self._tell("asks for its models")
        if fault := await self._list():
            return self.unwell(fault)
        await self._tell(f"waits for {self._endpoint.model} to answer")
        spoken = await self._complete({"messages": [{"role": "user", "content": _WORDS}], "max_tokens": 128})
        if isinstance(spoken, Fault):
            return self.unwell(self._named(spoken))
        if spoken.first is None:
            text = spoken.error or "the answer held no token"
            fault = Fault("empty", f"{self._endpoint.model} said nothing: {text[:300]}", "look at the server's own log")
            return self.unwell(fault)
        await self._tell("waits for a tool call")
        return self._well(spoken, await self._tool())

    def unwell(self, fault: Fault) -> Health:
        """The verdict where something is wrong."""
        return Health(ok=False, state=fault.state, message=fault.message, hint=fault.hint, **self._listed())

    async def _list(self) -> Fault | None:
        timeout = httpx.Timeout(LIST_SECONDS, connect=CONNECT_SECONDS)
        async with self._client.stream("GET", f"{self._endpoint.base_url}/models", timeout=timeout) as answer:
            text = await _limited(answer)
        self._models = model_names(text) if answer.status_code == 200 else None
        if self._models is not None:
            return None
        fault = answered(answer.status_code, answer.headers, text, self._endpoint, keyed=self._keyed)
        # Some servers complete and list nothing: only a completion tells.
        return None if answer.status_code in (404, 405, 501) and fault.state == "error" else fault

    async def _complete(self, body: dict[str, Any]) -> _Heard | Fault:
        request = body | {"model": self._endpoint.model, "stream": True, "stream_options": {"include_usage": True}}
        heard = _Heard()
        async with self._client.stream("POST", f"{self._endpoint.base_url}/chat/completions", json=request) as answer:
            if answer.status_code != 200 or "text/html" in answer.headers.get("content-type", ""):
                text = await _limited(answer)
                return answered(answer.status_code, answer.headers, text, self._endpoint, keyed=self._keyed)
            seen = 0
            async for line in answer.aiter_lines():
                seen += len(line)
                if seen > MAX_ANSWER or line.strip() == "data: [DONE]":
                    break
                if line.startswith("data:") and (chunk := _object(line[5:])) is not None:
                    heard.take(chunk)
        return heard

    async def _tool(self) -> tuple[bool | None, str]:
        """Whether the model calls a tool, and what to do where it does not."""
        question = {"role": "user", "content": "What time is it in Paris? Call get_time to find out; do not guess."}
        try:
            heard = await self._complete({"messages": [question], "tools": [_TOOL], "max_tokens": 512})
        except httpx.HTTPError as error:
            return None, failed(error, self._endpoint.base_url, PATIENCE_SECONDS).message
        if isinstance(heard, Fault):
            return False, f"the server refuses requests with tools: {heard.message}"
        if "get_time" in heard.calls:
            return True, ""
        return False, (
            "no tool call came back: OpenCode and Goose need them, Aider does not; start vLLM with --enable-auto-tool-choice"
            " and --tool-call-parser, llama.cpp with --jinja, or take a model that was trained to call tools"
        )

    def _well(self, spoken: _Heard, tool: tuple[bool | None, str]) -> Health:
        works, text = tool
        speed = f"{spoken.first_token_ms:.0f} ms to the first token"
        if spoken.tokens_per_second:
            speed += f", {spoken.tokens_per_second:g} tokens/s"
        listed = self._listed()
        hint = "" if works else text
        if listed["model_listed"] is False:
            hint = hint or f"the server answers to {self._endpoint.model}, but lists {_some(listed['models'])}"
        tools = {True: "tool calling works", False: "tool calling does not work", None: "tool calling not found out"}[works]
        return Health(
            ok=True,
            state="ok",
            message=f"{self._endpoint.model} answers: {speed}; {tools}",
            hint=hint,
            first_token_ms=spoken.first_token_ms,
            tokens_per_second=spoken.tokens_per_second,
            tools=works,
            tools_text=text,
            **listed,
        )

    def _named(self, fault: Fault) -> Fault:
        """The fault, told as a missing model where that is what it is."""
        listed = self._listed()
        if fault.state not in ("error", "not_openai") or listed["model_listed"] is not False:
            return fault
        near = f"did you mean {' or '.join(listed['close'])}? " if listed["close"] else ""
        hint = f"{near}it has: {_some(listed['models'])}" if listed["models"] else "it has none: load or pull one there"
        return Fault("model_missing", f"the server has no model {self._endpoint.model!r}", hint)

    def _listed(self) -> dict[str, Any]:
        if self._models is None:
            return {"models": [], "model_listed": None, "close": []}
        present = self._endpoint.model in self._models or f"{self._endpoint.model}:latest" in self._models
        close = [] if present else closest(self._endpoint.model, self._models)
        return {"models": self._models, "model_listed": present, "close": close}


def model_names(text: str) -> list[str] | None:
    """The models in the body of an answer to `GET /models`; None where it is not OpenAI's list."""
    data = _object(text)
    rows = data.get("data") if data else None
    if rows is None and data and data.get("object") == "list":
        return []  # Ollama says null where it has no model
    if not isinstance(rows, list):
        return None
    return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row]


def closest(name: str, names: list[str]) -> list[str]:
    """Up to three names that come near `name`."""
    within = [other for other in names if name.lower() in other.lower() or other.lower() in name.lower()]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return list(dict.fromkeys(near + within))[:3]


def _some(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


async def _limited(answer: httpx.Response) -> str:
    data = b""
    async for part in answer.aiter_bytes():
        data += part
        if len(data) > MAX_ANSWER:
            break
    return data.decode("utf-8", "replace")


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
