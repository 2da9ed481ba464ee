"""Who a preview counts is who a push then reaches, and for the same reasons."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, false, func, select, text

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.delivery.dispatch import NO_CREDENTIAL
from pushsvc.errors import QueryTimeoutError
from pushsvc.model import GatewayName, OutcomeClass, Source, Submission
from pushsvc.preview import reach as words
from pushsvc.preview.counting import within
from pushsvc.preview.reach import Reach
from pushsvc.storage import reach as kinds, tables
from pushsvc.storage.credentials import add_credential
from tests.integration.conftest import AppRow
from tests.integration.pushing import (
    Site,
    apns_token,
    fcm_token,
    site as open_site,
    wns_channel,
    working,
)

pytestmark = pytest.mark.integration

CONTENT: dict[str, Any] = {"data": {"alert": "Hello"}}
HOST = "https://db5.notify.windows.com"
#: Where the ledger has another word than ours.
LEDGER: dict[str, str] = {NO_CREDENTIAL.reason: words.NO_CREDENTIAL}


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def counted(site: Site, content: Mapping[str, Any] = CONTENT) -> Reach:
    """Count the channel `all`."""
    asked = Submission(source=Source.V1, audience={"channels": ["all"]}, content=content)
    return (await pipeline.preview_push(site.resources, site.app, asked)).reach


async def check_same(site: Site, content: Mapping[str, Any] = CONTENT) -> Reach:
    """Assert that a push comes to what its preview says; return that."""
    found = await counted(site, content)
    async with working(site):
        push = await site.done(await site.push(content=content))
    ledger = (await site.ledger(push)).values()
    failed = Counter(
        LEDGER.get(reason) or words.worded(reason)
        for outcome, reason in ledger
        if outcome is not OutcomeClass.OK
    )
    assert (found.devices, +found.excluded) == (len(ledger) - failed.total(), failed)
    return found


async def test_tokens_that_are_none_are_told_as_they_are_delivered(site: Site) -> None:
    """Whatever a device may have written there; what FCM calls a token is known to FCM alone."""
    for token in ("abc", "a" * 202, "a" * 300, "\u0661" * 4, "no hex", "{"):
        await site.install(token, "ios")
        await site.install(token, "winrt")
    for token in ("{", "{:"):
        await site.install(token, "web")

    found = await check_same(site)

    assert dict(found.excluded) == {
        "bad_device_token": 6,
        "bad_channel_uri": 6,
        "web_push_subscription": 2,
    }


async def test_channels_that_are_none_are_told_as_they_are_delivered(site: Site) -> None:
    """By their length and their characters, too, and by all of them."""
    many = {f"a{n:02}": "https://evil.example/" for n in range(20)}
    for token in (
        f"{wns_channel()} a<b>",
        f"{wns_channel()}{'x' * 2100}",
        f"{HOST}#x",
        f"{HOST}:443/?token=a",
        f"{HOST.upper()}/",
        "https://DB5.Notify.windows.com/?token=]~_[x",
        f"{HOST}.evil.example/",
        "https:opaque",
        f"https://{'a' * 63}.notify.windows.com/?token=b",
        f"https://{'a' * 64}.notify.windows.com/?token=c",
        "https://wns2-by3p.notify.windows.com/w/?token=d",
        "https://-a.notify.windows.com/?token=e",
        "https://a.evil/.notify.windows.com/?token=g",
        "http://a.notify.windows.com/?token=h",
        "http://a.notify.live.net/<u>",
        "https://a.notify.live.net:80/u",
        "HTTP://s.notify.live.net/u",
    ):
        await site.install(token, "winrt")
    for channels in (many, {**many, "b": f"{HOST}/?token=17"}, {"a": "http://notify.live.net"}):
        await site.install("", "winrt", device_token=None, channel_uris={**channels})
    await site.install(fcm_token(), "winrt", push_type="fcm", channel_uris=many)

    found = await check_same(site)

    assert found.devices == 6
    assert dict(found.excluded) == {"bad_channel_uri": 11, "provider_retired": 4}


async def test_apps_that_no_credential_is_for_are_told_as_they_are_delivered(site: Site) -> None:
    """And such as are no bundle ids; an unknown push type counts as none."""
    for app in ("com.example.unknown", "\u00e9.x", "a" * 300, "", None):
        await site.install(apns_token(), "ios", app_identifier=app)
    await site.install(apns_token(), "ios", push_type="carrier pigeon")

    found = await check_same(site)

    assert dict(found.excluded) == {"no_credential": 1, "bad_topic": 2, "missing_topic": 2}


async def test_a_credential_that_cannot_be_read_is_none(site: Site) -> None:
    """As it is for the worker."""
    c = tables.credentials
    async with site.engine.begin() as connection:
        await connection.execute(delete(c).where(c.c.app_id == site.app.id))
        await add_credential(
            connection,
            site.resources.seal,
            app=site.app,
            gateway=GatewayName.FCM,
            public={"project_id": "x"},
            secret="not json",
        )
    await site.install(fcm_token(), "android")

    try:
        found = await check_same(site)
    finally:
        # Other tests ask the doctor about every credential there is.
        async with site.engine.begin() as connection:
            await connection.execute(delete(c).where(c.c.app_id == site.app.id))

    assert dict(found.excluded) == {"no_credential": 1}


async def test_the_deadline_ends_what_the_database_is_at(site: Site) -> None:
    """However many statements there were before; the connections are good after it."""

    async def work() -> None:
        async with site.engine.connect() as connection, within(0.2):
            for seconds in (0.05, 30):
                await connection.execute(select(func.pg_sleep(seconds)))

    begun = time.monotonic()
    with pytest.raises(QueryTimeoutError):
        await work()

    assert time.monotonic() - begun < 10
    assert (await counted(site)).devices == 0


async def test_what_clients_write_makes_no_cohort(site: Site) -> None:
    """A bundle id, a push type or a channel of its own for each device is no more than one row."""
    statement = text("""
        INSERT INTO installations (app_id, object_id, device_type, device_token, app_identifier,
            push_type, channel_uris, channels)
        SELECT :app, 'o' || g, 'ios', md5(g::text) || md5(g::text), 'app' || g, 'type' || g,
            jsonb_build_object('n' || g, 'https://host' || g || '.example/'), '{all}'
        FROM generate_series(1, 3000) AS g
    """)
    async with site.engine.begin() as connection:
        await connection.execute(statement, {"app": site.app.id})
        i = tables.installations.c
        found = select(*kinds.columns(["com.example.app"]), false().label("is_double"))
        cohorts = kinds.cohorts(found.where(i.app_id == site.app.id))
        rows = (await connection.execute(cohorts)).all()

    assert [row.n for row in rows] == [3000]
