"""The parts of a run that need no database: limits, verdict, numbering, tails, the meter, wording."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.session import Item, Outcome, PlanEntry, Session
from dispatcher.models import Agent, Check, Endpoint, Run
from dispatcher.prompts import Policy
from dispatcher.wording import doing
from workers.follow import Numbering, Tail
from workers.gateway import Door, Fault, Gateway
from workers.limits import Limits, Watch
from workers.meter import Meter, UsageReader
from workers.verdict import Work, judge

LIMITS = Limits(seconds=60, silence=10, tokens=100, turns=5, repeats=3)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with Gateway().open(Endpoint(name="local", base_url="http://127.0.0.1:1/v1", model="m"), 5) as door:
        yield door


def call(command: str, number: int) -> Item:
    return Item(
        kind="tool_call", id=f"c{number}", tool="bash", tool_kind="execute", input={"command": command}, status="completed"
    )


async def test_nothing_to_say_while_all_is_well(door: Door) -> None:
    assert Watch(LIMITS, door).verdict() is None


async def test_a_loop_is_equal_calls_in_a_row(door: Door) -> None:
    watch = Watch(LIMITS, door)
    watch.note([call("ls", 1), call("ls", 2), call("pwd", 3), call("ls", 4), call("ls", 5), call("ls", 5)])
    assert watch.verdict() is None
    watch.note([call("ls", 6)])
    verdict = watch.verdict()
    assert verdict is not None and verdict.kind == "loop" and "ls" in verdict.text


async def test_tokens_and_turns_are_the_gateways_count(door: Door) -> None:
    watch = Watch(LIMITS, door)
    door.meter.requests = 5
    door.meter.prompt_tokens = 100
    assert watch.verdict() is None
    door.meter.completion_tokens = 1
    assert (watch.verdict() or pytest.fail()).text.startswith("101 tokens")
    door.meter.prompt_tokens, door.meter.requests = 0, 6
    assert (watch.verdict() or pytest.fail()).text.startswith("6 model requests")


async def test_an_open_request_is_not_silent(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(LIMITS, door)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 11)
    assert (watch.verdict() or pytest.fail()).kind == "stalled"
    door._open = 1
    assert watch.verdict() is None
    door._open = 0
    watch.heard()
    assert watch.verdict() is None
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    watch.heard()
    assert (watch.verdict() or pytest.fail()).kind == "timed_out"


async def test_an_endpoint_that_stays_away_ends_the_run(door: Door) -> None:
    watch = Watch(LIMITS, door)
    door.fault = Fault("rate_limited", "local answered 429")
    assert watch.verdict() is None
    door.gave_up.set()
    verdict = watch.verdict()
    assert verdict is not None and verdict.kind == "rate_limited" and "waited 5 s" in verdict.text
    watch.stop_requested = True
    assert (watch.verdict() or pytest.fail()).kind == "stopped"


def test_the_repositorys_policy_wins_over_the_agents_limits() -> None:
    agent = Agent(name="a", harness="goose", endpoint_id=1, max_seconds=10, max_tokens=5)
    limits = Limits.of(agent, Policy(max_seconds=20, max_tokens=0), 8)
    assert (limits.seconds, limits.tokens, limits.turns) == (20, 0, agent.max_turns)


def run(**values: object) -> Run:
    return Run(ticket_id=1, number=1, agent_id=1, endpoint_id=1, harness="goose", model="m", **values)


SESSION = Session(harness="goose", items=[Item(kind="assistant", text="all good")]).numbered()
DONE = Outcome(kind="done", text="all good", evidence=0)
RED = Check(run_id=1, name="check", command="make test", state="failed", exit_code=2, output="1 failed")
GREEN = Check(run_id=1, name="check", command="make test", state="passed", exit_code=0)


@pytest.mark.parametrize(
    ("given", "outcome", "changed", "checks", "expected"),
    [
        ({}, DONE, True, [GREEN], ("succeed", "done", None)),
        ({}, DONE, True, [], ("succeed", "done", None)),
        ({}, DONE, False, [], ("find_nothing", "no_changes", "no_changes")),
        ({}, DONE, True, [GREEN, RED], ("fail", "check_failed", "check_failed")),
        ({}, Outcome(kind="question", text="which?"), True, [], ("block", "question", "question")),
        ({}, Outcome(kind="permission", text="may I?"), False, [], ("block", "permission", "permission")),
        ({}, Outcome(kind="truncated"), True, [], ("fail", "truncated", "truncated")),
        ({}, Outcome(kind="stopped"), True, [], ("cancel", "stopped", "stopped")),
        ({"ended_by": "stopped", "summary": "stopped on request"}, DONE, True, [GREEN], ("cancel", "stopped", "stopped")),
        ({"ended_by": "timed_out", "summary": "too long"}, DONE, True, [], ("time_out", "timed_out", "timed_out")),
        ({"ended_by": "stalled", "summary": "silent"}, DONE, True, [], ("stall", "stalled", "stalled")),
        ({"ended_by": "loop"}, Outcome(kind="stopped"), True, [], ("fail", "loop", "loop")),
        (
            {"fault_kind": "endpoint_auth", "fault_text": "401"},
            Outcome(kind="crashed"),
            False,
            [],
            ("fail", "endpoint_auth", "endpoint_auth"),
        ),
        ({"fault_kind": "endpoint_auth", "fault_text": "401"}, DONE, True, [GREEN], ("succeed", "done", None)),
    ],
)
def test_verdicts(
    given: dict[str, object], outcome: Outcome, changed: bool, checks: list[Check], expected: tuple[str, str, str | None]
) -> None:
    result = judge(run(**given), SESSION, outcome, Work("sha", changed, checks))
    assert (result.trigger, result.outcome, result.blocker) == expected
    assert result.text or outcome.text == ""


def test_the_evidence_of_a_failed_check_is_its_output() -> None:
    assert judge(run(), SESSION, DONE, Work("sha", True, [RED])).evidence == "1 failed"
    assert judge(run(), SESSION, Outcome(kind="question", text="?", evidence=0), Work("sha", True)).evidence == "all good"


def test_an_item_keeps_its_place_when_it_changes() -> None:
    numbering = Numbering()
    first = numbering.number([Item(kind="assistant", text="a"), Item(kind="tool_call", id="c1", status="pending")])
    second = numbering.number([Item(kind="tool_call", id="c1", status="completed"), Item(kind="assistant", text="b")])
    assert [item.seq for item in first] == [0, 1] and [item.seq for item in second] == [1, 2]


def test_a_tail_reads_only_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "stdout"
    tail = Tail("stdout", path)
    assert tail.read() == b""
    path.write_bytes(b"one\n")
    assert tail.read() == b"one\n" and tail.read() == b""
    with path.open("ab") as file:
        file.write(b"two\n")
    assert tail.read() == b"two\n"
    assert Tail.from_end("history", path).read() == b""


def test_usage_sent_twice_counts_once() -> None:
    meter = Meter()
    reader = UsageReader(meter, streamed=True, sent=time.monotonic())
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    chunk = b"data: " + json.dumps({"model": "m", "choices": [], "usage": usage}).encode() + b"\n\n"
    for byte in range(0, 2 * len(chunk), 7):
        reader.feed((chunk + chunk)[byte : byte + 7])
    reader.close()
    assert (meter.prompt_tokens, meter.completion_tokens, meter.cached_tokens, meter.models) == (10, 2, 4, {"m"})


@pytest.mark.parametrize(
    ("before", "token"),
    [
        (
            ': OPENROUTER PROCESSING\n\ndata: {"choices":[{"delta":{"role":"assistant","content":""}}]}',
            '{"choices":[{"delta":{"content":"a"}}]}',
        ),
        (
            'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}',
            '{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}',
        ),
        ('event: message_start\ndata: {"type":"message_start","message":{"model":"m"}}', '{"type":"content_block_delta"}'),
        ('data: {"type":"response.created","response":{"model":"m"}}', '{"type":"response.output_text.delta","delta":"a"}'),
        ("", '{"choices":[{"text":"a"}]}'),
    ],
)
def test_the_first_token_is_the_first_that_the_model_wrote(before: str, token: str) -> None:
    meter = Meter()
    reader = UsageReader(meter, streamed=True, sent=time.monotonic() - 1)
    reader.feed(f"{before}\n\n".encode())
    assert meter.first_token_ms is None
    reader.feed(f"data: {token}\n\n".encode())
    assert meter.first_token_ms is not None and meter.first_token_ms >= 1000


def test_what_anthropics_format_tells_at_both_ends_counts() -> None:
    meter = Meter()
    reader = UsageReader(meter, streamed=True, sent=time.monotonic())
    start = {"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 9, "output_tokens": 1}}}
    for event in (start, {"type": "message_delta", "usage": {"output_tokens": 5}}):
        reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    reader.close()
    assert (meter.prompt_tokens, meter.completion_tokens, meter.models) == (9, 5, {"claude"})


def test_a_response_that_is_no_json_counts_nothing() -> None:
    meter = Meter()
    reader = UsageReader(meter, streamed=False, sent=time.monotonic())
    reader.feed(b"<html>")
    reader.close()
    assert meter.tokens == 0


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Item(kind="tool_call", tool_kind="edit", input={"filePath": "/wt/src/a.py"}), "edits src/a.py"),
        (Item(kind="tool_call", tool_kind="execute", input={"command": "make  test"}), "runs make test"),
        (Item(kind="tool_call", tool="odd"), "uses odd"),
        (Item(kind="reasoning", text="hm"), "thinks"),
        (Item(kind="plan", entries=[PlanEntry(content="x")]), ""),
    ],
)
def test_wording(item: Item, words: str) -> None:
    assert doing(item, "/wt") == words
