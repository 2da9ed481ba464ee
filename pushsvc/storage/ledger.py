"""The ledger read back: what came of each device of a push, batch by batch."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.model import GONE_ON, OutcomeClass
from pushsvc.storage.devices import address_of
from pushsvc.storage.engine import driver
from pushsvc.storage.tables import pushes


@dataclass(frozen=True, slots=True)
class Line:
    """The end of one device. Positional: there is one for each device of a push."""

    #: empty where the installation was deleted since
    token: str
    device_type: str
    outcome: OutcomeClass
    #: the gateway's word, or ours; empty where the message was sent
    reason: str
    #: the attempt that was the last; the first is 1
    attempt: int


async def push_key(connection: AsyncConnection, object_id: str) -> int | None:
    """Return the key of the push with this public id, whichever app's it is."""
    statement = select(pushes.c.id).where(pushes.c.object_id == object_id)
    key: int | None = (await connection.execute(statement)).scalar_one_or_none()
    return key


_NEXT: Final = """
    SELECT seq, attempt, installation_ids, recipients, outcomes, exceptions
    FROM batches WHERE push_id = $1 AND seq > $2 ORDER BY seq LIMIT 1
"""

_DEVICES: Final = """
    SELECT id, device_type, push_type, device_token, channel_uris
    FROM installations WHERE id = ANY($1)
"""


async def lines(engine: AsyncEngine, push_id: int) -> AsyncIterator[list[Line]]:
    """Yield the ends of the devices of each batch.

    A device that was carried into a follow-up batch has its end there, so each device of the
    push comes once. What has no end yet comes as `OPEN`.
    """
    seq = -1
    while True:
        async with driver(engine) as connection:
            row = await connection.fetchrow(_NEXT, push_id, seq)
            if row is None:
                return
            ids = row["installation_ids"]
            found = await connection.fetch(_DEVICES, ids) if ids else []
        seq = row["seq"]
        # The address as the messages went to it; a token that is retired since is here, too.
        by_id = {
            number: (address_of(device_type, push_type, token=token, channels=uris), device_type)
            for number, device_type, push_type, token, uris in found
        }
        places = [by_id.get(number, ("", "")) for number in ids] or _explicit(row["recipients"])
        yield _lines(row, places)


def reasons_of(exceptions: Mapping[str, Sequence[int]] | None) -> dict[int, str]:
    """Return the reason at each place of a batch that has one."""
    struck = (exceptions or {}).items()
    return {place: reason for reason, places in struck for place in places}


def _explicit(stored: Any) -> list[tuple[str, str]]:
    return [(one["token"], one["device_type"]) for one in stored or ()]


def _lines(row: Any, places: Sequence[tuple[str, str]]) -> list[Line]:
    reasons = reasons_of(row["exceptions"])
    outcomes = row["outcomes"] or bytes(len(places))
    return [
        Line(token, device_type, OutcomeClass(byte), reasons.get(place, ""), row["attempt"])
        for place, ((token, device_type), byte) in enumerate(zip(places, outcomes, strict=True))
        if byte not in GONE_ON
    ]
