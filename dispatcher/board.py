"""Use cases of the board: file, assign, comment, answer, cancel. Each is one transaction of its caller's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sqlmodel import Session, col, func, select

from dispatcher import activity, ordering, runs, search
from dispatcher.actor import acting
from dispatcher.agents import offered_agent, require_offered
from dispatcher.errors import Conflict, Invalid, NotFound
from dispatcher.models import Agent, Blocker, Comment, Project, Run, Ticket, Workspace, utcnow
from dispatcher.states import TICKET_STATES
from dispatcher.text import digest, storable
from dispatcher.transitions import move_ticket

TITLE_LIMIT = 500
BODY_LIMIT = 200_000


def file_ticket(
    db: Session, *, project: str, title: str, body: str = "", labels: Sequence[str] = (), agent: str | None = None
) -> Ticket:
    """File a ticket, and assign it at once where `agent` is given; raises `Invalid` and `NotFound`."""
    title, labels = _title(title), check_labels(labels)
    body = _text(body, "body", BODY_LIMIT)
    home = db.exec(select(Project).where(Project.key == project.upper()).with_for_update()).first()
    if home is None:
        raise NotFound(f"there is no project {project!r}", "see: dispatcher project list", "project")
    ticket = Ticket(
        project_id=_id(home.id),
        number=home.next_number,
        key=f"{home.key}-{home.next_number}",
        title=title,
        body=body,
        labels=labels,
        position=ordering.last(db) + 1,
    )
    home.next_number += 1
    db.add_all([ticket, home])
    db.flush()
    activity.record(db, "ticket.filed", ticket=ticket, title=title)
    if agent is not None:
        assign(db, ticket, agent)
    return ticket


def get_ticket(db: Session, key: str) -> Ticket:
    """The ticket of that key, in any case; raises `NotFound`."""
    ticket = db.exec(select(Ticket).where(Ticket.key == key.strip().upper())).first()
    if ticket is None:
        raise NotFound(f"there is no ticket {key!r}", "see: dispatcher ticket list", "key")
    return ticket


def list_tickets(
    db: Session,
    *,
    project: str | None = None,
    state: str | None = None,
    agent: str | None = None,
    label: str | None = None,
    query: str | None = None,
    limit: int = 200,
    offset: int = 0,
    newest_first: bool = False,
) -> list[Ticket]:
    """The tickets that match, in the order of the board or the newest change first; `query` is as `search.parse` takes it.

    Raises `Invalid` for a state that there is not, and `NotFound` for a project or an agent.
    """
    looked_for = search.wanted(
        query or "", project=project or "", state=state or "", agent=agent or "", label=label or "", strict=True
    )
    found = search.tickets(db, looked_for, limit=limit, offset=offset, newest_first=newest_first)
    # Who searches by typing asks for half a name too; a filter names one that there is.
    for name, value in search.unknown(db, search.wanted(project=project or "", agent=agent or "")) if not found else ():
        raise NotFound(f"there is no {name} {value!r}", f"see: dispatcher {name} list", name)
    return found


def count_states(db: Session, project: str | None = None) -> dict[str, int]:
    """How many tickets are in each state."""
    search = select(Ticket.state, func.count()).group_by(Ticket.state)
    if project is not None:
        search = search.join(Project).where(Project.key == project.upper())
    counts = {str(state): int(count) for state, count in db.exec(search)}
    return {state: counts.get(state, 0) for state in TICKET_STATES}


def count_columns(db: Session) -> dict[str, dict[str, int]]:
    """How many tickets are in each state, by project's key, and of all under the key ''; states without any are left out."""
    search = select(Project.key, Ticket.state, func.count()).join(Project).group_by(Project.key, Ticket.state)
    counts: dict[str, dict[str, int]] = {"": {}}
    for key, state, count in db.exec(search):
        counts.setdefault(key, {})[state] = count
        counts[""][state] = counts[""].get(state, 0) + count
    return counts


def edit_ticket(
    db: Session,
    ticket: Ticket,
    *,
    title: str | None = None,
    body: str | None = None,
    labels: Sequence[str] | None = None,
    position: float | None = None,
    was: Mapping[str, str] | None = None,
) -> Ticket:
    """Change what is given; a run that is under way keeps the prompt that it began with.

    `was` has, by field, the `digest` of what the change was begun on: raises `Conflict` where it is another by now.
    """
    changed: dict[str, object] = {}
    if title is not None:
        changed["title"] = _title(title)
    if body is not None:
        changed["body"] = _text(body, "body", BODY_LIMIT)
    if labels is not None:
        changed["labels"] = check_labels(labels)
    if position is not None:
        changed["position"] = position
    if was:
        _unchanged(db, ticket, changed, was)
    for name, value in changed.items():
        setattr(ticket, name, value)
    ticket.updated_at = utcnow()
    db.add(ticket)
    activity.record(db, "ticket.edited", ticket=ticket, fields=sorted(changed))
    return ticket


def assign(db: Session, ticket: Ticket, agent_name: str) -> Run:
    """Assign to an agent and queue a run; a blocked ticket is taken up again by that agent."""
    agent = offered_agent(db, agent_name)
    if (ticket.origin or {}).get("waiting"):
        raise Conflict(
            f"{ticket.key} was filed on GitHub by {(ticket.origin or {}).get('author')}, who may not start runs",
            f"read it as the agent would get it, and accept it: dispatcher github accept {ticket.key}",
        )
    if ticket.state == "blocked":
        return answer(db, ticket, "", agent=agent.name)
    move_ticket(db, ticket, "assign", agent=agent.name)
    ticket.agent_id = agent.id
    db.add(ticket)
    return runs.create_run(db, ticket, agent, reason="assign", resume=runs.resumable(db, ticket, agent))


def withdraw(db: Session, ticket: Ticket) -> None:
    """Take a queued ticket back to the backlog."""
    move_ticket(db, ticket, "withdraw")
    runs.cancel_queued(db, ticket)


def comment(
    db: Session, ticket: Ticket, body: str, *, author: str | None = None, path: str | None = None, line: int | None = None
) -> Comment:
    """Say something on a ticket, as whoever acts where no author is named; the next run reads it."""
    author = author or acting()
    text = _text(body, "body", BODY_LIMIT)
    if not text.strip():
        raise Invalid("the comment is empty", "write what the agent or the reviewer should know", "body")
    entry = Comment(ticket_id=_id(ticket.id), body=text, author=author, path=path, line=line)
    db.add(entry)
    db.flush()
    activity.record(db, "comment.added", ticket=ticket, comment=entry.id, author=author)
    return entry


def answer(db: Session, ticket: Ticket, text: str, *, agent: str | None = None, blocker_id: int | None = None) -> Run:
    """Answer the open blocker: the same session goes on in the same workspace; an empty answer tries again.

    With `agent` the ticket goes to that one, which works in the same workspace. With `blocker_id` it is an answer to
    that blocker alone: raises `Conflict` where another one is open by now.
    """
    text = _text(text, "text", BODY_LIMIT)
    blocker = open_blocker(db, ticket)
    if ticket.state != "blocked" or blocker is None:
        raise Conflict(f"{ticket.key} is {ticket.state} and waits for no answer", f"see: dispatcher ticket show {ticket.key}")
    if blocker_id not in {None, blocker.id}:
        raise Conflict(f"{ticket.key} waits for another answer by now", f"it says: {blocker.text[:300]}", "text")
    if blocker.kind == "question" and not text.strip():
        raise Invalid("the agent asks a question; the answer is empty", f"it asks: {blocker.text}", "text")
    if agent is not None:
        ticket.agent_id = offered_agent(db, agent).id
    taker = assigned_agent(db, ticket)
    resolve(db, ticket, blocker, text)
    move_ticket(db, ticket, "answer")
    reason: runs.Reason = "answer" if text.strip() else "retry"
    return runs.create_run(db, ticket, taker, reason=reason, feedback=text, resume=runs.resumable(db, ticket, taker))


def accept(db: Session, ticket: Ticket) -> None:
    """Take a blocked ticket into review as it is; raises `Conflict` where there is nothing to review."""
    workspace = db.exec(select(Workspace).where(Workspace.ticket_id == ticket.id)).first()
    if workspace is None or workspace.head_sha == workspace.base_sha:
        raise Conflict(f"{ticket.key} has no changes to review", "answer the blocker, or cancel the ticket")
    blocker = open_blocker(db, ticket)
    move_ticket(db, ticket, "accept")
    if blocker is not None:
        resolve(db, ticket, blocker, "accepted as it is")


def cancel(db: Session, ticket: Ticket) -> None:
    """Cancel an open ticket; a run under way is asked to stop. Branch and worktree stay until they are discarded."""
    move_ticket(db, ticket, "cancel")
    runs.cancel_queued(db, ticket)
    run = runs.live_run(db, ticket)
    if run is not None:
        runs.request_stop(db, run)
    blocker = open_blocker(db, ticket)
    if blocker is not None:
        resolve(db, ticket, blocker, "ticket cancelled")


def reopen(db: Session, ticket: Ticket) -> None:
    """Bring a closed ticket back to the backlog; raises `Conflict` while its last run is still being ended."""
    if runs.live_run(db, ticket) is not None:
        raise Conflict(f"the last run of {ticket.key} is still being stopped", "try again in a few seconds")
    move_ticket(db, ticket, "reopen")


def open_blocker(db: Session, ticket: Ticket) -> Blocker | None:
    """The blocker that waits for a person, if there is one."""
    query = select(Blocker).where(Blocker.ticket_id == ticket.id, col(Blocker.resolved_at).is_(None))
    return db.exec(query.order_by(col(Blocker.id).desc())).first()


def resolve(db: Session, ticket: Ticket, blocker: Blocker, text: str) -> None:
    """Close a blocker with what was said to it."""
    blocker.answer, blocker.resolved_at = text, utcnow()
    db.add(blocker)
    activity.record(db, "blocker.resolved", ticket=ticket, blocker=blocker.kind)


def assigned_agent(db: Session, ticket: Ticket) -> Agent:
    """The agent that the ticket is assigned to; raises `Conflict` where there is none any more, or it is retired."""
    agent = db.get(Agent, ticket.agent_id) if ticket.agent_id is not None else None
    if agent is None:
        raise Conflict(f"{ticket.key} has no agent", f"assign it: dispatcher ticket assign {ticket.key} AGENT")
    require_offered(agent)
    return agent


def _unchanged(db: Session, ticket: Ticket, changed: Mapping[str, object], was: Mapping[str, str]) -> None:
    """Raise `Conflict` where a change would undo what somebody else has written since it was begun."""
    db.refresh(ticket, with_for_update=True)
    for field in ("title", "body", "labels"):
        now = getattr(ticket, field)
        if field not in changed or field not in was or digest(now) == was[field] or _plain(changed[field]) == _plain(now):
            continue
        name = {"title": "the title", "body": "the description", "labels": "the list of labels"}[field]
        told = f"it says now: {_plain(now)[:300]}" if now else "it is empty now"
        raise Conflict(f"{name} was changed while you wrote", f"{told}; to replace it, save again", field)


def _plain(value: object) -> str:
    """A field's value as one text, without what stands around it."""
    return ", ".join(value) if isinstance(value, list) else str(value).strip()


def _title(title: str) -> str:
    title = " ".join(title.split())
    if not title:
        raise Invalid("the title is empty", "say in one line what is to be done", "title")
    if len(title) > TITLE_LIMIT:
        raise Invalid(
            f"the title has {len(title):,} characters; {TITLE_LIMIT} is the limit", "put the rest into the body", "title"
        )
    return _text(title, "title", TITLE_LIMIT)


def _text(text: str, field: str, limit: int) -> str:
    if len(text) > limit:
        raise Invalid(
            f"the {field} has {len(text):,} characters; {limit:,} is the limit",
            "attach the rest as a file in the repository",
            field,
        )
    return str(storable(text))


def check_labels(labels: Sequence[str]) -> list[str]:
    """The labels, each once; raises `Invalid` for what cannot be one."""
    for label in labels:
        if not re.fullmatch(r"[^\s,][^,\n]{0,49}", label):
            raise Invalid(f"{label!r} is no label", "1 to 50 characters without commas", "labels")
    return list(dict.fromkeys(labels))


def _id(value: int | None) -> int:
    assert value is not None, "the row has been flushed"
    return value
