"""Campaigns, and what came of each of their times."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from pushsvc.storage.columns import app_id, moment
from pushsvc.storage.tables.registry import metadata

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # the public id
    Column("object_id", Text, nullable=False, unique=True),
    app_id(),
    Column("name", Text, nullable=False),
    # as it was asked for, checked
    Column("definition", JSONB, nullable=False),
    # active, paused, ended, cancelled; and why, for people
    Column("state", Text, nullable=False),
    Column("state_reason", Text),
    # The time of the next run as its push has it (with a zone, or without one in local time), and
    # when the clock must store that push, which in local time is when the first zone is due.
    Column("next_push_time", Text),
    moment("next_run_at"),
    # runs so far: the number of the last one
    Column("runs", Integer, nullable=False, server_default=text("0")),
    # a larger audience than `max_recipients` that somebody has said yes to
    Column("confirmed_recipients", BigInteger),
    moment("created_at", now=True),
    moment("updated_at", now=True),
    UniqueConstraint("app_id", "name"),
    # What the clock looks at.
    Index("campaigns_due", "next_run_at", postgresql_where=text("state = 'active'")),
)

# One row for each time that came: a run, or why there was none. No time comes twice.
campaign_runs = Table(
    "campaign_runs",
    metadata,
    Column(
        "campaign_id",
        BigInteger,
        ForeignKey("campaigns.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    # as `next_push_time`
    Column("push_time", Text, nullable=False),
    # started, skipped
    Column("state", Text, nullable=False),
    # of a skipped one: overlap, late
    Column("reason", Text),
    Column("push_id", BigInteger, ForeignKey("pushes.id", ondelete="SET NULL")),
    moment("created_at", now=True),
    UniqueConstraint("campaign_id", "push_time"),
    Index(None, "push_id"),
)
