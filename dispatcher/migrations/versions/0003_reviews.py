"""Drafts, viewed marks and ranges."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.models import Moment

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # Not a batch: a table that is made anew would give the numbers of what was deleted out again.
    for column in (
        sa.Column("start_line", sa.Integer(), nullable=True),
        sa.Column("side", sa.String(), nullable=False, server_default="new"),
        sa.Column("head_sha", sa.String(), nullable=True),
        sa.Column("snippet", sa.Text(), nullable=False, server_default=""),
    ):
        op.add_column("comment", column)
    op.create_table(
        "draft",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("start_line", sa.Integer(), nullable=True),
        sa.Column("side", sa.String(), nullable=False),
        sa.Column("head_sha", sa.String(), nullable=False),
        sa.Column("snippet", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("draft_own", "draft", ["ticket_id", "author"])
    op.create_table(
        "viewed",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("blob", sa.String(), nullable=False),
        sa.Column("viewed_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["ticket.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ticket_id", "author", "file"),
    )


def downgrade() -> None:
    raise NotImplementedError
