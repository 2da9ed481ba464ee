"""Campaigns whose time comes: each time once, whoever looks; late, overlapping, broken ones."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.campaigns import desk, launching
from pushsvc.campaigns.counting import recipients
from pushsvc.campaigns.definition import Definition, parse_definition
from pushsvc.campaigns.prepare import as_read, ready
from pushsvc.config import Settings
from pushsvc.errors import InvalidRequestError
from pushsvc.model import App, BatchState, Campaign, CampaignState, Push, PushState
from pushsvc.planning.localtime import moments
from pushsvc.planning.schedule import iso
from pushsvc.resources import Resources, open_resources
from pushsvc.storage import apps, campaigns, tables, under_way
from pushsvc.storage.campaigns import RunRow
from pushsvc.storage.ids import new_object_id
from tests.integration.conftest import AppRow

DAILY = {"cron": "0 9 * * *"}


class Stage:
    """Campaigns of one app, whose times are brought about by hand."""

    def __init__(self, resources: Resources, app: App) -> None:
        self.resources = resources
        self.app = app

    async def campaign(self, **changes: Any) -> Campaign:
        """Store a campaign that runs daily."""
        body = {
            "name": f"c-{uuid.uuid4().hex[:12]}",
            "audience": {"channels": ["news"]},
            "content": {"data": {"alert": "Hello"}},
            "schedule": DAILY,
        } | changes
        definition = parse_definition(body)
        made = await desk.create(
            self.resources, self.app, definition, confirmed=None, may_repeat=False
        )
        return made.campaign

    async def comes(self, campaign: Campaign, ago: timedelta = timedelta(0)) -> None:
        """Have the campaign wait for a time that came so long ago."""
        time = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1) - ago
        values = {"next_push_time": iso(time), "next_run_at": time}
        await self._set(tables.campaigns, tables.campaigns.c.id == campaign.id, values)

    async def fire(self) -> None:
        """Look as the clock does."""
        await launching.fire_due(self.resources)

    async def now(self, campaign: Campaign) -> Campaign:
        """Return the campaign as it is."""
        return await desk.found(self.resources, self.app, campaign.object_id)

    async def runs(self, campaign: Campaign) -> list[RunRow]:
        """Return its runs, oldest first."""
        async with self.resources.engine.connect() as connection:
            found = await campaigns.runs_of(connection, campaign.id, before=None, limit=100)
        return found[::-1]

    async def told(self, campaign: Campaign) -> list[str]:
        """Return what came of its times, in a word each."""
        return [row.run.reason or row.run.state for row in await self.runs(campaign)]

    async def close(self, push: Push | None) -> None:
        """Close a push."""
        assert push
        await self._set(tables.pushes, tables.pushes.c.id == push.id, {"state": PushState.DONE})

    async def _set(self, table: Any, where: Any, values: dict[str, Any]) -> None:
        async with self.resources.engine.begin() as connection:
            await connection.execute(update(table).where(where).values(values))


@pytest.fixture
async def stage(resources: Resources, app_row: AppRow) -> AsyncIterator[Stage]:
    """A fresh app; its campaigns are gone afterwards, and nobody else's clock finds them."""
    yield Stage(resources, app_row.app)
    async with resources.engine.begin() as connection:
        off = update(tables.campaigns).where(tables.campaigns.c.app_id == app_row.app.id)
        await connection.execute(off.values(state=CampaignState.CANCELLED))


async def test_each_time_starts_one_run(stage: Stage, settings: Settings) -> None:
    """However many look at once; the run is a push with the campaign's rules, due at that time."""
    campaign = await stage.campaign(
        content={"data": {"alert": "Sale"}, "collapse_id": "sale"},
        variants=[
            {"name": "a", "weight": 45, "content": {"data": {"alert": "Sale!"}}},
            {"name": "b", "weight": 45},
        ],
        holdout=10,
        expiration_interval=3600,
        rate_per_minute=600,
        cap={"count": 2, "per": "7d"},
    )
    await stage.comes(campaign)
    async with open_resources(settings) as other:
        await asyncio.gather(*(launching.fire_due(one) for one in (stage.resources, other) * 3))

    (row,) = await stage.runs(campaign)
    push = row.push
    assert push
    assert push.rules
    assert (row.run.number, row.run.state, row.run.push_time) == (1, "started", push.push_time)
    assert push.campaign_id == campaign.id
    assert iso(push.due_at) == push.push_time
    assert push.expires_at == push.due_at + timedelta(hours=1)
    assert push.rate_per_minute == 600
    assert [one.content for one in push.rules.variants] == [
        {"data": {"alert": "Sale!"}, "collapse_id": "sale"},
        {"data": {"alert": "Sale"}, "collapse_id": "sale"},
    ]
    assert (push.rules.holdout, push.rules.cap.count if push.rules.cap else 0) == (10, 2)
    after = await stage.now(campaign)
    assert after.state is CampaignState.ACTIVE
    assert after.next_run_at
    assert after.next_run_at > datetime.now(UTC)


async def test_the_last_time_ends_it(stage: Stage) -> None:
    """And its run goes on."""
    at = datetime.now(UTC) - timedelta(seconds=5)
    campaign = await stage.campaign(schedule={"at": iso(at)})
    await stage.fire()
    after = await stage.now(campaign)
    assert (after.state, after.next_push_time, after.runs) == (CampaignState.ENDED, None, 1)


async def test_local_time(stage: Stage) -> None:
    """The run is stored when the first zone's time comes, and is due then."""
    wall = (datetime.now(UTC) + timedelta(days=1)).replace(tzinfo=None, second=0, microsecond=0)
    campaign = await stage.campaign(
        schedule={"at": wall.isoformat(), "local_time": True}, expiration_interval=60
    )
    first, last = moments(wall)[0].at, moments(wall)[-1].at
    assert campaign.next_run_at == first
    await stage._set(
        tables.campaigns,
        tables.campaigns.c.id == campaign.id,
        {"next_run_at": datetime.now(UTC) - timedelta(seconds=1)},
    )
    await stage.fire()
    (row,) = await stage.runs(campaign)
    assert row.push
    assert row.push.local_time == wall
    assert row.push.push_time == f"{wall.isoformat()}.000"
    assert row.push.expires_at == last + timedelta(minutes=1)


async def test_local_time_that_has_begun(stage: Stage) -> None:
    """Its run starts at once, for the zones to come; a change to what has begun is refused."""
    wall = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    schedule = {"at": wall.isoformat(), "local_time": True}
    campaign = await stage.campaign(schedule=schedule)
    await stage.fire()
    (row,) = await stage.runs(campaign)
    assert row.push
    assert (row.run.state, row.push.local_time) == ("started", wall)
    changed = as_read(campaign.definition)
    with pytest.raises(InvalidRequestError, match="has come already"):
        await desk.change(
            stage.resources, stage.app, campaign.name, definition=changed, confirmed=None
        )


@pytest.mark.parametrize(
    ("late", "expected"),
    [("skip", ["late", "late", "late"]), ("send", ["late", "late", "started"])],
)
async def test_an_outage(stage: Stage, late: str, expected: list[str]) -> None:
    """Missed times are on record, and of those the latest is made up for, or none."""
    last = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)
    campaign = await stage.campaign(
        schedule={"every": "1d", "start": f"2026-01-01T{last:%H:%M:%S}Z"}, late=late
    )
    missed = last - timedelta(days=2)
    await stage._set(
        tables.campaigns,
        tables.campaigns.c.id == campaign.id,
        {"next_push_time": iso(missed), "next_run_at": missed},
    )
    await stage.fire()
    assert await stage.told(campaign) == expected
    after = await stage.now(campaign)
    assert after.next_run_at == last + timedelta(days=1)


async def test_a_run_that_overlaps_is_skipped(stage: Stage) -> None:
    """While the one before is under way; after that the next time starts one."""
    campaign = await stage.campaign()
    await stage.comes(campaign, timedelta(minutes=5))
    await stage.fire()
    await stage.comes(campaign, timedelta(minutes=3))
    await stage.fire()
    (first, _) = await stage.runs(campaign)
    await stage.close(first.push)
    await stage.comes(campaign)
    await stage.fire()
    assert await stage.told(campaign) == ["started", "overlap", "started"]


async def test_a_run_in_local_time_follows_the_one_before(stage: Stage) -> None:
    """Which is on its way for 26 hours: it is in the way only where it is behind, or paused."""
    wall = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=1)
    campaign = await stage.campaign(schedule={"at": wall.isoformat(), "local_time": True})
    now = datetime.now(UTC)
    await stage._set(tables.campaigns, tables.campaigns.c.id == campaign.id, {"next_run_at": now})
    await stage.fire()
    (before,) = await stage.runs(campaign)
    assert before.push
    mine, seen = tables.pushes.c.id == before.push.id, []
    wave = {"push_id": before.push.id, "zone": "Asia/Tokyo"}
    async with stage.resources.engine.begin() as connection:
        await connection.execute(insert(tables.waves).values(**wave, due_at=now))
        batch = insert(tables.batches).values(**wave, seq=1, lane="bulk")
        await connection.execute(batch)
    half_a_day = timedelta(hours=12, minutes=1)
    for table, values in (
        (tables.pushes, {"state": PushState.PLANNING, "due_at": now + timedelta(hours=2)}),
        (tables.pushes, {"due_at": now - half_a_day}),
        (tables.pushes, {"state": PushState.SENDING}),
        (tables.waves, {"due_at": now - half_a_day}),
        (tables.batches, {"state": BatchState.DONE}),
        (tables.pushes, {"halt": "pause"}),
    ):
        where = mine if table is tables.pushes else table.c.push_id == before.push.id
        await stage._set(table, where, values)
        async with stage.resources.engine.connect() as connection:
            following = {"local_time": wall + timedelta(days=1)}
            seen.append(await under_way.is_busy(connection, campaign.id, **following))
            assert await under_way.is_busy(connection, campaign.id, local_time=None)
    assert seen == [False, True, False, True, False, True]
    await desk.cancel(stage.resources, stage.app, campaign.object_id)


async def test_a_run_that_overlaps_waits(stage: Stage) -> None:
    """Until the one before is closed; then it is due at that moment."""
    campaign = await stage.campaign(overlap="queue")
    await stage.comes(campaign, timedelta(minutes=5))
    await stage.fire()
    await stage.comes(campaign)
    await stage.fire()
    waiting = await stage.now(campaign)
    assert await stage.told(campaign) == ["started"]
    assert waiting.next_run_at
    (first,) = await stage.runs(campaign)
    await stage.close(first.push)
    soon = {"next_run_at": datetime.now(UTC)}
    await stage._set(tables.campaigns, tables.campaigns.c.id == campaign.id, soon)
    await stage.fire()
    (_, second) = await stage.runs(campaign)
    assert second.run.push_time == waiting.next_push_time
    assert second.push
    assert iso(second.push.due_at) > second.run.push_time


async def test_the_record_is_bounded(stage: Stage) -> None:
    """The latest runs are kept."""
    campaign = await stage.campaign()
    for runs in (0, campaigns.RUNS_KEPT):
        mine = tables.campaigns.c.id == campaign.id
        await stage._set(tables.campaigns, mine, {"runs": runs})
        await stage.comes(campaign, timedelta(seconds=5 - bool(runs)))
        await stage.fire()
    assert [row.run.number for row in await stage.runs(campaign)] == [campaigns.RUNS_KEPT + 1]


async def test_apps_take_turns(stage: Stage, database: AsyncEngine) -> None:
    """Where more is due than one look takes, an app with many is in nobody's way."""
    async with database.begin() as connection:
        app = await apps.create_app(connection, name=f"test-{uuid.uuid4().hex}")
    few = Stage(stage.resources, app)
    many = [await stage.campaign() for _ in range(3)]
    for campaign in many:
        await stage.comes(campaign, timedelta(minutes=1))
    one = await few.campaign()
    await few.comes(one)
    async with stage.resources.engine.connect() as connection:
        due = await campaigns.due_campaigns(connection, limit=2)
    assert {found.campaign.app_id for found in due} == {stage.app.id, few.app.id}
    await desk.cancel(few.resources, few.app, one.name)


async def test_a_change_takes_no_time_away(stage: Stage) -> None:
    """What has come and is not started yet runs as the campaign now is; a time that ran is over."""
    campaign = await stage.campaign()
    await stage.comes(campaign)
    changed = {**campaign.definition, "content": {"data": {"alert": "New"}}}
    definition = parse_definition(changed)

    async def change(definition: Definition) -> Campaign:
        return await desk.change(
            stage.resources, stage.app, campaign.name, definition=definition, confirmed=None
        )

    await change(definition)
    await stage.fire()
    (row,) = await stage.runs(campaign)
    assert row.push
    assert row.push.content == {"data": {"alert": "New"}}
    again = changed | {"schedule": {"at": row.run.push_time}}
    with pytest.raises(InvalidRequestError, match="no time comes twice"):
        await change(parse_definition(again))


async def test_some_zones_have_had_it(stage: Stage) -> None:
    """A campaign in local time is made all the same, and its run has all zones at once."""
    wall = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    campaign = await stage.campaign(schedule={"at": wall.isoformat(), "local_time": True})
    await stage.fire()
    (row,) = await stage.runs(campaign)
    assert row.push
    assert row.push.due_at == moments(wall)[0].at
    over = wall - timedelta(hours=13)
    with pytest.raises(InvalidRequestError, match="lie in the past"):
        await stage.campaign(schedule={"at": over.isoformat(), "local_time": True})


async def test_a_broken_campaign_is_paused(stage: Stage) -> None:
    """With the reason, and the field that is wrong; resumed, it goes on with times to come."""
    async with stage.resources.engine.begin() as connection:
        values = {"app_id": stage.app.id, "name": "t", "content": {"data": {"alert": "x"}}}
        template = insert(tables.templates).values(**values, variables_used=[])
        await connection.execute(template)
    campaign = await stage.campaign(content={"template": "t"})
    async with stage.resources.engine.begin() as connection:
        gone = tables.templates.delete().where(tables.templates.c.app_id == stage.app.id)
        await connection.execute(gone)
    await stage.comes(campaign)
    await stage.fire()
    after = await stage.now(campaign)
    assert after.state is CampaignState.PAUSED
    assert after.state_reason
    assert after.state_reason.startswith('/content/template: There is no template "t".')
    assert await stage.runs(campaign) == []


async def test_a_full_app_makes_it_wait(settings: Settings, app_row: AppRow) -> None:
    """Where as many pushes are due as there may be, the time is looked at again later."""
    narrow = settings.model_copy(update={"open_pushes_limit": 1})
    async with open_resources(narrow) as resources:
        stage = Stage(resources, app_row.app)
        one, two = await stage.campaign(), await stage.campaign()
        for campaign in (one, two):
            await stage.comes(campaign)
        await stage.fire()
        started = [one for one in (one, two) if await stage.runs(one)]
        assert len(started) == 1
        (waits,) = [campaign for campaign in (one, two) if campaign not in started]
        after = await stage.now(waits)
        assert after.state is CampaignState.ACTIVE
        assert after.next_run_at
        assert after.next_run_at > datetime.now(UTC)
        for campaign in (one, two):
            await desk.cancel(resources, app_row.app, campaign.object_id)


async def test_who_lacks_the_field_is_not_excluded(stage: Stage) -> None:
    """An exclusion takes away those that fit it; a null or a missing field fits no value."""
    fields: list[dict[str, Any] | None] = [{"plan": "free"}, {"plan": "paid"}, {"plan": None}, {}]
    rows = [
        {
            "app_id": stage.app.id,
            "object_id": new_object_id(),
            "device_token": f"{place:064x}",
            "device_type": "ios",
            "channels": ["news"],
            "custom": custom,
        }
        for place, custom in enumerate(fields)
    ]
    async with stage.resources.engine.begin() as connection:
        await connection.execute(insert(tables.installations), rows)
    for exclude in ({"where": {"plan": "free"}}, {"where": {"plan": {"$in": ["free"]}}}):
        definition = parse_definition(
            {
                "name": "x",
                "audience": {"channels": ["news"], "exclude": exclude},
                "content": {"data": {"alert": "x"}},
                "schedule": DAILY,
            }
        )
        made = await ready(stage.resources, stage.app, definition, object_id="x")
        assert await recipients(stage.resources, stage.app, made.submission.audience) == 3
