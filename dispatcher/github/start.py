"""A trigger pulled on GitHub becomes a run, where its sender may do that."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlmodel import Session

from dispatcher import activity, board, review, runs
from dispatcher.actor import acting_as
from dispatcher.agents import offered_agent
from dispatcher.errors import DispatcherError
from dispatcher.github.editing import EDITOR
from dispatcher.github.sync import accept, fix_text, is_fixed
from dispatcher.github.triggers import Asked
from dispatcher.github.trust import Sender, Verdict
from dispatcher.github.work import find_issue, name_of
from dispatcher.models import Agent, GitHubIssue, Ticket


class Call(NamedTuple):
    """A trigger: the issue as the sender saw it, what is asked for, by whom, whether they may, and when it was."""

    issue: dict[str, Any]
    asked: Asked
    sender: Sender
    verdict: Verdict
    when: datetime


def start(db: Session, repo_id: int, call: Call) -> str:
    """Do what was asked, once; gives what came of it in words.

    A trigger that is not newer than the newest that was obeyed has been looked at: deliveries come twice and in any order,
    and opening an issue with a label sends two of them. One that was refused is in the way of no other.
    """
    payload, asked, sender, verdict, when = call
    found = find_issue(db, repo_id, int(payload["number"]))
    if found is None:
        return "there is no ticket of that issue"
    issue, ticket = found
    if issue.started_at is not None and when <= issue.started_at:
        return "this trigger was looked at already"
    known = issue.triggered_at is not None and when <= issue.triggered_at
    issue.triggered_at = issue.triggered_at if known else when
    db.add(issue)
    editor = payload.get(EDITOR)
    if verdict.allowed and editor and not is_fixed(db, issue, ticket):
        words = f"{editor} edited the text after that, and may not start runs: read it, then start it again"
        verdict = Verdict(False, words)
    if not verdict.allowed:
        if not known:
            activity.record(db, "github.refused", ticket=ticket, sender=sender.login, agent=asked.agent, why=verdict.why)
        return f"no run: {verdict.why}"
    try:
        agent = offered_agent(db, asked.agent).name
    except DispatcherError as error:
        activity.record(db, "github.refused", ticket=ticket, sender=sender.login, agent=asked.agent, why=error.line())
        return f"no run: {error.line()}"
    issue.started_at = when
    with acting_as(name_of(sender.login)):
        fix_text(db, issue, ticket, payload)
        accept(db, ticket, name_of(sender.login))
        return _set_to_work(db, issue, ticket, agent, asked.words)


def take_back(db: Session, repo_id: int, call: Call) -> str:
    """The label or assignment is gone again: a run that it queued, and that has not begun, is taken back."""
    payload, asked, sender, verdict, when = call
    found = find_issue(db, repo_id, int(payload["number"]))
    if found is None:
        return "there is no ticket of that issue"
    issue, ticket = found
    if not verdict.allowed or (issue.started_at is not None and when <= issue.started_at):
        return f"{ticket.key} follows"
    issue.started_at = when  # what put it there may come after this, and starts nothing then
    issue.triggered_at = max(when, issue.triggered_at or when)
    db.add(issue)
    run = runs.live_run(db, ticket)
    if run is None or ticket.state != "queued" or run.reason != "assign" or db.get_one(Agent, run.agent_id).name != asked.agent:
        return f"{ticket.key} follows"
    with acting_as(name_of(sender.login)):
        board.withdraw(db, ticket)
    return f"{ticket.key} is taken back to the backlog"


def _set_to_work(db: Session, issue: GitHubIssue, ticket: Ticket, agent: str, words: str) -> str:
    if ticket.state == "queued":
        board.withdraw(db, ticket)
    if ticket.state == "blocked":
        blocker = board.open_blocker(db, ticket)
        if blocker is not None and blocker.kind == "question" and not words.strip():
            return "the agent asks a question: answer it in a comment"
        board.answer(db, ticket, words, agent=agent)
        return f"{ticket.key} goes on with {agent}"
    if ticket.state == "review" and words.strip():
        ticket.agent_id = offered_agent(db, agent).id
        review.request_changes(db, ticket, words)
        return f"{ticket.key} goes back to {agent}"
    if ticket.state != "backlog" or runs.live_run(db, ticket) is not None:
        return f"no run: {ticket.key} is {ticket.state}"
    if words.strip():
        board.comment(db, ticket, words)
    board.assign(db, ticket, agent)
    return f"{ticket.key} is assigned to {agent}"
