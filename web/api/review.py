"""API: the review of a ticket: its diff, what one says about lines of it, and the verdicts."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from dispatcher import board, drafts, review
from dispatcher.changes import Diff, FileChange
from dispatcher.errors import Conflict, Invalid
from dispatcher.forecast import Forecast, forecast
from dispatcher.git import Repository
from dispatcher.inspection import inspect
from dispatcher.models import Ticket
from dispatcher.ranges import Range, points, resolve
from dispatcher.remarks import MOST_LINE, LineComment, Side
from dispatcher.subject import look
from web.patches import file_diff, lines
from web.schemas import TicketOut
from web.schemas_review import Approve, Changes, Discard, DraftOut, EditDraft, FileDiffOut, LinesOut, ViewedIn, ViewedOut
from web.site import Here, Number, Site
from web.views import ticket_out

router = APIRouter(tags=["review"])

DIFF = "text/x-diff"

_POINT = "`review` (the head of one's own last verdict), `run-2`, or a full sha of the ticket's; without it, "
Since = Annotated[str, Query(max_length=100, description=f"where to begin: {_POINT}where the branch left its target")]
Until = Annotated[str, Query(max_length=100, description=f"where to end: {_POINT}the branch's head")]
NoSpace = Annotated[bool, Query(description="leave out what differs in space alone")]
File = Annotated[str, Query(max_length=4096, description="the file's path, or its id")]


@router.get(
    "/tickets/{key}/diff",
    summary="A ticket's diff",
    response_model=Diff,
    responses={200: {"content": {DIFF: {}}, "description": "The diff; as plain text for `Accept: text/x-diff`."}},
)
def get_diff(
    site: Here,
    key: str,
    *,
    since: Since = "",
    until: Until = "",
    w: NoSpace = False,
    format: Literal["json", "text"] = "json",
    accept: Annotated[str, Header()] = "",
) -> Diff | Response:
    """What the branch changes since it left its target, by the object database; files that deserve care first."""
    with site.database.reading() as db:
        diff = review.diff(db, board.get_ticket(db, key), since=since, until=until, ignore_space=w)
    if format == "text" or DIFF in accept:
        return Response(diff.text.encode("utf-8", "surrogateescape"), media_type=f"{DIFF}; charset=utf-8")
    return diff


@router.get("/tickets/{key}/diff/file", summary="One file's diff")
def get_file_diff(site: Here, key: str, file: File, *, since: Since = "", until: Until = "", w: NoSpace = False) -> FileDiffOut:
    """The lines of one file of the diff, by hunks."""
    repository, between, found = _file(site, key, file, since, until)
    return file_diff(repository, between.base, between.head, found.id, ignore_space=w)


@router.get("/tickets/{key}/diff/lines", summary="Lines of a file")
def get_lines(
    site: Here,
    key: str,
    file: File,
    *,
    start: Annotated[int, Query(ge=1, le=MOST_LINE)],
    end: Annotated[int, Query(ge=1, le=MOST_LINE)],
    side: Side = "new",
    since: Since = "",
    until: Until = "",
) -> LinesOut:
    """The lines from `start` to `end`, at most a thousand, of a file of the diff: what stands around its hunks."""
    repository, _, found = _file(site, key, file, since, until)
    return lines(repository, found, side, start, end)


@router.get("/tickets/{key}/drafts", summary="List one's drafts")
def list_drafts(site: Here, key: str) -> list[DraftOut]:
    """The comments on lines that one has not sent yet."""
    with site.database.reading() as db:
        return [DraftOut.model_validate(row) for row in drafts.list_drafts(db, board.get_ticket(db, key))]


@router.post("/tickets/{key}/drafts", summary="Draft a comment", status_code=201)
def save_draft(site: Here, key: str, body: LineComment) -> DraftOut:
    """Keep a comment on lines until it is sent with a verdict."""
    return DraftOut.model_validate(drafts.save_draft(site.database, key, body))


@router.patch("/tickets/{key}/drafts/{number}", summary="Edit a draft")
def edit_draft(site: Here, key: str, number: Number, body: EditDraft) -> DraftOut:
    """Say it otherwise."""
    with site.database.transaction() as db:
        return DraftOut.model_validate(drafts.edit_draft(db, board.get_ticket(db, key), number, body.body))


@router.delete("/tickets/{key}/drafts/{number}", summary="Delete a draft", status_code=204)
def delete_draft(site: Here, key: str, number: Number) -> None:
    """Take it back."""
    with site.database.transaction() as db:
        drafts.delete_draft(db, board.get_ticket(db, key), number)


@router.get("/tickets/{key}/viewed", summary="List which files one has viewed")
def list_viewed(site: Here, key: str) -> list[ViewedOut]:
    """Every file of the branch's diff, and whether one has viewed it as it is now."""
    with site.database.reading() as db:
        ticket = board.get_ticket(db, key)
        subject, marks = look(db, ticket), drafts.list_viewed(db, ticket)
    return [viewed_out(file, marks) for file in drafts.changed(subject)]


@router.put("/tickets/{key}/viewed", summary="Mark a file as viewed")
def set_viewed(site: Here, key: str, body: ViewedIn) -> ViewedOut:
    """Mark a file as viewed, or as not; a change of its content takes the mark away."""
    file = drafts.set_viewed(site.database, key, body.file, body.viewed, body.blob)
    return viewed_out(file, {file.id: body.blob or file.new_blob} if body.viewed else {})


@router.get("/tickets/{key}/merge", summary="What approving would do")
def get_forecast(site: Here, key: str) -> Forecast:
    """Whether it can be fast-forwarded, which files are in conflict and where, what of the user's is in the way."""
    with site.database.reading() as db:
        subject = look(db, board.get_ticket(db, key))
    found = forecast(subject)
    if found is None:
        raise Conflict(f"the branch {subject.place.target} is gone", f"make it again in {subject.project.path}")
    return found


@router.post("/tickets/{key}/approve", summary="Approve and merge")
def approve(site: Here, key: str, body: Approve) -> TicketOut:
    """Merge the branch into its target; a conflict blocks the ticket and names the files.

    Where the project offers approved branches to GitHub, a pull request is opened, and the ticket stays in review until that is
    merged there; give no method then.
    """
    return approved(site, key, **body.model_dump())


@router.post("/tickets/{key}/changes", summary="Request changes")
def request_changes(site: Here, key: str, body: Changes) -> TicketOut:
    """Queue another run in the same workspace, with the comments in its prompt."""
    return sent_back(site, key, body.body, body.comments, with_drafts=body.drafts, head=body.head)


@router.post("/tickets/{key}/discard", summary="Discard branch and worktree")
def discard(site: Here, key: str, body: Discard) -> TicketOut:
    """Remove what the agent did; `confirm` is the ticket's key again."""
    return discarded(site, key, body.confirm)


def approved(site: Site, key: str, method: str | None, message: str | None, head: str | None) -> TicketOut:
    """Approve a ticket, and give it as it is then. No transaction spans the merge: `review` makes its own."""
    return _shown(site, review.approve(site.database, key, method=method, message=message, head=head))


def sent_back(
    site: Site, key: str, body: str, comments: list[LineComment], *, with_drafts: bool, head: str | None
) -> TicketOut:
    """Request changes of a ticket, and give it as it is then."""
    review.send_back(site.database, key, body, comments, with_drafts=with_drafts, head=head)
    with site.database.reading() as db:
        return ticket_out(db, board.get_ticket(db, key))


def discarded(site: Site, key: str, confirm: str) -> TicketOut:
    """Discard a ticket's work where `confirm` is its key, and give it as it is then."""
    with site.database.reading() as db:
        ticket = board.get_ticket(db, key)
    if confirm.strip().upper() != ticket.key:
        raise Invalid("the discard was not confirmed", f"confirm it with the ticket's key: {ticket.key}", "confirm")
    return _shown(site, review.discard(site.database, ticket.key))


def viewed_out(file: FileChange, marks: dict[str, str]) -> ViewedOut:
    """Whether a file was viewed, by the marks of one person."""
    seen = marks.get(file.id)
    viewed = seen == file.new_blob
    return ViewedOut(file=file.id, path=file.path, viewed=viewed, changed=seen is not None and not viewed)


def _file(site: Site, key: str, name: str, since: str, until: str) -> tuple[Repository, Range, FileChange]:
    """One file of a range, found without any transaction."""
    with site.database.reading() as db:
        ticket = board.get_ticket(db, key)
        subject = look(db, ticket)
        known = points(db, ticket, subject.place.head_sha)
    between = resolve(subject, known, since, until)
    return subject.repository, between, drafts.find(inspect(subject.repository, between.base, between.head), name)


def _shown(site: Site, ticket: Ticket) -> TicketOut:
    with site.database.reading() as db:
        return ticket_out(db, ticket)
