"""From where to where a diff is shown: the whole branch, what is new since one's own last verdict, what one run did."""

from __future__ import annotations

from functools import lru_cache

from pydantic import BaseModel
from sqlmodel import Session, col, select

from dispatcher.actor import acting
from dispatcher.errors import Conflict, Invalid
from dispatcher.git import Repository
from dispatcher.merging import merge_trees
from dispatcher.models import Review, Run, Ticket
from dispatcher.subject import Subject


class Point(BaseModel):
    """A commit that a diff may begin or end at, by a name for addresses, with words for people."""

    name: str
    sha: str
    text: str


class Points(BaseModel):
    """The commits of a ticket that a diff may be between, oldest first; `others` are known without a name."""

    head: str
    runs: list[Point] = []
    review: Point | None = None
    """The head of the asking person's last verdict."""
    others: list[str] = []

    @property
    def news(self) -> bool:
        """Whether the branch has moved since the asking person's last verdict."""
        return self.review is not None and self.review.sha != self.head


class Range(BaseModel):
    """What to compare: two commits, or a tree that was made for it and a commit."""

    base: str
    head: str
    whole: bool
    """Whether it is all that the branch changes, up to its head."""
    since: str = ""
    until: str = ""
    notes: list[str] = []


def points(db: Session, ticket: Ticket, head: str) -> Points:
    """Every commit that a diff of the ticket may be between."""
    ended = select(Run).where(Run.ticket_id == ticket.id, col(Run.head_sha).is_not(None)).order_by(col(Run.number))
    named = [Point(name=f"run-{run.number}", sha=run.head_sha or "", text=f"after run {run.number}") for run in db.exec(ended)]
    verdicts = list(db.exec(select(Review).where(Review.ticket_id == ticket.id).order_by(col(Review.id))))
    own = [one for one in verdicts if one.author == acting()]
    last = Point(name="review", sha=own[-1].head_sha, text="my last review") if own else None
    return Points(head=head, runs=named, review=last, others=[one.head_sha for one in verdicts])


def resolve(subject: Subject, known: Points, since: str = "", until: str = "") -> Range:
    """The range between two names: `review`, `run-2`, a full sha of the ticket's, or nothing for base and head.

    What came with a merge of the target in between is left out. Raises `Invalid` for a name that there is not, and `Conflict`
    where a commit is not in the repository any more.
    """
    head = _commit(known, until, "until") if until else subject.place.head_sha
    base = subject.base if head == subject.place.head_sha else _base(subject, head)
    if not since:
        return Range(base=base, head=head, whole=not until, until=until)
    begin = _commit(known, since, "since")
    repository = subject.repository
    if None in repository.commits(begin, head):
        raise Conflict(f"the commit {begin[:10]} is not in the repository any more", "look at the whole branch")
    notes: list[str] = []
    if not repository.is_ancestor(begin, head):
        notes.append("The branch was rewritten in between.")
    if not repository.is_ancestor(base, begin):
        begin, note = _without_target(subject, begin, base)
        notes.append(note)
    return Range(base=begin, head=head, whole=False, since=since, until=until, notes=notes)


def _base(subject: Subject, head: str) -> str:
    if subject.repository.commit(head) is None:
        raise Conflict(f"the commit {head[:10]} is not in the repository any more", "look at the whole branch")
    return subject.base_of(head)


def _without_target(subject: Subject, begin: str, base: str) -> tuple[str, str]:
    """Where to begin so that what the target brought in between is not shown: the older head with that merged into it."""
    target = subject.place.target
    tree = _merged(subject.repository, begin, base)
    if tree is None:
        return begin, f"{target} was merged in between, with conflicts: what came with it is shown too."
    return tree, f"{target} was merged in between: what came with it is left out."


@lru_cache(maxsize=64)
def _merged(repository: Repository, one: str, other: str) -> str | None:
    merged = merge_trees(repository, one, other)
    return merged.tree if merged.clean else None


def _commit(known: Points, name: str, field: str) -> str:
    if name == "review":
        if known.review is None:
            raise Invalid("you have not reviewed this ticket yet", "look at the whole branch", field)
        return known.review.sha
    named = {point.name: point.sha for point in known.runs}
    if name in named:
        return named[name]
    if name in (known.head, *named.values(), *known.others):
        return name
    choice = ", ".join(["review", *named])
    raise Invalid(f"there is no commit {name[:60]!r} of this ticket", f"choose one of: {choice}", field)
