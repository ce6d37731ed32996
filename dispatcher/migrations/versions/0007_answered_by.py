"""Runs: which models answered, by their own word."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    with op.batch_alter_table("run") as batch:
        batch.add_column(sa.Column("answered_by", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError
