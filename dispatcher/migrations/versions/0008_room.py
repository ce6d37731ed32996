"""Workers tell why they take no new runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    with op.batch_alter_table("worker") as batch:
        batch.add_column(sa.Column("hindrance", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError
