"""Windows devices of every type, reached by their channels through the whole pipeline."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import select

from pushsvc.config import Settings
from pushsvc.model import OutcomeClass
from pushsvc.storage import ledger, tables
from tests.integration.conftest import AppRow
from tests.integration.pushing import (
    Site,
    apns_token,
    site as open_site,
    wns_channel,
    working,
)

pytestmark = pytest.mark.integration

TYPES = ("winrt", "winphone", "dotnet")
MPNS = "http://sn1.notify.live.net/throttledthirdparty/01.00/x"
FOREIGN = (
    "https://notify.windows.com.evil.example/?token=x",
    "https://evilnotify.windows.com/?token=x",
    "https://user:secret@db3.notify.windows.com/?token=x",
    "https://db3.notify.windows.com@evil.example/?token=x",
    "https://db3.notify.windows.com:8443/?token=x",
    "http://db3.notify.windows.com/?token=x",
    "https://db3.notify.w\u0131ndows.com/?token=x",
    "https://127.0.0.1/?token=x",
    "//db3.notify.windows.com/?token=x",
)


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def install(site: Site, device_type: str, uris: dict[str, str], **columns: Any) -> int:
    """Store a Windows device that has channels, and no token unless it is given one."""
    columns = {"device_token": None, "channel_uris": uris, **columns}
    return await site.install("", device_type, **columns)


def heard(site: Site) -> tuple[int, int]:
    """How many connections to the simulated WNS were opened, and access tokens asked for."""
    stats = site.simulators.control.stats()
    return stats["gateways"]["wns"]["wire"]["connections_opened"], stats["oauth_fetches"]["wns"]


async def lines_of(site: Site, push_id: int) -> set[str]:
    """The addresses in the push's ledger."""
    return {line.token async for part in ledger.lines(site.engine, push_id) for line in part}


async def test_every_windows_device_is_reached_by_the_channel_that_wns_takes(site: Site) -> None:
    """Strangers and MPNS beside it are passed over, and the ledger names the one that was used."""
    channels = {device_type: wns_channel() for device_type in TYPES}
    numbers = [
        await install(site, device_type, {"_Default": MPNS, "a": FOREIGN[0], "tile": uri})
        for device_type, uri in channels.items()
    ]

    async with working(site):
        push = await site.done(await site.push())

    assert await site.ledger(push) == dict.fromkeys(numbers, (OutcomeClass.OK, ""))
    assert {entry.token for entry in site.sent()} == set(channels.values())
    assert heard(site) > (0, 0)
    assert await lines_of(site, push.id) == set(channels.values())


async def test_devices_of_mpns_end_as_retired_without_a_connection(site: Site) -> None:
    """Nobody is called, not even for an access token."""
    numbers = [await install(site, kind, {"_Toast": MPNS, "_Tile": f"{MPNS}2"}) for kind in TYPES]
    numbers.append(await install(site, "winphone", {}, device_token=MPNS))

    async with working(site):
        push = await site.done(await site.push())

    retired = (OutcomeClass.REQUEST_BAD, "provider_retired")
    assert await site.ledger(push) == dict.fromkeys(numbers, retired)
    assert heard(site) == (0, 0)


async def test_the_access_token_is_shown_to_no_stranger(site: Site) -> None:
    """User info, ports, hosts that look alike: no connection, and each device is told why."""
    numbers = [await install(site, "winrt", {"_Default": uri}) for uri in FOREIGN]

    async with working(site):
        push = await site.done(await site.push())

    bad = (OutcomeClass.REQUEST_BAD, "bad_channel_uri")
    assert await site.ledger(push) == dict.fromkeys(numbers, bad)
    assert heard(site) == (0, 0)


async def test_an_apple_device_with_channels_has_no_address(site: Site) -> None:
    """Its channels are WNS's, and APNs is not asked about them."""
    number = await install(site, "ios", {"_Default": wns_channel()})
    sound = await site.install(apns_token(), channel_uris={"_Default": wns_channel()})

    async with working(site):
        push = await site.done(await site.push())

    assert await site.ledger(push) == {
        number: (OutcomeClass.TOKEN_DEAD, "MissingDeviceToken"),
        sound: (OutcomeClass.OK, ""),
    }
    assert heard(site) == (0, 0)


@pytest.mark.parametrize("name", ["_Default", "tile"])
async def test_a_channel_that_died_is_not_sent_to_again(name: str, site: Site) -> None:
    """410 retires the device by the channel that was chosen, whatever its name."""
    uri = wns_channel("~gone")
    number = await install(site, "winrt", {"a": MPNS, name: uri})

    async with working(site):
        push = await site.done(await site.push())
        second = await site.done(await site.push())

    assert (await site.ledger(push))[number][0] is OutcomeClass.TOKEN_DEAD
    assert await site.ledger(second) == {}
    columns = tables.installations.c
    async with site.engine.connect() as connection:
        statement = select(columns.token_retired_at).where(columns.id == number)
        assert (await connection.execute(statement)).scalar_one() is not None


async def test_each_type_of_notification_is_taken(site: Site) -> None:
    """By a channel of each type of device; group and popup come to the phone alone."""
    uris = {
        "winrt": wns_channel(),
        "winphone": wns_channel().replace("token=", "token=phone-"),
        "dotnet": wns_channel(),
    }
    numbers = [await install(site, kind, {"_Default": uri}) for kind, uri in uris.items()]
    blocks: list[dict[str, Any]] = [
        {"group": "news", "suppress_popup": True, "audio": "silent", "tag": "a1"},
        {"type": "tile", "image": "ms-appx:///i.png", "priority": 2},
        {"badge": "newMessage"},
        {"raw": {"k": "é"}, "cache": True},
    ]

    async with working(site):
        for block in blocks:
            content = {"data": {"alert": "Hi <you>"}, "wns": block}
            push = await site.done(await site.push(content=content, expiration_interval=600))
            assert await site.ledger(push) == dict.fromkeys(numbers, (OutcomeClass.OK, ""))

    for kind, uri in uris.items():
        toast, tile, badge, raw = site.sent_to(uri)
        assert ("x-wns-group" in dict(toast.fields)) == (kind == "winphone")
        assert [ET.fromstring(entry.payload).tag for entry in (toast, tile, badge)] == [
            "toast",
            "tile",
            "badge",
        ]
        assert raw.payload == '{"k":"é"}'.encode()
        assert not any(entry.warnings for entry in site.sent_to(uri))
