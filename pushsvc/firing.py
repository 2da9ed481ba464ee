"""A volley of small pushes: loaded, begun, sent and written down together.

A push by itself costs a worker some twenty round trips and more than ten milliseconds, most of
them the same whatever its devices. Here they are paid once for all pushes of a volley. Until a
volley has begun, its pushes can be given back, and go one by one.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from pushsvc import ending
from pushsvc.delivery import dispatch
from pushsvc.delivery.gateways import AppGateways
from pushsvc.delivery.pacing import Asking
from pushsvc.model import Batch, Device, Ledger, Push
from pushsvc.planning import batches as cutting
from pushsvc.resources import Resources
from pushsvc.shaping import body
from pushsvc.storage import firing as storage
from pushsvc.storage.claims import Claimed
from pushsvc.storage.devices import add_badges, device_at, load_named, load_values, named_at
from pushsvc.storage.engine import PASSING_ERRORS
from pushsvc.storage.fields import BADGE
from pushsvc.storage.firing import Planned, Written
from pushsvc.storage.leases import held
from pushsvc.storage.small_deliveries import Leased
from pushsvc.targeting.audience import Found, named_among

if TYPE_CHECKING:
    import asyncpg

log = structlog.get_logger(__name__)

#: A volley takes milliseconds. What its worker dies over comes back after so long, or sooner where
#: that is what a lease lasts; else it is renewed.
LEASE_SECONDS: Final = 10.0
#: What a gateway has not taken within this goes on in batches of its own: there it is asked again
#: whether the push has expired or was halted. Not longer than half of a lease: who was held up
#: himself hands over nothing that another may have.
HANDING_SECONDS: Final = 2.0
#: Where a gateway is slow, what the others have answered is written down so often.
WRITING_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A claimed push, and what its messages are made of."""

    planned: Planned
    shaper: body.Shaper
    gateways: AppGateways
    #: by key
    rows: Mapping[int, "asyncpg.Record"]

    @property
    def push(self) -> Push:
        """The push."""
        return self.planned.push


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A batch of the volley."""

    push: Push
    batch: Batch
    devices: Sequence[Device]
    sheet: dispatch.Sheet

    @property
    def is_settled(self) -> bool:
        """Whether something came of each device."""
        return 0 not in self.sheet.outcomes


def lease_seconds(resources: Resources) -> float:
    """Return how long a volley's leases last."""
    return min(LEASE_SECONDS, resources.settings.lease_seconds)


# ---------------------------------------------------------------- loaded


async def load(resources: Resources, claimed: Sequence[Claimed]) -> list[Loaded]:
    """Read what the messages of claimed pushes are made of."""
    pushes = [one.push for one in claimed]
    names = [(push.app_id, device) for push in pushes for device in push.audience["devices"]]
    rows = await load_named(resources.engine, names)
    row_of = {(row["app_id"], row[key]): row for row in rows for key in _KEYS}
    return [
        Loaded(
            planned=_planned(one, found, size=resources.settings.batch_size),
            shaper=body.Shaper.of(one.push, now=resources.clock.now()),
            gateways=await resources.gateways.of(one.push.app_id),
            rows=found,
        )
        for one in claimed
        for found in [_rows_of(one.push, row_of)]
    ]


_KEYS: Final = ("object_id", "installation_id")


def _rows_of(
    push: Push, row_of: Mapping[tuple[int, str], "asyncpg.Record"]
) -> Mapping[int, "asyncpg.Record"]:
    wanted = [(push.app_id, d[key]) for d in push.audience["devices"] for key in _KEYS if key in d]
    found = {row["id"]: row for name in wanted if (row := row_of.get(name))}
    return {number: found[number] for number in sorted(found)}


def _planned(claimed: Claimed, rows: Mapping[int, "asyncpg.Record"], *, size: int) -> Planned:
    found = [
        Found(row["id"], row["object_id"], row["installation_id"], row["device_token"])
        for row in rows.values()
    ]
    named = named_among(claimed.push.audience["devices"], found)
    new = [
        *cutting.cut(named.ids, duplicates=named.duplicates, size=size),
        *cutting.cut_recipients(named.recipients, taken=named.tokens, size=size),
    ]
    return Planned(claimed=claimed, new=new, badge=body.badge_change(claimed.push.content))


# ---------------------------------------------------------------- begun


async def begin(resources: Resources, loaded: Sequence[Loaded]) -> "Volley | None":
    """Write the volley's batches and shape its messages; None where nothing of it is ours any more.

    When this returns, whoever finds the batches without their worker is in doubt about them.
    """
    fields = await _fields(resources, loaded)
    began = resources.clock.monotonic()
    routed: dispatch.Routed = {}
    parts: list[Part] = []
    async with storage.begun(
        resources.engine,
        [one.planned for one in loaded],
        lease_seconds=lease_seconds(resources),
    ) as leased:
        for one, batches in zip(loaded, leased, strict=True):
            for batch in batches:
                part = _part(one, batch, fields=fields)
                _address(part, one.shaper, one.gateways, before=parts, into=routed)
                parts.append(part)
    return Volley(resources, parts, routed, began=began) if parts else None


async def _fields(
    resources: Resources, loaded: Sequence[Loaded]
) -> Mapping[int, dict[str, object]]:
    """Return what the texts of all of them look at, of the devices that these go to."""
    asking = [one for one in loaded if one.shaper.fields and one.rows]
    if not asking:
        return {}
    names = {name for one in asking for name in one.shaper.fields}
    ids = {number for one in asking for number in one.rows}
    return await load_values(resources.engine, list(ids), names)


def _part(one: Loaded, batch: Batch, *, fields: Mapping[int, dict[str, object]]) -> Part:
    sheet = dispatch.Sheet(batch.outcomes)
    if batch.recipients:
        devices = [named_at(place, named) for place, named in enumerate(batch.recipients)]
    else:
        ids = batch.installation_ids
        values = {number: dict(fields[number]) for number in ids if number in fields}
        if BADGE in one.shaper.fields:
            add_badges(values, batch.badges)
        badge_of, values_of = batch.badges.get, values.get
        devices = [
            device_at(place, one.rows[n], badge=badge_of(n), values=values_of(n))
            for place, n in enumerate(ids)
        ]
    ending.settle_early(batch, devices=devices, sheet=sheet)
    return Part(push=one.push, batch=batch, devices=devices, sheet=sheet)


def _address(
    part: Part,
    shaper: body.Shaper,
    gateways: AppGateways,
    *,
    before: Sequence[Part],
    into: dispatch.Routed,
) -> None:
    dispatch.address(
        part.devices,
        part.sheet,
        into=into,
        shape_of=shaper.shape,
        route_of=gateways.choose,
        key_of=dispatch.keys_of(part.batch),
        first=sum(one.batch.size for one in before),
    )


async def begin_leased(resources: Resources, leased: Sequence[Leased]) -> "Volley":
    """Shape the messages of deliveries whose batches are leased; nothing of it is sent before."""
    began = resources.clock.monotonic()
    routed: dispatch.Routed = {}
    parts: list[Part] = []
    for one in leased:
        sheet = dispatch.Sheet(one.batch.outcomes)
        devices = [named_at(place, named) for place, named in enumerate(one.batch.recipients)]
        ending.settle_early(one.batch, devices=devices, sheet=sheet)
        part = Part(push=one.push, batch=one.batch, devices=devices, sheet=sheet)
        shaper = body.Shaper.of(one.push, now=resources.clock.now())
        gateways = await resources.gateways.of(one.push.app_id)
        _address(part, shaper, gateways, before=parts, into=routed)
        parts.append(part)
    return Volley(resources, parts, routed, began=began)


# ---------------------------------------------------------------- sent


class Volley:
    """Batches of many pushes that are sent together; each is written down once it is settled."""

    def __init__(
        self,
        resources: Resources,
        parts: Sequence[Part],
        routed: dispatch.Routed,
        *,
        began: float,
    ) -> None:
        """Take what has begun, at this moment of the monotonic clock or after it."""
        self._lease_seconds = lease_seconds(resources)
        left = [part.batch.seconds_left for part in parts]
        self._hand_until = began + min(
            HANDING_SECONDS,
            self._lease_seconds / 2,
            # Whoever is held up before has used up the seconds by which none expires.
            *(seconds for seconds in left if seconds is not None and seconds > 0),
        )
        self._resources = resources
        self._routed = routed
        self._sheet = dispatch.JointSheet([part.sheet for part in parts])
        self._open = list(parts)
        #: all that was ever begun, each with an end that `send` waits for
        self._writes: list[asyncio.Task[None]] = []
        self._now = ending.time_of(parts[0].batch, resources.clock)
        #: pushes that are closed, and those that somebody has to close
        self._closed: set[int] = set()
        self._unclosed: set[int] = set()

    async def send(self) -> Sequence[int]:
        """Send everything and write it down; return the pushes that are still to be closed."""
        for part in self._open:
            await ending.take_up(self._resources, part.push, part.batch, sheet=part.sheet)
        try:
            async with held(
                self._renew, lease_seconds=self._lease_seconds, name="volley"
            ) as overdue:
                await self._hand_over(overdue)
        finally:
            for part in self._open:
                part.sheet.settle_rest(dispatch.NOT_SENT)
            self._write(self._open)
            # Also when the worker is told to stop: what is out must be in the ledger.
            await asyncio.shield(asyncio.gather(*self._writes))
        log.info("volley.sent", pushes=len(self._closed | self._unclosed))
        return sorted(self._unclosed - self._closed)

    async def _renew(self) -> bool:
        some = [part.batch for part in self._open]
        if not some:
            return True  # they are being written down, and ours until another has claimed them
        return await storage.renew(self._resources.engine, some, lease_seconds=self._lease_seconds)

    async def _hand_over(self, overdue: Callable[[], bool]) -> None:
        """Hand everything over; whoever is slow holds up no other's ledger."""
        clock, stopping = self._resources.clock, self._resources.stopping
        when = dispatch.When(
            in_time=lambda: True,
            stopped=lambda: stopping.is_set() or overdue() or clock.monotonic() >= self._hand_until,
        )
        sending = asyncio.create_task(
            dispatch.hand_over(
                self._routed,
                self._sheet,
                settle=self._sheet.settle,
                when=when,
                asking=Asking.URGENT,
            ),
            name="send a volley",
        )
        try:
            while not sending.done():
                await asyncio.wait({sending}, timeout=WRITING_SECONDS)
                settled = [part for part in self._open if part.is_settled]
                if not sending.done() and settled:
                    self._write(settled)
                    await asyncio.wait(self._writes)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            # Sooner than the ledger: what was answered is in no doubt, whoever dies now.
            self._resources.journal.hurry()

    def _write(self, parts: Sequence[Part]) -> None:
        """Have batches closed, each of which is settled, whatever becomes of the volley."""
        leaving = set(parts)
        self._open = [part for part in self._open if part not in leaving]
        task = asyncio.create_task(self._write_down(parts), name="write a volley down")
        self._writes.append(task)

    async def _write_down(self, parts: Sequence[Part]) -> None:
        ends = list(self._ends(parts))
        written = Written()
        try:
            if ends:
                written = await self._written(ends)
        finally:
            for part in parts:
                name = (part.batch.push_id, part.batch.seq)
                self._resources.journal.leave(part.batch, closed=name in written.batches)
        self._closed |= written.pushes
        self._unclosed |= {push_id for push_id, _ in written.batches} - written.pushes
        if len(written.batches) < len(parts):
            log.warning("batches.taken_over", batches=len(parts) - len(written.batches))

    def _ends(self, parts: Iterable[Part]) -> Iterable[tuple[Batch, Ledger]]:
        now: datetime = self._now()
        for part in parts:
            try:
                ledger = ending.ledger_of(
                    self._resources,
                    part.push,
                    part.batch,
                    devices=part.devices,
                    sheet=part.sheet,
                    now=now,
                )
            except Exception:
                # A fault of ours over one push is no reason to lose the others' ledgers.
                log.exception("ledger.failed", push=part.push.object_id, seq=part.batch.seq)
            else:
                yield part.batch, ledger

    async def _written(self, ends: Sequence[tuple[Batch, Ledger]]) -> Written:
        """Write all down at once; where that cannot be, each by itself."""
        finish = partial(storage.finish, self._resources.engine, ends)
        try:
            return await ending.write_down(self._resources, finish, name="volley") or Written()
        except PASSING_ERRORS:
            raise
        except Exception:
            if len(ends) == 1:
                log.exception("ledger.refused", push=ends[0][0].push_id, seq=ends[0][0].seq)
                return Written()
        found = [await self._written([end]) for end in ends]
        return Written(
            batches=frozenset[tuple[int, int]]().union(*(one.batches for one in found)),
            pushes=frozenset[int]().union(*(one.pushes for one in found)),
        )
