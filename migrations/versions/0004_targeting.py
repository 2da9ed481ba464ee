"""Indexes for audiences of millions, and the pointers of installations in a table of their own.

The table is kept right by triggers, so that also the version before this one keeps it; saves wait
while it is filled, some five seconds for a million pointers.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_REACHABLE = "(device_token IS NOT NULL OR channel_uris IS NOT NULL) AND token_retired_at IS NULL"


def _of(row: str) -> str:
    """Return whether a row of a trigger can be reached."""
    return (
        f"(({row}.device_token IS NOT NULL OR {row}.channel_uris IS NOT NULL)"
        f" AND {row}.token_retired_at IS NULL)"
    )


#: Finds a Pointer, or a list with one, among the custom fields.
_HAS_POINTER = """@? '$.* ? (@.__type == "Pointer")'"""

#: Without those that no object can be: an index takes no text that long, and a class no colon.
_TARGETS = """
    CREATE FUNCTION installation_targets(app_id bigint, custom jsonb) RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT DISTINCT target
        FROM jsonb_each(custom) AS field, LATERAL jsonb_array_elements(
            CASE jsonb_typeof(field.value) WHEN 'array' THEN field.value
                ELSE jsonb_build_array(field.value) END
        ) AS item, LATERAL concat_ws(
            ':', app_id, field.key, item ->> 'className', item ->> 'objectId'
        ) AS target
        WHERE item @> '{"__type": "Pointer"}' AND octet_length(target) <= 2000
            AND jsonb_typeof(item -> 'objectId') = 'string'
            AND jsonb_typeof(item -> 'className') = 'string' AND item ->> 'className' !~ ':'
    $$
"""
_INSERT = f"""
    INSERT INTO installation_pointers (installation_id, target, key, reachable, token_shared)
    SELECT i.id, target, hashtextextended(target, 0), {_REACHABLE}, i.token_shared
"""
_KEEP = f"""
    CREATE FUNCTION keep_installation_pointers() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            DELETE FROM installation_pointers
            WHERE installation_id = NEW.id AND target NOT IN (
                SELECT target FROM installation_targets(NEW.app_id, NEW.custom) AS target
            );
        END IF;
        {_INSERT} FROM (SELECT NEW.*) AS i, installation_targets(NEW.app_id, NEW.custom) AS target
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$
"""  # noqa: S608 - of constants
_MARK = f"""
    CREATE FUNCTION mark_installation_pointers() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE installation_pointers
        SET reachable = {_of("NEW")}, token_shared = NEW.token_shared
        WHERE installation_id = NEW.id;
        RETURN NULL;
    END $$
"""  # noqa: S608 - of constants
#: What has no pointer is told so before a function is called. Those of one event are called in the
#: order of their names, so that new pointers are marked by what inserts them.
_TRIGGERS = (
    f"""
    CREATE TRIGGER keep_pointers_of_new AFTER INSERT ON installations
    FOR EACH ROW WHEN (NEW.custom {_HAS_POINTER})
    EXECUTE FUNCTION keep_installation_pointers()
    """,
    f"""
    CREATE TRIGGER keep_pointers_of_changed AFTER UPDATE OF custom ON installations
    FOR EACH ROW WHEN (
        OLD.custom IS DISTINCT FROM NEW.custom
        AND (OLD.custom {_HAS_POINTER} OR NEW.custom {_HAS_POINTER})
    ) EXECUTE FUNCTION keep_installation_pointers()
    """,
    f"""
    CREATE TRIGGER mark_pointers_of_changed
    AFTER UPDATE OF device_token, channel_uris, token_retired_at, token_shared ON installations
    FOR EACH ROW WHEN (
        ({_of("OLD")}, OLD.token_shared) IS DISTINCT FROM ({_of("NEW")}, NEW.token_shared)
        AND NEW.custom {_HAS_POINTER}
    ) EXECUTE FUNCTION mark_installation_pointers()
    """,
)
_FILL = f"""
    {_INSERT} FROM installations AS i, installation_targets(i.app_id, i.custom) AS target
    WHERE i.custom {_HAS_POINTER}
"""


def upgrade() -> None:
    """Go forward."""
    op.create_index(
        "installations_reachable",
        "installations",
        ["app_id", "id"],
        postgresql_include=["token_shared"],
        postgresql_where=sa.text(_REACHABLE),
    )
    op.create_index(
        "installations_reachable_places",
        "installations",
        ["app_id", "latitude", "longitude"],
        postgresql_include=["id", "token_shared"],
        postgresql_where=sa.text(f"latitude IS NOT NULL AND {_REACHABLE}"),
    )
    op.drop_index(op.f("objects_app_id_latitude_longitude"), table_name="objects")
    op.create_index(
        op.f("objects_app_id_class_name_latitude_longitude"),
        "objects",
        ["app_id", "class_name", "latitude", "longitude"],
        postgresql_include=["object_id"],
        postgresql_where=sa.text("latitude IS NOT NULL"),
    )
    _create_pointers()


def _create_pointers() -> None:
    op.create_table(
        "installation_pointers",
        sa.Column("installation_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("reachable", sa.Boolean(), nullable=False),
        sa.Column("token_shared", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["installation_id"],
            ["installations.id"],
            name=op.f("installation_pointers_installation_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "installation_id", "target", name=op.f("installation_pointers_pkey")
        ),
    )
    # From here on saves wait, so that the triggers miss nothing that the filling does not see.
    op.execute("LOCK TABLE installations IN SHARE ROW EXCLUSIVE MODE")
    op.execute(_TARGETS)
    op.execute(_FILL)
    op.create_index(
        op.f("installation_pointers_key"),
        "installation_pointers",
        ["key"],
        postgresql_include=["target", "installation_id", "reachable", "token_shared"],
    )
    op.execute(_KEEP)
    op.execute(_MARK)
    for trigger in _TRIGGERS:
        op.execute(trigger)


def downgrade() -> None:
    """Go back."""
    for name in ("mark_pointers_of_changed", "keep_pointers_of_changed", "keep_pointers_of_new"):
        op.execute(f"DROP TRIGGER {name} ON installations")
    op.execute("DROP FUNCTION mark_installation_pointers()")
    op.execute("DROP FUNCTION keep_installation_pointers()")
    op.execute("DROP FUNCTION installation_targets(bigint, jsonb)")
    op.drop_table("installation_pointers")
    op.drop_index(
        op.f("objects_app_id_class_name_latitude_longitude"),
        table_name="objects",
        postgresql_where=sa.text("latitude IS NOT NULL"),
    )
    op.create_index(
        op.f("objects_app_id_latitude_longitude"),
        "objects",
        ["app_id", "latitude", "longitude"],
        postgresql_where=sa.text("latitude IS NOT NULL"),
    )
    for name in ("installations_reachable_places", "installations_reachable"):
        op.drop_index(name, table_name="installations")
