"""What stands on GitHub by our hand: one comment per run, the mirror of comments here, the pull request's words."""

from __future__ import annotations

from sqlmodel import Session, col, select

from adapters.decode import brief
from dispatcher.github.text import harmless, inert, line
from dispatcher.models import Agent, Blocker, Check, Comment, GitHubIssue, GitHubPull, GitHubRepo, Run, Ticket, Workspace
from dispatcher.states import LIVE_RUN

LIMIT = 60_000
"""GitHub takes 65,536 characters."""
SUMMARY = 8_000


def marker(repo: GitHubRepo, name: str) -> str:
    """What our comment begins with, and is found by: invisible on GitHub."""
    return f"<!-- dispatcher:{repo.mark}:{name} -->"


def root_of(db: Session, run: Run) -> Run:
    """The run that began it: one that was lost with its worker and goes on is the same to those who read of it."""
    while run.reason == "lost" and run.number > 1:
        before = db.exec(select(Run).where(Run.ticket_id == run.ticket_id, Run.number == run.number - 1)).one()
        run = before
    return run


def newest_of(db: Session, root: Run) -> Run:
    """The last of the runs that go on from `root` by themselves."""
    later = select(Run).where(Run.ticket_id == root.ticket_id, Run.number > root.number).order_by(col(Run.number))
    newest = root
    for run in db.exec(later):
        if run.reason != "lost":
            break
        newest = run
    return newest


def run_comment(db: Session, repo: GitHubRepo, root: Run, board_url: str) -> str:
    """The one comment of a run: what it does, what it asks, or what it came to."""
    run = newest_of(db, root)
    ticket, agent = db.get_one(Ticket, run.ticket_id), db.get_one(Agent, run.agent_id)
    where = f"[{ticket.key}]({board_url}/tickets/{ticket.key})" if board_url else ticket.key
    body = _body(db, ticket, run, f"**{agent.name}**")
    body = _whole(body)
    return f"{marker(repo, f'run:{root.id}')}\n{body}\n\n<sub>{where}, run {run.number}, {line(run.model, 100)}</sub>"


def _body(db: Session, ticket: Ticket, run: Run, agent: str) -> str:
    if run.state == "queued":
        return f"{agent} is about to begin."
    if run.state in LIVE_RUN:
        return f"{agent} is at work on this."
    blocker = db.exec(select(Blocker).where(Blocker.run_id == run.id).order_by(col(Blocker.id).desc())).first()
    if blocker is not None and blocker.resolved_at is None and ticket.state == "blocked":
        return _blocked(blocker, agent)
    if run.state == "succeeded":
        return _ready(db, ticket, run, agent)
    if blocker is not None and blocker.resolved_at is not None:
        said = f"\n\nAnswered:\n\n{_quoted(blocker.answer)}" if (blocker.answer or "").strip() else "\n\nIt went on."
        return f"{agent} stopped: {blocker.kind.replace('_', ' ')}.\n\n{_quoted(blocker.text)}{said}"
    if run.state == "lost":
        return f"{agent} was interrupted."
    return f"{agent} was stopped: {run.state.replace('_', ' ')}."


def _blocked(blocker: Blocker, agent: str) -> str:
    if blocker.kind in ("question", "permission"):
        return (
            f"{agent} asks:\n\n{_quoted(blocker.text)}\n\nAnswer with a comment here, if you may write to this repository; "
            "the work then goes on where it stopped."
        )
    return (
        f"{agent} cannot go on without a person: {blocker.kind.replace('_', ' ')}.\n\n{_quoted(brief(blocker.text, 2000))}\n\n"
        "`/agent NAME` in a comment tries again, with what else the comment says."
    )


def _ready(db: Session, ticket: Ticket, run: Run, agent: str) -> str:
    pull = db.exec(select(GitHubPull).where(col(GitHubPull.ticket_id) == ticket.id)).first()
    done = {"done": "The work is merged.", "cancelled": "The ticket was closed without a merge."}.get(ticket.state)
    head = done or f"{agent} is done; the work is ready for review."
    facts = [_changes(ticket), *_checks(db, run)]
    if pull is not None and pull.number is not None:
        facts.append(f"pull request: #{pull.number}")
    return f"{head}\n\n{_quoted(run.summary[:SUMMARY])}\n\n" + "\n".join(f"- {fact}" for fact in facts)


def _changes(ticket: Ticket) -> str:
    files = f"{ticket.files} file{'' if ticket.files == 1 else 's'} changed"
    return f"{files}, {ticket.additions} lines added, {ticket.deletions} removed"


def _checks(db: Session, run: Run) -> list[str]:
    rows = db.exec(select(Check).where(Check.run_id == run.id).order_by(col(Check.id)))
    return [f"check `{line(row.command, 200).replace('`', '')}`: {row.state.replace('_', ' ')}" for row in rows] or [
        "no checks are set up"
    ]


def _quoted(text: str | None) -> str:
    shown = harmless(text or "").strip() or "(no words)"
    return "\n".join(f"> {row}".rstrip() for row in shown.splitlines())


def board_comment(repo: GitHubRepo, comment: Comment) -> str:
    """A comment that was made here, for the issue."""
    place = (
        f" on `{line(comment.path, 300).replace('`', '')}`{f':{comment.line}' if comment.line else ''}" if comment.path else ""
    )
    said = f"**{harmless(line(comment.author, 100))}**{place}, on the board:\n\n{harmless(comment.body)}"
    return _whole(f"{marker(repo, f'comment:{comment.id}')}\n{said}")


def _whole(text: str) -> str:
    """As much as GitHub takes, and said where it is not all."""
    return text if len(text) <= LIMIT else f"{text[:LIMIT]}\n\n(The rest is on the board.)"


def pull_title(ticket: Ticket) -> str:
    """The pull request's title."""
    return inert(line(ticket.title, 250))


def pull_body(db: Session, repo: GitHubRepo, ticket: Ticket, place: Workspace, board_url: str) -> str:
    """What the pull request says: the summary, what was checked, where it comes from, and the issue that it closes."""
    run = db.exec(
        select(Run).where(Run.ticket_id == ticket.id, Run.state == "succeeded").order_by(col(Run.number).desc())
    ).first()
    issue = db.exec(select(GitHubIssue).where(col(GitHubIssue.ticket_id) == ticket.id)).first()
    parts = [marker(repo, f"pull:{ticket.id}")]
    if run is not None:
        agent = db.get_one(Agent, run.agent_id)
        where = f"[{ticket.key}]({board_url}/tickets/{ticket.key})" if board_url else ticket.key
        parts += [_quoted(run.summary[:SUMMARY]), "\n".join(f"- {fact}" for fact in (_changes(ticket), *_checks(db, run)))]
        parts.append(
            f"Written by the agent **{agent.name}** ({line(run.harness, 50)}, {line(run.model, 100)}) for {where}, at commit "
            f"{place.head_sha[:12]}. Review comments here go back to it."
        )
    if issue is not None and not issue.gone:
        parts.append(f"Fixes #{issue.number}")
    return "\n\n".join(parts)[:LIMIT]
