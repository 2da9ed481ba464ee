"""Volleys before anything of them is sent: loaded, begun, or given back.

Until a volley has begun, its pushes can be given back, and go one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from pushsvc import ending
from pushsvc.delivery import dispatch
from pushsvc.delivery.gateways import AppGateways
from pushsvc.firing import Part, Volley, lease_seconds
from pushsvc.model import Batch, Device, Push
from pushsvc.planning import batches as cutting
from pushsvc.resources import Resources
from pushsvc.shaping import body
from pushsvc.storage import claims, firing as storage, small_deliveries
from pushsvc.storage.batches import BatchRef
from pushsvc.storage.claims import Claimed
from pushsvc.storage.devices import add_badges, device_at, load_named, load_values, named_at
from pushsvc.storage.due import DuePush
from pushsvc.storage.fields import BADGE
from pushsvc.storage.firing import Planned
from pushsvc.storage.small_deliveries import Leased
from pushsvc.targeting.audience import Found, named_among

if TYPE_CHECKING:
    import asyncpg

log = structlog.get_logger(__name__)

#: For more devices than this what their messages have in common is worth keeping.
FEW: Final = 2


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


# ---------------------------------------------------------------- begun, or given back


async def begin_claimed(resources: Resources, claimed: Sequence[Claimed]) -> Volley | None:
    """Begin with claimed pushes; give them back to go one by one where that cannot be.

    None where they were given back, or nothing of it is ours any more.
    """
    try:
        return await begin(resources, await load(resources, claimed))
    except Exception:
        log.exception("volley.not_begun", pushes=len(claimed))
        await claims.give_back(resources.by_index, claimed)
        alone = [DuePush(p.id, p.lane, p.app_id) for p in (one.push for one in claimed)]
        await resources.queue.wake_plans(alone)
        return None


async def begin_leased(resources: Resources, leased: Sequence[Leased]) -> Volley | None:
    """Begin with leased deliveries; give them back to go one by one where that cannot be.

    None where they were given back.
    """
    try:
        return await shape_leased(resources, leased)
    except Exception:
        log.exception("volley.not_begun", deliveries=len(leased))
        await small_deliveries.give_back(resources.by_index, leased)
        alone = [
            BatchRef(one.push.id, one.batch.seq, one.push.lane, one.push.app_id, one.batch.size)
            for one in leased
        ]
        await resources.queue.wake_batches(alone)
        return None


# ---------------------------------------------------------------- loaded


async def load(resources: Resources, claimed: Sequence[Claimed]) -> list[Loaded]:
    """Read what the messages of claimed pushes are made of."""
    pushes = [one.push for one in claimed]
    names = [(push.app_id, device) for push in pushes for device in push.audience["devices"]]
    rows = await load_named(resources.by_index, names)
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


async def begin(resources: Resources, loaded: Sequence[Loaded]) -> Volley | None:
    """Write the volley's batches and shape its messages; None where nothing of it is ours any more.

    When this returns, whoever finds the batches without their worker is in doubt about them.
    """
    fields = await _fields(resources, loaded)
    began = resources.clock.monotonic()
    routed: dispatch.Routed = {}
    parts: list[Part] = []
    first = 0
    async with storage.begun(
        resources.by_index,
        [one.planned for one in loaded],
        lease_seconds=lease_seconds(resources),
    ) as leased:
        for one, batches in zip(loaded, leased, strict=True):
            for batch in batches:
                part = _part(one, batch, fields=fields)
                _address(part, one.shaper, one.gateways, first=first, into=routed)
                parts.append(part)
                first += batch.size
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
    return await load_values(resources.by_index, list(ids), names)


def _part(one: Loaded, batch: Batch, *, fields: Mapping[int, dict[str, object]]) -> Part:
    if batch.recipients:
        return _settled_early(one.push, batch, _named(batch))
    ids = batch.installation_ids
    values = {number: dict(fields[number]) for number in ids if number in fields}
    if BADGE in one.shaper.fields:
        add_badges(values, batch.badges)
    badge_of, values_of = batch.badges.get, values.get
    devices = [
        device_at(place, one.rows[n], badge=badge_of(n), values=values_of(n))
        for place, n in enumerate(ids)
    ]
    return _settled_early(one.push, batch, devices)


def _named(batch: Batch) -> list[Device]:
    return [named_at(place, named) for place, named in enumerate(batch.recipients)]


def _settled_early(push: Push, batch: Batch, devices: Sequence[Device]) -> Part:
    sheet = dispatch.Sheet(batch.outcomes)
    ending.settle_early(batch, devices=devices, sheet=sheet)
    return Part(push=push, batch=batch, devices=devices, sheet=sheet)


def _address(
    part: Part,
    shaper: body.Shaper,
    gateways: AppGateways,
    *,
    first: int,
    into: dispatch.Routed,
) -> None:
    dispatch.address(
        part.devices,
        part.sheet,
        into=into,
        shape_of=shaper.shape if len(part.devices) > FEW else shaper.shape_one,
        route_of=gateways.choose,
        key_of=dispatch.keys_of(part.batch),
        first=first,
    )


async def shape_leased(resources: Resources, leased: Sequence[Leased]) -> Volley:
    """Shape the messages of deliveries whose batches are leased; nothing of it is sent before."""
    routed: dispatch.Routed = {}
    parts: list[Part] = []
    first = 0
    for one in leased:
        part = _settled_early(one.push, one.batch, _named(one.batch))
        shaper = body.Shaper.of(one.push, now=resources.clock.now())
        gateways = await resources.gateways.of(one.push.app_id)
        _address(part, shaper, gateways, first=first, into=routed)
        parts.append(part)
        first += one.batch.size
    # Others may have had them since, if this process was put to sleep with them at hand.
    return Volley(resources, parts, routed, began=min(one.asked_at for one in leased))
