"""Columns and indexes that several tables have."""

from datetime import datetime

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Index, func, text

EMPTY_OBJECT = text("'{}'::jsonb")


def moment(name: str, *, now: bool = False) -> Column[datetime]:
    """Return a column of times; of one that is never null, the default is the time of the row."""
    default = func.now() if now else None
    return Column(name, DateTime(timezone=True), nullable=not now, server_default=default)


def app_id() -> Column[int]:
    """Return the column of the app that a row belongs to, and goes with."""
    return Column("app_id", BigInteger, ForeignKey("apps.id", ondelete="CASCADE"), nullable=False)


def places(*columns: str, also: tuple[str, ...] = ()) -> Index:
    """Return the index of where a class's rows are, for those that are somewhere."""
    return Index(
        None,
        *columns,
        "latitude",
        "longitude",
        postgresql_include=also,
        postgresql_where=text("latitude IS NOT NULL"),
    )
