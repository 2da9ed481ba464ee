"""Installations, and what is kept beside them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pushsvc.storage.columns import EMPTY_OBJECT, app_id, moment, places
from pushsvc.storage.tables.registry import metadata

#: A device that a push may go to: it has a token or channel URIs that no gateway called dead.
_REACHABLE = "(device_token IS NOT NULL OR channel_uris IS NOT NULL) AND token_retired_at IS NULL"

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
    # Of a token that is only suspected: until then it is out of use, by `token_retired_at` as well.
    moment("token_quarantined_until"),
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
    Index(
        "installations_quarantined",
        "token_quarantined_until",
        postgresql_where=text("token_quarantined_until IS NOT NULL"),
    ),
    # Whom a push may go to; many audiences are read from it alone.
    Index(
        "installations_reachable",
        "app_id",
        "id",
        postgresql_include=("token_shared",),
        postgresql_where=text(_REACHABLE),
    ),
    # Whom a wave may go to, and which zones there are; small, as equal entries are stored once.
    Index(
        "installations_reachable_zones",
        "app_id",
        "time_zone",
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

# Zones that a device has left, and when it last did, kept by a trigger on `installations`: what was
# sent to it before is in batches of the zone that it had then.
moves = Table(
    "moves",
    metadata,
    Column(
        "installation_id",
        BigInteger,
        ForeignKey("installations.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    # as the batches have it: empty for none
    Column("zone", Text, primary_key=True),
    Column("left_at", DateTime(timezone=True), nullable=False),
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
