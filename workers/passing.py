"""What passes the gateway and what does not: headers, bodies, and the endpoint's faults in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from adapters.decode import json_object
from adapters.faults import endpoint_fault
from adapters.session import OutcomeKind

BUSY = (429, 502, 503, 504)
HEAD = 4096
_DROPPED = {"host", "content-length", "authorization", "connection", "transfer-encoding", "accept-encoding", "x-api-key"}
_FORMATS = {"application/json", "text/event-stream", "application/x-ndjson"}
_KEPT = {"content-type", "cache-control", "retry-after", "x-request-id"}


@dataclass(frozen=True)
class Fault:
    """What the endpoint answered instead of a completion. `final` faults are not worth another try."""

    kind: OutcomeKind
    text: str
    final: bool = False


def headers_in(headers: Mapping[str, str], key: str) -> dict[str, str]:
    """A request's headers as the endpoint gets them: with its key, without the run's token."""
    passed = {name: value for name, value in headers.items() if name.lower() not in _DROPPED}
    passed["Accept-Encoding"] = "identity"  # what is compressed comes in blocks, and not as it is written
    return passed | ({"Authorization": f"Bearer {key}"} if key else {})


def headers_out(headers: Mapping[str, str]) -> dict[str, str]:
    """An answer's headers as the harness gets them."""
    return {name: value for name, value in headers.items() if name.lower() in _KEPT}


def with_usage(path: str, body: bytes) -> bytes:
    """The body, asking for the count of tokens at the end of a stream where the harness does not.

    `stream_options.include_usage` of https://platform.openai.com/docs/api-reference/chat/create, which vLLM, SGLang,
    llama.cpp, Ollama, LM Studio and LiteLLM take too. Without it a stream tells nothing of what it used.
    """
    if path not in ("/v1/chat/completions", "/v1/completions") or b'"stream"' not in body or b'"include_usage"' in body:
        return body
    asked = json_object(body.decode("utf-8", "replace"))
    if asked is None or asked.get("stream") is not True or asked.get("stream_options"):
        return body
    return json.dumps(asked | {"stream_options": {"include_usage": True}}, ensure_ascii=False).encode()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds after which a busy endpoint wants to be asked again, where it says so."""
    try:
        return max(0.1, float(headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


async def fault_of(name: str, upstream: aiohttp.ClientResponse, head: bytes | bytearray | None = None) -> Fault:
    """The fault that an answer tells of; `head` is how its body begins, where that has been read."""
    body = await upstream.content.read(HEAD) if head is None else head
    text = " ".join(body.decode("utf-8", "replace").split())
    kind = endpoint_fault(text, upstream.status) or "endpoint_error"
    return Fault(kind, f"{name} answered {upstream.status}: {text[:400]}")


def misdirected(name: str, upstream: aiohttp.ClientResponse) -> Fault | None:
    """The fault of an address that leads elsewhere: a redirect, which is not followed, or a web page."""
    if 300 <= upstream.status < 400:
        target = upstream.headers.get("Location", "an unnamed place")[:300]
        text = f"{name} answered {upstream.status}, a redirect to {target}: make that the endpoint's address if it is meant"
        return Fault("endpoint_error", text, final=True)
    # A harness that gets a web page asks again for ever: OpenCode made 928 requests in two minutes.
    if upstream.status < 300 and upstream.content_type not in _FORMATS:
        text = f"{name} answered {upstream.content_type}, not a completion: {upstream.url} is no model server's path"
        return Fault("endpoint_error", text, final=True)
    return None


def error(status: int, text: str) -> web.Response:
    """An answer of the gateway's own, in the form of OpenAI's errors."""
    kind = "rate_limit_exceeded" if status == 429 else "gateway_error"
    return web.json_response({"error": {"message": text, "type": kind, "code": kind}}, status=status)
