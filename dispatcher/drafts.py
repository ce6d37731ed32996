"""Use cases of a reviewer alone: drafts of comments on lines, and marks of the files that were viewed. Nobody else sees them.

They are kept on the server, by the name of whoever acts, so that they are there in another browser too. They are no
happening of the ticket: the feed does not tell of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from dispatcher import board
from dispatcher.actor import acting
from dispatcher.changes import FileChange
from dispatcher.db import Database
from dispatcher.errors import Conflict, Invalid, NotFound
from dispatcher.inspection import inspect
from dispatcher.models import Comment, Draft, Ticket, Viewed, utcnow
from dispatcher.remarks import LineComment, Remark, quote, side_lines
from dispatcher.subject import Subject, look
from dispatcher.text import storable

MOST_DRAFTS = 500
"""Of one person on one ticket."""


def list_drafts(db: Session, ticket: Ticket) -> list[Draft]:
    """What the acting person has not sent yet, in the order in which it was written."""
    own = select(Draft).where(Draft.ticket_id == ticket.id, Draft.author == acting())
    return list(db.exec(own.order_by(col(Draft.id))))


def save_draft(database: Database, key: str, comment: LineComment) -> Draft:
    """Keep a comment until the verdict; raises `Invalid` for a line that the diff has not, `Conflict` for closed tickets."""
    subject, remark = _checked(database, key, comment)
    if subject.ticket.state in ("done", "cancelled"):
        raise Conflict(
            f"{subject.ticket.key} is {subject.ticket.state}: no verdict will send a draft", "comment at once instead"
        )
    with database.transaction() as db:
        ticket = board.get_ticket(db, key)
        if len(list_drafts(db, ticket)) >= MOST_DRAFTS:
            raise Conflict(f"you have {MOST_DRAFTS} drafts on {ticket.key}", "send them, or delete some")
        assert ticket.id is not None
        draft = Draft(ticket_id=ticket.id, author=acting(), **remark.model_dump())
        db.add(draft)
        db.flush()
        return draft


def say_now(database: Database, key: str, comment: LineComment) -> Comment:
    """Say it on the ticket without any verdict: the next run reads it. Raises as `save_draft`."""
    _, remark = _checked(database, key, comment)
    with database.transaction() as db:
        return say(db, board.get_ticket(db, key), remark)


def say(db: Session, ticket: Ticket, remark: Remark) -> Comment:
    """A comment on lines, with what these are."""
    entry = board.comment(db, ticket, remark.body, path=remark.path, line=remark.line)
    entry.start_line, entry.side, entry.snippet = remark.start_line, remark.side, remark.snippet
    entry.head_sha = remark.head_sha
    db.add(entry)
    return entry


def edit_draft(db: Session, ticket: Ticket, number: int, body: str) -> Draft:
    """Say it otherwise; raises `NotFound` for a draft that is not the acting person's own."""
    draft = get_draft(db, ticket, number)
    draft.body, draft.updated_at = _body(body), utcnow()
    db.add(draft)
    return draft


def delete_draft(db: Session, ticket: Ticket, number: int) -> None:
    """Take a draft back."""
    db.delete(get_draft(db, ticket, number))


def get_draft(db: Session, ticket: Ticket, number: int) -> Draft:
    """One draft of the acting person's; raises `NotFound`."""
    draft = db.get(Draft, number)
    if draft is None or draft.ticket_id != ticket.id or draft.author != acting():
        raise NotFound(f"there is no draft {number} of yours on {ticket.key}", "it may have been sent or deleted", "draft")
    return draft


def taken(db: Session, ticket: Ticket) -> list[Remark]:
    """The acting person's drafts as remarks, which are drafts no more: what a verdict sends."""
    rows = list_drafts(db, ticket)
    for row in rows:
        db.delete(row)
    return [Remark.model_construct(**{name: getattr(row, name) for name in Remark.model_fields}) for row in rows]


def quoted(subject: Subject, comments: Sequence[LineComment]) -> list[Remark]:
    """The comments with the lines that they are about, as the branch is now. Reads from git: not within a transaction."""
    if not comments:
        return []
    files = changed(subject)
    return [quote(subject.repository, files, subject.place.head_sha, comment) for comment in comments]


def changed(subject: Subject) -> list[FileChange]:
    """All files that the branch changes."""
    return inspect(subject.repository, subject.base, subject.place.head_sha)


def list_viewed(db: Session, ticket: Ticket) -> dict[str, str]:
    """The blobs of the files that the acting person has viewed, by the files' ids."""
    own = select(Viewed).where(Viewed.ticket_id == ticket.id, Viewed.author == acting())
    return {row.file: row.blob for row in db.exec(own)}


def set_viewed(database: Database, key: str, file_id: str, viewed: bool, blob: str | None = None) -> FileChange:
    """Mark a file as viewed, or as not; `blob` is what was seen, where the branch may have moved since.

    Raises `NotFound` for a file that the diff has not.
    """
    with database.reading() as db:
        subject = look(db, board.get_ticket(db, key))
    file = find(changed(subject), file_id)
    if blob is not None and not (len(blob) in (40, 64) and blob.isalnum()):
        raise Invalid(f"{blob[:20]!r} is no blob", "give the new_blob of the file", "blob")
    with database.transaction() as db:
        ticket = board.get_ticket(db, key)
        own = select(Viewed).where(Viewed.ticket_id == ticket.id, Viewed.author == acting(), Viewed.file == file.id)
        row = db.exec(own.with_for_update()).first()
        if not viewed:
            if row is not None:
                db.delete(row)
            return file
        assert ticket.id is not None
        row = row or Viewed(ticket_id=ticket.id, author=acting(), file=file.id, path=storable(file.path), blob="")
        row.blob, row.viewed_at = blob or file.new_blob, utcnow()
        db.add(row)
        return file


def find(files: Sequence[FileChange], name: str) -> FileChange:
    """The file of that id or path; raises `NotFound`."""
    found = next((file for file in files if file.id == name), None) or next((file for file in files if file.path == name), None)
    if found is None:
        raise NotFound(f"the diff has no file {name[:200]!r}", "see which files it has: dispatcher diff KEY --stat", "file")
    return found


def _checked(database: Database, key: str, comment: LineComment) -> tuple[Subject, Remark]:
    """A comment that can be kept, with the lines that it is about."""
    body = _body(comment.body)
    with database.reading() as db:
        subject = look(db, board.get_ticket(db, key))
    files = changed(subject)
    file = find(files, comment.path)
    if comment.line is not None and comment.line > len(side_lines(subject.repository, file, comment.side)):
        raise Invalid(f"{file.path} has no line {comment.line} there", "choose a line that the diff shows", "line")
    remark = quote(subject.repository, files, subject.place.head_sha, comment)
    return subject, remark.model_copy(update={"body": body, "path": file.path})


def _body(text: str) -> str:
    if not text.strip():
        raise Invalid("the comment is empty", "write what the agent should know", "body")
    if len(text) > board.BODY_LIMIT:
        raise Invalid(f"the comment has {len(text):,} characters; {board.BODY_LIMIT:,} is the limit", "shorten it", "body")
    return str(storable(text))
