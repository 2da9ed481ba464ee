"""An index of the zones of devices, for pushes in local time.

It is built ahead of this step, while installations are saved (ADR 0013): about two seconds for a
million of them, in which they would wait for it otherwise, and so would all that step 0009 locks.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

#: Built outside of a transaction, at the level before: see `pushsvc.storage.migrate`.
CONCURRENTLY = {
    "installations_reachable_zones": """
        CREATE INDEX CONCURRENTLY installations_reachable_zones
        ON installations (app_id, time_zone)
        WHERE (device_token IS NOT NULL OR channel_uris IS NOT NULL) AND token_retired_at IS NULL
    """
}


def upgrade() -> None:
    """Go forward: all of it is there."""


def downgrade() -> None:
    """Go back."""
    for name in CONCURRENTLY:
        op.drop_index(name, table_name="installations")
