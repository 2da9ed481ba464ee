"""The database's time on a machine whose own clock is wrong."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pushsvc import pipeline
from pushsvc.clock import SystemClock
from pushsvc.config import Settings
from pushsvc.errors import InvalidPushTimeError
from pushsvc.model import Lane, Source, Submission
from pushsvc.resources import Resources, open_resources
from pushsvc.storage.database_time import keeping_time
from pushsvc.storage.engine import create_engine
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, fcm_token, site as open_site, wns_channel

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
#: What a busy machine may take between two looks at a clock.
SOON = timedelta(seconds=10)
HOUR_SECONDS = 3600


class WrongHost(SystemClock):
    """A machine whose wall clock is as far off as it is told to be."""

    off = DAY

    def now(self) -> datetime:
        """Return the wrong time."""
        return super().now() + self.off


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, which have the right time."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


@pytest.fixture
def host() -> WrongHost:
    """A machine that is a day ahead."""
    return WrongHost()


@pytest.fixture
async def resources(site: Site, host: WrongHost) -> AsyncIterator[Resources]:
    """What a process on that machine holds open."""
    async with open_resources(site.resources.settings, host=host) as opened:
        yield opened


def pushed(**times: object) -> Submission:
    return Submission(
        source=Source.V1,
        audience={"channels": ["all"]},
        content={"data": {"alert": "Hello"}},
        lane=Lane.URGENT,
        **times,  # type: ignore[arg-type]  # as callers write them
    )


async def test_times_are_judged_by_the_databases(
    resources: Resources, site: Site, host: WrongHost
) -> None:
    """An hour from now is neither past nor too far, whatever the machine says and does."""
    for host.off in (DAY, -20 * DAY, 20 * DAY):
        now = datetime.now(UTC)
        times = {"push_time": (now + DAY / 24).isoformat(), "expiration_interval": HOUR_SECONDS}
        push = (await pipeline.submit_push(resources, site.app, pushed(**times))).push
        assert push.due_at == now + DAY / 24
        assert push.expires_at == now + DAY / 12
        local = (now + DAY).replace(tzinfo=None).isoformat()
        await pipeline.submit_push(resources, site.app, pushed(push_time=local))
        past = pushed(push_time=(now - DAY / 24).isoformat())
        with pytest.raises(InvalidPushTimeError, match="past"):
            await pipeline.submit_push(resources, site.app, past)


async def test_what_is_due_goes_out_with_the_lifetime_it_has(
    resources: Resources, site: Site, host: WrongHost
) -> None:
    """By the database's time, at all three gateways; a machine a day ahead would call it dead."""
    tokens = apns_token(), fcm_token(), wns_channel()
    await site.install(tokens[0])
    await site.install(tokens[1], "android")
    await site.install(tokens[2], "winrt")
    host.off = -2 * DAY
    push = (
        await pipeline.submit_push(resources, site.app, pushed(expiration_interval=HOUR_SECONDS))
    ).push

    await pipeline.plan_push(resources, push.id)
    await pipeline.deliver_batch(resources, push.id, 0)

    assert await site.outcomes(push) == {"sent": 3}
    (apns,), (fcm,), (wns,) = map(site.sent_to, tokens)
    end = datetime.now(UTC).timestamp() + HOUR_SECONDS
    assert abs(int(apns.expiration) - end) < SOON.total_seconds()
    for entry in (fcm, wns):
        left = int(entry.expiration.rstrip("s"))
        assert HOUR_SECONDS - SOON.total_seconds() < left <= HOUR_SECONDS


async def test_without_a_database_it_is_the_hosts_until_there_is_one() -> None:
    """A process starts all the same."""
    engine = create_engine("postgresql://nobody@127.0.0.1:1/none", connections=1)
    host = WrongHost()

    async with keeping_time(engine, host) as clock:
        assert abs(clock.now() - host.now()) < SOON
    await engine.dispose()
