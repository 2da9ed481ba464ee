"""A real Parse Server delivers through the service, with the package in adapters/parse-server."""

import json
import math
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.acceptance.faulty import Fault
from tests.acceptance.parse_devices import APPLE, Device, all_kinds, expected, some
from tests.acceptance.parse_server import counts
from tests.acceptance.shop import Shop, Site, site

pytestmark = [pytest.mark.acceptance, pytest.mark.asyncio(loop_scope="module")]

LIFE_SECONDS: Final = 100
#: How many installations Parse Server reads at once.
PAGE: Final = 7
#: By REST, and by a Cloud Code function.
DOORS: Final = ("push", "announce")
ENGLISH, FRENCH = "Sale", "Soldes"
ALERTS: Final = {"alert": ENGLISH, "alert-fr": FRENCH}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One service for all."""
    async with site(servers, tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(place: Site) -> AsyncIterator[Shop]:
    """A shop that waits for outcomes, as is the default."""
    async with place.shop() as opened:
        yield opened


def takes_badges(device: Device) -> bool:
    return device.sent and device.device_type in APPLE


def alert_for(device: Device) -> str:
    return FRENCH if device.fields.get("localeIdentifier", "").startswith("fr") else ENGLISH


@pytest.mark.parametrize("door", DOORS)
async def test_a_push_to_a_channel_is_in_all_ledgers_the_same(shop: Shop, door: str) -> None:
    """Each device gets its language and Parse's badge, and is counted; the dead are pruned."""
    devices = await shop.install(all_kinds(), f"channel-{door}")
    push = await getattr(shop.parse, door)(
        channels=[f"channel-{door}"],
        data=ALERTS | {"badge": "Increment"},
        expiration_interval=LIFE_SECONDS,
    )
    await shop.agreed(push, devices)
    rows = await shop.parse.installations()
    for device in devices:
        assert rows[device.installation_id]["badge"] == device.fields.get("badge", 0) + 1
    for device in filter(takes_badges, devices):
        aps = await shop.aps(device)
        assert aps["badge"] == rows[device.installation_id]["badge"]
        assert aps["alert"] == alert_for(device)
    await shop.pruned(devices)


@pytest.mark.parametrize("door", DOORS)
async def test_a_push_to_a_query_has_its_badge_and_its_life(shop: Shop, door: str) -> None:
    """Only who matches is sent to; a set badge is sent as it is; lives are right on the wire."""
    devices = await shop.install(all_kinds(), f"query-{door}")
    ends = int(time.time()) + LIFE_SECONDS
    matching = [device for device in devices if device.fields.get("localeIdentifier")]
    push = await getattr(shop.parse, door)(
        where={"channels": {"$in": [f"query-{door}"]}, "localeIdentifier": {"$ne": "en-US"}},
        data=ALERTS | {"badge": 7},
        expiration_time=ends,
    )
    await shop.agreed(push, matching)
    for device in (one for one in matching if one.sent):
        message = await shop.message(device)
        if device.device_type in APPLE:
            assert message["expiration"] == str(ends)
            assert (await shop.aps(device))["badge"] == 7
        else:
            # A life of seconds, and not of thousandths, as the stock adapter has it.
            assert ends - 10 <= message["time"] + life_seconds(message) <= ends + 1
    others = [device for device in devices if device not in matching]
    assert not any((await shop.had(others)).values())


def life_seconds(message: dict[str, Any]) -> float:
    """What FCM or WNS was told of how long the message lives."""
    if message["gateway"] == "wns":
        return float(message["fields"]["x-wns-ttl"])
    ttl: str = json.loads(message["payload"])["message"]["android"]["ttl"]
    assert ttl.endswith("s")
    return float(ttl.removesuffix("s"))


async def test_counts_come_later_where_nobody_waits(place: Site) -> None:
    """In mode accept the status is right in the end, over many pages, and tokens stay."""
    async with place.shop(mode="accept", queueOptions={"batchSize": PAGE}) as shop:
        devices = await shop.install([*all_kinds(), *some(30)], "all")
        push = await shop.parse.push(channels=["all"], data={"alert": "Later"})
        await shop.agreed(push, devices)
        # Parse Server adds the rows that it was handed whenever it comes to it.
        assert counts(await shop.parse.counted_for_good(push)) == expected(devices)
        assert all("deviceToken" in row for row in (await shop.parse.installations()).values())


async def test_a_restarted_parse_server_writes_the_counts_it_owes(place: Site) -> None:
    """What was accepted before a kill is counted after it."""
    async with place.shop(mode="accept", queueOptions={"batchSize": PAGE}) as shop:
        devices = await shop.install([*some(20), *some(3, fault="fa170400")], "all")
        pages = math.ceil(len(devices) / PAGE) + place.road.carried["/v1/deliveries"]
        with place.road.doing(Fault.ERROR, path="/v1/groups"):
            push = await shop.parse.push(channels=["all"], data={"alert": "Owed"})
            await place.road.has_carried("/v1/deliveries", pages)
            await place.road.has_struck()
            await shop.parse.kill()
        await shop.parse.aged(push)
        await shop.parse.start()
        await shop.agreed(push, devices)
