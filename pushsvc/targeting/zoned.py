"""An audience as pages of installation ids by zone, for a push that is planned so."""

from collections.abc import (
    AsyncIterator,
    Collection,
    Mapping,
    Sequence,
    Set as AbstractSet,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    DateTime,
    Row,
    Text,
    any_,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import Select

from pushsvc.storage.tables import installations as i
from pushsvc.targeting.criterion import Criterion, array_of, part_of
from pushsvc.targeting.jsonb import Clause
from pushsvc.targeting.reading import held

#: What stands for no zone.
_NONE: Final = ""
_CURSOR: Final = "zones"


@dataclass(frozen=True, slots=True, kw_only=True)
class Among:
    """Which of an audience are wanted."""

    #: IANA names; None for all
    zones: Collection[str] | None
    #: and those that have none
    zoneless: bool
    #: installations that were changed since may have been found before, in another zone
    changed_since: datetime | None = None


@dataclass(slots=True)
class Page:
    """Installations of an audience, by the zone of their rows; empty where they have none."""

    #: ascending within a zone
    ids: dict[str, list[int]] = field(default_factory=dict)
    #: those whose token others have, too
    shared: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    #: all members up to this one are in this page, or in one before
    through: int = 0


def members(wanted: Criterion, among: Among, *, after: int) -> Select[*tuple[Any, ...]]:
    """Return the statement that finds the members with ids above `after`, in arrays by zone.

    A row has the number of the part that its ids are of, the zone, the ids, and those of them whose
    token others have, and those that were changed.
    """
    zone = func.coalesce(i.c.time_zone, _NONE)
    since = literal(among.changed_since, DateTime(timezone=True))
    found = (
        wanted.select(
            part_of(i.c.id).label("part"),
            i.c.id,
            i.c.token_shared,
            zone.label("zone"),
            (i.c.updated_at >= since).label("changed"),
        )
        .where(i.c.id > after, *_are_among(among))
        .subquery()
    )
    ids = func.array_agg(found.c.id)
    arrays = select(
        found.c.part,
        found.c.zone,
        array_of(found.c.id),
        ids.filter(found.c.token_shared),
        ids.filter(found.c.changed),
    )
    return arrays.group_by(found.c.part, found.c.zone).order_by(found.c.part, found.c.zone)


def _are_among(among: Among) -> Sequence[Clause]:
    if among.zones is None:
        return ()
    has_one = i.c.time_zone == any_(literal(sorted(among.zones), ARRAY(Text)))
    return (or_(has_one, i.c.time_zone.is_(None)) if among.zoneless else has_one,)


@asynccontextmanager
async def pages(
    connection: AsyncConnection,
    wanted: Criterion,
    among: Among,
    *,
    after: int,
    size: int,
    timeout_seconds: float,
) -> AsyncIterator[AsyncIterator[Page]]:
    """Find members as `reading.pages` does; a page ends with a part, and has at least `size`.

    Raises:
        AudienceTimeoutError: they were not found within `timeout_seconds`.
    """
    statement = members(wanted, among, after=after)
    async with held(connection, statement, timeout_seconds=timeout_seconds, cursor=_CURSOR) as rows:
        yield _paged(rows, size=size)


async def _paged(
    fetched: AsyncIterator[Sequence[Row[*tuple[Any, ...]]]], *, size: int
) -> AsyncIterator[Page]:
    page, count, last = Page(), 0, None
    async for rows in fetched:
        for part, zone, ids, some_shared, some_changed in rows:
            if part != last and count >= size:
                yield page
                page, count = Page(), 0
            last = part
            page.ids.setdefault(zone, []).extend(ids)
            page.changed.update(some_changed or ())
            page.through = max(page.through, ids[-1])
            page.shared.update(some_shared or ())
            count += len(ids)
    if count:
        yield page


def by_known(
    page: Page, known: Collection[str], *, but: AbstractSet[int]
) -> Mapping[str, Sequence[int]]:
    """Return the ids by zone, without some of them; a zone that nobody knows is none."""
    found: dict[str, list[int]] = {}
    for zone, ids in page.ids.items():
        name = zone if zone in known else _NONE
        kept = ids if but.isdisjoint(ids) else [number for number in ids if number not in but]
        found[name] = kept if name not in found else sorted([*found[name], *kept])
    return found
