"""Plans that run at the same time share the connections of their process."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import delete

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.model import PushState
from pushsvc.storage import pushes, tables
from tests.integration.conftest import AppRow
from tests.integration.pushing import apns_token, site as open_site

pytestmark = pytest.mark.integration

PUSHES = 6
DEVICES = 50


async def test_more_plans_than_connections(
    settings: Settings, app_row: AppRow, tmp_path: Path
) -> None:
    """Each holds one connection and waits for no second one, so all of them get through."""
    few = settings.model_copy(update={"database_connections": 2, "batch_size": 1})
    async with open_site(few, app_row.app, tmp_path) as site:
        for _ in range(DEVICES):
            await site.install(apns_token())
        made = [await site.push() for _ in range(PUSHES)]
        plans = (pipeline.plan_push(site.resources, push.id) for push in made)
        await asyncio.wait_for(asyncio.gather(*plans), 60)
        async with site.engine.connect() as connection:
            planned = [await pushes.get_push(connection, push.id) for push in made]
            # Nobody is to send them: another test's worker would.
            of_app = tables.pushes.c.app_id == app_row.app.id
            await connection.execute(delete(tables.pushes).where(of_app))
            await connection.commit()
    assert [push.devices for push in planned] == [DEVICES] * PUSHES
    assert {push.state for push in planned} == {PushState.SENDING}
