"""What a find sorts by: Parse's names of fields become SQL."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, func


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One key that objects are sorted by."""

    field: str
    descending: bool


def directed(order: Order, *values: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Return the values in the order's direction; what is missing is less than all else."""
    if order.descending:
        return [value.desc().nulls_last() for value in values]
    return [value.asc().nulls_first() for value in values]


def within_json(fields: ColumnElement[Any], key: str) -> list[ColumnElement[Any]]:
    """Return what sorts by a field of a jsonb column, or by what a dotted key leads to.

    Texts are sorted by code point, as MongoDB does, whatever the database's collation is.
    """
    value = fields[tuple(key.split("."))]
    is_text = func.jsonb_typeof(value) == "string"
    as_text = fields[tuple(key.split("."))].astext
    return [case((is_text, as_text)).collate("C"), value]
