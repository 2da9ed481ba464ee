"""Parse's classes beside installations: objects, their fields' types, relations, audiences, opens.

The version before this one goes on writing installations. Of those the type of a new custom field
is noted, and their place found, when they are next saved by this version.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: The type that each custom field has most often: Parse would have refused the others.
_FIELDS_OF_INSTALLATIONS = """
    INSERT INTO class_fields (app_id, class_name, field, type, target_class)
    SELECT DISTINCT ON (app_id, field) app_id, '_Installation', field, type, target_class
    FROM (
        SELECT app_id, field.key AS field, count(*) AS n,
            coalesce(field.value ->> '__type', initcap(jsonb_typeof(field.value))) AS type,
            field.value ->> 'className' AS target_class
        FROM installations, jsonb_each(custom) AS field
        WHERE jsonb_typeof(field.value) <> 'null' AND field.key <> 'ACL'
        GROUP BY 1, 2, 4, 5
    ) AS typed
    ORDER BY app_id, field, n DESC
    ON CONFLICT DO NOTHING
"""
_PLACES_OF_INSTALLATIONS = """
    UPDATE installations SET
        latitude = (custom -> class_fields.field ->> 'latitude')::double precision,
        longitude = (custom -> class_fields.field ->> 'longitude')::double precision
    FROM class_fields
    WHERE class_fields.app_id = installations.app_id AND class_name = '_Installation'
        AND type = 'GeoPoint' AND custom -> class_fields.field ->> '__type' = 'GeoPoint'
"""


def _app_id() -> sa.Column[int]:
    return sa.Column("app_id", sa.BigInteger(), nullable=False)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def _of_app(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"{table}_app_id_fkey")
    return sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=name, ondelete="CASCADE")


def _index_places(table: str) -> None:
    op.create_index(
        op.f(f"{table}_app_id_latitude_longitude"),
        table,
        ["app_id", "latitude", "longitude"],
        postgresql_where=sa.text("latitude IS NOT NULL"),
    )


def upgrade() -> None:
    """Go forward."""
    # First what reads all installations: from the opens on, tables in use are locked to the end.
    _create_class_fields()
    op.execute(_FIELDS_OF_INSTALLATIONS)
    _create_objects()
    _create_relations()
    _create_audiences()
    _create_opens()
    op.add_column("installations", sa.Column("latitude", sa.Double(), nullable=True))
    op.add_column("installations", sa.Column("longitude", sa.Double(), nullable=True))
    op.execute(_PLACES_OF_INSTALLATIONS)
    _index_places("installations")
    op.create_index(op.f("pushes_app_id_push_hash_id"), "pushes", ["app_id", "push_hash", "id"])


def _create_objects() -> None:
    op.create_table(
        "objects",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _app_id(),
        sa.Column("class_name", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column(
            "fields", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
        _of_app("objects"),
        sa.PrimaryKeyConstraint("id", name=op.f("objects_pkey")),
        sa.UniqueConstraint(
            "app_id",
            "class_name",
            "object_id",
            name=op.f("objects_app_id_class_name_object_id_key"),
        ),
    )
    op.create_index(op.f("objects_app_id_class_name_id"), "objects", ["app_id", "class_name", "id"])
    op.create_index(
        "objects_fields",
        "objects",
        ["fields"],
        postgresql_using="gin",
        postgresql_ops={"fields": "jsonb_path_ops"},
    )
    _index_places("objects")


def _create_class_fields() -> None:
    op.create_table(
        "class_fields",
        _app_id(),
        sa.Column("class_name", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("target_class", sa.Text(), nullable=True),
        _of_app("class_fields"),
        sa.PrimaryKeyConstraint("app_id", "class_name", "field", name=op.f("class_fields_pkey")),
    )
    op.create_index(
        "class_fields_geopoint_key",
        "class_fields",
        ["app_id", "class_name"],
        unique=True,
        postgresql_where=sa.text("type = 'GeoPoint'"),
    )


def _create_relations() -> None:
    op.create_table(
        "relations",
        _app_id(),
        sa.Column("class_name", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("related_id", sa.Text(), nullable=False),
        _of_app("relations"),
        sa.PrimaryKeyConstraint(
            "app_id",
            "class_name",
            "field",
            "owner_id",
            "related_id",
            name=op.f("relations_pkey"),
        ),
    )
    op.create_index(
        op.f("relations_app_id_class_name_field_related_id"),
        "relations",
        ["app_id", "class_name", "field", "related_id"],
    )


def _create_audiences() -> None:
    op.create_table(
        "audiences",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        _app_id(),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("last_used", sa.DateTime(timezone=True), nullable=True),
        sa.Column("times_used", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        _of_app("audiences"),
        sa.PrimaryKeyConstraint("id", name=op.f("audiences_pkey")),
        sa.UniqueConstraint("app_id", "object_id", name=op.f("audiences_app_id_object_id_key")),
    )
    op.create_index(op.f("audiences_app_id_id"), "audiences", ["app_id", "id"])


def _create_opens() -> None:
    op.create_table(
        "opens",
        sa.Column("push_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opens", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["push_id"], ["pushes.id"], name=op.f("opens_push_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("push_id", "hour", name=op.f("opens_pkey")),
    )


def downgrade() -> None:
    """Go back."""
    op.drop_index(op.f("pushes_app_id_push_hash_id"), table_name="pushes")
    op.drop_index(
        op.f("installations_app_id_latitude_longitude"),
        table_name="installations",
        postgresql_where=sa.text("latitude IS NOT NULL"),
    )
    op.drop_column("installations", "longitude")
    op.drop_column("installations", "latitude")
    for table in ("opens", "audiences", "relations", "class_fields", "objects"):
        op.drop_table(table)
