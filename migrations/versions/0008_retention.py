"""Retention and back-pressure: ledgers by day, push ids that tell the day, an index of what waits.

The table that holds the batches becomes the first partition of a new one as it is: no row moves.
Versions before this one go on: their statements name tables and columns, which stay. `pushes` and
`batches` are locked while each is read once; ADR 0032 has the figures.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

#: So many partitions are made ahead; the workers go on with it.
DAYS_AHEAD = 7

_LOCK = "LOCK TABLE pushes, batches IN ACCESS EXCLUSIVE MODE"
_NEW_ID = (
    "(floor(extract(epoch FROM now()) / 86400)::bigint << 32) + nextval('push_numbers'::regclass)"
)
_KEYS = (
    "ALTER TABLE batches ADD CONSTRAINT batches_pkey PRIMARY KEY (push_id, seq)",
    """
    ALTER TABLE batches ADD CONSTRAINT batches_push_id_fkey
        FOREIGN KEY (push_id) REFERENCES pushes (id) ON DELETE CASCADE
    """,
    "CREATE INDEX batches_open ON batches (lane, not_before) WHERE state = 0",
    "CREATE INDEX batches_leased ON batches (lease_until) WHERE state = 1",
    "CREATE INDEX batches_unfinished ON batches (push_id) WHERE state <> 2",
)


def upgrade() -> None:
    """Go forward."""
    op.execute(_LOCK)
    _number_pushes_by_day()
    _partition()
    op.create_index(
        "pushes_open_of_app",
        "pushes",
        ["app_id", "due_at"],
        postgresql_where=sa.text("state IN ('waiting', 'planning', 'sending')"),
    )


def _number_pushes_by_day() -> None:
    """Let a new push's id begin with the day, so that the ledgers of a day lie together."""
    op.execute("ALTER TABLE pushes ALTER COLUMN id DROP IDENTITY")
    op.execute(
        "CREATE SEQUENCE push_numbers MINVALUE 0 MAXVALUE 4294967295 CYCLE OWNED BY pushes.id"
    )
    # Where this step was taken back, there may be ids of today.
    op.execute(
        "SELECT setval('push_numbers', max(id) & 4294967295) FROM pushes HAVING max(id) IS NOT NULL"
    )
    op.execute(f"ALTER TABLE pushes ALTER COLUMN id SET DEFAULT ({_NEW_ID})")


def _partition() -> None:
    op.execute("ALTER TABLE batches RENAME TO batches_before")
    for name in ("pkey", "open", "leased", "unfinished"):
        op.execute(f"ALTER INDEX batches_{name} RENAME TO batches_before_{name}")
    op.execute(
        "ALTER TABLE batches_before "
        "RENAME CONSTRAINT batches_push_id_fkey TO batches_before_push_id_fkey"
    )
    op.execute(
        "CREATE TABLE batches (LIKE batches_before INCLUDING DEFAULTS INCLUDING STORAGE) "
        "PARTITION BY RANGE (push_id)"
    )
    for statement in _KEYS:
        op.execute(statement)
    days = op.get_bind().execute(_DAYS, {"ahead": DAYS_AHEAD}).all()
    op.execute(
        "ALTER TABLE batches ATTACH PARTITION batches_before "
        f"FOR VALUES FROM (MINVALUE) TO ({days[0].day << 32})"
    )
    for number, name in days:
        op.execute(
            f"CREATE TABLE {name} PARTITION OF batches "
            f"FOR VALUES FROM ({number << 32}) TO ({(number + 1) << 32})"
        )


# From the first day without a push: today, but where this step was taken back.
_DAYS = sa.text("""
    SELECT day, 'batches_' || to_char(date '1970-01-01' + day, 'YYYYMMDD') AS name
    FROM (SELECT floor(extract(epoch FROM now()) / 86400)::integer AS today) AS now,
        LATERAL (SELECT (coalesce(max(id), 0) >> 32)::integer + 1 AS free FROM pushes) AS pushes,
        LATERAL generate_series(greatest(today, free), greatest(today, free) + :ahead) AS day
    ORDER BY day
""")


def downgrade() -> None:
    """Go back: the batches of all days are copied into one table."""
    op.execute(_LOCK)
    op.drop_index("pushes_open_of_app", table_name="pushes")
    op.execute("CREATE TABLE batches_of_all (LIKE batches INCLUDING DEFAULTS INCLUDING STORAGE)")
    op.execute("INSERT INTO batches_of_all SELECT * FROM batches")
    op.execute("DROP TABLE batches")
    op.execute("ALTER TABLE batches_of_all RENAME TO batches")
    for statement in _KEYS:
        op.execute(statement)
    op.execute("ALTER TABLE pushes ALTER COLUMN id DROP DEFAULT")
    op.execute("DROP SEQUENCE push_numbers")
    op.execute("ALTER TABLE pushes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY")
    op.execute(
        "SELECT setval(pg_get_serial_sequence('pushes', 'id'), max(id)) FROM pushes "
        "HAVING max(id) IS NOT NULL"
    )
