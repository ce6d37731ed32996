"""The tables. They do not validate (SQLModel tables never do): use cases do, before they write."""

from dispatcher.models.columns import Moment, moment, utcnow
from dispatcher.models.registry import Agent, Endpoint, Project, Worker
from dispatcher.models.reviews import Comment, Review
from dispatcher.models.runs import Check, ItemRow, Run, SessionRow
from dispatcher.models.tickets import Activity, Blocker, Ticket, Workspace

__all__ = [
    "Activity",
    "Agent",
    "Blocker",
    "Check",
    "Comment",
    "Endpoint",
    "ItemRow",
    "Moment",
    "Project",
    "Review",
    "Run",
    "SessionRow",
    "Ticket",
    "Worker",
    "Workspace",
    "moment",
    "utcnow",
]
