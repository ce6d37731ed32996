"""What a run's model requests used, counted at the gateway and not by the harness."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from adapters.decode import Lines, json_object

MAX_BODY = 16 * 1024 * 1024
HEAD = 4096
MOST_MODELS = 300
"""Characters of the names of the models that answered."""
_WORDS = ("content", "reasoning_content", "reasoning", "tool_calls", "function_call", "text")
_DELTA = (".delta", "_delta")
"""How events with a token in them end, of OpenAI's Responses and Anthropic's Messages."""


@dataclass
class Meter:
    """Totals of one run. Tokens count only where the endpoint tells them."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    first_token_ms: float | None = None
    """Milliseconds from sending the newest request to the first token of its answer."""
    writing_seconds: float = 0
    models: set[str] = field(default_factory=set)
    """The models that answered, by their own word."""

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def tokens_per_second(self) -> float | None:
        """Completion tokens per second of streaming; None before the first."""
        if not self.completion_tokens or self.writing_seconds <= 0:
            return None
        return round(self.completion_tokens / self.writing_seconds, 1)

    def values(self) -> dict[str, Any]:
        """The totals as columns of a run."""
        return {
            "requests": self.requests,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached_tokens,
            "first_token_ms": self.first_token_ms,
            "tokens_per_second": self.tokens_per_second,
            "answered_by": ", ".join(sorted(self.models))[:MOST_MODELS],
        }


class UsageReader:
    """Finds the usage in one response as it passes by.

    Of several `usage` objects the last counts: servers send it cumulatively, in the finish chunk and again in the final one
    (the OpenAI streaming format: https://platform.openai.com/docs/api-reference/chat-streaming).
    """

    def __init__(self, meter: Meter, *, streamed: bool, sent: float) -> None:
        self._meter = meter
        self._streamed = streamed
        self._sent = sent
        self._first: float | None = None
        self._lines = Lines(MAX_BODY)
        self._body = bytearray()
        self._usage: dict[str, Any] = {}
        self._model: str | None = None
        self.head = bytearray()
        """How the response begins."""

    def feed(self, data: bytes) -> None:
        """The next bytes of the response."""
        if not self._streamed:
            self._begin()
        self.head += data[: max(0, HEAD - len(self.head))]
        if not self._streamed:
            self._body += data[: MAX_BODY - len(self._body)]
            return
        for line in self._lines.feed(data):
            if line.startswith("data:") and ('"usage"' in line or self._model is None or self._first is None):
                event = json_object(line[5:].strip())
                if event is not None and speaks(event):
                    self._begin()
                self._take(event)

    def close(self) -> None:
        """Add what this response used."""
        if not self._streamed:
            self._take(json_object(self._body.decode("utf-8", "replace")))
        details = self._usage.get("prompt_tokens_details") or self._usage.get("input_tokens_details") or {}
        self._meter.prompt_tokens += _count(self._usage, "prompt_tokens", "input_tokens")
        self._meter.completion_tokens += _count(self._usage, "completion_tokens", "output_tokens")
        self._meter.cached_tokens += _count(details, "cached_tokens") if isinstance(details, dict) else 0
        if self._first is not None and self._usage:
            # A reply that came at once as a whole took from its sending to write.
            self._meter.writing_seconds += time.monotonic() - (self._first if self._streamed else self._sent)
        if self._model:
            self._meter.models.add(self._model)

    def _begin(self) -> None:
        if self._first is None:
            self._first = time.monotonic()
            self._meter.first_token_ms = round((self._first - self._sent) * 1000, 1)

    def _take(self, data: object) -> None:
        if not isinstance(data, dict):
            return
        inner = data.get("response") or data.get("message")  # OpenAI's Responses and Anthropic's Messages wrap it
        data = inner if isinstance(inner, dict) else data
        if isinstance(data.get("usage"), dict):
            self._usage = self._usage | data["usage"]
        if isinstance(data.get("model"), str):
            self._model = data["model"]


def speaks(data: dict[str, Any]) -> bool:
    """Whether one event of a stream holds a token: servers send comments and the role before the model has read the prompt."""
    if str(data.get("type", "")).endswith(_DELTA):
        return True
    choices = data.get("choices")
    if not isinstance(choices, list):
        return False
    deltas = [choice.get("delta") or choice for choice in choices if isinstance(choice, dict)]
    return any(delta.get(word) for delta in deltas if isinstance(delta, dict) for word in _WORDS)


def _count(usage: dict[str, Any], *names: str) -> int:
    for name in names:
        if isinstance(usage.get(name), int):
            return int(usage[name])
    return 0
