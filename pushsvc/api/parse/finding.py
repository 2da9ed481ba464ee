"""The connection for finds: a query that a caller has written takes its time, and no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.errors import QueryTimeoutError
from pushsvc.resources import Resources

_TIMEOUT: Final = text("SELECT set_config('statement_timeout', :milliseconds, true)")
#: SQLSTATE (PostgreSQL manual, appendix A): query_canceled
_CANCELED: Final = "57014"


@asynccontextmanager
async def finding(resources: Resources) -> AsyncIterator[AsyncConnection]:
    """Lend a connection to find with; half of the pool stays with those who save and send.

    Raises:
        QueryTimeoutError: a statement took longer than `find_timeout_seconds`.
    """
    seconds = resources.settings.find_timeout_seconds
    async with resources.finding, resources.engine.connect() as connection:
        await connection.execute(_TIMEOUT, {"milliseconds": str(int(seconds * 1_000))})
        try:
            yield connection
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _CANCELED:
                raise
            message = (
                f"The query took longer than {seconds:g} seconds. Ask for less, or in a way that "
                "an index can answer: by equality, and with $regex only beside one."
            )
            raise QueryTimeoutError(message) from error
