"""One run, from claim to verdict. This file reads from top to bottom as its story."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
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
from workers.stopping import together, unless


@dataclass(frozen=True)
class Plan:
    """What a run is about to do."""

    adapter: Harness
    task: Task
    launch: Launch
    workspace: Workspace
    workflow: Workflow
    limits: Limits
    sandbox: boxes.Standing
    begun: dict[str, Any]
    """What is written down of it when the harness starts."""


async def attempt(hands: Hands, run: Run, stop: asyncio.Event) -> None:
    """Carry one claimed run to its end. Raises `FenceLost` when another worker has taken it."""
    case = await hands.read(load_case, run, hands.settings)
    opening = hands.gateway.open(case.endpoint, hands.settings.endpoint_patience, listening=boxes.listens(case))
    try:
        async with opening as door, AsyncExitStack() as walls:
            try:
                plan = await unless(stop, prepare(hands, case, door, walls))
            except FenceLost:
                raise
            except DispatcherError as error:
                await hands.write(give_up, case, Ended(_kind(error), error.line()))
                return
            if plan is None:
                await hands.write(give_up, case, Ended("stopped", "stopped on request while the workspace was made ready"))
                return
            exit_code, ended = await drive(hands, case, plan, door, stop)
    except (SandboxFailed, Barred) as error:
        await hands.write(give_up, case, Ended(_kind(error), error.line()))
        return
    point("run.harness_ended")
    await hands.write(begin_finishing, case, door, exit_code, ended)
    point("run.finishing")
    await finishing.finish(hands, case, plan.workflow, stop)


async def prepare(hands: Hands, case: Case, door: Door, walls: AsyncExitStack) -> Plan:
    """Make everything ready: the worktree, the policy, the binary, the set-up, the sandbox, the prompt.

    The sandbox, which ends with `walls`, is made and tried while the worktree gets its files.
    """
    settings = hands.settings
    await boxes.collect_left(hands, case)
    finding = asyncio.to_thread(harnesses.resolve, case.run.harness, settings.harness_root)
    beginning = asyncio.to_thread(workspace.begin, hands.database, settings, case)
    begun, found, known = await together(beginning, finding, hands.read(briefing.told, case))
    place = begun.place
    workflow = parse_workflow(await asyncio.to_thread(workspace.workflow, case.project, place.base_sha))
    prompt = briefing.prompt(known, case, place, workflow)
    case.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    filling = asyncio.ensure_future(asyncio.to_thread(workspace.fill, hands.database, settings, case, begun))
    if command := set_up_command(case, place, workflow):
        await filling
        await set_up(hands, case, place, command)
    entering = walls.enter_async_context(boxes.harness(case, place, found.path, door))
    _, sandbox = await together(filling, entering)
    limits = Limits.of(case.agent, workflow.policy, settings.loop_repeats)
    door.budget = limits.tokens
    task = Task(
        key=case.ticket.key,
        title=case.ticket.title,
        prompt=prompt,
        worktree=Path(place.path),
        executable=found.path,
        base_url=door.base_url or boxes.INSIDE_URL,
        api_key=door.token,
        model=case.run.model,
        run=boxes.given(case),
        turn=case.run.number,
        resume=case.run.resume,
        context_length=case.endpoint.context_length,
        output_length=case.endpoint.output_length,
        max_turns=limits.turns,
        files=await asyncio.to_thread(briefing.files, case, place),
        path=os.environ.get("PATH", os.defpath),
        instructions=tuple(workspace.instructions(Path(place.path))),
    )
    adapter = adapters.harness(case.run.harness)
    launch = adapter.launch(task, Path(place.home))
    await asyncio.to_thread(write_files, launch)
    noted = {"prompt": prompt, "harness_version": found.probe.version, "base_sha": place.head_sha}
    return Plan(adapter, task, launch, place, workflow, limits, sandbox, noted)


def set_up_command(case: Case, place: Workspace, workflow: Workflow) -> str:
    """The project's set-up command where it has not passed yet in the workspace, else nothing."""
    return "" if place.setup_at is not None else workflow.policy.setup_command or case.project.setup_command


async def set_up(hands: Hands, case: Case, place: Workspace, command: str) -> None:
    """Run the project's set-up command, once per workspace; raises `SetupFailed`."""
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
    stdout, stderr = case.folder / "stdout", case.folder / "stderr"
    tails = [Tail("stdout", stdout), Tail("stderr", stderr), *(Tail.from_end(*pair) for pair in plan.launch.follow.items())]
    decoder = plan.adapter.tail(plan.task, Path(plan.workspace.home))
    watch = Watch(plan.limits, door)
    point("run.sandbox_stands")
    process = await plan.sandbox.start(plan.launch)
    point("run.harness_started")
    receipt = plan.sandbox.receipt
    await hands.write(move_run, case.run, "launch", pid=process.pid, started_at=utcnow(), receipt=receipt, **plan.begun)
    point("run.launched")
    async with Reporter(hands, case, door, watch, worktree=plan.workspace.path, stop=stop) as reporter:
        every = hands.settings.follow_seconds
        ended = await follow(process, decoder, tails, watch, sink=reporter.take, child_sink=reporter.take_child, every=every)
    exit_code = await (process.stop(hands.settings.grace_seconds) if ended else process.wait())
    if exit_code and not ended and (met := process.met()):
        ended = Ended("limit", f"the harness ended ({exit_code}): {met}")
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
