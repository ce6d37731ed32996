"""An issue and its ticket, kept in step: three ways, by what both sides agreed on last.

`taken` is a digest of the title and body that both had. Where only one side differs from it, the other follows; where both do,
or where the ticket's text is fixed because a run was started with it, the difference is shown and a person decides.
"""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from dispatcher import activity, board, runs
from dispatcher.errors import Conflict
from dispatcher.github.text import at, clean, line
from dispatcher.github.work import find_issue, issue_of
from dispatcher.models import GitHubIssue, GitHubPull, GitHubRepo, Project, Ticket, utcnow
from dispatcher.text import digest

UNTITLED = "(no title)"
CLOSED = ("done", "cancelled")


def take_issue(db: Session, repo: GitHubRepo, payload: dict[str, Any], *, trusted: bool) -> tuple[GitHubIssue, Ticket] | None:
    """Bring the ticket after an issue as a payload shows it; None for a closed one that was never here.

    What is older than what is known changes nothing. `trusted` is said of the author, and counts for a new ticket.
    """
    assert repo.id is not None
    found = find_issue(db, repo.id, int(payload["number"]))
    if found is None:
        return _file(db, repo, payload, trusted=trusted) if payload["state"] == "open" else None
    issue, ticket = found
    if at(payload["updated_at"]) >= issue.changed_at:
        before = (issue.title, issue.body)
        _learn(issue, payload)
        db.add(issue)
        if before != (issue.title, issue.body):
            _follow(db, issue, ticket)
        follow_labels(db, issue, ticket)
        _follow_state(db, issue, ticket)
    return found


def text_of(payload: dict[str, Any]) -> tuple[str, str]:
    """Title and body as tickets hold them."""
    return line(payload.get("title"), board.TITLE_LIMIT) or UNTITLED, clean(payload.get("body")).text[: board.BODY_LIMIT]


def agreed(title: str, body: str) -> str:
    """The digest by which both sides are compared."""
    return digest([title, body])


def edited_there(issue: GitHubIssue) -> bool:
    """Whether title or body on GitHub are not those of which the ticket's were made."""
    return agreed(issue.title, issue.body) != issue.taken


def edited_here(issue: GitHubIssue, ticket: Ticket) -> bool:
    """Whether title or body on the board are others than GitHub was told."""
    return agreed(ticket.title, ticket.body) != issue.taken


def is_fixed(db: Session, issue: GitHubIssue, ticket: Ticket) -> bool:
    """Whether the ticket's text stays as it is whatever happens on GitHub: it was accepted, or an agent has had it."""
    return issue.accepted_at is not None or ticket.state != "backlog" or runs.latest_run(db, ticket) is not None


def accept(db: Session, ticket: Ticket, by: str, seen: str | None = None) -> None:
    """Take the ticket's text for good, so that runs may be started with it; also after its project was disconnected.

    `seen` is the digest (`agreed`) of the text that the person was shown. Raises `Conflict` where that is another by now.
    """
    issue, origin = issue_of(db, ticket), ticket.origin or {}
    if origin.get("kind") != "github":
        raise Conflict(f"{ticket.key} did not come from GitHub", "assign it as it is")
    if seen is not None and seen != agreed(ticket.title, ticket.body):
        raise Conflict(f"the text of {ticket.key} was edited since you read it", "read it again, then accept it")
    if origin.get("waiting") or (issue is not None and issue.accepted_at is None):
        mark_origin(ticket, waiting=False)
        db.add(ticket)
        activity.record(db, "github.accepted", ticket=ticket, number=origin["number"])
    if issue is not None and issue.accepted_at is None:
        issue.accepted_at, issue.accepted_by = utcnow(), by
        db.add(issue)


def fix_text(db: Session, issue: GitHubIssue, ticket: Ticket, payload: dict[str, Any]) -> None:
    """The text as it was when a trigger was pulled is the one that runs; what was edited later shows as a difference."""
    if not is_fixed(db, issue, ticket) and not edited_here(issue, ticket):
        _put(db, issue, ticket, *text_of(payload))
        if edited_there(issue):
            activity.record(db, "github.edited", ticket=ticket, number=issue.number)


def take_edit(db: Session, ticket: Ticket, seen: str) -> None:
    """Let the ticket have GitHub's text of now; raises `Conflict` where it is not the one that was shown (`seen`)."""
    issue = issue_of(db, ticket)
    if issue is None or not edited_there(issue):
        raise Conflict(f"the issue of {ticket.key} was not edited since", "there is nothing to take over")
    if seen != agreed(issue.title, issue.body):
        raise Conflict(f"the issue of {ticket.key} was edited again since you read it", "read it again")
    _put(db, issue, ticket, issue.title, issue.body)


def keep_ours(db: Session, ticket: Ticket, seen: str) -> None:
    """Leave GitHub's edit aside: what the ticket says is written there, where edits are written at all."""
    issue = issue_of(db, ticket)
    if issue is None or seen != agreed(issue.title, issue.body):
        raise Conflict(f"the issue of {ticket.key} was edited again since you read it", "read it again")
    issue.taken = seen
    db.add(issue)
    activity.record(db, "ticket.edited", ticket=ticket, fields=["body", "title"])


def gone(db: Session, repo: GitHubRepo, number: int, how: str) -> Ticket | None:
    """The issue is no longer there (`how`: deleted, transferred): its ticket goes where no work was begun, else it stays."""
    assert repo.id is not None
    found = find_issue(db, repo.id, number)
    if found is None or found[0].gone:
        return None
    issue, ticket = found
    issue.gone = how
    mark_origin(ticket, gone=how)
    db.add_all([issue, ticket])
    activity.record(db, "github.gone", ticket=ticket, number=number, how=how)
    if ticket.state in ("backlog", "queued"):
        board.cancel(db, ticket)
    return ticket


def text_for(issue: GitHubIssue, ticket: Ticket) -> dict[str, str]:
    """Which of title and body are to be written there: what is the same stays as it is, with what is hidden in it.

    The ticket's body is without comments of HTML, with which templates tell people what to write.
    """
    if not edited_here(issue, ticket) or edited_there(issue):
        return {}
    there = {"title": issue.title, "body": issue.body}
    return {name: text for name, text in (("title", ticket.title), ("body", ticket.body)) if text != there[name]}


def learn_written(db: Session, issue_id: int, payload: dict[str, Any], text: tuple[str, str] | None) -> None:
    """What GitHub answered to something that we wrote: it is not news when the webhook brings it."""
    issue = db.get_one(GitHubIssue, issue_id)
    if at(payload["updated_at"]) >= issue.changed_at:
        _learn(issue, payload)
    issue.base_labels, issue.base_state = [label for label in issue.labels if usable(label)], issue.state
    if text is not None:
        issue.taken = agreed(*text)
    db.add(issue)


def mark_origin(ticket: Ticket, **values: Any) -> None:
    """Change what the ticket's card tells of where it came from."""
    ticket.origin = {**(ticket.origin or {}), **values}


def follow_labels(db: Session, issue: GitHubIssue, ticket: Ticket) -> None:
    """Merge labels: what either side added or took away since they agreed, both get."""
    merged, base = merge_labels(issue, ticket), set(issue.base_labels)
    # What was taken away here and still stands there stays in the base, or it would look as if it had been added there.
    issue.base_labels = [label for label in issue.labels if label in merged or label in base]
    db.add(issue)
    if merged != list(ticket.labels):
        board.edit_ticket(db, ticket, labels=merged)


def merge_labels(issue: GitHubIssue, ticket: Ticket) -> list[str]:
    """The labels that both sides are to have; those that cannot be labels here stay GitHub's own."""
    base, here = set(issue.base_labels), list(ticket.labels)
    there = [label for label in issue.labels if usable(label)]
    dropped = (base - set(here)) | (base - set(there))
    return [label for label in dict.fromkeys([*here, *there]) if label not in dropped]


def usable(label: str) -> bool:
    """Whether it can be a label here."""
    return bool(label.strip() == label and label and "," not in label and "\n" not in label and len(label) <= 50)


def _file(db: Session, repo: GitHubRepo, payload: dict[str, Any], *, trusted: bool) -> tuple[GitHubIssue, Ticket]:
    project = db.get_one(Project, repo.project_id)
    author = str((payload.get("user") or {}).get("login") or "ghost")
    title, body = text_of(payload)
    labels = [label for label in _labels(payload) if usable(label)]
    ticket = board.file_ticket(db, project=project.key, title=title, body=body, labels=labels)
    assert ticket.id is not None and repo.id is not None
    issue = GitHubIssue(
        repo_id=repo.id,
        ticket_id=ticket.id,
        number=int(payload["number"]),
        url=str(payload["html_url"]),
        author=author,
        title=title,
        body=ticket.body,
        labels=_labels(payload),
        base_labels=labels,
        taken=agreed(title, ticket.body),
        changed_at=at(payload["updated_at"]),
    )
    ticket.origin = {
        "kind": "github",
        "repository": repo.repository,
        "number": issue.number,
        "url": issue.url,
        "author": author,
        "waiting": not trusted,
    }
    db.add_all([issue, ticket])
    db.flush()
    activity.record(db, "github.issue", ticket=ticket, number=issue.number, author=author, waiting=not trusted)
    return issue, ticket


def _learn(issue: GitHubIssue, payload: dict[str, Any]) -> None:
    issue.title, issue.body = text_of(payload)
    issue.labels, issue.state = _labels(payload), str(payload["state"])
    issue.changed_at = at(payload["updated_at"])


def _follow(db: Session, issue: GitHubIssue, ticket: Ticket) -> None:
    if (issue.title, issue.body) == (ticket.title, ticket.body):
        issue.taken = agreed(ticket.title, ticket.body)  # edited on both sides, to the same
    elif edited_there(issue) and (is_fixed(db, issue, ticket) or edited_here(issue, ticket)):
        activity.record(db, "github.edited", ticket=ticket, number=issue.number)
    elif edited_there(issue):
        _put(db, issue, ticket, issue.title, issue.body)


def _put(db: Session, issue: GitHubIssue, ticket: Ticket, title: str, body: str) -> None:
    issue.taken = agreed(title, body)
    db.add(issue)
    if (ticket.title, ticket.body) != (title, body):
        board.edit_ticket(db, ticket, title=title, body=body)


def _follow_state(db: Session, issue: GitHubIssue, ticket: Ticket) -> None:
    if issue.state == issue.base_state:
        return
    pull = db.exec(select(GitHubPull).where(col(GitHubPull.ticket_id) == ticket.id)).first()
    merging = pull is not None and pull.state in ("open", "merged")  # its merge closes the issue, and then the ticket is done
    if issue.state == "closed" and ticket.state not in CLOSED and not merging:
        board.cancel(db, ticket)
    elif issue.state == "open" and ticket.state in CLOSED and runs.live_run(db, ticket) is None:
        board.reopen(db, ticket)
    issue.base_state = issue.state
    db.add(issue)


def _labels(payload: dict[str, Any]) -> list[str]:
    return [label if isinstance(label, str) else str(label["name"]) for label in payload.get("labels") or []]
