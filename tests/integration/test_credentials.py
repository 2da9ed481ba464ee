"""Credentials in the database: what opens is used, what does not is told."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from pushsvc.model import GatewayName
from pushsvc.storage.credentials import add_credential, credentials_of, list_credentials
from pushsvc.storage.sealing import Seal, new_secret_key
from tests.integration.conftest import AppRow

pytestmark = pytest.mark.integration


async def test_a_secret_that_does_not_open_hides_no_other(
    database: AsyncEngine, app_row: AppRow
) -> None:
    """It is left out, and logged with its id and what to do."""
    seal, other = Seal(new_secret_key()), Seal(new_secret_key())
    async with database.begin() as connection:
        added = [
            await add_credential(
                connection,
                sealing,
                app=app_row.app,
                gateway=GatewayName.FCM,
                public={},
                secret=secret,
            )
            for sealing, secret in ((seal, "first"), (other, "lost"), (seal, "last"))
        ]
        with capture_logs() as logged:
            found = await credentials_of(connection, seal, app_id=app_row.app.id)
        listed = await list_credentials(connection, app_id=app_row.app.id)

    assert [one.secret for one in found] == ["first", "last"]
    assert [one.id for one in listed] == [one.id for one in added]
    [event] = logged
    lost = added[1].id
    assert (event["event"], event["credential"]) == ("credential.unusable", lost)
    assert f"Restore that key, or revoke credential {lost} and add it again" in event["error"]
