"""Apps, their keys, and what gateways want to see of them."""

from sqlalchemy import BigInteger, Column, Identity, Index, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pushsvc.storage.columns import EMPTY_OBJECT, app_id, moment
from pushsvc.storage.tables.registry import metadata

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

# When the provider token was made that a key shows to APNs now. It is signed the same by everyone
# who knows the key and this moment, so that a Redis that forgets it costs no second one.
provider_tokens = Table(
    "provider_tokens",
    metadata,
    # team, key and a fingerprint of the key
    Column("name", Text, primary_key=True),
    moment("issued_at", now=True),
)
