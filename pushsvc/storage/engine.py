"""The connection pool, and the bare driver for statements that carry a thousand rows."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import orjson
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from pushsvc.errors import QueryTimeoutError

#: What any statement may raise when the database is away, overloaded or shutting down.
DATABASE_ERRORS: Final = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
#: Those of them that pass: the same statement may succeed a moment later.
PASSING_ERRORS: Final = (
    SQLAlchemyError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    OSError,
    TimeoutError,
)

#: What a transaction selects that looks up everything by an index, one row at a time, and in no
#: other way: a plan that was made when the tables were small is kept while they grow, until they
#: are next analyzed.
_OTHER_WAYS: Final = ("seqscan", "hashjoin", "mergejoin", "material")
BY_INDEX: Final = ", ".join(f"set_config('enable_{way}', 'off', true)" for way in _OTHER_WAYS)
#: The same for all that a connection does; it reads in an index's order, too.
_ALL_BY_INDEX: Final = {f"enable_{way}": "off" for way in (*_OTHER_WAYS, "sort")}

CONNECT_TIMEOUT_SECONDS = 10
#: A pool that is empty for so long means an overloaded database; the request gets a 503.
POOL_TIMEOUT_SECONDS = 10
#: The last lent is lent first, so that some are idle for long: the server says so often that they
#: are there (tcp_keepalives_idle), before what lies between forgets them without a word.
KEEPALIVE_SECONDS = 60


def create_engine(url: str, *, connections: int, by_index: bool = False) -> AsyncEngine:
    """Return an engine whose pool holds at most `connections` connections to `url`.

    With `by_index` all its statements are BY_INDEX, and none of them needs a transaction for it.
    """
    settings = {
        "application_name": "pushsvc",
        "timezone": "UTC",
        "tcp_keepalives_idle": str(KEEPALIVE_SECONDS),
    }
    engine = create_async_engine(
        re.sub(r"^postgres(ql)?://", "postgresql+asyncpg://", url),
        pool_size=connections,
        max_overflow=0,
        pool_use_lifo=True,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        # Errors are logged, and parameters are device tokens.
        hide_parameters=True,
        json_serializer=encode_json,
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": CONNECT_TIMEOUT_SECONDS,
            "server_settings": settings | (_ALL_BY_INDEX if by_index else {}),
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Have the pool replace a connection that the server has closed: a restart, say.

    The driver reads all the time and knows; a ping would be three round trips for each request.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def encode_json(value: Any) -> str:
    """Return `value` as the JSON text that jsonb columns take."""
    return orjson.dumps(value).decode()


@asynccontextmanager
async def driver(engine: AsyncEngine) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Lend a pooled connection without SQLAlchemy's rows and compiled statements.

    Worth it where one statement moves a batch: the driver's records cost a third. The borrower
    opens its own transaction. SQLAlchemy has set its codecs: jsonb comes decoded, and is given as
    text (`encode_json`).

    Raises:
        DBAPIError: there is no connection to be had.
    """
    dbapi = engine.dialect.loaded_dbapi
    try:
        # Straight from the pool: an AsyncConnection around it costs as much as two statements.
        pooled = await greenlet_spawn(engine.sync_engine.pool.connect)
    except dbapi.Error as error:
        # As an engine does: the adapter's own is of no family that anybody expects.
        raise DBAPIError.instance(None, None, error, dbapi.Error) from error
    try:
        assert pooled.driver_connection is not None
        yield pooled.driver_connection
    finally:
        await greenlet_spawn(pooled.close)


_TIMEOUT: Final = text("SELECT set_config('statement_timeout', :milliseconds, true)")
#: SQLSTATE (PostgreSQL manual, appendix A): query_canceled
_CANCELED: Final = "57014"


@asynccontextmanager
async def taking_at_most(connection: AsyncConnection, seconds: float) -> AsyncIterator[None]:
    """Give each statement of this transaction so much time: a query that a caller has written.

    Raises:
        QueryTimeoutError: one took longer.
    """
    await connection.execute(_TIMEOUT, {"milliseconds": str(int(seconds * 1_000))})
    try:
        yield
    except (DBAPIError, asyncpg.QueryCanceledError) as error:
        # What is read as it comes raises the driver's own.
        if getattr(getattr(error, "orig", error), "sqlstate", None) != _CANCELED:
            raise
        raise too_slow(seconds) from error


def too_slow(seconds: float) -> QueryTimeoutError:
    """Return the error that says that a caller's query took longer than it may."""
    return QueryTimeoutError(
        f"The query took longer than {seconds:g} seconds. Ask for less, or in a way that "
        "an index can answer: by equality, and with $regex only beside one."
    )
