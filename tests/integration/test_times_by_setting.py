"""What settings of the service and of the app say of a push's times."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from pushsvc import halting, pipeline
from pushsvc.errors import InvalidExpirationError, InvalidPushTimeError
from pushsvc.halting import Named
from pushsvc.model import AppSettings, Push, Source, Submission
from pushsvc.planning.localtime import moment_of
from pushsvc.resources import Resources
from pushsvc.storage.waves import list_waves
from tests.integration.conftest import AppRow

pytestmark = pytest.mark.integration

LAGOS, TOKYO = "Africa/Lagos", "Asia/Tokyo"
_INSTALL = text("""
    INSERT INTO installations (app_id, object_id, device_type, device_token, time_zone)
    SELECT :app_id, left(zone, 10), 'ios', zone, zone FROM unnest(CAST(:zones AS text[])) AS zone
""")
_AN_HOUR_AGO = text(
    "UPDATE pushes SET due_at = due_at - interval '1 h', push_time = :told WHERE id = :push_id"
)


def named(push: Push) -> Named:
    return Named(object_id=push.object_id, app_id=push.app_id, how="here")


async def zones_to_come(resources: Resources, push: Push) -> dict[str, datetime]:
    async with resources.engine.connect() as connection:
        found = await list_waves(connection, push.id, after=None, limit=10)
    return {wave.zone: wave.due_at for wave in found}


async def submit(resources: Resources, row: AppRow, *, days: int, **settings: Any) -> Push:
    """Submit a push in local time to an app in Berlin, under these settings."""
    changed = replace(resources, settings=resources.settings.model_copy(update=settings))
    local = (datetime.now(UTC) + timedelta(days=days)).replace(tzinfo=None)
    submission = Submission(
        source=Source.V1,
        audience={"channels": ["all"]},
        content={"data": {"alert": "Hello"}},
        push_time=local.isoformat(),
    )
    app = replace(row.app, settings=AppSettings(time_zone="Europe/Berlin"))
    push = (await pipeline.submit_push(changed, app, submission)).push
    assert push.local_time == local
    return push


@pytest.mark.parametrize(
    ("rule", "zone"), [("skip", None), ("utc", "UTC"), ("app", "Europe/Berlin")]
)
async def test_devices_without_a_zone_have_one_by_setting(
    resources: Resources, app_row: AppRow, rule: str, zone: str | None
) -> None:
    """It is stored with the push, so that a change does not touch what is under way."""
    push = await submit(resources, app_row, days=2, zoneless_devices=rule)

    assert push.zoneless == zone


async def test_how_far_ahead_is_a_setting(resources: Resources, app_row: AppRow) -> None:
    """In both directions."""
    await submit(resources, app_row, days=20, push_time_window_days=30)

    with pytest.raises(InvalidPushTimeError, match="more than 3 days ahead"):
        await submit(resources, app_row, days=5, push_time_window_days=3)


async def test_a_push_is_moved_by_the_same_settings(resources: Resources, app_row: AppRow) -> None:
    """Into local time and out of it; and the zones to come are those of its time now."""
    async with resources.engine.begin() as connection:
        parameters = {"app_id": app_row.app.id, "zones": [LAGOS, TOKYO]}
        await connection.execute(_INSTALL, parameters)
    push = await submit(resources, app_row, days=2)
    changes = {"zoneless_devices": "utc", "push_time_window_days": 60}
    changed = replace(resources, settings=resources.settings.model_copy(update=changes))
    for days in (3, 40):
        local = (datetime.now(UTC) + timedelta(days=days)).replace(tzinfo=None, microsecond=0)
        moved = await halting.reschedule(changed, named(push), {"push_time": local.isoformat()})

        assert (moved.local_time, moved.zoneless) == (local, "UTC")
        zones = {zone: moment_of(local, zone) for zone in (LAGOS, TOKYO)}
        assert await zones_to_come(resources, push) == zones
    moved = await halting.reschedule(changed, named(push), {"push_time": None})
    assert (moved.local_time, moved.zoneless) == (None, None)
    assert await zones_to_come(resources, push) == {}


async def test_an_expiry_changes_after_the_time_has_come(
    resources: Resources, app_row: AppRow
) -> None:
    """A time that is not sent with it is not judged again: the push may wait, paused."""
    push = await submit(resources, app_row, days=2)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    push = await halting.reschedule(resources, named(push), {"push_time": None})
    async with resources.engine.begin() as connection:
        parameters = {"told": hour_ago.isoformat(), "push_id": push.id}
        await connection.execute(_AN_HOUR_AGO, parameters)

    moved = await halting.reschedule(resources, named(push), {"expiration_interval": 7200})
    freed = await halting.reschedule(resources, named(push), {"expiration_interval": None})

    assert moved.expires_at is not None
    assert abs(moved.expires_at - hour_ago - timedelta(hours=2)) < timedelta(seconds=1)
    assert freed.expires_at is None
    with pytest.raises(InvalidExpirationError, match="past"):
        await halting.reschedule(resources, named(push), {"expiration_time": hour_ago.isoformat()})
