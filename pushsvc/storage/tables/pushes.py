"""Pushes, the batches with their ledger, and opens."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pushsvc.storage.columns import app_id, moment
from pushsvc.storage.tables.registry import metadata

NEW_PUSH_ID = (
    "(floor(extract(epoch FROM now()) / 86400)::bigint << 32) + nextval('push_numbers'::regclass)"
)

pushes = Table(
    "pushes",
    metadata,
    # the day since 1970 << 32, and a number that goes on: they grow with time, and below 2^53 JSON
    # has them exactly. A day's ledgers lie together and go together (ADR 0032).
    Column(
        "id", BigInteger, server_default=text(NEW_PUSH_ID), primary_key=True, autoincrement=True
    ),
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
    # devices that its messages may go to in a minute, and until when the batches that have their
    # time fill it
    Column("rate_per_minute", Integer),
    moment("paced_until"),
    # Naive: each device gets the push when its own clock shows this. `due_at` is then the moment
    # that is planned next, and `zoneless` the zone of devices that have none; null leaves them out.
    Column("local_time", DateTime(timezone=False)),
    Column("zoneless", Text),
    Column("late", Text, nullable=False, server_default=text("'send'")),
    # pause or cancel; who or what said so; and when
    Column("halt", Text),
    Column("halt_reason", Text),
    moment("halted_at"),
    # of a campaign's run: what it asks of it (model.Rules), and the hashes of its variants' alerts
    Column("campaign_id", BigInteger),
    Column("rules", JSONB(none_as_null=True)),
    Column("variant_hashes", ARRAY(Text)),
    Column("state", Text, nullable=False),
    # Parse's X-Parse-Request-Id or /v1's Idempotency-Key, and a hash of the body it came with
    Column("idempotency_key", Text),
    Column("request_hash", LargeBinary),
    # of a delivery: the caller's name for what it is a part of
    Column("group_id", Text),
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
    # evidence against tokens that was not acted on, because there was too much of it
    Column("tokens_held", Integer, nullable=False, server_default=text("0")),
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
    Index(
        "pushes_of_group",
        "app_id",
        "group_id",
        postgresql_where=text("group_id IS NOT NULL"),
    ),
    # A device that opened a push may tell only the hash: the newest push with it is meant.
    Index(None, "app_id", "push_hash", "id"),
    # What the clock looks at: small, whatever the history.
    Index(
        "pushes_open",
        "state",
        "due_at",
        postgresql_where=text("state IN ('waiting', 'planning', 'sending')"),
    ),
    # What workers are to stop: looked at all the time.
    Index(
        "pushes_halted",
        "id",
        postgresql_where=text("halt IS NOT NULL AND state IN ('waiting', 'planning', 'sending')"),
    ),
    Index(None, "campaign_id", "id", postgresql_where=text("campaign_id IS NOT NULL")),
    # Those that a cap has to look at: what goes on, and what ended within its period.
    Index(
        "pushes_of_campaigns",
        "app_id",
        "finished_at",
        postgresql_where=text("campaign_id IS NOT NULL"),
    ),
    # An open may tell only the hash of the alert: each variant has its own.
    Index(
        "pushes_variant_hashes",
        "variant_hashes",
        postgresql_using="gin",
        postgresql_where=text("variant_hashes IS NOT NULL"),
    ),
    # What is counted before more is taken.
    Index(
        "pushes_open_of_app",
        "app_id",
        "due_at",
        postgresql_where=text("state IN ('waiting', 'planning', 'sending')"),
    ),
)

# Of a push that is planned by zone: what there is of each. In local time each has its own moment.
waves = Table(
    "waves",
    metadata,
    Column(
        "push_id",
        BigInteger,
        ForeignKey("pushes.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    # IANA name; empty: devices without one
    Column("zone", Text, primary_key=True),
    Column("due_at", DateTime(timezone=True), nullable=False),
    # in batches, so far
    Column("devices", BigInteger, nullable=False, server_default=text("0")),
)

# One partition for each day of `push_id` (storage/partitions.py).
batches = Table(
    "batches",
    metadata,
    Column("push_id", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("lane", Text, nullable=False),
    Column("installation_ids", ARRAY(BigInteger), nullable=False, server_default=text("'{}'")),
    # explicit devices: [{device_type, token, ...}]; null where the ids say it
    Column("recipients", JSONB),
    # the smallest and the largest of the ids, by which a device is found; null of explicit devices
    # and in rows of older versions
    Column("first_id", BigInteger),
    Column("last_id", BigInteger),
    Column("state", SmallInteger, nullable=False, server_default=text("0")),
    # 1 for what the plan wrote; a retry is a new row with the next number
    Column("attempt", SmallInteger, nullable=False, server_default=text("1")),
    moment("not_before", now=True),
    # of a follow-up: when its devices were first tried, and whether `not_before` is a time that
    # was granted by what paces it
    moment("first_tried_at"),
    Column("paced", Boolean, nullable=False, server_default=text("false")),
    # Of a push that is planned by zone: the zone of all devices, empty for none; of one that has
    # variants, the one they get; and until when it may be sent, where that is not the push's own.
    Column("zone", Text),
    Column("variant", Text),
    moment("expires_at"),
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
    # what a credential can be proven good for -> [devices accepted, tokens spoken against]
    Column("answered", JSONB),
    moment("created_at", now=True),
    moment("finished_at"),
    ForeignKeyConstraint(["push_id"], ["pushes.id"], ondelete="CASCADE"),
    Index("batches_open", "lane", "not_before", postgresql_where=text("state = 0")),
    Index("batches_leased", "lease_until", postgresql_where=text("state = 1")),
    # Which devices campaigns have sent to: asked for each batch of one that has a cap.
    Index(
        "batches_of_runs",
        "push_id",
        "zone",
        "last_id",
        postgresql_where=text("zone IS NOT NULL"),
    ),
    Index("batches_unfinished", "push_id", postgresql_where=text("state <> 2")),
    postgresql_partition_by="RANGE (push_id)",
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

# The same, of devices that said who they are, for the reports of campaigns.
run_opens = Table(
    "run_opens",
    metadata,
    Column(
        "push_id",
        BigInteger,
        ForeignKey("pushes.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("hour", DateTime(timezone=True), primary_key=True),
    # empty where it has none
    Column("variant", Text, primary_key=True),
    Column("device_type", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("opens", BigInteger, nullable=False),
)
