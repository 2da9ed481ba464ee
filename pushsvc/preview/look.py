"""The whole of a preview: the audience counted, the variants shaped, the time estimated."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pushsvc.delivery.credentials import usable
from pushsvc.model import App, Schedule, Submission
from pushsvc.planning.localtime import moments
from pushsvc.planning.schedule import of_wave
from pushsvc.preview.counting import count
from pushsvc.preview.estimate import Estimate, estimated
from pushsvc.preview.left_out import left_out
from pushsvc.preview.reach import Judge, Reach
from pushsvc.preview.variants import Showroom, Variant
from pushsvc.resources import Resources
from pushsvc.shaping.body import Envelope, Shaper
from pushsvc.storage.credentials import credentials_of
from pushsvc.storage.pushes import as_stored

#: Stands for the push's id, as long as that is: it gets one when it is sent.
PUSH_ID: Final = "0000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """When a push in local time goes out: at so many moments, in the zones of the world."""

    #: naive
    local_time: datetime
    moments: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A push as it would go out."""

    due_at: datetime
    expires_at: datetime | None
    #: of a push in local time
    waves: Waves | None
    reach: Reach
    variants: Sequence[Variant]
    #: variants that are not shown, since there are too many
    variants_left_out: int
    estimate: Estimate


async def look(
    resources: Resources, app: App, submission: Submission, *, when: Schedule
) -> Preview:
    """Return what would come of a submission that was admitted.

    Raises:
        QueryTimeoutError: counting its audience took too long.
    """
    async with resources.engine.connect() as connection:
        content = await as_stored(connection, submission.content)
        found = await credentials_of(connection, resources.seal, app_id=app.id)
    credentials = usable(found)
    shaper = Shaper(content, _envelope(resources, when))
    reach = await count(
        resources,
        app,
        submission.audience,
        judge=Judge(shaper, credentials),
        left_out=left_out(
            submission,
            when,
            now=resources.clock.now(),
            late_after=timedelta(seconds=resources.settings.late_after_seconds),
        ),
    )
    shown, unseen = await Showroom(resources.engine, shaper, credentials).show(reach)
    async with resources.engine.connect() as connection:
        estimate = await estimated(
            connection, reach, app_id=app.id, rate_per_minute=submission.rate_per_minute
        )
    return Preview(
        due_at=when.due_at,
        expires_at=when.expires_at,
        waves=_waves(when),
        reach=reach,
        variants=shown,
        variants_left_out=unseen,
        estimate=estimate,
    )


def _envelope(resources: Resources, when: Schedule) -> Envelope:
    """Return the envelope of a push that is made now, and sent when it is due.

    In local time that is the next of its moments.
    """
    now, due_at = resources.clock.now(), when.due_at
    if when.local_time is not None:
        due_at = next((one.at for one in moments(when.local_time) if one.at > now), now)
    return Envelope(
        push_id=0,
        push_object_id=PUSH_ID,
        created_at=now,
        expires_at=of_wave(when, due_at),
        now=max(now, due_at),
    )


def _waves(when: Schedule) -> Waves | None:
    if when.local_time is None:
        return None
    found = moments(when.local_time)
    return Waves(
        local_time=when.local_time,
        moments=len(found),
        first=found[0].at,
        last=found[-1].at,
    )
