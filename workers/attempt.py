"""One run, from claim to verdict. This file reads from top to bottom as its story."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlmodel import Session as Db

import adapters
from adapters.base import Harness, Launch, Task
from dispatcher import harnesses, runs
from dispatcher.addresses import Barred
from dispatcher.crashing import point
from dispatcher.errors import DispatcherError, FenceLost, HarnessMissing, Invalid, SandboxFailed, SetupFailed
from dispatcher.models import Run, Workspace, utcnow
from dispatcher.prompts import Workflow, parse_workflow
from dispatcher.states import BlockerKind, RunTrigger
from dispatcher.transitions import move_run
from workers import boxes, briefing, finishing, workspace
from workers.checks import project_command
from workers.follow import Tail, follow
from workers.gateway import Door
from workers.hands import Case, Hands, load_case
from workers.limits import Ended, Limits, Watch
from workers.report import Reporter
from workers.sandbox.box import Box
from workers.stopping import unless


@dataclass(frozen=True)
class Plan:
    """What a run is about to do."""

    adapter: Harness
    task: Task
    home: Path
    workspace: Workspace
    workflow: Workflow
    limits: Limits
    box: Box
    begun: dict[str, Any]
    """What is written down of it when the harness starts."""


async def attempt(hands: Hands, run: Run, stop: asyncio.Event) -> None:
    """Carry one claimed run to its end. Raises `FenceLost` when another worker has taken it."""
    case = await hands.read(load_case, run, hands.settings)
    try:
        plan = await unless(stop, prepare(hands, case))
    except FenceLost:
        raise
    except DispatcherError as error:
        await hands.write(give_up, case, Ended(_kind(error), error.line()))
        return
    if plan is None:
        await hands.write(give_up, case, Ended("stopped", "stopped on request while the workspace was made ready"))
        return
    patience, listening = hands.settings.endpoint_patience, boxes.listens(case)
    opening = hands.gateway.open(case.endpoint, patience, budget=plan.limits.tokens, listening=listening)
    try:
        async with opening as door:
            exit_code, ended = await drive(hands, case, plan, door, stop)
    except (SandboxFailed, Barred) as error:
        await hands.write(give_up, case, Ended(_kind(error), error.line()))
        return
    await hands.write(begin_finishing, case, door, exit_code, ended)
    point("run.finishing")
    await finishing.finish(hands, case, plan.workflow, stop)


async def prepare(hands: Hands, case: Case) -> Plan:
    """Make everything ready: the worktree, the policy, the binary, the set-up, the prompt."""
    settings = hands.settings
    await boxes.collect_left(hands, case)
    place = await asyncio.to_thread(workspace.prepare, hands.database, settings, case.run, case.ticket, case.project)
    workflow = parse_workflow(await asyncio.to_thread(workspace.workflow, case.project, place.base_sha))
    found = await asyncio.to_thread(harnesses.resolve, case.run.harness, settings.harness_root)
    case.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    await set_up(hands, case, place, workflow)
    asked = hands.read(briefing.prompt, case, place, workflow)
    box, prompt = await asyncio.gather(boxes.base(case, place), asked)  # neither waits for the other's disk
    begun = {"prompt": prompt, "harness_version": found.probe.version, "base_sha": place.head_sha}
    limits = Limits.of(case.agent, workflow.policy, settings.loop_repeats)
    task = Task(
        key=case.ticket.key,
        title=case.ticket.title,
        prompt=prompt,
        worktree=Path(place.path),
        executable=found.path,
        base_url="",
        api_key="",
        model=case.run.model,
        run=case.folder,
        turn=case.run.number,
        resume=case.run.resume,
        context_length=case.endpoint.context_length,
        output_length=case.endpoint.output_length,
        max_turns=limits.turns,
        files=await asyncio.to_thread(briefing.files, case, place),
        path=os.environ.get("PATH", os.defpath),
        instructions=tuple(workspace.instructions(Path(place.path))),
    )
    return Plan(adapters.harness(case.run.harness), task, Path(place.home), place, workflow, limits, box, begun)


async def set_up(hands: Hands, case: Case, place: Workspace, workflow: Workflow) -> None:
    """Run the project's set-up command, once per workspace; raises `SetupFailed`."""
    command = workflow.policy.setup_command or case.project.setup_command
    if not command or place.setup_at is not None:
        return
    await hands.write(runs.progress, case.run, doing=f"sets up: {command}")
    ran = await project_command(
        hands, case, place, command, log="setup.log", seconds=hands.settings.setup_timeout, setting_up=True
    )
    if ran.state != "passed":
        how = "took too long" if ran.exit_code is None else f"failed with exit {ran.exit_code}"
        last = ran.output.strip().splitlines()[-1:] or ["it printed nothing"]
        raise SetupFailed(f"the set-up command `{command}` {how}: {last[0]}", "mend it, or the project's setup_command")
    point("run.set_up")
    await hands.write(workspace.setup_done, case.ticket)


async def drive(hands: Hands, case: Case, plan: Plan, door: Door, stop: asyncio.Event) -> tuple[int, Ended | None]:
    """Start the harness and follow it to its end; gives its exit status, and why we ended it where we did."""
    task = replace(plan.task, base_url=door.base_url or boxes.INSIDE_URL, api_key=door.token)
    launch = plan.adapter.launch(task, plan.home)
    await asyncio.to_thread(write_files, launch)
    stdout, stderr = case.folder / "stdout", case.folder / "stderr"
    tails = [Tail("stdout", stdout), Tail("stderr", stderr), *(Tail.from_end(*pair) for pair in launch.follow.items())]
    decoder = plan.adapter.tail(task, plan.home)
    watch = Watch(plan.limits, door)
    async with boxes.harness(case, plan.workspace, plan.box, launch, door) as boxed:
        process = boxed.process
        point("run.harness_started")
        await hands.write(
            move_run, case.run, "launch", pid=process.pid, started_at=utcnow(), receipt=boxed.receipt, **plan.begun
        )
        point("run.launched")
        async with Reporter(hands, case, door, watch, worktree=plan.workspace.path, stop=stop) as reporter:
            every = hands.settings.follow_seconds
            ended = await follow(
                process, decoder, tails, watch, sink=reporter.take, child_sink=reporter.take_child, every=every
            )
        exit_code = await (process.stop(hands.settings.grace_seconds) if ended else process.wait())
        if exit_code and not ended and (met := process.met()):
            ended = Ended("limit", f"the harness ended ({exit_code}): {met}")
    point("run.harness_ended")
    return exit_code, ended


def begin_finishing(db: Db, case: Case, door: Door, exit_code: int, ended: Ended | None) -> None:
    """Write down how the harness ended, so that any worker can finish from here."""
    fault = door.fault if ended is None else None
    move_run(
        db,
        case.run,
        "finish",
        exit_code=exit_code,
        ended_by=ended.kind if ended else None,
        summary=case.redactor.text(ended.text) if ended else "",
        fault_kind=fault.kind if fault else None,
        fault_text=case.redactor.text(fault.text) if fault else "",
        doing="reads the session back",
        **door.meter.values(),
    )


def give_up(db: Db, case: Case, ended: Ended) -> None:
    """End a run that could not begin."""
    trigger: RunTrigger = "cancel" if ended.kind == "stopped" else "fail"
    move_run(db, case.run, "finish", ended_by=ended.kind)
    runs.finish(db, case.run, runs.Result(trigger, ended.kind, case.redactor.text(ended.text), ended.kind))


def write_files(launch: Launch) -> None:
    """Write what the harness needs before its start, readable by nobody else."""
    for folder in launch.folders:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, text in launch.files.items():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)


def _kind(error: DispatcherError) -> BlockerKind:
    if isinstance(error, HarnessMissing):
        return "harness_missing"
    if isinstance(error, SandboxFailed):
        return "sandbox"
    return "misconfigured" if isinstance(error, Invalid) else "setup_failed"
