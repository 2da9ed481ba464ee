"""What happened to tokens: evidence against them, quarantine, and who undid it.

The events that devices make are noted by a trigger, so that no writer can forget them, nor the
version before this one; its condition is false for a save that leaves the token alone.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)

#: The value of the channel that is the device's token, where it has no other.
_CHANNEL = "(SELECT value FROM jsonb_each_text({row}.channel_uris) LIMIT 1)"
_REVIVED = """
    (OLD.token_retired_at IS NOT NULL AND NEW.token_retired_at IS NULL
        AND OLD.token_set_at IS DISTINCT FROM NEW.token_set_at)
"""
_NOTE = f"""
    CREATE FUNCTION note_token_events() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.device_token IS DISTINCT FROM NEW.device_token THEN
            INSERT INTO token_events (app_id, installation_id, token, kind)
            SELECT NEW.app_id, NEW.id, OLD.device_token, 'replaced'
            WHERE OLD.device_token IS NOT NULL;
        END IF;
        IF OLD.channel_uris IS DISTINCT FROM NEW.channel_uris THEN
            INSERT INTO token_events (app_id, installation_id, token, kind)
            SELECT DISTINCT NEW.app_id, NEW.id, value, 'replaced'
            FROM jsonb_each_text(OLD.channel_uris)
            WHERE NOT EXISTS (
                SELECT 1 FROM jsonb_each_text(NEW.channel_uris) AS kept
                WHERE kept.value = jsonb_each_text.value
            );
        END IF;
        IF {_REVIVED} THEN
            INSERT INTO token_events (app_id, installation_id, token, kind)
            VALUES (
                NEW.app_id, NEW.id, coalesce(NEW.device_token, {_CHANNEL.format(row="NEW")}),
                'registered'
            );
        END IF;
        RETURN NULL;
    END $$
"""  # noqa: S608 - of constants
_TRIGGER = f"""
    CREATE TRIGGER note_token_events
    AFTER UPDATE OF device_token, channel_uris, token_retired_at ON installations
    FOR EACH ROW WHEN (
        {_REVIVED}
        OR (OLD.device_token IS NOT NULL AND OLD.device_token IS DISTINCT FROM NEW.device_token)
        OR (OLD.channel_uris IS NOT NULL AND OLD.channel_uris IS DISTINCT FROM NEW.channel_uris)
    ) EXECUTE FUNCTION note_token_events()
"""


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "token_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("app_id", sa.BigInteger(), nullable=False),
        sa.Column("installation_id", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text()),
        sa.Column("scope", sa.Text()),
        sa.Column("outcome", sa.SmallInteger()),
        sa.Column("reason", sa.Text()),
        sa.Column("push_id", sa.BigInteger()),
        sa.Column("since", MOMENT),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name=op.f("token_events_app_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["installation_id"],
            ["installations.id"],
            name=op.f("token_events_installation_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("token_events_pkey")),
    )
    op.create_index(
        op.f("token_events_installation_id_id"), "token_events", ["installation_id", "id"]
    )
    op.create_index(
        op.f("token_events_push_id_id"),
        "token_events",
        ["push_id", "id"],
        postgresql_where=sa.text("push_id IS NOT NULL"),
    )
    op.create_index(op.f("token_events_created_at"), "token_events", ["created_at"])
    op.add_column("batches", sa.Column("answered", JSONB()))
    op.add_column(
        "pushes",
        sa.Column("tokens_held", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("installations", sa.Column("token_quarantined_until", MOMENT))
    op.create_index(
        "installations_quarantined",
        "installations",
        ["token_quarantined_until"],
        postgresql_where=sa.text("token_quarantined_until IS NOT NULL"),
    )
    op.execute(_NOTE)
    op.execute(_TRIGGER)


def downgrade() -> None:
    """Go back. What is in quarantine is released: nobody would do it later."""
    op.execute("DROP TRIGGER note_token_events ON installations")
    op.execute("DROP FUNCTION note_token_events()")
    op.execute("""
        UPDATE installations SET token_retired_at = NULL WHERE token_quarantined_until IS NOT NULL
    """)
    op.drop_index("installations_quarantined", table_name="installations")
    op.drop_column("installations", "token_quarantined_until")
    op.drop_column("pushes", "tokens_held")
    op.drop_column("batches", "answered")
    op.drop_table("token_events")
