"""What an app may have waiting, and what a plan may take: more is refused, postponed or ended."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.errors import TooManyPushesError
from pushsvc.model import Push, PushState
from pushsvc.resources import open_resources
from pushsvc.storage.due import due_pushes
from tests.integration.conftest import AppRow
from tests.integration.pushing import Site, apns_token, site as open_site, working

pytestmark = pytest.mark.integration

LIMITS: dict[str, Any] = {
    "open_pushes_limit": 3,
    "scheduled_pushes_limit": 1,
    "open_batches_limit": 1,
    "plan_timeout_seconds": 0.2,
}


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service with narrow limits on simulators, without a worker."""
    narrow = settings.model_copy(update=LIMITS)
    async with open_site(narrow, app_row.app, tmp_path) as opened:
        yield opened


async def again(site: Site, push: Push) -> None:
    """Let a postponed plan have its time."""
    async with site.engine.begin() as connection:
        await connection.execute(
            text("UPDATE pushes SET lease_until = now() WHERE id = :id"), {"id": push.id}
        )


async def test_an_app_has_so_many_pushes_on_their_way(site: Site, settings: Settings) -> None:
    """One more is refused for now, however it is asked for; its own repeats are answered."""
    known = {"idempotency_key": "one", "request_hash": b"1"}
    first, *_ = await site.push(**known), await site.push(), await site.push()

    with pytest.raises(TooManyPushesError, match="open_pushes_limit") as refused:
        await site.push()
    assert refused.value.retry_after_seconds
    assert (await site.push(**known)).id == first.id

    # A process that has not counted them itself.
    narrow = settings.model_copy(update=LIMITS)
    async with open_resources(narrow) as other:
        with pytest.raises(TooManyPushesError):
            await other.backlog.enter(site.app.id, due=True)


async def test_an_app_has_so_many_pushes_that_wait_for_their_time(site: Site) -> None:
    """They count apart from those that are due."""
    later = {"push_time": (datetime.now(UTC) + timedelta(hours=1)).timestamp()}
    await site.push(**later)

    with pytest.raises(TooManyPushesError, match="scheduled_pushes_limit"):
        await site.push(**later)
    await site.push()


async def test_a_plan_waits_while_its_app_has_enough_batches(site: Site) -> None:
    """Nothing of it is written, and its lease does not count; an urgent one does not wait."""
    name = f"urgent{site.app.id}"
    await site.install(apns_token(), object_id=name)
    first, second = await site.push(), await site.push()
    await pipeline.plan_push(site.resources, first.id)

    async with open_resources(site.resources.settings) as other:
        await pipeline.plan_push(other, second.id)
        urgent = await site.push(audience={"devices": [{"object_id": name}]})
        await pipeline.plan_push(other, urgent.id)

    assert (await site.now(urgent)).batches == 1
    waits = await site.now(second)
    assert (waits.state, waits.batches, waits.started_at) == (PushState.WAITING, 0, None)
    async with site.engine.connect() as connection:
        due = await due_pushes(connection, limit=1_000)
    assert second.id not in {one.id for one in due}
    async with working(site):
        await site.done(first)
        await again(site, second)
        assert (await site.done(second)).devices == 1


async def test_a_plan_that_takes_too_long_is_ended_and_says_why(site: Site) -> None:
    """It is not tried for ever, nor is the database kept at it."""
    push = await site.push()
    async with site.engine.begin() as connection:
        await connection.execute(text("LOCK TABLE installations IN ACCESS EXCLUSIVE MODE"))
        await pipeline.plan_push(site.resources, push.id)

    ended = await site.now(push)
    assert ended.state is PushState.FAILED
    assert ended.error is not None
    assert "plan_timeout_seconds" in ended.error
