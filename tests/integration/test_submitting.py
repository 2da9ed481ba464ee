"""Pushes to devices that come with them: stored ready to send where that is the same."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pushsvc import halting, pipeline
from pushsvc.config import Settings
from pushsvc.model import Lane, Late, Push, PushState, Source, Submission
from pushsvc.storage.due import SMALL_DELIVERY, SOON_SECONDS
from pushsvc.storage.ids import new_object_id
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site, working

pytestmark = pytest.mark.integration


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


def device(site: Site, token: str) -> dict[str, str]:
    topic = site.simulators.endpoints.credentials.apns.topics[0]
    return {"device_type": "ios", "token": token, "app_identifier": topic}


async def push_to(site: Site, *devices: Any, **changes: Any) -> Push:
    return await site.push(audience={"devices": list(devices)}, **changes)


async def test_of_devices_with_one_token_the_first_gets_it(site: Site) -> None:
    """As in the plan of a push; and what the answer says is what the row says."""
    tokens = [apns_token(), apns_token("fa170100")]
    doubled = [device(site, token) for token in (tokens[0], tokens[0], tokens[1])]
    push = await push_to(site, *doubled)
    assert push == await site.now(push)
    assert (push.state, push.devices) == (PushState.SENDING, 3)

    async with working(site):
        done = await site.done(push)

    assert (done.state, await site.outcomes(push)) == (
        PushState.DONE,
        {"sent": 1, "deduplicated": 1, "failed": 1},
    )
    assert len(site.sent_to(tokens[0])) == 1


async def test_they_and_those_that_need_a_look_up_arrive(site: Site) -> None:
    """By token, by object id, by both; scheduled for now, and soon to expire."""
    name, tokens = new_object_id(), [apns_token() for _ in range(5)]
    await site.install(tokens[0], object_id=name)
    past = (site.resources.clock.now() - timedelta(seconds=1)).isoformat()
    named = {"object_id": name}
    async with working(site):
        pushes = [
            await push_to(site, device(site, tokens[1])),
            await push_to(site, named),
            await push_to(site, named, device(site, tokens[2])),
            await push_to(site, device(site, tokens[3]), push_time=past),
            await push_to(site, device(site, tokens[4]), expiration_interval=SOON_SECONDS - 1),
        ]
        ends = [await site.done(push) for push in pushes]

    assert [push.state for push in ends] == [PushState.DONE] * 5
    assert [await site.outcomes(push) for push in ends] == [{"sent": n} for n in (1, 1, 2, 1, 1)]


async def test_one_that_is_called_off_before_a_worker_has_it_is_not_sent(site: Site) -> None:
    """Ready to be sent is not sent."""
    token = apns_token()
    push = await push_to(site, device(site, token))
    named = halting.Named(object_id=push.object_id, app_id=site.app.id, how="by a test")
    await halting.cancel(site.resources, named)

    async with working(site):
        ended = await site.done(push)

    assert (ended.state, await site.outcomes(push)) == (PushState.CANCELLED, {"cancelled": 1})
    assert site.sent_to(token) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"lane": Lane.BULK},
        {"late": Late.SKIP},
        {"rate_per_minute": 60},
        {"push_time": "2099-01-01T00:00:00Z"},
        {"expiration_interval": SOON_SECONDS},
        {"content": {"data": {"alert": "Hello"}, "validate_only": True}},
        {"content": {"data": {"alert": "Hello"}, "validate_only": None}},
        {"content": {"data": {"alert": "x" * 20_000, "aps": {}}, "truncate": True}},
        {"audience": {"devices": [{"object_id": "nobody"}]}},
        {"audience": {"devices": []}},
        {"audience": {"devices": [{"device_type": "ios", "token": "t"}] * (SMALL_DELIVERY + 1)}},
    ],
)
async def test_whatever_has_to_be_looked_at_first_waits_for_its_plan(
    site: Site, changes: dict[str, Any]
) -> None:
    """A rate, a time, an expiry that is near, a look-up: none of it is decided at the door."""
    settings = site.resources.settings.model_copy(update={"push_time_window_days": 100_000})
    resources = replace(site.resources, settings=settings)
    asked: dict[str, Any] = {
        "source": Source.V1,
        "audience": {"devices": [device(site, apns_token())]},
        "content": {"data": {"alert": "Hello"}},
    } | changes

    push = (await pipeline.submit_push(resources, site.app, Submission(**asked))).push

    assert (push.state, push.batches, push.started_at) == (PushState.WAITING, 0, None)
