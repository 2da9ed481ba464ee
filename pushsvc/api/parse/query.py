"""A find, on its way to the database: its query as SQL, for the caller who asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement

from pushsvc.api.parse.call import Call
from pushsvc.api.parse.find import SCORE, Find
from pushsvc.api.parse.refusals import not_for_clients
from pushsvc.storage.acl import protected
from pushsvc.storage.fields import CLASS_NAME as INSTALLATION
from pushsvc.storage.ordering import Order
from pushsvc.storage.schema import Schema
from pushsvc.targeting.audience import check_patterns
from pushsvc.targeting.compile import compile_condition, nearness
from pushsvc.targeting.conditions import Condition
from pushsvc.targeting.rows import Reader, Rows, installation_rows, object_rows
from pushsvc.targeting.where import classes_within, nearest_of, parse_where, searched_of
from pushsvc.targeting.words import rank

#: What Parse Server calls installations where it refuses them.
COLLECTION: Final = "installation"


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
        ForbiddenError: a client asks for installations within it; what fits would tell of them.
    """
    app_id, is_master = call.caller.app.id, call.caller.is_master
    reader = Reader(app_id=app_id, schema=schema, is_master=is_master)
    of_installations = class_name == INSTALLATION
    rows = installation_rows(reader) if of_installations else object_rows(reader, class_name)
    condition = parse_where(asked.where, limits=call.resources.limits, class_name=class_name)
    if not is_master and INSTALLATION in classes_within(condition):
        raise not_for_clients("find", COLLECTION)
    await check_patterns(call.resources.engine, condition)
    hidden = protected(class_name, is_master=is_master)
    order = [key for key in asked.order if key.field not in hidden]
    return Query(
        rows=rows,
        where=rows.are(compile_condition(condition, rows)),
        order=_order(order, condition, rows) if order else _nearest_first(condition, rows),
    )


def _order(
    order: Sequence[Order], condition: Condition, rows: Rows
) -> list[Order | ColumnElement[Any]]:
    """Return the order with the score of a search for words in its place; the best comes first."""
    searched = searched_of(condition)
    score = [] if searched is None else [rank(searched, rows.field(searched.field).value()).desc()]
    return [key for one in order for key in (score if one.field == SCORE else [one])]


def _nearest_first(condition: Condition, rows: Rows) -> list[ColumnElement[Any]]:
    near = nearest_of(condition)
    return [] if near is None else [nearness(near, rows)]
