"""API: runs, with what they said and printed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from dispatcher import board, reading, runs, transcripts
from dispatcher.atif import to_atif
from dispatcher.errors import NotFound
from dispatcher.models import Endpoint, Project, Ticket
from dispatcher.redaction import LOGS, redactor
from dispatcher.states import RunState
from web.logs import read_log
from web.schemas import CheckOut, RunDetail, RunOut
from web.site import LARGEST, Here, Number
from web.views import checks_out, run_detail, run_out, runs_out

router = APIRouter(tags=["runs"])

LOG_BYTES = 1_000_000


@router.get("/runs", summary="List runs")
def list_runs(
    site: Here, ticket: str | None = None, state: RunState | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[RunOut]:
    """The runs that match, newest first."""
    with site.database.reading() as db:
        of = board.get_ticket(db, ticket) if ticket is not None else None
        return runs_out(db, runs.list_runs(db, ticket=of, state=state, limit=limit))


@router.get("/runs/{run_id}", summary="Show a run")
def get_run(site: Here, run_id: Number) -> RunDetail:
    """One run, with the prompt that it was given, and how much it changed."""
    with site.database.reading() as db:
        return run_detail(db, runs.get_run(db, run_id))


@router.get("/runs/{run_id}/checks", summary="A run's checks")
def list_checks(site: Here, run_id: Number) -> list[CheckOut]:
    """Each check command with its result and the end of what it printed; the whole is in the log `check`."""
    with site.database.reading() as db:
        return checks_out(db, runs.get_run(db, run_id))


@router.post("/runs/{run_id}/stop", summary="Stop a run")
def stop_run(site: Here, run_id: Number) -> RunOut:
    """Ask the run to stop; a queued one ends at once."""
    with site.database.transaction() as db:
        run = runs.get_run(db, run_id)
        runs.request_stop(db, run)
        return run_out(db, run)


@router.get("/runs/{run_id}/items", summary="Items of a run's session")
def list_items(
    site: Here,
    run_id: Number,
    after: Annotated[int, Query(ge=-1, le=LARGEST)] = -1,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
    session: str = "",
) -> list[dict[str, Any]]:
    """The items whose `seq` is above `after`, in order, in the common form; of a child session where one is named by its id."""
    with site.database.reading() as db:
        run = runs.get_run(db, run_id)
        if not session:
            return transcripts.items_after(db, run, after, limit)
        branch = reading.pick(reading.tree(db, run), session)
        return reading.window_after(db, branch, after, limit)


@router.get("/runs/{run_id}/session", summary="A run's session")
def get_session(site: Here, run_id: Number, form: Literal["common", "atif"] = "common") -> dict[str, Any]:
    """The whole session with its children and losses, in the common form or as an ATIF document."""
    with site.database.reading() as db:
        session = transcripts.load(db, runs.get_run(db, run_id))
    if session is None:
        raise NotFound(f"run {run_id} has no session yet", "it has one as soon as its harness says something", "run")
    return to_atif(session) if form == "atif" else session.to_json()


@router.get(
    "/runs/{run_id}/log",
    summary="What a run printed",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "The bytes from `offset` on."}},
)
def get_log(
    site: Here,
    run_id: Number,
    stream: Literal["stdout", "stderr", "check", "setup"] = "stdout",
    offset: Number = 0,
    limit: Annotated[int, Query(ge=1, le=16_000_000)] = LOG_BYTES,
) -> Response:
    """Bytes from `offset` on, at most `limit`; X-Next-Offset tells where the next ones begin."""
    with site.database.reading() as db:
        run = runs.get_run(db, run_id)
        project = db.get_one(Project, db.get_one(Ticket, run.ticket_id).project_id)
        masks = redactor(site.settings, project, db.get_one(Endpoint, run.endpoint_id))
    data = read_log(site.settings.runs / str(run_id) / LOGS[stream], offset, limit, masks)
    headers = {"X-Next-Offset": str(offset + len(data))}
    return Response(data, media_type="text/plain; charset=utf-8", headers=headers)
