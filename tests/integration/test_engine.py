"""The connection pool."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

pytestmark = pytest.mark.integration

TOKEN = "ab" * 32


async def test_an_error_does_not_tell_the_parameters(database: AsyncEngine) -> None:
    """Errors are logged, and a parameter may be a device token."""
    statement = text("SELECT 1 / (length(:token) - 64)")

    async with database.connect() as connection:
        with pytest.raises(DBAPIError, match="division by zero") as caught:
            await connection.execute(statement, {"token": TOKEN})

    assert TOKEN not in str(caught.value)
