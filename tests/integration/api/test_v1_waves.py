"""`/v1/pushes/{id}/waves`, and the story of a device of a push in local time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pushsvc import pipeline
from pushsvc.api.v1.review_views import ExplanationView
from pushsvc.api.v1.views import WavesPage, WaveView
from pushsvc.config import Settings
from pushsvc.model import HOLDOUT, Rules
from tests.integration.api.conftest import Api
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site
from tests.integration.waving import HOUR, KOLKATA, LAGOS, TOKYO, clock_of, passes, store


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def test_waves_are_listed_in_the_order_of_their_times(api: Api, site: Site) -> None:
    """With what came of them; those to come are the zones that devices have."""
    for zone in (LAGOS, KOLKATA, TOKYO):
        await site.install(apns_token(), time_zone=zone)
    push = await store(site, local_time=clock_of(KOLKATA))
    await pipeline.plan_push(site.resources, push.id)
    await pipeline.deliver_batch(site.resources, push.id, 0)

    found: list[WaveView] = []
    cursor = None
    while not found or cursor:
        params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        answer = await api.v1("GET", f"/v1/pushes/{push.object_id}/waves", params=params)
        assert answer.status == 200, answer.body
        page = WavesPage.model_validate(answer.body)
        found += page.waves
        cursor = page.next_cursor

    assert [one.zone for one in found] == [TOKYO, KOLKATA, LAGOS]
    assert [one.devices for one in found] == [1, 1, 0]
    # Batches are in the order of the zones' names.
    assert [one.counts["open"] for one in found] == [1, 0, 0]
    assert found[1].counts["sent"] == 1
    plain = await site.push()
    answer = await api.v1("GET", f"/v1/pushes/{plain.object_id}/waves")
    assert answer.body == {"waves": [], "next_cursor": None}


@pytest.mark.parametrize("cursor", ["x", "AAAAAAAAAfQ", "_zIwMjYtMTEtMjIg", "_3ggeA"])
async def test_a_cursor_of_another_list_is_refused(api: Api, site: Site, cursor: str) -> None:
    """With 400, whatever it holds."""
    push = await site.push()
    answer = await api.v1("GET", f"/v1/pushes/{push.object_id}/waves", params={"cursor": cursor})
    assert (answer.status, answer.body["errors"][0]["pointer"]) == (400, "?cursor")


async def test_the_story_of_a_device_knows_its_wave(api: Api, site: Site) -> None:
    """It is to come, or was missed; in a batch it has the zone and the variant of that."""
    number = await site.install(apns_token(), time_zone=KOLKATA, object_id="there")
    push = await store(site, local_time=clock_of(KOLKATA), rules=Rules(salt=1, holdout=100))
    await pipeline.plan_push(site.resources, push.id)
    later = {TOKYO: "missed", LAGOS: "coming"}
    for zone, name in later.items():
        await site.install(apns_token(), time_zone=zone, object_id=name)
    await site.install(apns_token(), object_id="nowhere")

    found: dict[str, Any] = {}
    for name in ("there", *later.values(), "nowhere"):
        answer = await api.v1("GET", f"/v1/pushes/{push.object_id}/devices/{name}")
        assert answer.status == 200, answer.body
        found[name] = answer.body
        ExplanationView.model_validate(answer.body)

    assert number
    (attempt,) = found["there"]["attempts"]
    assert (attempt["zone"], attempt["variant"]) == (KOLKATA, HOLDOUT)
    assert found["there"]["class"] == "holdout"
    whys = {name: one["why"] for name, one in found.items()}
    assert whys == {
        "there": None,
        "missed": "missed_wave",
        "coming": "not_planned_yet",
        "nowhere": "no_time_zone",
    }
    assert f"{LAGOS} at " in found["coming"]["detail"]
    assert (await passes(site, push, 10 * HOUR)).due_at < push.created_at + timedelta(days=1)
