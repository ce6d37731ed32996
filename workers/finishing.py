"""The end of a run: read the session back, snapshot, check, decide.

Idempotent, from what is on disk and in the database alone, so that another worker may do it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

from sqlmodel import Session as Db

import adapters
from adapters.base import AdapterError, Record
from adapters.session import Outcome, Session
from dispatcher import activity, runs, transcripts
from dispatcher.crashing import point
from dispatcher.errors import SandboxFailed
from dispatcher.models import Check, Run, Workspace
from dispatcher.prompts import Workflow
from dispatcher.redaction import LOGS
from dispatcher.text import storable
from dispatcher.transitions import write_run
from workers import boxes, workspace
from workers.checks import Ran, project_command
from workers.hands import Case, Hands, find_workspace, load_case
from workers.stopping import unless
from workers.verdict import Work, judge

log = logging.getLogger(__name__)

STDERR_TAIL = 2000
NOT_RUN = 126
"""What a shell says of a command that it cannot run."""


async def finish(hands: Hands, case: Case, workflow: Workflow, stop: asyncio.Event) -> None:
    """Carry a run in `finishing` to its end."""
    place = await hands.read(find_workspace, case.ticket)
    native_id = await hands.read(transcripts.native_id, case.run) or case.native_id
    await asyncio.to_thread(mask_logs, case)
    session, outcome = await asyncio.to_thread(read_back, case, place, native_id)
    if session is not None:
        await hands.write(transcripts.replace, case.run, session, case.redactor)
    point("run.session_read")
    await boxes.collect(hands, case, place)
    point("run.commits_taken")
    head = await asyncio.to_thread(workspace.snapshot, hands.database, case.run, case.ticket, case.agent, outcome.text)
    changed = head != (case.run.base_sha if case.run.reason == "change" else place.base_sha)
    conflicts = await asyncio.to_thread(workspace.unfinished_merge, hands.database, case.ticket)
    ready = changed and not conflicts and outcome.kind == "done" and case.run.ended_by is None
    checks = await unless(stop, check(hands, case, place, workflow)) if ready else []
    if checks is None:
        await hands.write(write_run, case.run, ended_by="stopped", summary="stopped on request while the checks ran")
    point("run.checked")
    await hands.write(end, case, session, outcome, Work(head, changed, checks or [], conflicts))
    point("run.ended")


def read_back(case: Case, place: Workspace, native_id: str | None) -> tuple[Session | None, Outcome]:
    """The session as the harness recorded it, None where it left none, and how it says that it ended."""
    adapter = adapters.harness(case.run.harness)
    stdout, stderr = case.folder / "stdout", case.folder / "stderr"
    record = Record(Path(place.home), native_id, stdout, stderr, case.run.exit_code)
    try:
        session = adapter.read(record).numbered()
    except AdapterError as error:
        words = case.redactor.text(_last_words(stderr) or str(error))
        return None, Outcome(kind="crashed", text=f"it left no session (exit {case.run.exit_code}): {words}")
    session.outcome = adapter.outcome(session, case.run.exit_code)
    session.outcome.text = case.redactor.text(session.outcome.text)
    return session, session.outcome


async def check(hands: Hands, case: Case, place: Workspace, workflow: Workflow) -> list[Check]:
    """Run the project's check command in the workspace."""
    command = workflow.policy.check_command or case.project.check_command
    if not command:
        return []
    await hands.write(runs.progress, case.run, doing=f"checks: {command}")
    try:
        ran = await project_command(hands, case, place, command, log="check.log", seconds=hands.settings.check_timeout)
    except SandboxFailed as error:
        ran = Ran(command, NOT_RUN, 0, error.line())
    return [_check(case.run_id, ran)]


def end(db: Db, case: Case, session: Session | None, outcome: Outcome, work: Work) -> None:
    """Write the verdict: one transaction ends the run and moves the ticket."""
    for ran in work.checks:
        db.add(ran)
        activity.record(db, "check.ended", ticket=case.ticket, run=case.run, command=ran.command, state=ran.state)
    write_run(db, case.run, head_sha=work.head)
    result = judge(case.run, session, outcome, work)
    text, evidence = case.redactor.text(result.text), case.redactor.text(result.evidence)
    runs.finish(db, case.run, replace(result, text=text, evidence=evidence))


def mask_logs(case: Case) -> None:
    """Mask the run's secrets in what its programs printed."""
    for name in LOGS.values():
        case.redactor.file(case.folder / name)


async def mask_left(hands: Hands, run: Run) -> None:
    """The same for a run that ends without having been finished, and may have printed what it must not tell."""
    case = await hands.read(load_case, run, hands.settings)
    try:
        await asyncio.to_thread(mask_logs, case)
    except OSError as error:
        log.warning("what run %s printed cannot be looked through for secrets: %s", run.id, error)


def _check(run_id: int, ran: Ran) -> Check:
    return Check(
        run_id=run_id,
        name="check",
        command=ran.command,
        state=ran.state,
        exit_code=ran.exit_code,
        seconds=ran.seconds,
        output=storable(ran.output),
    )


def _last_words(stderr: Path) -> str:
    try:
        return stderr.read_text("utf-8", "replace").strip()[-STDERR_TAIL:]
    except FileNotFoundError:
        return ""
