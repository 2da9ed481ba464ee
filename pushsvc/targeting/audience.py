"""An audience as pages of installation ids, in the order of the key, never by offset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    any_,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import Json, Recipient
from pushsvc.storage.tables import installations as i
from pushsvc.targeting.asked import LIMITS, Limits
from pushsvc.targeting.compile import compile_condition
from pushsvc.targeting.conditions import Condition
from pushsvc.targeting.jsonb import Clause
from pushsvc.targeting.rows import Reader, installation_rows
from pushsvc.targeting.values import INVALID_QUERY, WhereError
from pushsvc.targeting.where import audience_condition, mentions_device_token, patterns_of

#: What picks the members of an audience, by the name that the table has in the statement.
Criterion = Callable[[FromClause], Clause]


@dataclass(frozen=True, slots=True)
class Page:
    """Some installations of an audience, ascending."""

    ids: Sequence[int]
    #: those of `ids` that share their token with an earlier one of the audience
    duplicates: frozenset[int]


@dataclass(frozen=True, slots=True)
class Named:
    """The devices an audience names one by one."""

    ids: Sequence[int]
    #: those of `ids` that share their token with an earlier one
    duplicates: frozenset[int]
    #: tokens of `ids`: an explicit device that has one of them is a double, too
    tokens: frozenset[str]
    recipients: Sequence[Recipient]


def criterion(audience: Json, reader: Reader, *, limits: Limits = LIMITS) -> Criterion:
    """Return what an installation must fulfil to be of the audience.

    A device without a live token is in no audience, unless the where-clause itself speaks of
    tokens (Parse's rule).

    Raises:
        WhereError: the where-clause cannot be understood.
    """
    condition = audience_condition(audience, limits=limits)
    speaks_of_tokens = mentions_device_token(audience.get("where", {}))

    def among(table: FromClause) -> Clause:
        rows = installation_rows(reader, table)
        asked = rows.are(compile_condition(condition, rows))
        if speaks_of_tokens:
            return asked
        return and_(
            or_(table.c.device_token.is_not(None), table.c.channel_uris.is_not(None)),
            table.c.token_retired_at.is_(None),
            asked,
        )

    return among


async def check_patterns(engine: AsyncEngine, condition: Condition) -> None:
    """Have Postgres understand the patterns of a condition, before anybody relies on them.

    Raises:
        WhereError: 102, one of them is no pattern, or takes too long.
    """
    patterns = patterns_of(condition)
    if not patterns:
        return
    each = func.unnest(literal(patterns, ARRAY(Text))).column_valued("pattern")
    async with engine.begin() as connection:
        await connection.execute(_PATTERN_TIMEOUT)
        try:
            await connection.execute(select(func.bool_or(literal("").regexp_match(each))))
        except DBAPIError as error:
            state = str(getattr(error.orig, "sqlstate", None))
            if state not in _PATTERN_STATES:
                raise
            message = f"Invalid $regex value for query: {_PATTERN_STATES[state]}"
            raise WhereError(INVALID_QUERY, message, field="/where") from error


#: Longer, and it would hold up every row that it is held against.
_PATTERN_TIMEOUT: Final = text("SET LOCAL statement_timeout = '1s'")
#: SQLSTATE (PostgreSQL manual, appendix A): invalid_regular_expression, query_canceled
_PATTERN_STATES: Final[Mapping[str, str]] = {
    "2201B": "it is no regular expression.",
    "57014": "it takes too long to understand.",
}


async def page(connection: AsyncConnection, wanted: Criterion, *, after: int, limit: int) -> Page:
    """Return the next `limit` installations with ids above `after`; fewer are the last.

    At the start it tries to get them all, in any order: asked for by id with a limit, Postgres
    would walk the whole table for the few members of a rare channel.
    """
    some = select(i.c.id, _double(wanted)).where(wanted(i))
    if after == 0:
        whole = await _read(connection, some.limit(limit))
        if len(whole.ids) < limit:
            return whole
    return await _read(connection, some.where(i.c.id > after).order_by(i.c.id).limit(limit))


async def _read(connection: AsyncConnection, some: Select[tuple[int, bool]]) -> Page:
    """Read ids as one array: a row for each would cost more than finding it."""
    found = some.subquery()
    columns = func.array_agg(found.c.id), func.array_agg(found.c.id).filter(found.c.double)
    ids, doubles = (await connection.execute(select(*columns))).one()
    return Page(sorted(ids or ()), frozenset(doubles or ()))


def _double(wanted: Criterion) -> ColumnElement[bool]:
    """Tell whether an earlier one of the audience has the token; only shared ones are looked up."""
    earlier = i.alias()
    same_token = and_(
        earlier.c.device_token == i.c.device_token,
        earlier.c.id < i.c.id,
        wanted(earlier),
    )
    return case((i.c.token_shared, exists().where(same_token)), else_=false()).label("double")


#: The type of a device that is named but not there; its outcome says so.
NO_TYPE = "unknown"


async def named(connection: AsyncConnection, devices: Sequence[Json], *, app_id: int) -> Named:
    """Look up the devices a push names: {"object_id"} | {"installation_id"} | {"token", ...}.

    One that is named and not there becomes a recipient without a token, so that it has an
    outcome like every other.
    """
    object_ids = [d["object_id"] for d in devices if "object_id" in d]
    installation_ids = [d["installation_id"] for d in devices if "installation_id" in d]
    statement = (
        select(i.c.id, i.c.object_id, i.c.installation_id, i.c.device_token)
        .where(
            i.c.app_id == app_id,
            or_(_any_of(i.c.object_id, object_ids), _any_of(i.c.installation_id, installation_ids)),
        )
        .order_by(i.c.id)
    )
    rows = (await connection.execute(statement)).all() if object_ids or installation_ids else ()
    tokens: set[str] = set()
    duplicates: set[int] = set()
    for row in rows:
        if row.device_token in tokens:
            duplicates.add(row.id)
        elif row.device_token:
            tokens.add(row.device_token)
    there = {row.object_id for row in rows} | {row.installation_id for row in rows}
    missing = {*object_ids, *installation_ids} - there
    explicit = [_recipient(d) for d in devices if "token" in d]
    absent = [Recipient(device_type=NO_TYPE, token="") for _ in missing]
    return Named(
        [row.id for row in rows], frozenset(duplicates), frozenset(tokens), [*explicit, *absent]
    )


def _any_of(column: Column[str], values: Sequence[str]) -> ColumnElement[bool]:
    """One array is one parameter: of single ones Postgres takes 32,767."""
    return column == any_(literal(values, ARRAY(Text)))


def _recipient(device: Json) -> Recipient:
    return Recipient(
        device_type=device["device_type"],
        token=device["token"],
        app_identifier=device.get("app_identifier"),
        locale=device.get("locale"),
        badge=device.get("badge"),
    )
