"""The ledger read back, device by device, as the demo compares it with the gateways'."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from pushsvc.cli.demo.compare import Comparison, Seen
from pushsvc.config import Settings
from pushsvc.model import OutcomeClass
from pushsvc.storage import ledger, tables
from pushsvc.storage.ledger import Line
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


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators; batches are small, so that a push has several."""
    small = settings.model_copy(update={"batch_size": 2})
    async with open_site(small, app_row.app, tmp_path) as opened:
        yield opened


async def lines_of(site: Site, push_id: int) -> dict[str, Line]:
    """The push's ledger by token, asserting that each token has one line."""
    found = [line async for part in ledger.lines(site.engine, push_id) for line in part]
    assert len({line.token for line in found}) == len(found)
    return {line.token: line for line in found}


async def test_each_device_has_one_line_with_its_end(site: Site) -> None:
    """Sent, refused for good, and accepted at the second attempt, over several batches."""
    sound, dead, later = apns_token(), apns_token("fa170100"), apns_token("fa170e01")
    android, windows, chosen = fcm_token(), wns_channel(), wns_channel()
    for token in (sound, dead, later):
        await site.install(token)
    await site.install(android, "android")
    await site.install(windows, "winrt")
    uris = {"_Default": chosen, "other": wns_channel()}
    await site.install("", "winrt", device_token=None, channel_uris=uris)

    async with working(site):
        push = await site.done(await site.push())

    assert await lines_of(site, push.id) == {
        sound: Line(sound, "ios", OutcomeClass.OK, "", 1),
        dead: Line(dead, "ios", OutcomeClass.TOKEN_DEAD, "Unregistered", 1),
        later: Line(later, "ios", OutcomeClass.OK, "", 2),
        android: Line(android, "android", OutcomeClass.OK, "", 1),
        windows: Line(windows, "winrt", OutcomeClass.OK, "", 1),
        chosen: Line(chosen, "winrt", OutcomeClass.OK, "", 1),
    }


async def test_explicit_devices_are_in_it(site: Site) -> None:
    """Devices that are no installations have their token in the batch."""
    token = apns_token()
    topic = site.simulators.endpoints.credentials.apns.topics[0]
    device = {"token": token, "device_type": "ios", "app_identifier": topic}

    async with working(site):
        push = await site.done(await site.push(audience={"devices": [device]}))

    assert await lines_of(site, push.id) == {token: Line(token, "ios", OutcomeClass.OK, "", 1)}


async def test_a_push_that_no_worker_took_up_has_no_lines(site: Site) -> None:
    """Before the plan there is nothing to read."""
    await site.install(apns_token())
    push = await site.push()

    assert await lines_of(site, push.id) == {}


async def test_a_deleted_installation_keeps_its_line(site: Site) -> None:
    """Its token is gone, its outcome is not."""
    number = await site.install(apns_token())
    async with working(site):
        push = await site.done(await site.push())
    async with site.engine.begin() as connection:
        await connection.execute(
            delete(tables.installations).where(tables.installations.c.id == number)
        )

    assert await lines_of(site, push.id) == {"": Line("", "", OutcomeClass.OK, "", 1)}


async def test_a_push_is_found_by_its_public_id(site: Site) -> None:
    """Whichever app's it is; and one that is not there is not found."""
    push = await site.push()

    async with site.engine.connect() as connection:
        assert await ledger.push_key(connection, push.object_id) == push.id
        assert await ledger.push_key(connection, "nothere") is None


async def test_what_the_simulators_saw_agrees(site: Site) -> None:
    """The demo's comparison holds on a real push, and fails when a ledger is falsified."""
    tokens = [apns_token(), apns_token("fa170400"), apns_token("fa170d01")]
    for token in tokens:
        await site.install(token)
    async with working(site):
        push = await site.done(await site.push())
    page, _ = site.simulators.ledger.token_page(gateway=None, after=0, limit=10)
    theirs = {one.token: Seen.of(one.as_json()) for one in page}
    told = {"devices": 3, "by_device_type": {"ios": {"sent": 2, "failed": 1}}}

    honest = Comparison(theirs=theirs)
    forged = Comparison(theirs=theirs | {tokens[0]: Seen(1, 0, 410, "Unregistered")})
    async for part in ledger.lines(site.engine, push.id):
        honest.take(part)
        forged.take(part)

    assert honest.finish(told, wished=3)
    assert not forged.finish(told, wished=3)
    assert forged.mismatches[0].startswith(tokens[0])
