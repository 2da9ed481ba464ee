"""What a real Parse Server stores with `scheduledPush: true` is sent by schedulers."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from tests.acceptance.parse_devices import APPLE, Device, all_kinds, expected, some
from tests.acceptance.parse_server import counts
from tests.acceptance.schedulers import schedulers
from tests.acceptance.shop import Shop, site
from tests.integration.pushing import apns_token

pytestmark = [pytest.mark.acceptance, pytest.mark.asyncio(loop_scope="module")]

#: Soon, and long enough for a request to be before it.
AHEAD: Final = timedelta(seconds=2)
LIFE_SECONDS: Final = 100
#: Where a day ends last on Earth, where an hour earlier, and where most of a day earlier.
LAST, LAST_BUT_ONE, FIRST = "Etc/GMT+12", "Etc/GMT+11", "Pacific/Kiritimati"
TWO_HOURS_MS: Final = 7_200_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(
    servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    """A shop whose Parse Server stores what has a time."""
    directory = tmp_path_factory.mktemp("scheduled")
    async with (
        site(servers, directory) as place,
        place.shop(options={"scheduledPush": True}) as opened,
    ):
        yield opened


async def test_each_device_once_at_its_time_whoever_looks(shop: Shop) -> None:
    """Two schedulers share a push of many pages; one whose row was deleted is not sent."""
    devices = await shop.install([*all_kinds(), *some(20)], "due")
    cancelled = await shop.install(some(3), "cancelled")
    due = datetime.now(UTC).replace(microsecond=0) + AHEAD
    told: dict[str, Any] = {"push_time": due.strftime("%Y-%m-%dT%H:%M:%SZ")}
    push = await shop.parse.push(
        channels=["due"],
        data={"alert": "Due", "alert-fr": "Maintenant", "badge": "Increment"},
        expiration_interval=LIFE_SECONDS,
        **told,
    )
    withdrawn = await shop.parse.push(channels=["cancelled"], data={"alert": "No"}, **told)
    assert (await shop.parse.status(push))["status"] == "scheduled"
    await shop.parse.rest("DELETE", f"classes/_PushStatus/{withdrawn}")
    async with schedulers(shop, 2, "--page-size", "6"):
        status = await shop.parse.ended(push)
    assert status["status"] == "succeeded"
    assert counts(status) == expected(devices)
    await shop.received_once(devices)
    assert not any((await shop.had(cancelled)).values())
    rows = await shop.parse.installations()
    for device in devices:
        if device.sent and device.device_type in APPLE:
            message = await shop.message(device)
            assert due.timestamp() <= message["time"]
            assert message["expiration"] == str(int(due.timestamp()) + LIFE_SECONDS)
            assert (await shop.aps(device))["badge"] == rows[device.installation_id]["badge"]


async def test_a_time_without_a_zone_is_that_of_each_device(shop: Shop) -> None:
    """Sent where the time comes, or came not long ago; it is over when it is so everywhere."""
    last, before, long_ago, nowhere = (
        Device(device_type="ios", token=apns_token(), sent=sent, fields={"timeZone": zone})
        for zone, sent in ((LAST, True), (LAST_BUT_ONE, True), (FIRST, False), ("", False))
    )
    devices = await shop.install([last, before, long_ago, nowhere], "local")
    due = datetime.now(UTC).replace(microsecond=0) + AHEAD
    push = await shop.parse.push(
        channels=["local"],
        data={"alert": "Good night"},
        push_time=due.astimezone(ZoneInfo(LAST)).strftime("%Y-%m-%dT%H:%M:%S"),
    )
    async with schedulers(shop, 2, "--late-ms", str(TWO_HOURS_MS)):
        status = await shop.parse.ended(push)
    assert status["status"] == "succeeded"
    assert counts(status).sent == {"ios": 2}
    await shop.received_once(devices)
    earlier, later = [(await shop.message(device))["time"] for device in (before, last)]
    assert max(earlier, due.timestamp()) <= later
