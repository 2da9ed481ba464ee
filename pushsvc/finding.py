"""The connection for finds: a query that a caller has written takes its time, and no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.resources import Resources
from pushsvc.storage.engine import taking_at_most


@asynccontextmanager
async def finding(resources: Resources) -> AsyncIterator[AsyncConnection]:
    """Lend a connection to find with; half of the pool stays with those who save and send.

    Raises:
        QueryTimeoutError: a statement took longer than `find_timeout_seconds`.
    """
    seconds = resources.settings.find_timeout_seconds
    async with (
        resources.finding,
        resources.engine.connect() as connection,
        taking_at_most(connection, seconds),
    ):
        yield connection
