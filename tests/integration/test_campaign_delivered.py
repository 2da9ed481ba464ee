"""A campaign on a working service: its time comes, its run is sent; one that has grown waits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pushsvc.campaigns import desk
from pushsvc.campaigns.definition import parse_definition
from pushsvc.config import Settings
from pushsvc.errors import ConfirmationRequiredError
from pushsvc.model import Campaign, CampaignState, Push
from pushsvc.planning.schedule import iso
from pushsvc.storage import campaigns
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site, until, working


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def create(site: Site, **changes: Any) -> Campaign:
    """Create a campaign that runs once, in a moment."""
    at = datetime.now(UTC) + timedelta(seconds=0.5)
    body = {
        "name": "c",
        "audience": {"channels": ["all"]},
        "content": {"data": {"alert": "Hello"}},
        "schedule": {"at": iso(at)},
    } | changes
    definition = parse_definition(body)
    made = await desk.create(site.resources, site.app, definition, confirmed=None, may_repeat=False)
    return made.campaign


async def run_of(site: Site, campaign: Campaign) -> Push:
    """Return the push of a campaign's run, as soon as there is one."""

    async def started() -> Push | None:
        async with site.engine.connect() as connection:
            rows = await campaigns.runs_of(connection, campaign.id, before=None, limit=1)
        return rows[0].push if rows else None

    found: Push = await until(started)
    return found


async def test_a_run_is_sent_when_its_time_comes(site: Site) -> None:
    """To each device its variant, to those held out nothing, and to the excluded nothing at all."""
    for place in range(12):
        await site.install(apns_token(), custom={"plan": "free"} if place < 2 else {})
    audience = {"channels": ["all"], "exclude": {"where": {"plan": "free"}}}
    variants = [
        {"name": "a", "weight": 40, "content": {"data": {"alert": "A"}}},
        {"name": "b", "weight": 40, "content": {"data": {"alert": "B"}}},
    ]
    async with working(site):
        campaign = await create(site, audience=audience, variants=variants, holdout=20)
        push = await site.done(await run_of(site, campaign))

    assert campaign.next_run_at
    assert iso(push.due_at) == push.push_time == campaign.next_push_time
    assert push.devices == 10
    outcomes = await site.outcomes(push)
    assert sum(outcomes.values()) == 10
    assert outcomes.keys() <= {"sent", "excluded"}
    assert len(site.sent()) == outcomes["sent"]
    assert (await desk.found(site.resources, site.app, "c")).state is CampaignState.ENDED


async def test_an_audience_that_has_grown_waits_for_a_yes(site: Site) -> None:
    """Nothing is sent before somebody has said yes to that number."""
    await site.install(apns_token())
    async with working(site):
        campaign = await create(site, max_recipients=1)
        await site.install(apns_token())
        push = await run_of(site, campaign)

        async def held() -> bool:
            return (await site.now(push)).halt is not None

        await until(held)
        with pytest.raises(ConfirmationRequiredError):
            await desk.resume(site.resources, site.app, "c", confirmed=None)
        assert site.sent() == []
        resumed = await desk.resume(site.resources, site.app, "c", confirmed=2)
        push = await site.done(push)

    assert resumed.state is CampaignState.ENDED
    assert await site.outcomes(push) == {"sent": 2}
