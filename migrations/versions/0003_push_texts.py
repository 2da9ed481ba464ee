"""What a push was asked in the caller's own words: `data` and the where-clause as JSON text.

The version before this one writes neither; then they are shown in the order of JSONB.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("pushes", sa.Column("payload", sa.Text(), nullable=True))
    op.add_column("pushes", sa.Column("query", sa.Text(), nullable=True))


def downgrade() -> None:
    """Go back. What was called off reads as failed, for the version before knows no other end."""
    op.execute(
        "UPDATE pushes SET state = 'failed', error = 'It was called off.' WHERE state = 'cancelled'"
    )
    op.drop_column("pushes", "query")
    op.drop_column("pushes", "payload")
