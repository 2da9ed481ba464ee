"""How many a campaign is for: before it is made, and before it runs."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import func

from pushsvc.errors import ConfirmationRequiredError
from pushsvc.finding import finding
from pushsvc.model import App, Json
from pushsvc.planning.localtime import known_zones
from pushsvc.resources import Resources
from pushsvc.storage.tables import installations as i
from pushsvc.targeting.audience import criterion
from pushsvc.targeting.criterion import Criterion
from pushsvc.targeting.rows import Reader

#: A device may call its zone anything; there are some six hundred that somebody knows.
_ZONES_MOST: Final = 2_000


async def recipients(resources: Resources, app: App, audience: Json) -> int:
    """Return how many devices are of an audience now.

    Raises:
        QueryTimeoutError: it took longer than `find_timeout_seconds`.
    """
    members = await _members(resources, app, audience)
    async with finding(resources) as connection:
        found = await connection.execute(members.select(func.count(i.c.id)))
        return int(found.scalar_one())


async def zones(resources: Resources, app: App, audience: Json) -> Mapping[str | None, int]:
    """Return how many of an audience are in each zone, most first; None: in none that we know.

    Raises:
        QueryTimeoutError: it took longer than `find_timeout_seconds`.
    """
    members = await _members(resources, app, audience)
    number = func.count(i.c.id).label("n")
    statement = members.select(i.c.time_zone, number).group_by(i.c.time_zone)
    async with finding(resources) as connection:
        rows = await connection.execute(statement.order_by(number.desc()).limit(_ZONES_MOST))
        found: dict[str | None, int] = {}
        for row in rows:
            zone = row.time_zone if row.time_zone in known_zones() else None
            found[zone] = found.get(zone, 0) + row.n
        return found


async def check_confirmed(
    resources: Resources, app: App, audience: Json, *, most: int | None, confirmed: int | None
) -> None:
    """Check that an audience is no larger than it may be, or than somebody has said yes to.

    Raises:
        ConfirmationRequiredError: it is.
    """
    if most is None:
        return
    count = await recipients(resources, app, audience)
    if count > max(most, confirmed or 0):
        message = (
            f"The audience has {count:,} devices, and max_recipients is {most:,}. Send "
            f'"confirm_recipients": {count} to go ahead.'
        )
        raise ConfirmationRequiredError(message, field="/max_recipients", recipients=count)


async def _members(resources: Resources, app: App, audience: Json) -> Criterion:
    # Not as remembered, as in the plan: an unknown relation is everybody.
    schema = await resources.schemas.now(app.id)
    reader = Reader(app_id=app.id, schema=schema)
    return criterion(audience, reader, limits=resources.limits.of_stored())
