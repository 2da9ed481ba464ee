"""The ends of a push's devices, in order: those of some classes, a bounded look at a time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import OutcomeClass
from pushsvc.storage.devices import address_of
from pushsvc.storage.engine import driver
from pushsvc.storage.ledger import reasons_of

#: Rows of batches whose counts are read in one look: some milliseconds.
_WINDOW: Final = 1_000


class Spot(NamedTuple):
    """A device of a push, by its batch and its place there."""

    seq: int = 0
    place: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """What came of one device. Positional: there is one for each device of a push."""

    spot: Spot
    outcome: OutcomeClass
    #: the gateway's word, or ours; empty where there is nothing to say
    reason: str
    #: the key and the object id of an installation; both None of an explicit device, the second
    #: also where it was deleted since
    key: int | None
    object_id: str | None
    #: None where the installation was deleted since
    device_type: str | None
    push_type: str | None
    token: str
    attempt: int
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """What was found, and where to look next."""

    ends: Sequence[End]
    after: Spot


# A batch whose counts have none of the classes is passed over without its arrays. In one statement
# with the window, so that an endless search cannot come of a rare class.
_NEXT: Final = """
    SELECT seq, attempt, installation_ids, recipients, outcomes, exceptions, finished_at
    FROM batches
    WHERE push_id = $1 AND seq >= $2 AND seq < $3 AND state = 2
        AND EXISTS (SELECT FROM jsonb_each(counts) AS type WHERE type.value ?| $4::text[])
    ORDER BY seq LIMIT 1
"""

_INSTALLATIONS: Final = """
    SELECT id, object_id, device_type, push_type, device_token, channel_uris
    FROM installations WHERE id = ANY($1)
"""

#: object id, device type, push type, token
_Device = tuple[str | None, str | None, str | None, str]
_DELETED: Final[_Device] = (None, None, None, "")


async def look(
    engine: AsyncEngine,
    push_id: int,
    *,
    classes: Collection[OutcomeClass],
    since: Spot,
    most: int | None = None,
) -> Look:
    """Return ends of these classes from the next batch that has some, at most so many.

    Batches that are not finished are passed over. None are found where there are none nearby.
    """
    wanted = [str(int(one)) for one in classes]
    beyond = since.seq + _WINDOW
    async with driver(engine) as connection:
        row = await connection.fetchrow(_NEXT, push_id, since.seq, beyond, wanted)
        if row is None:
            return Look((), Spot(beyond))
        first = since.place if row["seq"] == since.seq else 0
        places = [
            place for place, byte in enumerate(row["outcomes"][first:], first) if byte in classes
        ]
        is_cut = most is not None and len(places) > most
        places = places[:most]
        devices = await _devices(connection, row, places)
    after = Spot(row["seq"], places[-1] + 1) if is_cut else Spot(row["seq"] + 1)
    return Look(_ends(row, places, devices), after)


async def _devices(connection: Any, row: Any, places: Sequence[int]) -> list[_Device]:
    ids = row["installation_ids"]
    if not ids:
        named = row["recipients"]
        return [
            (None, named[p]["device_type"], named[p].get("push_type"), named[p]["token"])
            for p in places
        ]
    found = {
        number: (
            object_id,
            device_type,
            push_type,
            address_of(device_type, push_type, token=token, channels=uris),
        )
        for number, object_id, device_type, push_type, token, uris in await connection.fetch(
            _INSTALLATIONS, [ids[p] for p in places]
        )
    }
    return [found.get(ids[p], _DELETED) for p in places]


def _ends(row: Any, places: Sequence[int], devices: Sequence[_Device]) -> list[End]:
    reasons = reasons_of(row["exceptions"])
    seq, attempt, finished_at = row["seq"], row["attempt"], row["finished_at"]
    ids, outcomes = row["installation_ids"], row["outcomes"]
    return [
        End(
            Spot(seq, place),
            OutcomeClass(outcomes[place]),
            reasons.get(place, ""),
            ids[place] if ids else None,
            *device,
            attempt,
            finished_at,
        )
        for place, device in zip(places, devices, strict=True)
    ]
