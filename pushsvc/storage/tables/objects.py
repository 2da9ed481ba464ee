"""Parse's classes, saved audiences and templates: what audiences and content refer to."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pushsvc.storage.columns import EMPTY_OBJECT, app_id, moment, places
from pushsvc.storage.tables.registry import metadata

# What queries over installations lead to, and whatever else an app keeps: Parse's classes.
objects = Table(
    "objects",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    app_id(),
    Column("class_name", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    # every field but objectId, createdAt and updatedAt, Parse-encoded; the ACL is one of them
    Column("fields", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    # as in `installations`
    Column("latitude", Double),
    Column("longitude", Double),
    moment("created_at", now=True),
    moment("updated_at", now=True),
    UniqueConstraint("app_id", "class_name", "object_id"),
    Index(None, "app_id", "class_name", "id"),
    Index(
        "objects_fields",
        "fields",
        postgresql_using="gin",
        postgresql_ops={"fields": "jsonb_path_ops"},
    ),
    # With what pointers to them are looked up by.
    places("app_id", "class_name", also=("object_id",)),
)

# The type that a custom field of a class got with its first value; it keeps it.
class_fields = Table(
    "class_fields",
    metadata,
    Column("app_id", BigInteger, ForeignKey("apps.id", ondelete="CASCADE"), primary_key=True),
    Column("class_name", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    # Parse's name of it: String, Number, ... Pointer, Relation
    Column("type", Text, nullable=False),
    # of a Pointer or Relation: the class it leads to
    Column("target_class", Text),
    Index(
        "class_fields_geopoint_key",
        "app_id",
        "class_name",
        unique=True,
        postgresql_where=text("type = 'GeoPoint'"),
    ),
)

# The many-to-many relations of Parse: the owner's field leads to the related object.
relations = Table(
    "relations",
    metadata,
    Column("app_id", BigInteger, ForeignKey("apps.id", ondelete="CASCADE"), primary_key=True),
    Column("class_name", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("owner_id", Text, primary_key=True),
    # its class is the field's target_class
    Column("related_id", Text, primary_key=True),
    Index(None, "app_id", "class_name", "field", "related_id"),
)

# Saved queries over installations: Parse's `_Audience`.
audiences = Table(
    "audiences",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    app_id(),
    Column("object_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    # a where-clause as JSON text, as it was sent
    Column("query", Text, nullable=False),
    moment("last_used"),
    Column("times_used", BigInteger, nullable=False, server_default=text("0")),
    moment("created_at", now=True),
    moment("updated_at", now=True),
    UniqueConstraint("app_id", "object_id"),
    Index(None, "app_id", "id"),
)

# Content under a name, which pushes take over when they are submitted.
templates = Table(
    "templates",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    app_id(),
    # by code point: it is listed in that order, and matched in its case
    Column("name", Text(collation="C"), nullable=False),
    Column("content", JSONB, nullable=False),
    # the variables that its texts look at, found when it was stored
    Column("variables_used", ARRAY(Text), nullable=False),
    moment("created_at", now=True),
    moment("updated_at", now=True),
    UniqueConstraint("app_id", "name"),
)
