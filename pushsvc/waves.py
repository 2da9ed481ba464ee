"""The next leg of a push that is planned by zone: who is of it, and in what batches.

A piece is larger than that of other plans: its devices are of many zones and variants, and the
batches of each are to be full, too.
"""

from collections.abc import (
    AsyncIterator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set as AbstractSet,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import HOLDOUT, Json, NewBatch, OutcomeClass, Push, Recipient
from pushsvc.planning import batches as cutting, legs, variants
from pushsvc.planning.legs import ZONELESS, Leg
from pushsvc.planning.localtime import known_zones
from pushsvc.resources import Resources
from pushsvc.storage import plans, waves
from pushsvc.targeting import audience, zoned
from pushsvc.targeting.criterion import Criterion

#: A piece is so many batches, were they all full.
BATCHES_PER_PIECE: Final = 50
#: A save that commits late has the time at which it began.
SLACK: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some batches of a leg."""

    batches: list[NewBatch]
    #: the leg is planned as far as this installation
    through: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """By what a leg is cut."""

    push: Push
    leg: Leg
    #: by the database's clock
    now: datetime
    late_after: timedelta
    #: devices in a batch
    size: int

    def cut(
        self, ids: Mapping[str, Sequence[int]], *, duplicates: AbstractSet[int]
    ) -> Iterator[NewBatch]:
        """Cut the devices of zones into batches, each of one zone and one variant."""
        for name, of_zone in sorted(ids.items()):
            zone = self._zone(name)
            for variant, some in variants.split(self.push.rules, of_zone).items():
                new = cutting.cut(some, duplicates=duplicates, size=self.size)
                left_out = zone.left_out
                if left_out is None and variant == HOLDOUT:
                    left_out = OutcomeClass.HOLDOUT
                if left_out is not None:
                    new = cutting.left_out(new, left_out)
                for batch in new:
                    yield replace(batch, zone=name, variant=variant, expires_at=zone.expires_at)

    def explicit(
        self, recipients: Sequence[Recipient], *, taken: AbstractSet[str]
    ) -> Iterator[NewBatch]:
        """Cut devices that are no installations: nobody knows their zones."""
        zone = self._zone(ZONELESS)
        new = cutting.cut_recipients(recipients, taken=taken, size=self.size)
        if zone.left_out is not None:
            new = cutting.left_out(new, zone.left_out)
        for batch in new:
            yield replace(batch, zone=ZONELESS, expires_at=zone.expires_at)

    def sent_to(self, ids: Mapping[str, Iterable[int]]) -> Sequence[int]:
        """Return who of the devices of zones gets a message, as far as a plan can tell."""
        some = [n for name, of in ids.items() if self._zone(name).left_out is None for n in of]
        parts = variants.split(self.push.rules, some)
        return [n for variant, part in parts.items() if variant != HOLDOUT for n in part]

    def _zone(self, name: str) -> legs.Zone:
        return legs.zone_of(self.push, name, now=self.now, late_after=self.late_after)


@asynccontextmanager
async def pieces(
    resources: Resources, push: Push, wanted: Criterion, *, connection: AsyncConnection
) -> AsyncIterator[AsyncIterator[Piece]]:
    """Find who is of the push's leg, beyond what is planned of it, and lend it in pieces.

    Raises:
        AudienceTimeoutError: they were not found within `plan_timeout_seconds`.
    """
    terms = await _terms(resources, push, connection)
    among = await _among(connection, terms)
    if among.zones is not None and not among.zones and not among.zoneless:
        yield _cut(connection, terms, _nobody())
        return
    async with zoned.pages(
        connection,
        wanted,
        among,
        after=push.planned_through,
        size=resources.settings.batch_size * BATCHES_PER_PIECE,
        timeout_seconds=resources.settings.plan_timeout_seconds,
    ) as pages:
        yield _cut(connection, terms, pages)


async def named_piece(
    resources: Resources, push: Push, devices: Sequence[Json], *, connection: AsyncConnection
) -> Piece:
    """Return the batches of the devices that a push names and that are of its leg."""
    terms = await _terms(resources, push, connection)
    async with connection.begin():
        named = await audience.named(connection, devices, app_id=push.app_id)
        rows = await audience.zones_and_tokens(connection, named.ids)
        before = await _before(connection, terms, named.ids)
        ahead: dict[str, list[int]] = {}
        for number in named.ids:
            if number not in before:
                zone = rows[number][0] if number in rows else None
                ahead.setdefault(zone if zone in known_zones() else ZONELESS, []).append(number)
        ids = {name: of_zone for name, of_zone in ahead.items() if _is_of(terms.leg, name)}
        duplicates = await _doubles(connection, terms, ids if named.duplicates else {})
        new = list(terms.cut(ids, duplicates=duplicates))
        if terms.leg.has_zoneless and named.recipients:
            sent = await waves.sent_to(connection, push.id, before) if before else ()
            taken = {rows[number][1] for number in (*sent, *terms.sent_to(ahead)) if number in rows}
            new += terms.explicit(named.recipients, taken=taken)
    return Piece(batches=new, through=max(named.ids, default=1))


def moments_of(push: Push, new: Sequence[NewBatch]) -> Mapping[str, datetime]:
    """Return the moment of each zone that batches are of."""
    return {zone: legs.moment_of(push, zone) for zone in {one.zone or ZONELESS for one in new}}


async def foresee(connection: AsyncConnection, push: Push) -> Sequence[str]:
    """Note the moments of the zones that the app's devices have, and return these.

    Of a push in local time; those of zones that are planned already stay.
    """
    present = await waves.present_zones(connection, push.app_id)
    moments = {zone: legs.moment_of(push, zone) for zone in present if zone in known_zones()}
    ahead = {zone: at for zone, at in moments.items() if at >= push.due_at}
    await waves.foresee(connection, push.id, ahead)
    return present


async def _terms(resources: Resources, push: Push, connection: AsyncConnection) -> _Terms:
    async with connection.begin():
        now = await plans.time_now(connection)
    return _Terms(
        push=push,
        leg=legs.leg_of(push),
        now=now,
        late_after=timedelta(seconds=resources.settings.late_after_seconds),
        size=cutting.size_at(push.rate_per_minute, size=resources.settings.batch_size),
    )


def _is_of(leg: Leg, zone: str) -> bool:
    if zone == ZONELESS:
        return leg.has_zoneless
    return leg.moments is None or zone in leg.moments


async def _among(connection: AsyncConnection, terms: _Terms) -> zoned.Among:
    """Return whom to look for: an index finds those of some zones, and that there are none."""
    leg, push = terms.leg, terms.push
    if leg.moments is None:
        return zoned.Among(zones=None, zoneless=True)
    async with connection.begin():
        present = await foresee(connection, push)
    known = known_zones()
    zones = {
        zone for zone in present if zone in leg.moments or (leg.has_zoneless and zone not in known)
    }
    since = push.started_at - SLACK if push.started_at and leg.is_later else None
    return zoned.Among(zones=zones, zoneless=leg.has_zoneless, changed_since=since)


async def _nobody() -> AsyncIterator[zoned.Page]:
    """Yield no page."""
    return
    yield


async def _cut(
    connection: AsyncConnection, terms: _Terms, pages: AsyncIterator[zoned.Page]
) -> AsyncIterator[Piece]:
    async for page in pages:
        async with connection.begin():
            before = await _before(connection, terms, sorted(page.changed))
            ids = zoned.by_known(page, known_zones(), but=before)
            shared = {name: page.shared.intersection(of_zone) for name, of_zone in ids.items()}
            duplicates = await _doubles(connection, terms, shared)
        new = list(terms.cut(ids, duplicates=duplicates))
        yield Piece(batches=new, through=page.through)


async def _doubles(
    connection: AsyncConnection, terms: _Terms, shared: Mapping[str, Iterable[int]]
) -> frozenset[int]:
    """Return those whose token has its message, or gets it with an earlier one of these."""
    sent_to = terms.sent_to(shared)
    return await waves.doubles(connection, terms.push.id, sent_to) if sent_to else frozenset()


async def _before(connection: AsyncConnection, terms: _Terms, ids: Sequence[int]) -> frozenset[int]:
    """Return those that are in batches of an earlier leg: a device has one outcome."""
    if not ids or not terms.leg.is_later:
        return frozenset()
    return await waves.planned(connection, terms.push.id, ids)
