"""What settings of the service and of the app say of a push's times."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pushsvc import pipeline
from pushsvc.errors import InvalidPushTimeError
from pushsvc.model import AppSettings, Push, Source, Submission
from pushsvc.resources import Resources
from tests.integration.conftest import AppRow

pytestmark = pytest.mark.integration


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
