"""What is retired, what a check waits for, what a worker found; runs by when they ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.models import Moment

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("endpoint") as batch:
        batch.add_column(sa.Column("checking", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("retired_at", Moment(), nullable=True))
    with op.batch_alter_table("agent") as batch:
        batch.add_column(sa.Column("retired_at", Moment(), nullable=True))
    with op.batch_alter_table("worker") as batch:
        batch.add_column(sa.Column("harnesses", sa.JSON(), nullable=False, server_default=sa.text("'{}'")))
    with op.batch_alter_table("run") as batch:
        batch.create_index("run_ended", ["ended_at"])


def downgrade() -> None:
    raise NotImplementedError
