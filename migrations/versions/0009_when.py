"""When: local time, waves, what halts a push, campaigns and their runs, opens by variant and zone.

Columns that the version before this one does not write, and that are right when it does not. It
knows neither local time nor halts: replace the workers before the first of those is asked for.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NONE = sa.text("0")

# A trigger, so that no writer can forget it; its condition is false for nearly every save.
_NOTE_MOVE = """
    CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO moves (installation_id, zone, left_at)
        VALUES (OLD.id, coalesce(OLD.time_zone, ''), now())
        ON CONFLICT (installation_id, zone) DO UPDATE SET left_at = excluded.left_at;
        RETURN NULL;
    END $$
"""
_ON_MOVE = """
    CREATE TRIGGER note_move AFTER UPDATE OF time_zone ON installations
    FOR EACH ROW WHEN (OLD.time_zone IS DISTINCT FROM NEW.time_zone)
    EXECUTE FUNCTION note_move()
"""


def _push_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("local_time", sa.DateTime(timezone=False)),
        sa.Column("zoneless", sa.Text()),
        sa.Column("late", sa.Text(), server_default=sa.text("'send'"), nullable=False),
        sa.Column("halt", sa.Text()),
        sa.Column("halt_reason", sa.Text()),
        sa.Column("halted_at", MOMENT),
        sa.Column("campaign_id", sa.BigInteger()),
        sa.Column("rules", JSONB(none_as_null=True)),
        sa.Column("variant_hashes", ARRAY(sa.Text())),
    ]


def _batch_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("zone", sa.Text()),
        sa.Column("variant", sa.Text()),
        sa.Column("expires_at", MOMENT),
    ]


def upgrade() -> None:
    """Go forward."""
    for column in _push_columns():
        op.add_column("pushes", column)
    for column in _batch_columns():
        op.add_column("batches", column)
    _index_pushes()
    op.create_index(
        "batches_of_runs",
        "batches",
        ["push_id", "zone", "last_id"],
        postgresql_where=sa.text("zone IS NOT NULL"),
    )
    op.create_table(
        "waves",
        _of_push(),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("devices", sa.BigInteger(), server_default=NONE, nullable=False),
        sa.PrimaryKeyConstraint("push_id", "zone"),
    )
    op.create_table(
        "run_opens",
        _of_push(),
        sa.Column("hour", MOMENT, nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("device_type", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("opens", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("push_id", "hour", "variant", "device_type", "zone"),
    )
    _create_campaigns()
    _create_moves()


def _of_push() -> sa.Column[int]:
    key = sa.ForeignKey("pushes.id", ondelete="CASCADE")
    return sa.Column("push_id", sa.BigInteger(), key, autoincrement=False, nullable=False)


def _index_pushes() -> None:
    op.create_index(
        "pushes_halted",
        "pushes",
        ["id"],
        postgresql_where=sa.text(
            "halt IS NOT NULL AND state IN ('waiting', 'planning', 'sending')"
        ),
    )
    op.create_index(
        "pushes_campaign_id_id",
        "pushes",
        ["campaign_id", "id"],
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )
    op.create_index(
        "pushes_of_campaigns",
        "pushes",
        ["app_id", "finished_at"],
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
    )
    op.create_index(
        "pushes_variant_hashes",
        "pushes",
        ["variant_hashes"],
        postgresql_using="gin",
        postgresql_where=sa.text("variant_hashes IS NOT NULL"),
    )


def _create_campaigns() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("definition", JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text()),
        sa.Column("next_push_time", sa.Text()),
        sa.Column("next_run_at", MOMENT),
        sa.Column("runs", sa.Integer(), server_default=NONE, nullable=False),
        sa.Column("confirmed_recipients", sa.BigInteger()),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("object_id"),
        sa.UniqueConstraint("app_id", "name"),
    )
    op.create_index(
        "campaigns_due",
        "campaigns",
        ["next_run_at"],
        postgresql_where=sa.text("state = 'active'"),
    )
    op.create_table(
        "campaign_runs",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("push_time", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("push_id", sa.BigInteger()),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["push_id"], ["pushes.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("campaign_id", "number"),
        sa.UniqueConstraint("campaign_id", "push_time"),
    )
    op.create_index(None, "campaign_runs", ["push_id"])


def _create_moves() -> None:
    op.create_table(
        "moves",
        sa.Column("installation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("left_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["installation_id"], ["installations.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("installation_id", "zone"),
    )
    op.execute(_NOTE_MOVE)
    op.execute(_ON_MOVE)


#: of `pushes`
_INDEXES = (
    "pushes_variant_hashes",
    "pushes_campaign_id_id",
    "pushes_of_campaigns",
    "pushes_halted",
)


def downgrade() -> None:
    """Go back."""
    op.execute("DROP TRIGGER note_move ON installations")
    op.execute("DROP FUNCTION note_move()")
    for table in ("moves", "campaign_runs", "campaigns", "run_opens", "waves"):
        op.drop_table(table)
    op.drop_index("batches_of_runs", table_name="batches")
    for index in _INDEXES:
        op.drop_index(index, table_name="pushes")
    for column in _batch_columns():
        op.drop_column("batches", column.name)
    for column in _push_columns():
        op.drop_column("pushes", column.name)
