"""Issues: the newest trigger that was obeyed, apart from the newest that was looked at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.models import Moment

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    with op.batch_alter_table("github_issue") as batch:
        batch.add_column(sa.Column("started_at", Moment(), nullable=True))
    op.execute("UPDATE github_issue SET started_at = triggered_at")


def downgrade() -> None:
    raise NotImplementedError
