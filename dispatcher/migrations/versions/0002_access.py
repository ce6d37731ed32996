"""People, their tokens, and who did what."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from dispatcher.models import Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    account = op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("login_at", Moment(), nullable=True),
        sa.Column("disabled_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "credential",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("seen_at", Moment(), nullable=True),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    with op.batch_alter_table("credential") as batch:
        batch.create_index(batch.f("ix_credential_user_id"), ["user_id"])
    # Not batches: a table that is made anew would give the numbers of what was deleted out again.
    op.add_column("activity", sa.Column("actor", sa.String(), nullable=False, server_default=""))
    op.create_index("activity_actor", "activity", ["actor", "id"])
    op.add_column("review", sa.Column("author", sa.String(), nullable=False, server_default="you"))
    # The one administrator that every site begins with; the machine's owner gets a link to log in as it.
    op.bulk_insert(account, [{"name": "admin", "role": "admin", "created_at": datetime.now(UTC)}])


def downgrade() -> None:
    raise NotImplementedError
