"""What the page of a ticket's changes shows: the range, its files, what was said about lines, what approving would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from sqlmodel import Session, col, select

from dispatcher import drafts
from dispatcher.changes import FileChange, Stats, changed_files, patch, totals, unlisted
from dispatcher.errors import DispatcherError
from dispatcher.forecast import Forecast, forecast
from dispatcher.git import Repository
from dispatcher.inspection import inspect, sections_of
from dispatcher.models import Comment, Draft, Ticket
from dispatcher.ranges import Point, Points, Range, points, resolve
from dispatcher.remarks import Lines, Place, locate, segments, spot
from dispatcher.subject import Subject, look, workspace_of
from web.diffs import Section, sections, without_returns
from web.errors import Problem, problem_of
from web.pages.review.tree import Folder, tree

LARGE = 6_000
"""Changed lines of a file beyond which it is drawn only when it is asked for."""
LARGE_LOCK = 60
PLAIN_BYTES = 4_000_000


@dataclass(frozen=True)
class Asked:
    """What of the changes is shown; `everything` is the page that needs no scripts."""

    since: str = ""
    until: str = ""
    no_space: bool = False
    everything: bool = False

    def url(self, key: str, part: str = "", seen: str = "", **changes: Any) -> str:
        """The page's address, or that of a part of it, with some of it otherwise; `seen` is the head that the page shows."""
        asked = replace(self, **changes)
        given = {"since": asked.since, "until": asked.until, "w": "1" if asked.no_space else ""}
        given |= {"all": "1" if asked.everything else "", "part": part, "seen": seen}
        query = urlencode({name: value for name, value in given.items() if value})
        return f"/tickets/{key}/changes{'?' + query if query else ''}"


@dataclass
class FileView:
    """A changed file as the page shows it."""

    file: FileChange
    viewed: bool
    changed: bool
    """It was another when it was viewed."""
    folded: str
    """Why it is not drawn before it is asked for."""
    lines: list[Section] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Its path."""
        return self.file.path


@dataclass
class RemarkView:
    """A comment or a draft on lines, and where these are now."""

    row: Comment | Draft
    place: Place
    file: FileChange | None
    spot: str
    parts: list[tuple[str, str]]
    own: bool

    @property
    def pending(self) -> bool:
        """Whether it was not sent yet."""
        return isinstance(self.row, Draft)

    @property
    def words(self) -> str:
        """What it says, without what it suggests."""
        return next((text.strip() for kind, text in self.parts if kind == "text"), "a suggested change")

    @property
    def name(self) -> str:
        """Its id in the page."""
        return f"{'draft' if self.pending else 'remark'}-{self.row.id}"


@dataclass
class View:
    """The changes of one range, read from rows first (`gather`) and then from git (`fill`), which no transaction waits for."""

    asked: Asked
    head: str = ""
    problem: Problem | None = None
    between: Range | None = None
    known: Points | None = None
    files: list[FileView] = field(default_factory=list)
    stats: Stats = field(default_factory=Stats)
    remarks: list[RemarkView] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    forecast: Forecast | None = None
    cut: bool = False
    unlisted: str = ""
    """What to know where not all changed files are listed."""

    @property
    def care(self) -> list[FileView]:
        """The files that deserve care."""
        return [one for one in self.files if one.file.care]

    @property
    def folders(self) -> Folder:
        """The other files by their folders."""
        return tree(one for one in self.files if not one.file.care)

    @property
    def viewed(self) -> int:
        """How many files one has viewed."""
        return sum(one.viewed for one in self.files)

    @property
    def begins(self) -> list[Point]:
        """What a range may begin at, but for the branch's base."""
        known = self.known
        return ([known.review] if known and known.review else []) + _choices(known, self.head)

    @property
    def ends(self) -> list[Point]:
        """What a range may end at, but for the branch's head."""
        return _choices(self.known, self.head)


@dataclass
class Rows:
    """What the database knows of a ticket's review."""

    subject: Subject | None
    known: Points | None
    marks: Mapping[str, str]
    drafts: Sequence[Draft]
    comments: Sequence[Comment]


def gather(db: Session, ticket: Ticket) -> Rows:
    """What the database knows."""
    place = workspace_of(db, ticket)
    said = select(Comment).where(Comment.ticket_id == ticket.id, col(Comment.path).is_not(None)).order_by(col(Comment.id))
    return Rows(
        subject=look(db, ticket) if place is not None else None,
        known=points(db, ticket, place.head_sha) if place is not None else None,
        marks=drafts.list_viewed(db, ticket),
        drafts=drafts.list_drafts(db, ticket),
        comments=list(db.exec(said)),
    )


def fill(rows: Rows, asked: Asked, *, files: bool = True, foresee: bool = True) -> View | None:
    """The view of that range, None where the ticket has changed nothing yet; `files` False leaves the lines to others."""
    subject, known = rows.subject, rows.known
    if subject is None or known is None or subject.place.head_sha == subject.place.base_sha:
        return None
    view = View(asked, head=subject.place.head_sha, known=known, drafts=list(rows.drafts))
    try:
        view.between = between = resolve(subject, known, asked.since, asked.until)
        found = inspect(subject.repository, between.base, between.head, ignore_space=asked.no_space)
        view.files = [_file_view(file, rows.marks, whole=between.whole or not asked.until) for file in found]
        view.stats = totals(subject.repository, between.base, between.head, ignore_space=asked.no_space)
        view.unlisted = unlisted(view.stats, len(found)) if view.stats.files > len(found) else ""
        said: list[Comment | Draft] = [*rows.comments, *rows.drafts]
        view.remarks = [_remark(subject.repository, found, row) for row in said]
        if asked.everything and files:
            _plain(subject.repository, view, between)
    except DispatcherError as error:
        view.problem = problem_of(error)
    if foresee and subject.ticket.state == "review":
        view.forecast = _foresee(subject)
    return view


def _foresee(subject: Subject) -> Forecast | None:
    try:
        return forecast(subject)
    except DispatcherError:
        return None  # approving will say why, as an error of its own


def _choices(known: Points | None, head: str) -> list[Point]:
    if known is None:
        return []
    last = {point.sha: point for point in known.runs}  # of runs that left the same commit, the last
    return [point for point in last.values() if point.sha != head]


def _file_view(file: FileChange, marks: Mapping[str, str], *, whole: bool) -> FileView:
    seen = marks.get(file.id) if whole else None
    viewed = seen == file.new_blob
    lines = file.additions + file.deletions
    lock = any(one.kind == "lock" for one in file.care) and lines > LARGE_LOCK
    folded = f"{lines:,} lines" if lines > LARGE else f"a lock file of {lines:,} lines" if lock else ""
    return FileView(file, viewed=viewed, changed=seen is not None and not viewed, folded=folded)


def _remark(repository: Repository, files: Sequence[FileChange], row: Comment | Draft) -> RemarkView:
    lines: Lines = row
    place = locate(repository, files, lines)
    file = next((file for file in files if file.path == row.path), None)
    return RemarkView(row, place, file, spot(lines), segments(row.body), own=isinstance(row, Draft))


def _plain(repository: Repository, view: View, between: Range) -> None:
    """The lines of all files, for the page without scripts."""
    no_space = view.asked.no_space
    out, view.cut = patch(repository, between.base, between.head, PLAIN_BYTES, ignore_space=no_space)
    parts = sections(out.decode("utf-8", "replace"))
    by_id = {one.file.id: one for one in view.files}
    # The patch comes in git's own order, the page has files that deserve care first.
    for file in changed_files(repository, between.base, between.head, ignore_space=no_space):
        if (
            no_space
            and file.status == "modified"
            and not (file.additions or file.deletions or file.binary or file.mode_changed)
        ):
            continue  # only space differs: it has no part
        del parts[: file.skipped]
        taken = [parts.pop(0) for _ in range(min(sections_of(file), len(parts)))]
        for part in taken:
            without_returns(part)
        by_id[file.id].lines = taken
