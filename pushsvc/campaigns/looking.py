"""A campaign seen before it is made: who, when, what, and for how long. Nothing is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pushsvc.campaigns import composing, counting
from pushsvc.campaigns.calendar import Time
from pushsvc.campaigns.definition import Definition
from pushsvc.campaigns.prepare import Ready, ready
from pushsvc.model import App, Json
from pushsvc.planning import localtime
from pushsvc.preview.look import PUSH_ID, Preview, look
from pushsvc.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One variant's share of an audience; the name is None where there is but one content."""

    name: str | None
    weight: int
    share: float
    preview: Preview


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A campaign as its next run would go out."""

    #: all that is of the audience now, of which some may get nothing
    recipients: int
    zones: Mapping[str | None, int]
    parts: Sequence[Part]
    holdout: int
    holdout_share: float
    #: in local time, from the first zone's time to the last one's
    span_seconds: float


async def seen(resources: Resources, app: App, definition: Definition, *, first: Time) -> Seen:
    """Return what would come of a campaign whose next time this is.

    Raises:
        CallerError: what is wrong with it, or counting its audience takes too long.
    """
    made = await ready(resources, app, definition, object_id=PUSH_ID)
    audience = made.submission.audience
    recipients = await counting.recipients(resources, app, audience)
    zones = await counting.zones(resources, app, audience)
    return Seen(
        recipients=recipients,
        zones=zones,
        parts=await _parts(resources, made, first=first),
        holdout=definition.holdout,
        holdout_share=definition.holdout / _total(made),
        span_seconds=_span(first),
    )


async def _parts(resources: Resources, made: Ready, *, first: Time) -> list[Part]:
    submission = made.submission
    assert submission.rules is not None
    variants: list[tuple[str | None, int, Json]] = [
        (one.name, one.weight, one.content) for one in submission.rules.variants
    ]
    when = composing.schedule_of(
        first,
        due_at=first.at,
        expiration_interval=made.definition.expiration_interval,
        zoneless=localtime.zone_for_zoneless(
            resources.settings.zoneless_devices, app_zone=made.app.settings.time_zone
        ),
    )
    found = []
    for name, weight, content in variants or [(None, 1, submission.content)]:
        one = replace(submission, content=content)
        preview = await look(resources, made.app, one, when=when)
        share = weight / _total(made)
        found.append(Part(name=name, weight=weight, share=share, preview=preview))
    return found


def _total(made: Ready) -> int:
    rules = made.submission.rules
    assert rules is not None
    return sum(one.weight for one in rules.variants) + rules.holdout or 1


def _span(first: Time) -> float:
    if first.local is None:
        return 0.0
    moments = localtime.moments(first.local)
    return (moments[-1].at - moments[0].at).total_seconds()
