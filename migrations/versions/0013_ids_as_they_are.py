"""The ids of a batch are stored as they are.

Compressing them cost the plan most of its CPU, and every lease had to undo it (ADR 0044). Rows that
are there stay as they were written; either way any version reads them.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward: of the days that are there, and of those that are made like `batches`."""
    op.execute("ALTER TABLE batches ALTER COLUMN installation_ids SET STORAGE EXTERNAL")


def downgrade() -> None:
    """Go back."""
    op.execute("ALTER TABLE batches ALTER COLUMN installation_ids SET STORAGE EXTENDED")
