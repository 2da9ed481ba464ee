"""How long a push would take: by what pushes of the last days took."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import GatewayName
from pushsvc.preview.reach import Reach
from pushsvc.storage.pace import recent_pace

#: Where nothing was sent yet: what one worker process does on a slow machine, behind gateways that
#: take their time. docs/benchmarks.md has what it does at best.
DEFAULT_MESSAGES_PER_SECOND: Final = 2_000.0
#: 600,000 a minute for each project, unless Google has raised it.
#: https://firebase.google.com/docs/cloud-messaging/throttling-and-quotas
FCM_MESSAGES_PER_SECOND: Final = 10_000.0

APP, SERVER, DEFAULT = "app", "server", "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How long it takes from its due moment until every device has its outcome."""

    seconds: float
    messages_per_second: float
    #: whose pushes it is taken from: the app's, everybody's, or nobody's
    based_on: str
    #: how many these are
    pushes: int


async def estimated(
    connection: AsyncConnection, reach: Reach, *, app_id: int, rate_per_minute: int | None = None
) -> Estimate:
    """Return the estimate for those of an audience who are sent to."""
    based_on, pace = APP, await recent_pace(connection, app_id=app_id)
    if pace is None:
        based_on, pace = SERVER, await recent_pace(connection, app_id=None)
    speed = pace.messages_per_second if pace else DEFAULT_MESSAGES_PER_SECOND
    if rate_per_minute is not None:
        speed = min(speed, rate_per_minute / 60)
    if pace is None:
        return of_pace(reach, speed, based_on=DEFAULT)
    return of_pace(reach, speed, based_on=based_on, pushes=pace.pushes)


def of_pace(
    reach: Reach, messages_per_second: float, *, based_on: str, pushes: int = 0
) -> Estimate:
    """Return the estimate by a pace; FCM takes no more than its quota."""
    by_fcm = reach.by_gateway[GatewayName.FCM] / FCM_MESSAGES_PER_SECOND
    seconds = max(reach.devices / messages_per_second, by_fcm)
    return Estimate(
        seconds=round(seconds, 3),
        messages_per_second=round(reach.devices / seconds if seconds else messages_per_second, 1),
        based_on=based_on,
        pushes=pushes,
    )
