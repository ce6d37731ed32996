"""Which projects there are: the links that ticket keys in texts become."""

from __future__ import annotations

from sqlmodel import Session, select

from dispatcher.models import Project


def project_keys(db: Session) -> frozenset[str]:
    """The keys of all projects."""
    return frozenset(db.exec(select(Project.key)))
