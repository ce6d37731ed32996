"""Sandboxes: what a project's lets in, what a run's was tried on, which of them a worker's machine can make."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("project") as batch:
        batch.add_column(sa.Column("sandbox", sa.String(), nullable=False, server_default="strict"))
        batch.add_column(sa.Column("reach", sa.JSON(), nullable=False, server_default="{}"))
    with op.batch_alter_table("run") as batch:
        batch.add_column(sa.Column("receipt", sa.JSON(), nullable=True))
    with op.batch_alter_table("worker") as batch:
        batch.add_column(sa.Column("sandboxes", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    raise NotImplementedError
