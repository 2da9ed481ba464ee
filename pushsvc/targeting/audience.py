"""Who is of an audience: the criterion of its members, and the devices that it names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Text,
    any_,
    func,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import Json, Match, Recipient
from pushsvc.storage.tables import installations as i
from pushsvc.targeting.asked import LIMITS, Limits
from pushsvc.targeting.conditions import Condition
from pushsvc.targeting.criterion import Criterion
from pushsvc.targeting.rows import Reader
from pushsvc.targeting.values import INVALID_QUERY, WhereError
from pushsvc.targeting.where import audience_condition, mentions_device_token, patterns_of


@dataclass(frozen=True, slots=True)
class Named:
    """The devices an audience names one by one."""

    ids: Sequence[int]
    #: those of `ids` that share their token with an earlier one
    duplicates: frozenset[int]
    #: tokens of `ids`: an explicit device that has one of them is a double, too
    tokens: frozenset[str]
    recipients: Sequence[Recipient]


@dataclass(frozen=True, slots=True)
class Found:
    """An installation that was named."""

    id: int
    object_id: str
    installation_id: str | None
    device_token: str | None


def criterion(audience: Json, reader: Reader, *, limits: Limits = LIMITS) -> Criterion:
    """Return who is of the audience.

    A device without a token is in no audience, unless the where-clause itself speaks of tokens
    (Parse's rule); one whose token is retired is in none.

    Raises:
        WhereError: the where-clause cannot be understood.
    """
    return Criterion(
        condition=audience_condition(audience, limits=limits),
        reader=reader,
        any_token=mentions_device_token(audience.get("where", {})),
    )


async def match(connection: AsyncConnection, wanted: Criterion, key: int | None) -> Match:
    """Tell whether the installation with this key is of the audience now."""
    statement = select(wanted.picks(i), wanted.whatever_token().picks(i)).where(i.c.id == key)
    row = (await connection.execute(statement)).first()
    return Match(is_member=bool(row and row[0]), but_for_token=bool(row and row[1]))


async def count(connection: AsyncConnection, wanted: Criterion) -> int:
    """Return how many members there are now."""
    members = wanted.select(i.c.id).subquery()
    found = await connection.execute(select(func.count()).select_from(members))
    return int(found.scalar_one())


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
    return named_among(devices, [Found(*row) for row in rows])


def named_among(devices: Sequence[Json], found: Sequence[Found]) -> Named:
    """Return the devices a push names, those of them that are installations having been found.

    In the order of their ids.
    """
    tokens: set[str] = set()
    duplicates: set[int] = set()
    for one in found:
        if one.device_token in tokens:
            duplicates.add(one.id)
        elif one.device_token:
            tokens.add(one.device_token)
    there = {one.object_id for one in found} | {one.installation_id for one in found}
    wanted = {d[key] for d in devices for key in ("object_id", "installation_id") if key in d}
    explicit = [recipient_of(d) for d in devices if "token" in d]
    absent = [Recipient(device_type=NO_TYPE, token="") for _ in wanted - there]
    return Named(
        [one.id for one in found], frozenset(duplicates), frozenset(tokens), [*explicit, *absent]
    )


async def zones_and_tokens(
    connection: AsyncConnection, ids: Sequence[int]
) -> Mapping[int, tuple[str | None, str]]:
    """Return the zone of each of these installations, as its row has it, and its token."""
    statement = select(i.c.id, i.c.time_zone, i.c.device_token).where(
        i.c.id == any_(literal(ids, ARRAY(BigInteger)))
    )
    rows = await connection.execute(statement)
    return {row.id: (row.time_zone, row.device_token or "") for row in rows}


def _any_of(column: Column[str], values: Sequence[str]) -> ColumnElement[bool]:
    """One array is one parameter: of single ones Postgres takes 32,767."""
    return column == any_(literal(values, ARRAY(Text)))


def recipient_of(device: Json) -> Recipient:
    """Return the device that an audience names by its token."""
    return Recipient(
        device_type=device["device_type"],
        token=device["token"],
        app_identifier=device.get("app_identifier"),
        locale=device.get("locale"),
        badge=device.get("badge"),
    )
