"""What the API takes and gives, as types: the OpenAPI document is made from these."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dispatcher.changes import Stats
from dispatcher.sandboxes import Reach, Receipt
from dispatcher.states import RunState, TicketState, TicketTrigger


class Out(BaseModel):
    """Something that the API gives; made from a row of the same names, and from what is given beside it."""

    model_config = ConfigDict(from_attributes=True)


class ErrorBody(BaseModel):
    """What is wrong, what to do about it, and which input it was."""

    message: str
    hint: str = ""
    field: str | None = None
    code: str


class ErrorOut(BaseModel):
    """Every error has this shape."""

    error: ErrorBody


class ProjectOut(Out):
    """A git repository under the dispatcher's care; `counts` are its tickets by state."""

    key: str
    name: str
    path: str
    default_branch: str
    check_command: str
    setup_command: str
    merge_method: str
    sandbox: str
    reach: Reach
    created_at: AwareDatetime
    counts: dict[str, int] = {}
    notes: list[str] = []
    """What to know of the repository before agents work in it; told when it is added and when one project is shown."""


class EndpointOut(Out):
    """A model server; lengths in tokens, `health` what the last check found."""

    name: str
    base_url: str
    model: str
    key_env: str
    context_length: int
    output_length: int
    slots: int
    slots_in_use: int = 0
    health: dict[str, Any] | None
    checked_at: AwareDatetime | None
    retired_at: AwareDatetime | None
    created_at: AwareDatetime


class AgentOut(Out):
    """Harness, endpoint, model, instructions and limits under one name; times in seconds."""

    name: str
    harness: str
    endpoint: str
    model: str
    instructions: str
    max_seconds: float
    max_silence: float
    max_tokens: int
    max_turns: int
    retired_at: AwareDatetime | None
    created_at: AwareDatetime


class BlockerOut(Out):
    """Why a ticket cannot go on without a person; `run` is the run's id."""

    id: int
    kind: str
    text: str
    advice: str
    evidence: str
    evidence_seq: int | None
    files: list[str]
    answer: str | None
    run: int | None
    created_at: AwareDatetime
    resolved_at: AwareDatetime | None


class CommentOut(Out):
    """What a person said; on a line of the diff where `path` is set."""

    id: int
    author: str
    body: str
    path: str | None
    line: int | None
    start_line: int | None = None
    side: str = "new"
    """new, or old for lines that were removed."""
    head_sha: str | None = None
    snippet: str = ""
    """The lines that it is about, as they were in `head_sha`."""
    review: int | None
    created_at: AwareDatetime


class ReviewOut(Out):
    """A person's verdict on a head commit."""

    id: int
    author: str
    verdict: str
    body: str
    head_sha: str
    run: int | None
    created_at: AwareDatetime


class CheckOut(Out):
    """A check command's result: passed, failed or timed_out."""

    id: int
    run: int
    name: str
    command: str
    state: str
    exit_code: int | None
    seconds: float
    output: str
    created_at: AwareDatetime


class RunOut(Out):
    """One attempt of one agent at one ticket; `seconds` runs from the start of its harness."""

    id: int
    ticket: str
    number: int
    state: RunState
    reason: str
    agent: str
    endpoint: str
    harness: str
    harness_version: str | None
    model: str
    worker: str | None
    doing: str
    plan_done: int
    plan_total: int
    feedback: str
    resume: str | None
    cancel_requested: bool
    exit_code: int | None
    outcome: str | None
    summary: str
    base_sha: str | None
    head_sha: str | None
    receipt: Receipt | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    requests: int
    first_token_ms: float | None
    tokens_per_second: float | None
    answered_by: str
    other_model: str
    seconds: float | None
    created_at: AwareDatetime
    claimed_at: AwareDatetime | None
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None


class RunDetail(RunOut):
    """A run with the prompt that it was given, the harness's own name for its session, and how much it changed."""

    prompt: str
    session: str | None = None
    changed: Stats | None = None


class TicketOut(Out):
    """A piece of work on the board; `blocker` is the open one, `run` the newest, `check` how its checks ended."""

    key: str
    project: str
    number: int
    title: str
    body: str
    state: TicketState
    labels: list[str]
    agent: str | None
    position: float
    additions: int
    deletions: int
    files: int
    merged_sha: str | None
    origin: dict[str, Any] | None = None
    """Of a GitHub issue: kind, repository, number, url, author, waiting (for a person to accept it), gone."""
    created_at: AwareDatetime
    updated_at: AwareDatetime
    closed_at: AwareDatetime | None
    blocker: BlockerOut | None
    run: RunOut | None
    check: str | None = None


class WorkspaceOut(Out):
    """The worktree and branch of a ticket; `checkout` is a command that shows the branch elsewhere."""

    branch: str
    target: str
    path: str
    base_sha: str
    head_sha: str
    merge_sha: str | None
    checkout: str


class TicketDetail(TicketOut):
    """Everything that there is about a ticket; runs newest first, checks those of the newest run that has any."""

    workspace: WorkspaceOut | None
    blockers: list[BlockerOut]
    comments: list[CommentOut]
    reviews: list[ReviewOut]
    runs: list[RunOut]
    checks: list[CheckOut]
    triggers: list[TicketTrigger]


class ActivityOut(Out):
    """One entry of the feed; `id` is its cursor."""

    id: int
    at: AwareDatetime
    kind: str
    actor: str
    """Who did it; empty for what the dispatcher did by itself."""
    ticket: str | None
    run: int | None
    project: str | None
    data: dict[str, Any]


class WorkerOut(Out):
    """A worker process; `runs` are the ids of the runs that it works on, `harnesses` what it found, by their names.

    `hindrance` says why it takes no new runs; empty where it does.
    """

    name: str
    host: str
    pid: int
    version: str
    runs_at_once: int
    harnesses: dict[str, Any]
    sandboxes: dict[str, Any]
    hindrance: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    runs: list[int]


class StatusOut(Out):
    """What runs where."""

    version: str
    home: str
    database: str
    redis: Literal["ok", "away", "none"]
    workers: int
    counts: dict[str, int]
    cursor: int
    """Of the newest entry of the activity feed."""


class Input(BaseModel):
    """Something that the API takes; a name that it does not know is an error and not ignored."""

    model_config = ConfigDict(extra="forbid")


class NewProject(Input):
    """A repository on this machine."""

    path: str
    key: str | None = None
    name: str | None = None
    default_branch: str | None = None
    check_command: str = ""
    setup_command: str = ""
    merge_method: str = "merge"
    sandbox: str | None = None
    reach: Reach = Reach()


class NewEndpoint(Input):
    """A model server; `key_env` is the name of the variable that holds its key, never the key."""

    name: str
    base_url: str
    model: str
    key_env: str = ""
    context_length: int | None = None
    output_length: int | None = None
    slots: int = 1


class NewAgent(Input):
    """A harness with an endpoint and limits; an empty model is the endpoint's own."""

    name: str
    harness: str
    endpoint: str
    model: str = ""
    instructions: str = ""
    max_seconds: float = 3600
    max_silence: float = 600
    max_tokens: int = 0
    max_turns: int = 100


class NewTicket(Input):
    """A piece of work; assigned at once where `agent` is given."""

    project: str
    title: str
    body: str = ""
    labels: list[str] = []
    agent: str | None = None


class SeenTicket(Input):
    """What a ticket said when a change of it was begun; only of fields that are changed does it matter."""

    title: str | None = None
    body: str | None = None
    labels: list[str] | None = None


class EditTicket(Input):
    """What is to be changed; what is left out stays."""

    title: str | None = None
    body: str | None = None
    labels: list[str] | None = None
    position: float | None = Field(None, allow_inf_nan=False)
    was: SeenTicket | None = Field(
        None,
        description="What it said before. Refused with 409, and nothing changed, where it says something else by now.",
    )


class Assign(Input):
    """The agent's name."""

    agent: str


class NewComment(Input):
    """Something said; on a line of the diff where `path` and `line` are given."""

    body: str
    path: str | None = Field(None, max_length=4000)
    line: int | None = Field(None, ge=1)


class Answer(Input):
    """The answer to a blocker; an empty one tries again. With `blocker`, the id that the ticket shows, to that one alone."""

    text: str = ""
    blocker: int | None = Field(
        None, ge=1, description="Refused with 409, and nothing changed, where another one is open by now."
    )
