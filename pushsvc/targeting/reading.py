"""An audience as pages of installation ids: one statement, whose result Postgres holds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Row,
    TextClause,
    any_,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement, Executable, Select
from sqlalchemy.sql.compiler import SQLCompiler

from pushsvc.storage.tables import installations as i
from pushsvc.targeting.criterion import Criterion, array_of

#: Arrays in one answer. What is read ahead is at most so many ids: 64 x 4,096.
_ARRAYS: Final = 64
#: What one plan's statement is run with. Its parameters are known, and all of its rows are wanted;
#: compiling it to machine code takes longer than it saves.
SETTINGS: Final = text("""
    SELECT set_config(name, value, true) FROM (VALUES
        ('cursor_tuple_fraction', '1'), ('work_mem', '32MB'), ('jit', 'off')
    ) AS setting (name, value)
""")
#: The driver keeps what it knows of the columns that a text of SQL finds: cursors of other columns
#: have another name.
AUDIENCE: Final = "audience"


@dataclass(frozen=True, slots=True)
class Page:
    """Some installations of an audience, ascending."""

    ids: Sequence[int]
    #: those of `ids` that share their token with an earlier one of the audience
    duplicates: frozenset[int]
    #: whether it is known that there is no further one
    is_last: bool = False


class AudienceTimeoutError(Exception):
    """Postgres took longer to find an audience than it may."""


class Held(Executable, ClauseElement):
    """Has Postgres run a statement now, and hold what it finds beyond the transaction's end."""

    inherit_cache = False

    def __init__(self, statement: Select[*tuple[Any, ...]], *, cursor: str = AUDIENCE) -> None:
        self.statement = statement
        self.cursor = cursor


@compiles(Held)
def _declare(held: Held, compiler: SQLCompiler, **options: Any) -> str:
    statement = compiler.process(held.statement, **options)
    return f"DECLARE {held.cursor} NO SCROLL CURSOR WITH HOLD FOR {statement}"


def members(wanted: Criterion, *, after: int) -> Select[*tuple[Any, ...]]:
    """Return the statement that finds the members with ids above `after`, in arrays, ascending.

    The second array of a row has those of the first whose token others have, too. A row for each
    id would cost the worker ten times as much.
    """
    found = wanted.members()
    shared = func.array_agg(found.c.id).filter(found.c.token_shared)
    arrays = select(array_of(found.c.id), shared).where(found.c.id > after)
    return arrays.group_by(found.c.part).order_by(found.c.part)


@asynccontextmanager
async def pages(
    connection: AsyncConnection,
    wanted: Criterion,
    *,
    after: int,
    size: int,
    timeout_seconds: float,
) -> AsyncIterator[AsyncIterator[Page]]:
    """Find all members with ids above `after` at once; read them in pages of `size` while it lasts.

    They are those of this moment. The connection is outside of a transaction, here and whenever a
    page is asked for; between two pages it may be used for anything else.

    Raises:
        AudienceTimeoutError: they were not found within `timeout_seconds`.
    """
    statement = members(wanted, after=after)
    async with held(connection, statement, timeout_seconds=timeout_seconds) as rows:
        yield _paged(connection, wanted, rows, size=size)


@asynccontextmanager
async def held(
    connection: AsyncConnection,
    statement: Select[*tuple[Any, ...]],
    *,
    timeout_seconds: float,
    cursor: str = AUDIENCE,
) -> AsyncIterator[AsyncIterator[Sequence[Row[*tuple[Any, ...]]]]]:
    """Find all rows of a statement at once, and lend them some at a time, as `pages` does."""
    try:
        found = Held(statement, cursor=cursor)
        first = await _find(connection, found, timeout_seconds=timeout_seconds)
        yield _fetched(connection, first, cursor=cursor)
        if _is_more(first):
            async with connection.begin():
                await connection.execute(text(f"CLOSE {cursor}"))
    except BaseException:
        # The next one to have the connection must not find the cursor open.
        await connection.invalidate()
        raise


async def _find(
    connection: AsyncConnection, statement: Held, *, timeout_seconds: float
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Find all rows, and return the first; where these are all there is no cursor any more."""
    # It is the commit that has Postgres look for the rest, and `statement_timeout` is not for
    # commits; the driver has Postgres cancel what is not waited for any more.
    limit = asyncio.timeout(timeout_seconds)
    try:
        async with limit, connection.begin():
            await connection.execute(SETTINGS)
            await connection.execute(statement)
            rows = (await connection.execute(_next_of(statement.cursor))).all()
            if not _is_more(rows):
                await connection.execute(text(f"CLOSE {statement.cursor}"))
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise AudienceTimeoutError from error
    return rows


def _next_of(cursor: str) -> TextClause:
    return text(f"FETCH {_ARRAYS} FROM {cursor}")


def _is_more(rows: Sequence[Row[*tuple[Any, ...]]]) -> bool:
    return len(rows) == _ARRAYS


async def _fetched(
    connection: AsyncConnection, first: Sequence[Row[*tuple[Any, ...]]], *, cursor: str
) -> AsyncIterator[Sequence[Row[*tuple[Any, ...]]]]:
    rows = first
    yield rows
    while _is_more(rows):
        async with connection.begin():
            rows = (await connection.execute(_next_of(cursor))).all()
        yield rows


async def _paged(
    connection: AsyncConnection,
    wanted: Criterion,
    fetched: AsyncIterator[Sequence[Row[*tuple[Any, ...]]]],
    *,
    size: int,
) -> AsyncIterator[Page]:
    ids: list[int] = []
    shared: set[int] = set()
    read_all = False
    while ids or not read_all:
        while len(ids) < size and not read_all:
            rows = await anext(fetched, None)
            read_all = rows is None
            for some, some_shared in rows or ():
                ids += some
                shared.update(some_shared or ())
        page, ids = ids[:size], ids[size:]
        if page:
            doubtful = shared.intersection(page) if shared else shared
            shared -= doubtful
            found = await doubles(connection, wanted, doubtful)
            yield Page(page, found, is_last=read_all and not ids)


async def doubles(
    connection: AsyncConnection, wanted: Criterion, doubtful: set[int]
) -> frozenset[int]:
    """Return those that an earlier member has the token of."""
    if not doubtful:
        return frozenset()
    statement = select(i.c.id).where(
        i.c.id == any_(literal(sorted(doubtful), ARRAY(BigInteger))), wanted.has_earlier()
    )
    async with connection.begin():
        return frozenset((await connection.execute(statement)).scalars())
