"""An index of the groups of deliveries.

It is built ahead of this step, while pushes are stored (ADR 0013).
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

#: Built outside of a transaction, at the level before: see `pushsvc.storage.migrate`.
CONCURRENTLY = {
    "pushes_of_group": """
        CREATE INDEX CONCURRENTLY pushes_of_group
        ON pushes (app_id, group_id) WHERE group_id IS NOT NULL
    """
}


def upgrade() -> None:
    """Go forward: all of it is there."""


def downgrade() -> None:
    """Go back."""
    for name in CONCURRENTLY:
        op.drop_index(name, table_name="pushes")
