"""The tables. Postgres is the record of everything; `migrations/` builds exactly this."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pushsvc.storage.columns import EMPTY_OBJECT, app_id, moment, places

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

#: A device that a push may go to: it has a token or channel URIs that no gateway called dead.
_REACHABLE = "(device_token IS NOT NULL OR channel_uris IS NOT NULL) AND token_retired_at IS NULL"


apps = Table(
    "apps",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # Parse's application id; public.
    Column("application_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("settings", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    moment("created_at", now=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    app_id(),
    # master, rest, javascript, client, windows (Parse), or api (a scoped key of /v1)
    Column("kind", Text, nullable=False),
    # of an api key: send, read, admin
    Column("scopes", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    # SHA-256 of the key; the keys we make hold 256 random bits
    Column("key_hash", LargeBinary, nullable=False),
    # the first characters, so that people can tell their keys apart
    Column("hint", Text, nullable=False),
    moment("created_at", now=True),
    moment("revoked_at"),
    Index(None, "app_id"),
    Index(None, "key_hash"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    app_id(),
    Column("gateway", Text, nullable=False),
    # APNs: key_id, team_id, topics, environment; FCM: project_id; WNS: package_sid, tenant
    Column("public", JSONB, nullable=False),
    # AES-256-GCM: nonce, then ciphertext and tag
    Column("secret", LargeBinary, nullable=False),
    moment("created_at", now=True),
    moment("revoked_at"),
    Index(None, "app_id", "gateway"),
)

installations = Table(
    "installations",
    metadata,
    # The order in which audiences are streamed: by key, never by offset.
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    app_id(),
    Column("object_id", Text, nullable=False),
    Column("installation_id", Text),
    Column("device_token", Text),
    Column("device_type", Text, nullable=False),
    Column("push_type", Text),
    Column("gcm_sender_id", Text),
    Column("time_zone", Text),
    Column("locale_identifier", Text),
    Column("app_version", Text),
    Column("app_name", Text),
    Column("app_identifier", Text),
    Column("parse_version", Text),
    Column("channels", ARRAY(Text)),
    # tag -> WNS channel URI of Windows devices
    # An absence is NULL, not the JSON null: audiences ask whether there are any.
    Column("channel_uris", JSONB(none_as_null=True)),
    # custom fields, Parse-encoded
    Column("custom", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    # where the class's one GeoPoint field says it is, in degrees; it is in `custom`, too
    Column("latitude", Double),
    Column("longitude", Double),
    # Another installation of the app has the same token: plans look for doubles only among these.
    Column("token_shared", Boolean, nullable=False, server_default=text("false")),
    # When the device last registered its token or channel URIs: what a gateway said of a token
    # before then is no evidence against it.
    moment("token_set_at", now=True),
    # When the gateway told us that the token is dead; the row stays, its token is not sent to.
    moment("token_retired_at"),
    moment("created_at", now=True),
    moment("updated_at", now=True),
    UniqueConstraint("app_id", "object_id"),
    Index(
        "installations_app_id_installation_id_key",
        "app_id",
        "installation_id",
        unique=True,
        postgresql_where=text("installation_id IS NOT NULL"),
    ),
    Index(None, "app_id", "device_token", postgresql_where=text("device_token IS NOT NULL")),
    Index(None, "app_id", "id"),
    Index("installations_channels", "channels", postgresql_using="gin"),
    Index(
        "installations_custom",
        "custom",
        postgresql_using="gin",
        postgresql_ops={"custom": "jsonb_path_ops"},
    ),
    # Whom a push may go to; many audiences are read from it alone.
    Index(
        "installations_reachable",
        "app_id",
        "id",
        postgresql_include=("token_shared",),
        postgresql_where=text(_REACHABLE),
    ),
    Index(
        "installations_reachable_places",
        "app_id",
        "latitude",
        "longitude",
        postgresql_include=("id", "token_shared"),
        postgresql_where=text(f"latitude IS NOT NULL AND {_REACHABLE}"),
    ),
    places("app_id"),
)

# Which objects the custom fields of installations point to, kept by triggers on `installations`.
installation_pointers = Table(
    "installation_pointers",
    metadata,
    Column(
        "installation_id",
        BigInteger,
        ForeignKey("installations.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    # app:field:class:objectId
    Column("target", Text, primary_key=True),
    # hashtextextended(target, 0): numbers are found faster than texts
    Column("key", BigInteger, nullable=False),
    # of the installation
    Column("reachable", Boolean, nullable=False),
    Column("token_shared", Boolean, nullable=False),
    Index(
        None, "key", postgresql_include=("target", "installation_id", "reachable", "token_shared")
    ),
)

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

# Narrow and with room on each page, so that an increment is a HOT update that touches no index.
badges = Table(
    "badges",
    metadata,
    Column(
        "installation_id",
        BigInteger,
        ForeignKey("installations.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("badge", Integer, nullable=False, server_default=text("0")),
    postgresql_with={"fillfactor": 50},
)

pushes = Table(
    "pushes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # the public id, of _PushStatus and of /v1
    Column("object_id", Text, nullable=False, unique=True),
    app_id(),
    Column("source", Text, nullable=False),
    Column("audience", JSONB, nullable=False),
    Column("content", JSONB, nullable=False),
    # `data`, and the where-clause, as the caller wrote them: JSONB keeps no order of keys, and
    # _PushStatus shows it. Null in rows of older versions; `query` also where channels say it.
    Column("payload", Text),
    Column("query", Text),
    Column("due_at", DateTime(timezone=True), nullable=False),
    moment("expires_at"),
    # as asked for; shown in _PushStatus
    Column("push_time", Text, nullable=False),
    Column("expiration_interval", BigInteger),
    Column("lane", Text, nullable=False),
    Column("on_unknown", Text, nullable=False),
    Column("state", Text, nullable=False),
    # Parse's X-Parse-Request-Id or /v1's Idempotency-Key, and a hash of the body it came with
    Column("idempotency_key", Text),
    Column("request_hash", LargeBinary),
    # MD5 of the alert, as Parse has it
    Column("push_hash", Text, nullable=False),
    # planning: its lease, how often it was leased, and the last installation already in a batch
    moment("lease_until"),
    Column("leases", Integer, nullable=False, server_default=text("0")),
    Column("planned_through", BigInteger, nullable=False, server_default=text("0")),
    Column("batches_planned", Integer, nullable=False, server_default=text("0")),
    Column("devices_planned", BigInteger, nullable=False, server_default=text("0")),
    # device type -> class -> devices; written once, when the push is closed
    Column("counts", JSONB),
    Column("error", Text),
    moment("created_at", now=True),
    moment("started_at"),
    moment("finished_at"),
    Index(
        "pushes_app_id_idempotency_key_key",
        "app_id",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
    Index(None, "app_id", "id"),
    # A device that opened a push may tell only the hash: the newest push with it is meant.
    Index(None, "app_id", "push_hash", "id"),
    # What the clock looks at: small, whatever the history.
    Index(
        "pushes_open",
        "state",
        "due_at",
        postgresql_where=text("state IN ('waiting', 'planning', 'sending')"),
    ),
)

batches = Table(
    "batches",
    metadata,
    Column("push_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("lane", Text, nullable=False),
    Column("installation_ids", ARRAY(BigInteger), nullable=False, server_default=text("'{}'")),
    # explicit devices: [{device_type, token, ...}]; null where the ids say it
    Column("recipients", JSONB),
    Column("state", SmallInteger, nullable=False, server_default=text("0")),
    # 1 for what the plan wrote; a retry is a new row with the next number
    Column("attempt", SmallInteger, nullable=False, server_default=text("1")),
    moment("not_before", now=True),
    moment("lease_until"),
    Column("leases", Integer, nullable=False, server_default=text("0")),
    Column("badges_applied", Boolean, nullable=False, server_default=text("false")),
    # The ledger: one byte for each device, the OutcomeClass, in the order of the ids. The plan
    # may settle some (deduplicated); null while none is.
    Column("outcomes", LargeBinary),
    # device type -> class -> devices
    Column("counts", JSONB),
    # reason -> places of the devices in the batch, only for what was not sent
    Column("exceptions", JSONB),
    moment("created_at", now=True),
    moment("finished_at"),
    ForeignKeyConstraint(["push_id"], ["pushes.id"], ondelete="CASCADE"),
    Index("batches_open", "lane", "not_before", postgresql_where=text("state = 0")),
    Index("batches_leased", "lease_until", postgresql_where=text("state = 1")),
    Index("batches_unfinished", "push_id", postgresql_where=text("state <> 2")),
)

# How often a push was opened, as its devices tell.
opens = Table(
    "opens",
    metadata,
    Column(
        "push_id",
        BigInteger,
        ForeignKey("pushes.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    # the beginning of the hour, UTC
    Column("hour", DateTime(timezone=True), primary_key=True),
    Column("opens", BigInteger, nullable=False),
)
