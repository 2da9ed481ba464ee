"""The outcomes of a push's devices: page by page, or all of them as they are read."""

from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import GatewayName, OutcomeClass, Push
from pushsvc.review.message_ids import gateway, message_id
from pushsvc.storage import ends
from pushsvc.storage.ends import End, Spot

#: Looks that one page may take, each at one batch or past a thousand that have nothing to show.
LOOKS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some outcomes in order; fewer than were asked for where they are few and far between."""

    ends: Sequence[End]
    #: where the next page begins; None on the last one
    after: Spot | None


async def page(
    engine: AsyncEngine,
    push: Push,
    *,
    classes: Collection[OutcomeClass],
    since: Spot,
    limit: int,
) -> Page:
    """Return at most so many outcomes of these classes; in bounded time, if need be fewer."""
    found: list[End] = []
    for _ in range(LOOKS):
        if since.seq >= push.batches or len(found) == limit:
            break
        seen = await ends.look(
            engine, push.id, classes=classes, since=since, most=limit - len(found)
        )
        found += seen.ends
        since = seen.after
    return Page(ends=found, after=since if since.seq < push.batches else None)


async def parts(
    engine: AsyncEngine, push: Push, *, classes: Collection[OutcomeClass]
) -> AsyncGenerator[Sequence[End], None]:
    """Yield all outcomes of these classes, those of one batch at a time."""
    since = Spot()
    while since.seq < push.batches:
        seen = await ends.look(engine, push.id, classes=classes, since=since)
        since = seen.after
        yield seen.ends


def apns_id_of(push: Push, end: End) -> str | None:
    """Return the `apns-id` of the message; None where APNs was sent none."""
    if gateway(end.device_type, end.push_type, end.token) is not GatewayName.APNS:
        return None
    return message_id(
        push.id,
        end.key,
        seq=end.spot.seq,
        place=end.spot.place,
        outcome=end.outcome,
        reason=end.reason,
    )
