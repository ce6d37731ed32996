"""What the API takes to change projects, endpoints and agents; what is left out stays."""

from __future__ import annotations

from dispatcher.sandboxes import Reach
from web.schemas import Input


class EditProject(Input):
    """A project's settings; the key stays."""

    path: str | None = None
    name: str | None = None
    default_branch: str | None = None
    check_command: str | None = None
    setup_command: str | None = None
    merge_method: str | None = None
    sandbox: str | None = None
    reach: Reach | None = None


class EditEndpoint(Input):
    """An endpoint's settings; the name stays. Lengths in tokens."""

    base_url: str | None = None
    model: str | None = None
    key_env: str | None = None
    context_length: int | None = None
    output_length: int | None = None
    slots: int | None = None


class EditAgent(Input):
    """An agent's settings; the name stays. Times in seconds, an empty model is the endpoint's own."""

    harness: str | None = None
    endpoint: str | None = None
    model: str | None = None
    instructions: str | None = None
    max_seconds: float | None = None
    max_silence: float | None = None
    max_tokens: int | None = None
    max_turns: int | None = None
