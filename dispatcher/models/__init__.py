"""The tables. They do not validate (SQLModel tables never do): use cases do, before they write."""

from dispatcher.models.access import Credential, User
from dispatcher.models.columns import Moment, moment, utcnow
from dispatcher.models.github import GitHubDelivery, GitHubIssue, GitHubLetter, GitHubPull, GitHubRemark, GitHubRepo
from dispatcher.models.registry import Agent, Endpoint, Project, Worker
from dispatcher.models.reviews import Comment, Draft, Review, Viewed
from dispatcher.models.runs import Check, ItemRow, Run, SessionRow
from dispatcher.models.tickets import Activity, Blocker, Ticket, Workspace

__all__ = [
    "Activity",
    "Agent",
    "Blocker",
    "Check",
    "Comment",
    "Credential",
    "Draft",
    "Endpoint",
    "GitHubDelivery",
    "GitHubIssue",
    "GitHubLetter",
    "GitHubPull",
    "GitHubRemark",
    "GitHubRepo",
    "ItemRow",
    "Moment",
    "Project",
    "Review",
    "Run",
    "SessionRow",
    "Ticket",
    "User",
    "Viewed",
    "Worker",
    "Workspace",
    "moment",
    "utcnow",
]
