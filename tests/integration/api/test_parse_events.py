"""`POST {mount}/events/:name`: opens of pushes are counted, whatever else comes is taken."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.resources import Resources, placing
from pushsvc.stats.opens import MOST_AT_ONCE, counting_opens
from pushsvc.storage.opens import Opened, opens_of
from pushsvc.storage.tables import opens, pushes
from tests.integration.api.conftest import Answer, Api
from tests.integration.pushing import until

OPENED = "/events/AppOpened"


async def send(api: Api, alert: str = "hello", **times: Any) -> str:
    body = {"where": {}, "data": {"alert": alert}, **times}
    answer = await api.master("POST", "/push", json=body)
    object_id: str = answer.headers["X-Parse-Push-Status-Id"]
    return object_id


async def opened(api: Api, **body: Any) -> Answer:
    return await api.client("POST", OPENED, json=body)


async def total(api: Api, object_id: str) -> int:
    number: int = (await api.v1("GET", f"/v1/pushes/{object_id}")).body["opens"]
    return number


def md5(alert: str) -> str:
    return hashlib.md5(alert.encode(), usedforsecurity=False).hexdigest()


def date(moment: datetime) -> dict[str, str]:
    return {"__type": "Date", "iso": moment.isoformat(timespec="milliseconds")}


async def key_of(database: AsyncEngine, object_id: str) -> int:
    async with database.connect() as connection:
        statement = select(pushes.c.id).where(pushes.c.object_id == object_id)
        key: int = (await connection.execute(statement)).scalar_one()
    return key


async def test_an_open_is_counted_by_id_or_hash(api: Api) -> None:
    """By the id that our payloads carry; or by the hash, and then it is the newest push's.

    Nobody has opened one that waits for its time.
    """
    older, newer = await send(api), await send(api)
    other = await send(api, alert="other")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    ahead = await send(api, push_time=tomorrow)

    answers = [
        await opened(api, push_id=older),
        await opened(api, push_hash=md5("hello")),
        await opened(api, push_hash=md5("hello"), push_id=None, dimensions={"a": "b"}),
        await opened(api, push_id=older, push_hash=md5("other")),
        await opened(api, push_id="unknown", push_hash=md5("other")),
    ]

    assert [(answer.status, answer.body) for answer in answers] == [(200, {})] * 5
    assert [await total(api, one) for one in (older, newer, other, ahead)] == [2, 2, 1, 0]


@pytest.mark.parametrize(
    "body", [{}, {"push_id": "unknown"}, {"push_hash": "unknown"}, {"push_hash": None}]
)
async def test_an_open_of_no_push_of_ours_is_taken(
    api: Api, database: AsyncEngine, body: dict[str, Any]
) -> None:
    """An app is opened without a push, too: 200, and nothing is counted."""
    object_id = await send(api)

    answer = await opened(api, **body)

    assert (answer.status, answer.body) == (200, {})
    assert await total(api, object_id) == 0
    async with database.connect() as connection:
        key = await key_of(database, object_id)
        assert await opens_of(connection, [key]) == {key: 0}


async def test_other_events_are_taken_and_not_counted(api: Api) -> None:
    """Parse's analytics keep working; of them we keep nothing."""
    object_id = await send(api)

    for name in ("search", "my_event", "a%20b", "a/b", "AppOpenedTwice"):
        answer = await api.client("POST", f"/events/{name}", json={"push_id": object_id})
        assert (answer.status, answer.body) == (200, {})

    assert await total(api, object_id) == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"push_hash": 5}, 107),
        ({"push_id": ["a"]}, 107),
        ({"push_id": "x" * 256}, 107),
        ({"at": "soon"}, 111),
        ({"at": 5}, 111),
        ({"at": {"__type": "Pointer"}}, 111),
        ({"at": "0001-01-01T00:00:00+14:00"}, 111),
        ({"dimensions": "a"}, 111),
    ],
)
async def test_a_malformed_event_is_refused(api: Api, body: dict[str, Any], code: int) -> None:
    """400 with a code that says what is wrong."""
    answer = await opened(api, **body)

    assert (answer.status, answer.body["code"]) == (400, code)


@pytest.mark.parametrize("path", ["/events", "/events/", f"/events/{'x' * 256}"])
async def test_an_event_has_a_name(api: Api, path: str) -> None:
    """Of a bounded length."""
    answer = await api.client("POST", path, json={})

    assert (answer.status, answer.body["code"]) == (400, 107)


async def test_opens_are_counted_hour_by_hour(api: Api, database: AsyncEngine) -> None:
    """In the hour that the device tells, but never before the push was made, nor ahead."""
    object_id = await send(api)
    now = datetime.now(UTC).replace(minute=30)
    made = now - timedelta(hours=5)
    async with database.begin() as connection:
        statement = update(pushes).where(pushes.c.object_id == object_id)
        await connection.execute(statement.values(created_at=made))

    for at in (
        now - timedelta(hours=9),
        now - timedelta(hours=5),
        now - timedelta(hours=2),
        now - timedelta(hours=2, minutes=30),
        now + timedelta(days=400),
    ):
        await opened(api, push_id=object_id, at=date(at))

    async def page(**params: str) -> dict[str, Any]:
        answer = await api.v1("GET", f"/v1/pushes/{object_id}/opens", params=params)
        assert answer.status == 200, answer.body
        return dict(answer.body)

    whole = await page()
    counted = [row["opens"] for row in whole["hours"]]
    assert (counted, whole["next_cursor"]) == ([2, 2, 1], None)
    hours = [datetime.fromisoformat(row["hour"]) for row in whole["hours"]]
    assert all((hour.minute, hour.second) == (0, 0) for hour in hours)
    assert hours[0] == made.replace(minute=0, second=0, microsecond=0)

    pages, cursor = [], None
    while True:
        part = await page(limit="1", **({"cursor": cursor} if cursor else {}))
        pages += part["hours"]
        if (cursor := part["next_cursor"]) is None:
            break
    assert pages == whole["hours"]
    assert await total(api, object_id) == 5


@pytest.mark.parametrize("params", [{"cursor": "x"}, {"cursor": "f_________8"}, {"limit": "0"}])
async def test_a_bad_page_of_opens_is_refused(api: Api, params: dict[str, str]) -> None:
    """400, and the parameter is named."""
    object_id = await send(api)

    answer = await api.v1("GET", f"/v1/pushes/{object_id}/opens", params=params)

    assert (answer.status, answer.pointers) == (400, [f"?{next(iter(params))}"])
    unknown = await api.v1("GET", "/v1/pushes/abcdefghij/opens")
    assert unknown.status == 404


async def test_the_list_tells_opens_too(api: Api) -> None:
    """And a new push has none."""
    object_id = await send(api)
    await opened(api, push_id=object_id)
    await send(api)

    rows = (await api.v1("GET", "/v1/pushes")).body["pushes"]

    assert [row["opens"] for row in rows] == [0, 1]


async def test_many_opens_at_once_are_all_counted(
    api: Api, database: AsyncEngine, resources: Resources
) -> None:
    """From two processes at a time, for two pushes, of more than one statement: none is lost."""
    first, second = await send(api), await send(api, alert="other")
    app_id, each = api.row.app.id, MOST_AT_ONCE

    async with counting_opens(resources.engine, placing) as other:
        counters = (resources.opens, other)
        await asyncio.gather(
            *(
                counters[number % 2].count(
                    Opened(app_id, first, None, None)
                    if number % 4 < 2
                    else Opened(app_id, None, md5("other"), None)
                )
                for number in range(4 * each)
            )
        )

    keys = [await key_of(database, one) for one in (first, second)]
    async with database.connect() as connection:
        assert await opens_of(connection, keys) == dict.fromkeys(keys, 2 * each)


async def test_what_has_come_is_counted_at_the_end(
    api: Api, database: AsyncEngine, resources: Resources
) -> None:
    """A process that stops counts what it took, and only then closes."""
    object_id = await send(api)
    async with counting_opens(resources.engine, placing) as counter:
        waiting = [
            asyncio.create_task(counter.count(Opened(api.row.app.id, object_id, None, None)))
            for _ in range(10)
        ]
        # Each runs until it waits for its commit.
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)

    key = await key_of(database, object_id)
    async with database.connect() as connection:
        assert await opens_of(connection, [key]) == {key: 10}


async def test_a_statement_that_fails_is_told_and_the_next_is_counted(
    api: Api, database: AsyncEngine, resources: Resources
) -> None:
    """Whoever waits for it gets the error; the counter goes on."""
    object_id = await send(api)
    unstorable = Opened(api.row.app.id, "\0", None, None)

    with pytest.raises(Exception, match="0x00"):
        await resources.opens.count(unstorable)
    await resources.opens.count(Opened(api.row.app.id, object_id, None, None))

    key = await key_of(database, object_id)
    async with database.connect() as connection:
        assert await opens_of(connection, [key]) == {key: 1}


async def test_a_deleted_push_takes_its_opens_along(api: Api, database: AsyncEngine) -> None:
    """And an open of it is of no push of ours."""
    object_id = await send(api)
    await opened(api, push_id=object_id)
    key = await key_of(database, object_id)
    async with database.begin() as connection:
        await connection.execute(delete(pushes).where(pushes.c.id == key))

    answer = await opened(api, push_id=object_id)

    assert (answer.status, answer.body) == (200, {})
    async with database.connect() as connection:
        rows = await connection.execute(select(opens).where(opens.c.push_id == key))
        assert rows.all() == []


async def test_a_push_that_is_deleted_while_it_is_counted_spoils_no_other(
    api: Api, database: AsyncEngine, resources: Resources
) -> None:
    """The statement counts both; when it meets the deletion it is done again, for the other."""
    gone, stays = await send(api, alert="gone"), await send(api, alert="stays")
    keys = [await key_of(database, one) for one in (gone, stays)]
    async with database.connect() as deleting:
        await deleting.execute(delete(pushes).where(pushes.c.id == keys[0]))
        counted = [
            asyncio.create_task(resources.opens.count(Opened(api.row.app.id, one, None, None)))
            for one in (gone, stays)
        ]

        async def waits() -> bool:
            async with database.connect() as connection:
                return bool((await connection.execute(WAITS_FOR_A_ROW)).scalar())

        await until(waits)
        await deleting.commit()
    await asyncio.gather(*counted)

    async with database.connect() as connection:
        assert await opens_of(connection, keys) == {keys[0]: 0, keys[1]: 1}


WAITS_FOR_A_ROW = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND query LIKE '%AS told (app_id%'"
)
