"""`_PushStatus` over HTTP."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.api.parse import push_status
from pushsvc.model import OutcomeClass, PushState
from pushsvc.storage.tables import pushes
from tests.integration.api.conftest import Api

CLASS = "/classes/_PushStatus"
DATA = {"data": {"alert": "hello", "badge": "Increment"}}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def send(api: Api, **fields: object) -> str:
    answer = await api.master("POST", "/push", json={**DATA, **fields})
    assert answer.status == 200, answer.body
    return answer.headers["X-Parse-Push-Status-Id"]


async def settle(
    database: AsyncEngine, object_id: str, counts: dict[str, dict[OutcomeClass, int]]
) -> None:
    """Close a push as its last batch does."""
    plain = {t: {str(int(c)): n for c, n in by.items()} for t, by in counts.items()}
    statement = update(pushes).where(pushes.c.object_id == object_id)
    async with database.begin() as connection:
        await connection.execute(statement.values(state=PushState.DONE, counts=plain))


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
    all_of_them = await api.master("GET", CLASS, params={"order": "-createdAt", "keys": "status"})
    older = await api.master("GET", CLASS, params={"skip": "1"})

    assert [first] == [row["objectId"] for row in one.body["results"]]
    assert [second, first] == [row["objectId"] for row in all_of_them.body["results"]]
    assert "payload" not in all_of_them.body["results"][0]
    assert [first] == [row["objectId"] for row in older.body["results"]]


async def test_pages_join_without_gap_or_double(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the slices in which pushes are loaded."""
    monkeypatch.setattr(push_status, "SLICE", 2)
    sent = [await send(api, where={}) for _ in range(5)][::-1]

    for skip in range(7):
        for limit in range(7):
            params = {"skip": str(skip), "limit": str(limit)}
            found = await api.master("GET", CLASS, params=params)
            assert [row["objectId"] for row in found.body["results"]] == sent[skip : skip + limit]


async def test_a_far_page_is_refused(api: Api) -> None:
    """At most 10,000 are skipped, as in Parse: 118."""
    answer = await api.master("GET", CLASS, params={"skip": "10001"})

    assert (answer.status, answer.body["code"]) == (400, 118)
    assert (await api.master("GET", CLASS, params={"skip": "10000"})).body["results"] == []


@pytest.mark.parametrize(
    "params",
    [{"where": '{"status":"failed"}'}, {"where": '{"objectId":1}'}, {"order": "x"}, {"count": "1"}],
)
async def test_what_cannot_be_asked_is_refused(api: Api, params: dict[str, str]) -> None:
    """102, rather than an answer to another question."""
    answer = await api.master("GET", CLASS, params=params)

    assert (answer.status, answer.body["code"]) == (400, 102)


async def test_it_is_for_the_master_alone(api: Api) -> None:
    """119, in Parse's words."""
    for operation, path in (("find", CLASS), ("get", f"{CLASS}/abcdefghij")):
        answer = await api.client("GET", path)

        assert (answer.status, answer.body["code"]) == (400, 119)
        assert (
            f"Clients aren't allowed to perform the {operation} operation on the _PushStatus "
            "collection." == answer.body["error"]
        )


async def test_an_unknown_push_is_not_found(api: Api) -> None:
    """404 and 101."""
    answer = await api.master("GET", f"{CLASS}/abcdefghij")

    assert (answer.status, answer.body["code"]) == (404, 101)
