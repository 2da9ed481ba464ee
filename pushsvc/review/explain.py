"""One device of a push: found in its batches or, where it is in none, held against its audience."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pushsvc.errors import NotFoundError, QueryTimeoutError
from pushsvc.model import Attempt, GatewayName, Match, OutcomeClass, Push, Standing
from pushsvc.planning.localtime import known_zones, moment_of
from pushsvc.resources import Resources
from pushsvc.review.message_ids import gateway, message_id
from pushsvc.stats import story
from pushsvc.stats.story import Story
from pushsvc.storage import trail
from pushsvc.storage.engine import taking_at_most
from pushsvc.storage.fields import HEX_TOKEN_LENGTH
from pushsvc.storage.standing import installations_named
from pushsvc.targeting import audience
from pushsvc.targeting.rows import Reader

_UNKNOWN: Final = (
    "The app has no installation with this objectId or installationId, and the push no explicit "
    "device with this token. What came of an installation that was deleted since is in the push's "
    "outcomes."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A device of a push, and its story."""

    push: Push
    standing: Standing
    gateway: GatewayName | None
    attempts: Sequence[Attempt]
    #: of each attempt; None where APNs was sent nothing
    apns_ids: Sequence[str | None]
    #: whether the installation is of the audience now; None where that was not asked
    match: Match | None
    story: Story
    #: the installation that got the message instead of this double
    duplicate_of: str | None


async def explain(resources: Resources, push: Push, device: str) -> Explanation:
    """Tell why a device got the push or did not.

    Args:
        resources: what the process holds open.
        push: the push.
        device: an installation's object id or installation id, or an explicit device's token.

    Raises:
        NotFoundError: there is no such device.
    """
    standing, attempts = await _found(resources, push, device)
    match = None
    if not attempts and story.is_asked(push):
        match = await _match(resources, push, standing.id)
    by = gateway(standing.device_type, standing.push_type, standing.token)
    return Explanation(
        push=push,
        standing=standing,
        gateway=by,
        attempts=attempts,
        apns_ids=[
            message_id(
                push.id,
                standing.id,
                seq=one.seq,
                place=one.place,
                outcome=one.outcome,
                reason=one.reason,
            )
            if by is GatewayName.APNS
            else None
            for one in attempts
        ],
        match=match,
        story=story.told(push, standing, attempts, match=match, wave=wave_of(push, standing)),
        duplicate_of=await _instead(resources, push, standing, attempts=attempts),
    )


def wave_of(push: Push, standing: Standing) -> story.Wave | None:
    """Return the wave that a device would be of as it is now; None where it has no zone."""
    known = standing.time_zone in known_zones()
    zone = standing.time_zone if known else push.zoneless
    if push.local_time is None or zone is None:
        return None
    return story.Wave(zone=zone, due_at=moment_of(push.local_time, zone))


async def _found(
    resources: Resources, push: Push, device: str
) -> tuple[Standing, Sequence[Attempt]]:
    async with resources.engine.connect() as connection:
        named = await installations_named(connection, device, app_ids=[push.app_id])
    standing = named.get(push.app_id)
    if standing is not None and standing.id is not None:
        key = standing.id
        return standing, await trail.attempts_of(resources.engine, push.id, installation=key)
    explicit = None
    if push.names_devices and device.isprintable():
        token = device.lower() if len(device) == HEX_TOKEN_LENGTH else device
        explicit = await trail.explicit_device(resources.engine, push.id, token=token)
    if explicit is None:
        raise NotFoundError(_UNKNOWN)
    return explicit


async def _match(resources: Resources, push: Push, key: int | None) -> Match | None:
    """Tell whether the installation is of the audience now; None where that takes too long."""
    # Not as remembered, as in the plan: an unknown relation is everybody.
    schema = await resources.schemas.now(push.app_id)
    reader = Reader(app_id=push.app_id, schema=schema)
    wanted = audience.criterion(push.audience, reader, limits=resources.limits.of_stored())
    try:
        async with (
            resources.finding,
            resources.engine.connect() as connection,
            taking_at_most(connection, resources.settings.find_timeout_seconds),
        ):
            return await audience.match(connection, wanted, key)
    except QueryTimeoutError:
        return None


async def _instead(
    resources: Resources, push: Push, standing: Standing, *, attempts: Sequence[Attempt]
) -> str | None:
    if not attempts or attempts[-1].outcome is not OutcomeClass.DEDUPLICATED:
        return None
    return await trail.first_with_token(
        resources.engine, push.id, app_id=push.app_id, token=standing.token, before=standing.id
    )
