"""Goose's own contract: the real binary against the scripted endpoint."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base import Record, Task
from adapters.goose.adapter import Goose
from adapters.goose.live import Tail
from adapters.session import Item, OutcomeKind, Session
from dispatcher.demo.scripted import (
    Call,
    Counted,
    Cut,
    Edit,
    Empty,
    Length,
    RawHtml,
    Repeat,
    Run,
    Say,
    ScriptedEndpoint,
    Status,
    Step,
    Think,
    Together,
)
from tests.contract.goose_recorded import outline

pytestmark = pytest.mark.real
HARNESS = Goose()
TEST = "python3 -B -c 'import calc; assert calc.add(2, 3) == 5'"


class Bench:
    """A worktree, a private HOME and an endpoint; `run` is one run of Goose in them."""

    def __init__(self, folder: Path, binary: Path, endpoint: ScriptedEndpoint) -> None:
        self.folder, self.endpoint = folder, endpoint
        self.home, self.worktree = folder / "home", folder / "worktree"
        self.worktree.mkdir(parents=True)
        (self.worktree / "calc.py").write_text("def add(a, b):\n    return a - b\n")
        self.task = Task(
            key="WEB-12",
            title="Fix add",
            prompt="Ticket WEB-12: Fix add\n",
            worktree=self.worktree,
            executable=binary,
            base_url=endpoint.base_url,
            api_key="run-7",
            model=endpoint.model,
            run=folder / "run1",
            max_turns=12,
        )
        self.exit: int | None = None
        self.tail: Tail = HARNESS.tail(self.task, self.home)
        self.live: list[Item] = []

    def start(self, *steps: Step, task: Task | None = None) -> subprocess.Popen[bytes]:
        self.endpoint.play(steps)
        self.task = task or self.task
        launch = HARNESS.launch(self.task, self.home)
        for folder in launch.folders:
            folder.mkdir(parents=True, exist_ok=True)
        for path, text in launch.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.tail, self.live = HARNESS.tail(self.task, self.home), []
        assert launch.stdin is not None
        with (
            launch.stdin.open("rb") as given,
            (self.task.run / "stdout").open("wb") as out,
            (self.task.run / "stderr").open("wb") as err,
        ):
            return subprocess.Popen(
                launch.argv, cwd=launch.cwd, env=launch.env, stdin=given, stdout=out, stderr=err, start_new_session=True
            )

    def end(self, process: subprocess.Popen[bytes], number: int | None = None) -> Session:
        """Wait for the end, or bring it about by a signal to the whole group, and read what it left."""
        if number is not None:
            os.killpg(process.pid, number)
        self.exit = process.wait(timeout=60)
        if number is not None:
            with contextlib.suppress(ProcessLookupError):  # on SIGINT the shell dies too, on the others it lives on
                os.killpg(process.pid, signal.SIGKILL)
        return self.read()

    def read(self) -> Session:
        run = self.task.run
        for stream in ("stdout", "stderr"):
            self.live += self.tail.feed(stream, (run / stream).read_bytes())
        self.live += self.tail.poll()
        session = HARNESS.read(Record(self.home, self.tail.native_id, run / "stdout", run / "stderr", self.exit))
        session.outcome = HARNESS.outcome(session, self.exit)
        return session

    def run(self, *steps: Step, task: Task | None = None) -> Session:
        return self.end(self.start(*steps, task=task))

    def follow(self, seen: Callable[[list[Item]], bool]) -> None:
        """Feed what is printed until the items satisfy `seen`."""
        path, place = self.task.run / "stdout", 0
        tail = HARNESS.tail(self.task, self.home)
        items: dict[str | None, Item] = {}
        deadline = time.monotonic() + 30
        while not seen(list(items.values())):
            assert time.monotonic() < deadline, list(items.values())
            with path.open("rb") as file:
                file.seek(place)
                data = file.read()
            place += len(data)
            items |= {item.id: item for item in tail.feed("stdout", data) + tail.poll()}
            time.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path, harness_binary: Callable[[str], Path]) -> Iterator[Bench]:
    with ScriptedEndpoint() as endpoint:
        yield Bench(tmp_path, harness_binary("goose"), endpoint)


def kind_of(session: Session) -> OutcomeKind:
    assert session.outcome is not None
    assert session.outcome.evidence is not None
    assert session.outcome.text
    return session.outcome.kind


def test_a_failing_test_is_fixed(bench: Bench) -> None:
    session = bench.run(
        Together.of(Think("The test first."), Run(TEST)), Edit("calc.py", "a - b", "a + b"), Run(TEST), Say("The test passes.")
    )
    assert (kind_of(session), bench.exit) == ("done", 0)
    assert (bench.worktree / "calc.py").read_text().endswith("a + b\n")
    assert outline(session) == ["user", "reasoning", "shell:failed", "edit:completed", "shell:completed", "assistant"]
    assert [item.exit_code for item in session.items if item.tool == "shell"] == [1, 0]
    assert session.items[0].text == bench.task.prompt
    assert session.cwd == str(bench.worktree.resolve())
    assert session.model == bench.endpoint.model
    used = (session.usage.prompt_tokens, session.usage.completion_tokens, session.usage.requests)
    assert used == (*bench.endpoint.usage, 4)
    assert bench.tail.native_id == session.native_id
    assert sum(item.usage.prompt_tokens or 0 for item in bench.live if item.usage) == session.usage.prompt_tokens


def test_what_the_endpoint_is_asked(bench: Bench) -> None:
    bench.run(Say("Done."))
    (request,) = bench.endpoint.completions
    assert request.path == "/v1/chat/completions"
    names = sorted(tool["function"]["name"] for tool in request.body["tools"])
    assert names == ["edit", "read_image", "shell", "tree", "write"]
    assert request.body["max_tokens"] == bench.task.output_length
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["authorization"] == "Bearer run-7"
    assert not any(each.side for each in bench.endpoint.requests), "no request for a title"
    assert not [path for path in bench.worktree.iterdir() if path.name != "calc.py"]


def test_a_model_whose_name_would_change_the_api(tmp_path: Path, harness_binary: Callable[[str], Path]) -> None:
    with ScriptedEndpoint(models=("gpt-5-local",)) as endpoint:
        bench = Bench(tmp_path, harness_binary("goose"), endpoint)
        session = bench.run(Run("true"), Say("Done."))
        assert kind_of(session) == "done"
        assert [request.path for request in endpoint.completions] == ["/v1/chat/completions"] * 2
        headers = {name.lower(): value for name, value in endpoint.completions[0].headers.items()}
        assert headers["authorization"] == "Bearer run-7"


def test_a_question_and_its_answer(bench: Bench) -> None:
    first = bench.run(Run("cat calc.py"), Say("Should `add` raise on text, or coerce it?"))
    assert kind_of(first) == "question"
    again = replace(
        bench.task, turn=2, resume=first.native_id, prompt="Ticket WEB-12: It shall raise.", run=bench.folder / "run2"
    )
    second = bench.run(Edit("calc.py", "a - b", "a + b"), Say("It raises now."), task=again)
    assert (kind_of(second), second.native_id) == ("done", first.native_id)
    assert [item.text for item in second.items if item.kind == "user"] == [
        "Ticket WEB-12: Fix add\n",
        again.prompt,
    ]
    assert [item.id for item in second.items][: len(first.items)] == [item.id for item in first.items]
    assert second.usage.requests == 4


def test_killed_in_the_midst_and_resumed(bench: Bench) -> None:
    process = bench.start(Run("cat calc.py"), Together.of(Say("Now a long check."), Run("echo begun; sleep 30")))
    bench.follow(lambda items: any(item.title == "echo begun; sleep 30" for item in items))
    first = bench.end(process, signal.SIGTERM)
    assert (kind_of(first), bench.exit) == ("stopped", -signal.SIGTERM)
    assert first.outcome is not None
    assert first.items[first.outcome.evidence or 0].title == "echo begun; sleep 30"
    assert outline(first) == ["user", "shell:completed", "assistant", "shell:in_progress", "unfinished"]
    again = replace(bench.task, turn=2, resume=bench.tail.native_id, prompt="Ticket WEB-12: Go on.", run=bench.folder / "run2")
    second = bench.run(Run("true"), Say("Finished."), task=again)
    assert (kind_of(second), second.native_id) == ("done", first.native_id)
    assert outline(second) == ["user", "shell:completed", "user", "shell:completed", "assistant"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_other_signals(bench: Bench, number: signal.Signals) -> None:
    process = bench.start(Run("echo begun; sleep 30"))
    bench.follow(lambda items: any(item.tool for item in items))
    session = bench.end(process, number)
    assert kind_of(session) == "stopped"
    # SIGINT may reach the command first, and Goose then still writes down that it failed.
    seen = {"shell:in_progress", "shell:failed"} if number == signal.SIGINT else {"shell:in_progress"}
    assert outline(session)[0] == "user" and outline(session)[1] in seen


def test_the_endpoint_is_down(tmp_path: Path, harness_binary: Callable[[str], Path]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = ScriptedEndpoint()
        bench = Bench(tmp_path, harness_binary("goose"), endpoint)
        task = replace(bench.task, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        began = time.monotonic()
        session = bench.run(task=task)
    assert (kind_of(session), bench.exit) == ("endpoint_down", 0)
    assert 4 < time.monotonic() - began < 60
    assert outline(session) == ["user", "endpoint_down"]
    assert session.usage.prompt_tokens is None


ENDS: list[tuple[tuple[Step, ...], OutcomeKind, int]] = [
    ((Repeat(Status(401)),), "endpoint_auth", 1),
    ((Repeat(Status(404)),), "endpoint_error", 0),
    ((Repeat(Status(429)),), "rate_limited", 0),
    ((Repeat(Status(500)),), "endpoint_error", 0),
    ((Repeat(Status(503)),), "endpoint_down", 0),
    ((Repeat(Status(400, error="context_length_exceeded", message="maximum context length is 10")),), "context_overflow", 0),
    ((Repeat(RawHtml()),), "empty", 0),
    ((Repeat(Empty()),), "empty", 0),
    ((Run("true"), Length()), "truncated", 0),
    ((Run("true"), Cut()), "endpoint_down", 0),
    ((Run("true"), Cut(how="end")), "truncated", 0),
    ((Repeat(Run("true")),), "limit", 0),
]


@pytest.mark.parametrize(("steps", "kind", "exit"), ENDS)
def test_ends_that_are_not_done(bench: Bench, steps: tuple[Step, ...], kind: OutcomeKind, exit: int) -> None:
    session = bench.run(*steps)
    assert (kind_of(session), bench.exit) == (kind, exit)


def test_one_fault_that_goes_over(bench: Bench) -> None:
    session = bench.run(Status(500), Run("true"), Say("Done."))
    assert kind_of(session) == "done"
    assert outline(session) == ["user", "shell:completed", "assistant"]


def test_calls_that_fail_go_back_to_the_model(bench: Bench) -> None:
    session = bench.run(
        Call("shell", '{"command": "tru'), Call("nosuch", {}), Edit("nowhere.py", "a", "b"), Run("exit 3"), Say("I see.")
    )
    assert kind_of(session) == "done"
    calls = [item for item in session.items if item.kind == "tool_call"]
    assert [call.status for call in calls] == ["failed"] * 4
    assert calls[3].exit_code == 3


def test_calls_side_by_side(bench: Bench) -> None:
    session = bench.run(Together.of(Say("Both."), Run("echo 1"), Run("echo 2")), Say("Done."))
    assert outline(session) == ["user", "assistant", "shell:completed", "shell:completed", "assistant"]
    assert [item.output for item in session.items if item.tool] == ["1", "2"]


def test_cached_tokens(bench: Bench) -> None:
    session = bench.run(Counted(Say("Done."), prompt=1000, completion=7, cached=600))
    usage = session.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (1000, 7, 600)


def test_a_prompt_that_looks_like_a_command(bench: Bench) -> None:
    first = bench.run(Say("Done."))
    again = replace(bench.task, turn=2, resume=first.native_id, prompt="/clear", run=bench.folder / "run2")
    second = bench.run(Say("Nothing was cleared."), task=again)
    assert outline(second) == ["user", "assistant", "user", "assistant"]


def test_a_resume_of_nothing_is_refused(bench: Bench) -> None:
    session = bench.run(task=replace(bench.task, resume="20200101_1"))
    assert (kind_of(session), bench.exit) == ("misconfigured", 1)


def test_the_version_is_a_tested_one(harness_binary: Callable[[str], Path], tmp_path: Path) -> None:
    output = subprocess.run([harness_binary("goose"), "--version"], env={"HOME": str(tmp_path)}, capture_output=True, text=True)
    probe = HARNESS.probe(output.stdout)
    assert (probe.version, probe.tested) == ("1.52.0", True)
