"""A find, on its way to the database: its query as SQL, for the caller who asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement

from pushsvc.api.parse.call import Call
from pushsvc.api.parse.find import Find
from pushsvc.storage.acl import protected
from pushsvc.storage.fields import CLASS_NAME as INSTALLATION
from pushsvc.storage.ordering import Order
from pushsvc.storage.schema import Schema
from pushsvc.targeting.audience import check_patterns
from pushsvc.targeting.compile import compile_condition, nearness
from pushsvc.targeting.rows import Reader, Rows, installation_rows, object_rows
from pushsvc.targeting.where import nearest_of, parse_where


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which rows are asked for, and in which order."""

    rows: Rows
    where: ColumnElement[bool]
    order: Sequence[Order | ColumnElement[Any]]


async def compiled(call: Call, asked: Find, *, class_name: str, schema: Schema) -> Query:
    """Return the query of a find; it leaves out what the caller may not read.

    Raises:
        WhereError: the where-clause cannot be understood.
    """
    app_id, is_master = call.caller.app.id, call.caller.is_master
    reader = Reader(app_id=app_id, schema=schema, is_master=is_master)
    of_installations = class_name == INSTALLATION
    rows = installation_rows(reader) if of_installations else object_rows(reader, class_name)
    condition = parse_where(asked.where, limits=call.resources.limits, class_name=class_name)
    await check_patterns(call.resources.engine, condition)
    near = nearest_of(condition)
    hidden = protected(class_name, is_master=is_master)
    order = [key for key in asked.order if key.field not in hidden]
    return Query(
        rows=rows,
        where=rows.are(compile_condition(condition, rows)),
        order=order or ([] if near is None else [nearness(near, rows)]),
    )
