"""An index of the zones of devices, for pushes in local time.

It is built in the transaction, as all steps are (ADR 0013): saves of installations wait meanwhile,
two to three seconds for a million of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_REACHABLE = "(device_token IS NOT NULL OR channel_uris IS NOT NULL) AND token_retired_at IS NULL"


def upgrade() -> None:
    """Go forward."""
    op.create_index(
        "installations_reachable_zones",
        "installations",
        ["app_id", "time_zone"],
        postgresql_where=sa.text(_REACHABLE),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_index("installations_reachable_zones", table_name="installations")
