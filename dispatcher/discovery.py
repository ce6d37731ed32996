"""Finds the model servers that run on this machine, at the ports that they use unless told otherwise.

Ports and tell-tales, as their makers document them:
Ollama 11434, `GET /api/version`, context in `GET /api/ps` (https://docs.ollama.com/api-reference/get-version, .../api/ps);
LM Studio 1234, `owned_by: organization_owner`, context in `GET /api/v0/models` (https://lmstudio.ai/docs/api/rest-api);
vLLM 8000, `owned_by: vllm` and `max_model_len` (vllm/entrypoints/openai/protocol.py, ModelCard), `GET /version`;
llama.cpp 8080, `owned_by: llamacpp`, slots and context in `GET /props` (llama.cpp, tools/server/README.md);
SGLang 30000, `owned_by: sglang` and `max_model_len` (https://docs.sglang.io/basic_usage/openai_api.html);
LiteLLM 4000, `GET /health/liveliness` says "I'm alive!" without a key (https://docs.litellm.ai/docs/proxy/health).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import BaseModel

from dispatcher.reaching import Allowed

PORTS: Mapping[str, int] = {
    "Ollama": 11434,
    "LM Studio": 1234,
    "vLLM": 8000,
    "llama.cpp": 8080,
    "SGLang": 30000,
    "LiteLLM": 4000,
}
SECONDS = 1.5
_OWNERS = {"vllm": "vLLM", "sglang": "SGLang", "llamacpp": "llama.cpp", "organization_owner": "LM Studio"}
OTHER = "OpenAI-compatible server"


class FoundModel(BaseModel):
    """A model that a server offers; `context_length` in tokens, None where the server does not tell it."""

    name: str
    context_length: int | None = None


class Found(BaseModel):
    """A model server that answered."""

    product: str
    base_url: str
    version: str | None = None
    needs_key: bool = False
    slots: int | None = None
    """How many requests it works on at once, where it tells."""
    models: list[FoundModel] = []


async def discover(ports: Mapping[str, int] = PORTS, *, host: str = "127.0.0.1", seconds: float = SECONDS) -> list[Found]:
    """Ask all ports at once; gives the model servers that answered, in the order of `ports`.

    Which product it is is told by its answers and not by its port. What is no model server is left out.
    """
    async with httpx.AsyncClient(timeout=seconds, trust_env=False, follow_redirects=False, transport=Allowed()) as client:
        roots = [f"http://{host}:{port}" for port in dict.fromkeys(ports.values())]
        # An answer may come bit by bit without end, which no timeout of one read notices.
        found = await asyncio.gather(*(_Server(client, root).look(3 * seconds) for root in roots))

    return [server for server in found if server is not None]


def ports_of(further: Sequence[int] = ()) -> dict[str, int]:
    """The usual ports, and further ones."""
    return dict(PORTS) | {f"port {port}": port for port in further}


class _Server:
    """One address that may be a model server."""

    def __init__(self, client: httpx.AsyncClient, root: str) -> None:
        self._client = client
        self._root = root

    async def look(self, seconds: float) -> Found | None:
        """What is there, or None where it is no model server, or one that has not answered within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                return await self._look()
        except TimeoutError:
            return None

    async def _look(self) -> Found | None:
        try:
            answer = await self._client.get(f"{self._root}/v1/models")
        except httpx.HTTPError:
            return None
        if answer.status_code in (401, 403):
            return await self._locked()
        rows = _rows(_json(answer)) if answer.status_code == 200 else None
        if rows is None:
            return None
        product = await self._product(rows)
        found = Found(product=product, base_url=f"{self._root}/v1", models=[_model(row) for row in rows])
        if detail := _DETAILS.get(product):
            await detail(self, found)
        return found

    async def get(self, path: str) -> Any:
        """The JSON at a path of the server's own; None where there is none."""
        try:
            answer = await self._client.get(f"{self._root}{path}")
        except httpx.HTTPError:
            return None
        return _json(answer) if answer.status_code == 200 else None

    async def _product(self, rows: list[dict[str, Any]]) -> str:
        for row in rows:
            if product := _OWNERS.get(str(row.get("owned_by"))):
                return product
        if "version" in _dict(await self.get("/api/version")):
            return "Ollama"
        if await self._alive():
            return "LiteLLM"
        return OTHER

    async def _alive(self) -> bool:
        return bool(await self.get("/health/liveliness") == "I'm alive!")

    async def _locked(self) -> Found | None:
        """A server that lists nothing without a key; only where it says what it is, since any site may answer 401."""
        base_url = f"{self._root}/v1"
        if await self._alive():
            return Found(product="LiteLLM", base_url=base_url, needs_key=True)
        # vLLM guards the paths below /v1 alone: its /version stays open.
        version = _dict(await self.get("/version")).get("version")
        return Found(product="vLLM", base_url=base_url, needs_key=True, version=str(version)) if version else None


async def _ollama(server: _Server, found: Found) -> None:
    found.version = _text(_dict(await server.get("/api/version")).get("version"))
    loaded = {row.get("name"): row.get("context_length") for row in _rows(await server.get("/api/ps"), "models") or []}
    for model in found.models:
        model.context_length = _count(loaded.get(model.name))


async def _lm_studio(server: _Server, found: Found) -> None:
    rows = {row.get("id"): row for row in _rows(await server.get("/api/v0/models")) or []}
    found.models = [model for model in found.models if rows.get(model.name, {}).get("type") != "embeddings"]
    for model in found.models:
        row = rows.get(model.name, {})
        model.context_length = _count(row.get("loaded_context_length")) or _count(row.get("max_context_length"))


async def _llama_cpp(server: _Server, found: Found) -> None:
    props = _dict(await server.get("/props"))
    found.version, found.slots = _text(props.get("build_info")), _count(props.get("total_slots"))
    context = _count(_dict(props.get("default_generation_settings")).get("n_ctx"))
    for model in found.models:
        model.context_length = context or model.context_length


async def _vllm(server: _Server, found: Found) -> None:
    found.version = _text(_dict(await server.get("/version")).get("version"))


async def _litellm(server: _Server, found: Found) -> None:
    found.version = _text(_dict(await server.get("/health/readiness")).get("litellm_version"))


_DETAILS = {"Ollama": _ollama, "LM Studio": _lm_studio, "llama.cpp": _llama_cpp, "vLLM": _vllm, "LiteLLM": _litellm}


def _model(row: dict[str, Any]) -> FoundModel:
    return FoundModel(name=str(row.get("id")), context_length=_count(row.get("max_model_len")))


def _rows(data: Any, key: str = "data") -> list[dict[str, Any]] | None:
    rows = _dict(data).get(key)
    if rows is None and _dict(data).get("object") == "list":
        return []  # Ollama says null where it has no model
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None


def _dict(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
