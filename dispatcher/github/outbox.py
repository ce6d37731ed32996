"""The outbox: what happened here is read off the activity feed, and what is owed to GitHub for it is written down.

The feed is written in the transaction of what happened, so nothing is lost between the two. A letter says only what it is
about; what it is to say is looked up when it is sent, so that many happenings cost one call.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, func, select

from dispatcher import activity
from dispatcher.github.comments import root_of
from dispatcher.github.pulls import pull_of, want_pull
from dispatcher.github.work import issue_of
from dispatcher.models import (
    Activity,
    Blocker,
    Comment,
    GitHubIssue,
    GitHubLetter,
    GitHubPull,
    GitHubRemark,
    GitHubRepo,
    Run,
    Ticket,
    utcnow,
)
from dispatcher.states import RUN

_ENDED = {f"run.{rule.target}" for rule in RUN if rule.source == "finishing" and rule.target != "finishing"}
_RUN = {"run.running", "run.lost", *_ENDED}
_ISSUE = {"ticket.edited", "ticket.done", "ticket.cancelled", "ticket.backlog"}
_NEWEST = {"ticket.done", "ticket.cancelled", "ticket.review", "github.pull_opened"}
"""After these the newest run's comment says something else."""
_PULL = {"ticket.review", "ticket.cancelled", "github.pull_wanted"}
_KINDS = _RUN | _ISSUE | _NEWEST | _PULL | {"comment.added", "blocker.resolved", "review.changes_requested"}
BATCH = 500
AHEAD = 200
"""So far the cursor may lie behind a feed in which nothing was for us, before that is written down."""


def owes(db: Session, repo: GitHubRepo) -> bool:
    """Whether the feed has anything for `collect`; a look that takes no lock."""
    if _entries(db, repo, 1):
        return True
    return activity.newest(db) > repo.cursor + AHEAD


def collect(db: Session, repo_id: int) -> int:
    """Fill the outbox from the feed; gives how many entries there were something to do for."""
    repo = db.exec(select(GitHubRepo).where(GitHubRepo.id == repo_id).with_for_update()).one()
    newest = activity.newest(db)
    entries = _entries(db, repo, BATCH)
    for entry in entries:
        ticket = db.get(Ticket, entry.ticket_id)
        if ticket is not None:
            _write(db, repo, entry, ticket)
    last = entries[-1].id if len(entries) == BATCH else newest
    repo.cursor = max(repo.cursor, last or 0)
    db.add(repo)
    return len(entries)


def owed(db: Session, repo_id: int, limit: int = 100) -> list[GitHubLetter]:
    """The letters to be sent now, oldest first."""
    query = select(GitHubLetter).where(GitHubLetter.repo_id == repo_id, col(GitHubLetter.sent_at).is_(None))
    due = col(GitHubLetter.next_at).is_(None) | (col(GitHubLetter.next_at) <= utcnow())
    return list(db.exec(query.where(due).order_by(col(GitHubLetter.id)).limit(limit)))


def debt(db: Session, repo_id: int) -> tuple[int, datetime | None]:
    """How many letters are owed, and since when the oldest is."""
    query = select(func.count(), func.min(GitHubLetter.wanted_at)).where(col(GitHubLetter.sent_at).is_(None))
    count, oldest = db.exec(query.where(GitHubLetter.repo_id == repo_id)).one()
    return int(count), oldest


def newest(db: Session, repo_id: int, limit: int = 50) -> list[GitHubLetter]:
    """The newest letters: what is owed first, then what was sent last."""
    query = select(GitHubLetter).where(GitHubLetter.repo_id == repo_id)
    order = (col(GitHubLetter.sent_at).is_not(None), col(GitHubLetter.wanted_at).desc())
    return list(db.exec(query.order_by(*order).limit(limit)))


def words(db: Session, row: GitHubLetter) -> str:
    """What a letter is, for people."""
    ticket = db.get_one(Ticket, row.ticket_id)
    if row.kind == "run":
        return f"the comment on run {db.get_one(Run, row.about_id).number} of {ticket.key}"
    what = {"comment": "a comment", "issue": "what was edited here", "pull": "the pull request"}[row.kind]
    return f"{what} of {ticket.key}"


def letter(db: Session, repo: GitHubRepo, kind: str, ticket: Ticket, about: int) -> GitHubLetter:
    """Owe something: a new letter, or the one about the same thing once more."""
    assert repo.id is not None and ticket.id is not None
    name = f"{kind}:{about}"
    row = db.exec(select(GitHubLetter).where(GitHubLetter.repo_id == repo.id, GitHubLetter.name == name)).first()
    if row is None:
        row = GitHubLetter(repo_id=repo.id, name=name, kind=kind, ticket_id=ticket.id, about_id=about)
    elif row.sent_at is None:
        row.version += 1
        row.next_at = None
    else:
        row.version, row.attempts, row.next_at, row.fault = row.version + 1, 0, None, ""
        row.sent_at, row.wanted_at = None, utcnow()
    db.add(row)
    db.flush()
    return row


def _entries(db: Session, repo: GitHubRepo, limit: int) -> list[Activity]:
    tickets = select(Ticket.id).where(Ticket.project_id == repo.project_id)
    query = select(Activity).where(col(Activity.id) > repo.cursor, col(Activity.kind).in_(_KINDS))
    return list(db.exec(query.where(col(Activity.ticket_id).in_(tickets)).order_by(col(Activity.id)).limit(limit)))


def _write(db: Session, repo: GitHubRepo, entry: Activity, ticket: Ticket) -> None:
    assert ticket.id is not None
    issue = issue_of(db, ticket)
    if issue is not None and not issue.gone:
        for run in _runs(db, entry, ticket):
            letter(db, repo, "run", ticket, root_of(db, run).id or 0)
        if repo.mirror:
            _mirror(db, repo, entry, ticket, issue)
    pull = pull_of(db, ticket)
    if entry.kind == "review.changes_requested" and pull is not None and _by_hand(entry):
        pull.rounds = 0
        db.add(pull)
    if entry.kind == "ticket.review" and ticket.state == "review" and repo.pulls == "ready" and pull is None:
        pull = want_pull(db, ticket, "the project's policy")
    if entry.kind in _PULL and pull is not None and _is_open(pull):
        letter(db, repo, "pull", ticket, ticket.id)


def _mirror(db: Session, repo: GitHubRepo, entry: Activity, ticket: Ticket, issue: GitHubIssue) -> None:
    if entry.kind in _ISSUE:
        letter(db, repo, "issue", ticket, issue.ticket_id)
    if entry.kind == "comment.added":
        comment = db.get(Comment, entry.data.get("comment"))
        known = select(GitHubRemark.id).where(GitHubRemark.comment_id == entry.data.get("comment"))
        # What came from GitHub is there; what belongs to a review is for the agent.
        if comment is not None and comment.review_id is None and db.exec(known).first() is None:
            letter(db, repo, "comment", ticket, comment.id or 0)


def _runs(db: Session, entry: Activity, ticket: Ticket) -> list[Run]:
    if entry.kind in _RUN and entry.run_id is not None:
        return [db.get_one(Run, entry.run_id)]
    if entry.kind == "blocker.resolved":
        query = select(Blocker).where(Blocker.ticket_id == ticket.id, col(Blocker.resolved_at).is_not(None))
        blocker = db.exec(query.order_by(col(Blocker.resolved_at).desc())).first()
        return [db.get_one(Run, blocker.run_id)] if blocker is not None and blocker.run_id is not None else []
    if entry.kind in _NEWEST:
        ended = select(Run).where(Run.ticket_id == ticket.id, Run.state == "succeeded").order_by(col(Run.number).desc())
        newest = db.exec(ended).first()
        return [newest] if newest is not None else []
    return []


def _is_open(pull: GitHubPull) -> bool:
    return pull.state in ("wanted", "open")


def _by_hand(entry: Activity) -> bool:
    return not entry.actor.endswith(" on GitHub")
