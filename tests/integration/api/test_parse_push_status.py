"""`_PushStatus` over HTTP."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc import pipeline
from pushsvc.model import BatchState, Lane, OutcomeClass, PushState
from pushsvc.resources import Resources
from pushsvc.storage import partitions, push_statuses
from pushsvc.storage.tables import batches, pushes
from tests.integration.api.conftest import Answer, Api

CLASS = "/classes/_PushStatus"
DATA = {"data": {"alert": "hello", "badge": "Increment"}}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def send(api: Api, **fields: object) -> str:
    answer = await api.master("POST", "/push", json={**DATA, **fields})
    assert answer.status == 200, answer.body
    return answer.headers["X-Parse-Push-Status-Id"]


def ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [row["objectId"] for row in answer.body["results"]]


async def key_of(database: AsyncEngine, object_id: str) -> int:
    async with database.connect() as connection:
        statement = select(pushes.c.id).where(pushes.c.object_id == object_id)
        key: int = (await connection.execute(statement)).scalar_one()
    return key


async def settle(
    database: AsyncEngine, object_id: str, counts: dict[str, dict[OutcomeClass, int]]
) -> None:
    """Close a push as its last batch does."""
    plain = {t: {str(int(c)): n for c, n in by.items()} for t, by in counts.items()}
    statement = update(pushes).where(pushes.c.object_id == object_id)
    async with database.begin() as connection:
        await connection.execute(statement.values(state=PushState.DONE, counts=plain))


async def test_what_was_only_looked_at_was_neither_sent_nor_failed(
    api: Api, database: AsyncEngine
) -> None:
    """The gateways delivered nothing of it."""
    object_id = await send(api, where={}, validate_only=True)
    await settle(database, object_id, {"android": {OutcomeClass.VALIDATED: 3}})

    body = (await api.master("GET", f"{CLASS}/{object_id}")).body

    assert (body["status"], body["numSent"]) == ("succeeded", 0)
    assert not {"numFailed", "sentPerType", "failedPerType"} & body.keys()


async def test_a_new_push_has_parses_shape(api: Api) -> None:
    """Texts of JSON, times of milliseconds, and no count of what is not."""
    object_id = await send(api, where={"deviceType": "ios"})

    body = (await api.master("GET", f"{CLASS}/{object_id}")).body

    assert object_id == body["objectId"]
    assert body["query"] == '{"deviceType":"ios"}'
    assert {"alert", "badge"} == {"alert", "badge"} & set(json.loads(body["payload"]))
    assert tuple(body[n] for n in ("status", "source", "ACL", "numSent")) == (
        "pending",
        "rest",
        {},
        0,
    )
    # MD5 of the alert
    assert body["pushHash"] == "5d41402abc4b2a76b9719d911017c592"
    assert all(MOMENT.fullmatch(body[n]) for n in ("createdAt", "updatedAt", "pushTime"))
    assert not {"numFailed", "sentPerType", "expiry", "errorMessage", "count"} & set(body)


async def test_a_push_for_later_is_scheduled(api: Api) -> None:
    """Until it is due; its expiry counts from then on."""
    later = datetime.now(UTC) + timedelta(days=1)
    object_id = await send(api, channels=["a"], push_time=later.isoformat(), expiration_interval=60)

    body = (await api.master("GET", f"{CLASS}/{object_id}")).body

    assert (body["status"], body["expiration_interval"]) == ("scheduled", 60)
    assert 60_000 + int(later.timestamp() * 1000) == body["expiry"]


async def test_a_push_in_local_time_is_scheduled_without_a_zone(api: Api) -> None:
    """Its time is shown as it was sent, and its expiry is that of the last zone."""
    local = (datetime.now(UTC) + timedelta(days=2)).replace(tzinfo=None, microsecond=0)
    object_id = await send(api, channels=["a"], push_time=local.isoformat(), expiration_interval=60)

    body = (await api.master("GET", f"{CLASS}/{object_id}")).body

    assert (body["status"], body["pushTime"]) == ("scheduled", f"{local.isoformat()}.000")
    last = local.replace(tzinfo=UTC) + timedelta(hours=12, seconds=60)
    assert body["expiry"] == int(last.timestamp()) * 1000
    assert not {"sentPerUTCOffset", "failedPerUTCOffset"} & body.keys()


async def test_a_push_in_local_time_is_told_by_offset(api: Api, database: AsyncEngine) -> None:
    """In hours, as each zone had it at its wave; zones that had the same are one."""
    local = (datetime.now(UTC) + timedelta(days=2)).replace(tzinfo=None)
    object_id = await send(api, where={}, push_time=local.isoformat())
    sent, failed = int(OutcomeClass.OK), int(OutcomeClass.TOKEN_DEAD)
    zones = {
        "Asia/Kolkata": {"ios": {sent: 2}},
        "Asia/Colombo": {"ios": {sent: 1}, "android": {sent: 4}},
        "Etc/GMT+9": {"android": {sent: 1, failed: 3}},
        "": {"ios": {int(OutcomeClass.NO_TIME_ZONE): 7}},
    }
    await add_batches(database, object_id, zones)

    body = (await api.master("GET", f"{CLASS}/{object_id}")).body
    listed = (await api.master("GET", CLASS)).body["results"]

    assert body["sentPerUTCOffset"] == {"5.5": 7, "-9": 1}
    assert body["failedPerUTCOffset"] == {"-9": 3}
    assert listed == [body]


async def add_batches(
    database: AsyncEngine, object_id: str, zones: dict[str, dict[str, dict[int, int]]]
) -> None:
    """Store batches that are done, one for each zone."""
    key = await key_of(database, object_id)
    await partitions.make_ahead(database, push_id=key)
    rows = [
        {
            "push_id": key,
            "seq": seq,
            "lane": Lane.BULK,
            "state": BatchState.DONE,
            "zone": zone,
            "counts": {t: {str(c): n for c, n in by.items()} for t, by in counts.items()},
        }
        for seq, (zone, counts) in enumerate(zones.items())
    ]
    async with database.begin() as connection:
        await connection.execute(insert(batches), rows)


async def test_the_end_is_told_by_type(api: Api, database: AsyncEngine) -> None:
    """What was not sent has failed, but for doubles, whose device got the push."""
    object_id = await send(api, where={})
    await settle(
        database,
        object_id,
        {
            "ios": {OutcomeClass.OK: 5, OutcomeClass.TOKEN_DEAD: 1, OutcomeClass.DEDUPLICATED: 9},
            "android": {OutcomeClass.OK: 2},
            "winrt": {OutcomeClass.EXPIRED: 3},
        },
    )

    body = (await api.master("GET", f"{CLASS}/{object_id}")).body

    assert body["status"] == "succeeded"
    assert (body["numSent"], body["sentPerType"]) == (7, {"ios": 5, "android": 2})
    assert (body["numFailed"], body["failedPerType"]) == (4, {"ios": 1, "winrt": 3})


async def test_the_sdk_finds_a_push_by_its_id(api: Api) -> None:
    """`Parse.Push.getPushStatus` is a find with the id in the where-clause."""
    first, second = await send(api, where={}), await send(api, where={})
    params = {"where": f'{{"objectId":"{first}"}}', "limit": "1"}

    one = await api.master("GET", CLASS, params=params)
    newest_first = await api.master("GET", CLASS, params={"order": "-createdAt", "keys": "status"})
    later = await api.master("GET", CLASS, params={"skip": "1"})

    assert [first] == ids(one)
    assert [second, first] == ids(newest_first)
    assert "payload" not in newest_first.body["results"][0]
    assert [second] == ids(later)


async def test_pages_join_without_gap_or_double(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Parse's natural order, whatever the slices in which pushes are loaded."""
    monkeypatch.setattr(push_statuses, "SLICE", 2)
    sent = [await send(api, where={}) for _ in range(5)]

    for skip in range(7):
        for limit in range(7):
            params = {"skip": str(skip), "limit": str(limit)}
            assert ids(await api.master("GET", CLASS, params=params)) == sent[skip : skip + limit]


async def test_a_far_page_is_refused(api: Api) -> None:
    """At most 10,000 are skipped, as in Parse: 118."""
    answer = await api.master("GET", CLASS, params={"skip": "10001"})

    assert (answer.status, answer.body["code"]) == (400, 118)
    assert ids(await api.master("GET", CLASS, params={"skip": "10000"})) == []


async def test_pushes_are_found_by_what_dashboards_ask_for(api: Api) -> None:
    """Equality, lists, order and absence, of the fields that have a column."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    now = await send(api, channels=["a"])
    later = await send(api, channels=["a"], push_time=tomorrow.isoformat(), expiration_interval=60)
    shown = {one: (await api.master("GET", f"{CLASS}/{one}")).body for one in (now, later)}
    hello = "5d41402abc4b2a76b9719d911017c592"

    for where, expected in (
        ({"status": "scheduled"}, [later]),
        ({"status": "pending"}, [now]),
        ({"status": {"$in": ["scheduled", "pending"]}}, [now, later]),
        ({"status": {"$in": []}}, []),
        ({"status": {"$ne": "pending"}}, [later]),
        ({"status": {"$nin": ["pending", "scheduled"]}}, []),
        ({"source": "rest"}, [now, later]),
        ({"source": "campaign"}, []),
        ({"pushHash": hello}, [now, later]),
        ({"pushHash": {"$gt": hello}}, []),
        ({"objectId": now, "status": "scheduled"}, []),
        ({"pushTime": shown[later]["pushTime"]}, [later]),
        ({"pushTime": {"$lt": shown[later]["pushTime"]}}, [now]),
        ({"createdAt": {"__type": "Date", "iso": shown[now]["createdAt"]}}, [now]),
        ({"createdAt": {"$gt": shown[now]["createdAt"]}}, [later]),
        ({"createdAt": {"$gte": shown[now]["createdAt"]}}, [now, later]),
        ({"expiry": {"$exists": True}}, [later]),
        ({"expiry": None}, [now]),
        ({"expiry": {"$ne": 5}}, [now, later]),
        ({"expiry": {"$gt": 5.5}}, [later]),
        ({"expiry": {"$nin": [None]}}, [later]),
        ({"expiry": {"$ne": None}}, [later]),
        ({"expiry": shown[later]["expiry"]}, [later]),
    ):
        answer = await api.master("GET", CLASS, params={"where": json.dumps(where), "count": "1"})
        assert ids(answer) == expected, where
        assert answer.body["count"] == len(expected)


async def test_pushes_are_sorted_as_asked(api: Api) -> None:
    """By several fields, each in its direction; equal ones in the order of their making."""
    first, second = await send(api, where={}), await send(api, where={})
    by_id = sorted([first, second])

    for order, expected in (
        ("objectId", by_id),
        ("-objectId", by_id[::-1]),
        ("status,-createdAt", [second, first]),
        ("pushHash", [first, second]),
    ):
        assert ids(await api.master("GET", CLASS, params={"order": order})) == expected, order


async def test_a_dashboard_counts_without_rows(api: Api) -> None:
    """`limit=0&count=1` is how SDKs count."""
    await send(api, where={})

    answer = await api.master("GET", CLASS, params={"limit": "0", "count": "1"})

    assert answer.body == {"results": [], "count": 1}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"where": '{"title":"x"}'}, 102),
        ({"where": '{"objectId":1}'}, 102),
        ({"where": '{"createdAt":"soon"}'}, 102),
        ({"where": '{"expiry":1e300}'}, 102),
        ({"where": '{"$or":[{"status":"failed"}]}'}, 102),
        ({"where": '{"status":{"$regex":"f"}}'}, 107),
        ({"where": '{"status":{"$in":"failed"}}'}, 107),
        ({"order": "x"}, 102),
    ],
)
async def test_what_cannot_be_asked_is_refused(api: Api, params: dict[str, str], code: int) -> None:
    """Rather than an answer to another question."""
    answer = await api.master("GET", CLASS, params=params)

    assert (answer.status, answer.body["code"]) == (400, code)


async def test_old_pushes_are_not_listed(api: Api, database: AsyncEngine) -> None:
    """Lists go back 30 days (`push_history_days`); who has the id still finds it."""
    object_id = await send(api, where={})
    statement = update(pushes).where(pushes.c.object_id == object_id)
    async with database.begin() as connection:
        old = datetime.now(UTC) - timedelta(days=30, minutes=1)
        await connection.execute(statement.values(created_at=old))

    listed = await api.master("GET", CLASS, params={"count": "1"})

    assert listed.body == {"results": [], "count": 0}
    assert (await api.v1("GET", "/v1/pushes")).body["pushes"] == []
    assert (await api.master("GET", f"{CLASS}/{object_id}")).status == 200
    assert (await api.v1("GET", f"/v1/pushes/{object_id}")).status == 200


async def test_it_is_for_the_master_alone(api: Api) -> None:
    """119, in Parse's words."""
    for method, operation, path in (
        ("GET", "find", CLASS),
        ("POST", "create", CLASS),
        ("GET", "get", f"{CLASS}/abcdefghij"),
        ("PUT", "update", f"{CLASS}/abcdefghij"),
        ("DELETE", "delete", f"{CLASS}/abcdefghij"),
    ):
        answer = await api.client(method, path)

        assert (answer.status, answer.body["code"]) == (400, 119)
        assert (
            f"Clients aren't allowed to perform the {operation} operation on the _PushStatus "
            "collection." == answer.body["error"]
        )


async def test_an_unknown_push_is_not_found(api: Api) -> None:
    """404 and 101."""
    answer = await api.master("GET", f"{CLASS}/abcdefghij")

    assert (answer.status, answer.body["code"]) == (404, 101)


async def test_texts_are_as_they_were_sent(api: Api, database: AsyncEngine) -> None:
    """The order of keys is the client's, and what is not ASCII is itself; old rows have none."""
    data = '{"zebra":1,"alert":"gr\u00fc\u00df","a":{"z":1,"b":[2,1]}}'
    where = '{"deviceType":"ios","appName":{"$in":["b","a"]}}'
    answer = await api.master("POST", "/push", data=f'{{"where": {where}, "data": {data}}}')
    object_id = answer.headers["X-Parse-Push-Status-Id"]

    body = (await api.master("GET", f"{CLASS}/{object_id}")).body

    assert (body["payload"], body["query"]) == (data, where)
    statement = update(pushes).where(pushes.c.object_id == object_id)
    async with database.begin() as connection:
        await connection.execute(statement.values(payload=None, query=None))
    body = (await api.master("GET", f"{CLASS}/{object_id}")).body
    assert (json.loads(body["payload"]), json.loads(body["query"])) == (
        json.loads(data),
        json.loads(where),
    )


@pytest.mark.parametrize(
    ("data", "push_hash"),
    [
        ({"alert": "hello"}, "5d41402abc4b2a76b9719d911017c592"),
        # md5 of {"title":"t","body":"b"}, in this order
        ({"alert": {"title": "t", "body": "b"}}, "03d274b612acf12a346a7e2913e39684"),
        # md5 of null
        ({"alert": None}, "37a6259cc0c1dae299a7866489dff0bd"),
        # md5 of nothing
        ({"k": 1}, "d41d8cd98f00b204e9800998ecf8427e"),
    ],
)
async def test_the_hash_is_that_of_the_alert(
    api: Api, data: dict[str, object], push_hash: str
) -> None:
    """By which Parse groups equal pushes, and devices tell what they opened."""
    object_id = await send(api, where={}, data=data)

    assert push_hash == (await api.master("GET", f"{CLASS}/{object_id}")).body["pushHash"]


# ---------------------------------------------------------------- while it runs


async def test_a_running_push_counts_its_open_batches(
    api: Api, database: AsyncEngine, resources: Resources
) -> None:
    """As Parse does, and the count is gone at the end."""
    device = {"deviceType": "ios", "deviceToken": "a" * 64, "channels": ["a"]}
    await api.client("POST", "/installations", json=device)
    object_id = await send(api, channels=["a"])
    await pipeline.plan_push(resources, await key_of(database, object_id))

    running = (await api.master("GET", f"{CLASS}/{object_id}")).body
    await settle(database, object_id, {"ios": {OutcomeClass.OK: 1}})
    done = (await api.master("GET", f"{CLASS}/{object_id}")).body

    assert (running["status"], running["count"], running["numSent"]) == ("running", 1, 0)
    assert (done["status"], done["numSent"]) == ("succeeded", 1)
    assert "count" not in done


async def test_a_push_to_nobody_succeeds_at_once(
    api: Api, database: AsyncEngine, resources: Resources
) -> None:
    """With no count and no failures."""
    object_id = await send(api, channels=[])
    await pipeline.plan_push(resources, await key_of(database, object_id))

    body = (await api.master("GET", f"{CLASS}/{object_id}")).body

    assert (body["status"], body["numSent"]) == ("succeeded", 0)
    assert not {"numFailed", "count", "sentPerType"} & set(body)


async def test_a_failed_push_says_why(api: Api, database: AsyncEngine) -> None:
    """In an object, as Parse has it."""
    object_id = await send(api, where={})
    statement = update(pushes).where(pushes.c.object_id == object_id)
    async with database.begin() as connection:
        await connection.execute(statement.values(state=PushState.FAILED, error="No."))

    body = (await api.master("GET", f"{CLASS}/{object_id}")).body

    assert (body["status"], body["errorMessage"]) == ("failed", {"message": "No."})


# ---------------------------------------------------------------- calling it off


async def scheduled(api: Api) -> str:
    later = datetime.now(UTC) + timedelta(hours=1)
    return await send(api, where={}, push_time=later.isoformat())


async def test_a_push_that_waits_is_deleted(api: Api) -> None:
    """That is how dashboards call a push off; it is gone."""
    object_id = await scheduled(api)

    deleted = await api.master("DELETE", f"{CLASS}/{object_id}")

    assert (deleted.status, deleted.body) == (200, {})
    for method in ("GET", "DELETE"):
        answer = await api.master(method, f"{CLASS}/{object_id}")
        assert (answer.status, answer.body["code"]) == (404, 101)


async def test_a_push_that_waits_is_cancelled(api: Api) -> None:
    """By the one change there is; it stays to be seen, and the change can be repeated."""
    object_id = await scheduled(api)

    changed = [
        await api.master("PUT", f"{CLASS}/{object_id}", json={"status": "cancelled"})
        for _ in range(2)
    ]

    body = (await api.master("GET", f"{CLASS}/{object_id}")).body
    assert [answer.status for answer in changed] == [200, 200]
    assert body["status"] == "cancelled"
    assert [answer.body for answer in changed] == [{"updatedAt": body["updatedAt"]}] * 2
    seen = (await api.v1("GET", f"/v1/pushes/{object_id}")).body
    assert seen["state"] == "cancelled"
    assert seen["finished_at"] == body["updatedAt"]
    assert (await api.master("DELETE", f"{CLASS}/{object_id}")).status == 200


@pytest.mark.parametrize(
    "change", [{}, {"status": "pending"}, {"numSent": 5}, {"status": "cancelled", "title": "x"}]
)
async def test_no_other_change_is_taken(api: Api, change: dict[str, object]) -> None:
    """A status follows from what happens."""
    object_id = await scheduled(api)

    answer = await api.master("PUT", f"{CLASS}/{object_id}", json=change)

    assert (answer.status, answer.body["code"]) == (400, 119)
    assert "cancelled" in answer.body["error"]


async def test_a_status_is_not_created(api: Api) -> None:
    """A push makes it."""
    answer = await api.master("POST", CLASS, json={"status": "pending"})

    assert (answer.status, answer.body["code"]) == (400, 119)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_push_that_is_over_cannot_be_called_off(
    api: Api, database: AsyncEngine, resources: Resources, *, method: str
) -> None:
    """Nothing is changed then; and what is not there is not found."""
    object_id = await send(api, channels=[])
    await pipeline.plan_push(resources, await key_of(database, object_id))

    over = await api.master(method, f"{CLASS}/{object_id}", json={"status": "cancelled"})
    unknown = await api.master(method, f"{CLASS}/abcdefghij", json={"status": "cancelled"})

    assert (over.status, over.body["code"]) == (400, 119)
    assert "can no longer be" in over.body["error"]
    assert (unknown.status, unknown.body["code"]) == (404, 101)
    assert (await api.master("GET", f"{CLASS}/{object_id}")).body["status"] == "succeeded"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_push_on_its_way_is_cancelled_and_stays(
    api: Api, database: AsyncEngine, resources: Resources, *, method: str
) -> None:
    """It is `cancelled` from then on, and tells what got out; a repeat is taken, too."""
    device = {"deviceType": "ios", "deviceToken": "c" * 64, "channels": ["begun"]}
    await api.client("POST", "/installations", json=device)
    object_id = await send(api, channels=["begun"])
    key = await key_of(database, object_id)
    await pipeline.plan_push(resources, key)

    seen = []
    for _ in range(2):
        off = await api.master(method, f"{CLASS}/{object_id}", json={"status": "cancelled"})
        seen.append((off.status, (await api.master("GET", f"{CLASS}/{object_id}")).body))
        await pipeline.deliver_batch(resources, key, 0)

    assert [(status, body["status"]) for status, body in seen] == [(200, "cancelled")] * 2
    assert "numFailed" not in seen[0][1]
    assert (seen[1][1]["numSent"], seen[1][1]["numFailed"]) == (0, 1)
    shown = (await api.v1("GET", f"/v1/pushes/{object_id}")).body
    assert (shown["state"], shown["counts"]["cancelled"]) == ("cancelled", 1)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_planner_and_caller_agree_on_who_was_first(
    api: Api, database: AsyncEngine, resources: Resources, *, method: str
) -> None:
    """A push is either called off and never planned, or planned and cancelled on its way."""
    device = {"deviceType": "ios", "deviceToken": "b" * 64, "channels": ["race"]}
    await api.client("POST", "/installations", json=device)
    for _ in range(10):
        object_id = await send(api, channels=["race"])
        key = await key_of(database, object_id)

        off, _ = await asyncio.gather(
            api.master(method, f"{CLASS}/{object_id}", json={"status": "cancelled"}),
            pipeline.plan_push(resources, key),
        )

        async with database.connect() as connection:
            planned = (
                await connection.execute(select(batches.c.seq).where(batches.c.push_id == key))
            ).all()
        await pipeline.deliver_batch(resources, key, 0)
        after = await api.master("GET", f"{CLASS}/{object_id}")
        assert off.status == 200
        if after.status == 404:
            assert (method, planned) == ("DELETE", [])
        else:
            assert after.body["status"] == "cancelled"
