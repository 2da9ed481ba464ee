"""An audience counted: one statement, whose cohorts are read as they come."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Select, and_, case
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.finding import finding
from pushsvc.model import App, Device, Json
from pushsvc.preview.left_out import LeftOut
from pushsvc.preview.reach import Cohort, Judge, Reach, address_of_kind
from pushsvc.resources import Resources
from pushsvc.storage import reach as kinds
from pushsvc.storage.channel_uri import DEFAULT_CHANNEL
from pushsvc.storage.devices import address_of
from pushsvc.storage.engine import too_slow
from pushsvc.storage.tables import installations as i
from pushsvc.targeting import audience
from pushsvc.targeting.criterion import has_token
from pushsvc.targeting.rows import Reader

#: Groups in memory at once.
_ROWS: Final = 1_000
#: After so long of judging, others that wait for this process have a turn.
_TURN_SECONDS: Final = 0.005


async def count(
    resources: Resources, app: App, wanted: Json, *, judge: Judge, left_out: LeftOut
) -> Reach:
    """Return who of the audience gets what.

    Raises:
        QueryTimeoutError: it took longer than `find_timeout_seconds`.
    """
    reach = Reach()
    # Not as remembered, as in the plan: an unknown relation is everybody.
    schema = await resources.schemas.now(app.id)
    found = kinds.columns(judge.apps)
    async with _counting(resources) as connection:
        if "devices" in wanted:
            named = await audience.named(connection, wanted["devices"], app_id=app.id)
            cohorts = _explicit(named, left_out=left_out.zoneless)
            await judged(cohorts, judge=judge, reach=reach)
            why = left_out.column(i).label("left_out")
            statement = kinds.of_ids(named.ids, sorted(named.duplicates), *found, why)
        else:
            limits = resources.limits.of_stored()
            members = audience.criterion(
                wanted, Reader(app_id=app.id, schema=schema), limits=limits
            )
            is_double = members.has_earlier(left_out.serves if left_out else None)
            # Who has no live token is of no plan that could leave him out for his zone.
            planned = and_(has_token(i), i.c.token_retired_at.is_(None))
            why = case((planned, left_out.column(i))).label("left_out")
            statement = members.whatever_token().select(*found, why, is_double.label("is_double"))
        await _add_all(connection, statement, judge=judge, reach=reach)
    return reach


@asynccontextmanager
async def _counting(resources: Resources) -> AsyncIterator[AsyncConnection]:
    """Lend a connection, of those that finds have, for a statement that may be long."""
    seconds = resources.settings.find_timeout_seconds
    async with finding(resources) as connection, within(seconds):
        await connection.execute(kinds.SETTINGS)
        yield connection


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Bound the whole of it: a limit of the database holds for each statement by itself.

    Raises:
        QueryTimeoutError: it took longer.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise too_slow(seconds) from error


async def judged(cohorts: Iterable[Cohort], *, judge: Judge, reach: Reach) -> None:
    """Add cohorts to the sums; nobody waits long for this."""
    turn = time.monotonic() + _TURN_SECONDS
    for cohort in cohorts:
        judge.add(cohort, reach)
        if time.monotonic() >= turn:
            await asyncio.sleep(0)
            turn = time.monotonic() + _TURN_SECONDS


async def _add_all(
    connection: AsyncConnection, statement: Select[*tuple[Any, ...]], *, judge: Judge, reach: Reach
) -> None:
    found = await connection.stream(
        kinds.cohorts(statement), execution_options={"yield_per": _ROWS}
    )
    async for rows in found.partitions():
        await judged(map(_cohort, rows), judge=judge, reach=reach)


def _cohort(row: Any) -> Cohort:
    kind = row.channel_kind
    channels = {} if kind is None else {DEFAULT_CHANNEL: address_of_kind(kind)}
    token = address_of_kind(row.kind)
    device = Device(
        0,
        row.device_type,
        address_of(row.device_type, row.push_type, token=token, channels=channels),
        row.app_identifier,
        row.locale,
        1,
        row.push_type,
    )
    return Cohort(
        device=device,
        n=row.n,
        member=row.id,
        retired=row.retired,
        is_double=row.is_double,
        left_out=row.left_out,
    )


def _explicit(named: audience.Named, *, left_out: str | None) -> Iterator[Cohort]:
    """Yield the devices that are no installations; of those with one token the first gets it."""
    taken = set(named.tokens)
    for one in named.recipients:
        device = Device(0, one.device_type, one.token, one.app_identifier, one.locale, one.badge)
        yield Cohort(
            device=device,
            n=1,
            member=one,
            is_double=one.token in taken,
            is_absent=one.device_type == audience.NO_TYPE,
            left_out=left_out,
        )
        if one.token:
            taken.add(one.token)
