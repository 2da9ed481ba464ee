"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "apps",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("application_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "settings", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("apps_pkey")),
        sa.UniqueConstraint("application_id", name=op.f("apps_application_id_key")),
        sa.UniqueConstraint("name", name=op.f("apps_name_key")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("app_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "scopes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name=op.f("api_keys_app_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pkey")),
    )
    op.create_index(op.f("api_keys_app_id"), "api_keys", ["app_id"], unique=False)
    op.create_index(op.f("api_keys_key_hash"), "api_keys", ["key_hash"], unique=False)
    op.create_table(
        "credentials",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("app_id", sa.BigInteger(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("public", postgresql.JSONB(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name=op.f("credentials_app_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("credentials_pkey")),
    )
    op.create_index(
        op.f("credentials_app_id_gateway"), "credentials", ["app_id", "gateway"], unique=False
    )
    op.create_table(
        "installations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("app_id", sa.BigInteger(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("installation_id", sa.Text(), nullable=True),
        sa.Column("device_token", sa.Text(), nullable=True),
        sa.Column("device_type", sa.Text(), nullable=False),
        sa.Column("push_type", sa.Text(), nullable=True),
        sa.Column("gcm_sender_id", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("locale_identifier", sa.Text(), nullable=True),
        sa.Column("app_version", sa.Text(), nullable=True),
        sa.Column("app_name", sa.Text(), nullable=True),
        sa.Column("app_identifier", sa.Text(), nullable=True),
        sa.Column("parse_version", sa.Text(), nullable=True),
        sa.Column("channels", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("channel_uris", postgresql.JSONB(), nullable=True),
        sa.Column(
            "custom", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("token_shared", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "token_set_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("token_retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name=op.f("installations_app_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("installations_pkey")),
        sa.UniqueConstraint("app_id", "object_id", name=op.f("installations_app_id_object_id_key")),
    )
    op.create_index(
        op.f("installations_app_id_device_token"),
        "installations",
        ["app_id", "device_token"],
        unique=False,
        postgresql_where=sa.text("device_token IS NOT NULL"),
    )
    op.create_index(
        op.f("installations_app_id_id"), "installations", ["app_id", "id"], unique=False
    )
    op.create_index(
        "installations_app_id_installation_id_key",
        "installations",
        ["app_id", "installation_id"],
        unique=True,
        postgresql_where=sa.text("installation_id IS NOT NULL"),
    )
    op.create_index(
        "installations_channels",
        "installations",
        ["channels"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(
        "installations_custom",
        "installations",
        ["custom"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"custom": "jsonb_path_ops"},
    )
    op.create_table(
        "pushes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("audience", postgresql.JSONB(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("push_time", sa.Text(), nullable=False),
        sa.Column("expiration_interval", sa.BigInteger(), nullable=True),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("on_unknown", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.LargeBinary(), nullable=True),
        sa.Column("push_hash", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leases", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("planned_through", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("batches_planned", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("devices_planned", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name=op.f("pushes_app_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pushes_pkey")),
        sa.UniqueConstraint("object_id", name=op.f("pushes_object_id_key")),
    )
    op.create_index(op.f("pushes_app_id_id"), "pushes", ["app_id", "id"], unique=False)
    op.create_index(
        "pushes_app_id_idempotency_key_key",
        "pushes",
        ["app_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "pushes_open",
        "pushes",
        ["state", "due_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('waiting', 'planning', 'sending')"),
    )
    op.create_table(
        "badges",
        sa.Column("installation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("badge", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["installation_id"],
            ["installations.id"],
            name=op.f("badges_installation_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("installation_id", name=op.f("badges_pkey")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "batches",
        sa.Column("push_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column(
            "installation_ids",
            postgresql.ARRAY(sa.BigInteger()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("recipients", postgresql.JSONB(), nullable=True),
        sa.Column("state", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leases", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("badges_applied", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("outcomes", sa.LargeBinary(), nullable=True),
        sa.Column("counts", postgresql.JSONB(), nullable=True),
        sa.Column("exceptions", postgresql.JSONB(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["push_id"], ["pushes.id"], name=op.f("batches_push_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("push_id", "seq", name=op.f("batches_pkey")),
    )
    op.create_index(
        "batches_leased",
        "batches",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 1"),
    )
    op.create_index(
        "batches_open",
        "batches",
        ["lane", "not_before"],
        unique=False,
        postgresql_where=sa.text("state = 0"),
    )
    op.create_index(
        "batches_unfinished",
        "batches",
        ["push_id"],
        unique=False,
        postgresql_where=sa.text("state <> 2"),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_index(
        "batches_unfinished", table_name="batches", postgresql_where=sa.text("state <> 2")
    )
    op.drop_index("batches_open", table_name="batches", postgresql_where=sa.text("state = 0"))
    op.drop_index("batches_leased", table_name="batches", postgresql_where=sa.text("state = 1"))
    op.drop_table("batches")
    op.drop_table("badges")
    op.drop_index(
        "pushes_open",
        table_name="pushes",
        postgresql_where=sa.text("state IN ('waiting', 'planning', 'sending')"),
    )
    op.drop_index(
        "pushes_app_id_idempotency_key_key",
        table_name="pushes",
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.drop_index(op.f("pushes_app_id_id"), table_name="pushes")
    op.drop_table("pushes")
    op.drop_index(
        "installations_custom",
        table_name="installations",
        postgresql_using="gin",
        postgresql_ops={"custom": "jsonb_path_ops"},
    )
    op.drop_index("installations_channels", table_name="installations", postgresql_using="gin")
    op.drop_index(
        "installations_app_id_installation_id_key",
        table_name="installations",
        postgresql_where=sa.text("installation_id IS NOT NULL"),
    )
    op.drop_index(op.f("installations_app_id_id"), table_name="installations")
    op.drop_index(
        op.f("installations_app_id_device_token"),
        table_name="installations",
        postgresql_where=sa.text("device_token IS NOT NULL"),
    )
    op.drop_table("installations")
    op.drop_index(op.f("credentials_app_id_gateway"), table_name="credentials")
    op.drop_table("credentials")
    op.drop_index(op.f("api_keys_key_hash"), table_name="api_keys")
    op.drop_index(op.f("api_keys_app_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("apps")
