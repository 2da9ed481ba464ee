"""Delivery that loses nothing: pacing, the age of retries, the moments of provider tokens.

Columns that the version before this one does not write, and that are right when it does not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go forward."""
    op.add_column("pushes", sa.Column("rate_per_minute", sa.Integer()))
    op.add_column("pushes", sa.Column("paced_until", MOMENT))
    op.add_column("batches", sa.Column("first_id", sa.BigInteger()))
    op.add_column("batches", sa.Column("last_id", sa.BigInteger()))
    op.add_column("batches", sa.Column("first_tried_at", MOMENT))
    op.add_column(
        "batches",
        sa.Column("paced", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_table(
        "provider_tokens",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("issued_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_table("provider_tokens")
    for column in ("paced", "first_tried_at", "last_id", "first_id"):
        op.drop_column("batches", column)
    for column in ("paced_until", "rate_per_minute"):
        op.drop_column("pushes", column)
