"""Deliveries: the name of what a push is a part of, by which its caller finds all parts.

A column that the version before this one does not write. It does not know the new keys of explicit
devices: replace the workers before the first delivery; until then they leave one to the others.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.add_column("pushes", sa.Column("group_id", sa.Text()))


def downgrade() -> None:
    """Go back."""
    op.drop_column("pushes", "group_id")
