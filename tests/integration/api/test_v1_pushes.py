"""`/v1/pushes`."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.api.v1.views import Problem, PushPage, PushView
from pushsvc.model import PushState
from pushsvc.storage import apps
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.tables import pushes
from tests.integration.api.conftest import DEVICES_LIMIT, Api

DATA: dict[str, Any] = {"data": {"alert": "hello"}}
PATH = "/v1/pushes"
TOKEN = {"token": "AB" * 32, "device_type": "ios"}


async def test_a_push_is_accepted_and_can_be_followed(api: Api) -> None:
    """202, where it is, and what it is."""
    answer = await api.v1("POST", PATH, json={"channels": ["news"], **DATA})

    assert answer.status == 202
    assert f"{PATH}/{answer.body['id']}" == answer.headers["Location"]
    assert tuple(answer.body[name] for name in ("state", "source", "audience")) == (
        "waiting",
        "v1",
        {"channels": ["news"]},
    )
    looked_at = await api.v1("GET", answer.headers["Location"])
    assert (200, answer.body) == (looked_at.status, looked_at.body)
    PushView.model_validate(looked_at.body)


@pytest.mark.parametrize(
    ("audience", "shown"),
    [
        ({"where": {}}, {"where": {}}),
        ({"channels": []}, {"channels": []}),
        (
            {"devices": [{"object_id": "abcdefghij"}, {"installation_id": "ONE"}, TOKEN]},
            {"device_count": 3},
        ),
    ],
)
async def test_an_audience_is_channels_or_a_query_or_devices(
    api: Api, audience: dict[str, Any], shown: dict[str, Any]
) -> None:
    """Of explicit devices only the number comes back."""
    answer = await api.v1("POST", PATH, json={**audience, **DATA})

    assert (202, shown) == (answer.status, answer.body["audience"])


async def test_ids_and_tokens_are_stored_as_installations_have_them(
    api: Api, database: AsyncEngine
) -> None:
    """In lower case, so that they find their installations and doubles."""
    body = {"devices": [{"installation_id": "ONE"}, TOKEN], **DATA}

    answer = await api.v1("POST", PATH, json=body)

    async with database.connect() as connection:
        statement = pushes.select().where(pushes.c.object_id == answer.body["id"])
        row = (await connection.execute(statement)).one()
    assert row.audience == {
        "devices": [{"installation_id": "one"}, {"token": "ab" * 32, "device_type": "ios"}]
    }


async def test_all_options_are_kept(api: Api) -> None:
    """Times in any form come back in one."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    body = {
        "where": {"deviceType": "ios"},
        "data": {"alert": "hello", "deep": {"x": [1]}},
        "push_time": int(due.timestamp()),
        "expiration_interval": 60,
        "priority": "urgent",
        "on_unknown": "drop",
        "rate_per_minute": 600,
        "collapse_id": "one",
        "push_type": "alert",
        "wns": {"type": "tile"},
    }

    answer = await api.v1("POST", PATH, json=body)

    assert answer.status == 202, answer.body
    kept = ("data", "on_unknown", "rate_per_minute", "collapse_id", "push_type", "wns")
    assert {name: body[name] for name in kept} == {name: answer.body[name] for name in kept}
    assert ("urgent", f"{due:%Y-%m-%dT%H:%M:%S.000Z}") == (
        answer.body["lane"],
        answer.body["due_at"],
    )
    assert f"{due + timedelta(seconds=60):%Y-%m-%dT%H:%M:%S.000Z}" == answer.body["expires_at"]


async def test_a_time_without_a_zone_is_that_of_each_device(api: Api) -> None:
    """Due where the day begins first; what is late may be skipped."""
    local = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(days=2)
    body = {"where": {}, **DATA, "push_time": local.isoformat(), "late": "skip"}

    answer = await api.v1("POST", PATH, json=body)

    assert answer.status == 202, answer.body
    assert answer.body["local_time"] == f"{local:%Y-%m-%dT%H:%M:%S.000}"
    assert answer.body["due_at"] == f"{local - timedelta(hours=14):%Y-%m-%dT%H:%M:%S.000Z}"
    assert answer.body["late"] == "skip"


@pytest.mark.parametrize(
    ("priority", "lane"), [("urgent", "urgent"), ("normal", "bulk"), (None, "urgent")]
)
async def test_the_priority_names_the_lane(api: Api, priority: str | None, lane: str) -> None:
    """Left open, few explicit devices are urgent."""
    answer = await api.v1("POST", PATH, json={"devices": [TOKEN], "priority": priority, **DATA})

    assert lane == answer.body["lane"]


@pytest.mark.parametrize(
    ("body", "pointers", "codes"),
    [
        (DATA, [""], ["one_audience"]),
        ({"where": {}, "channels": [], **DATA}, ["/channels", "/where"], ["one_audience"] * 2),
        ({"where": {}}, ["/data"], ["missing_key"]),
        ({"where": {}, "data": 1}, ["/data"], ["invalid_value"]),
        ({"where": {}, "data": {}}, ["/data"], ["invalid_push"]),
        ({"where": {}, "rawPayload": {}}, ["/data"], ["invalid_push"]),
        ({"where": {}, "rawPayload": {"to": "x"}}, ["/rawPayload/to"], ["invalid_push"]),
        ({"where": {}, "android": {"ttl": "1"}, **DATA}, ["/android/ttl"], ["invalid_push"]),
        ({"chanels": [], **DATA}, ["/chanels"], ["unknown_key"]),
        ({"where": [], **DATA}, ["/where"], ["invalid_value"]),
        ({"where": {"a": {"$foo": 1}}, **DATA}, ["/where/a"], ["invalid_query"]),
        ({"channels": [1], **DATA}, ["/channels/0"], ["invalid_value"]),
        ({"channels": ["a", "1st"], **DATA}, ["/channels/1"], ["invalid_push"]),
        ({"channels": "a", **DATA}, ["/channels"], ["invalid_value"]),
        ({"where": {}, "priority": "high", **DATA}, ["/priority"], ["invalid_value"]),
        ({"where": {}, "on_unknown": 1, **DATA}, ["/on_unknown"], ["invalid_value"]),
        *(
            (
                {"where": {}, "rate_per_minute": rate, **DATA},
                ["/rate_per_minute"],
                ["invalid_value"],
            )
            for rate in (0, 10_000_001, 1.5, "60", True)
        ),
        ({"where": {}, "push_time": "soon", **DATA}, ["/push_time"], ["invalid_push"]),
        ({"where": {}, "late": "drop", **DATA}, ["/late"], ["invalid_value"]),
        ({"where": {}, "push_time": "2099-01-01", **DATA}, ["/push_time"], ["invalid_push_time"]),
        ({"where": {}, "push_time": 1, **DATA}, ["/push_time"], ["invalid_push_time"]),
        (
            {"where": {}, "expiration_time": 1, **DATA},
            ["/expiration_time"],
            ["invalid_expiration"],
        ),
        ({"where": {}, "data": {"badge": "x"}}, ["/data/badge"], ["invalid_push"]),
        ({"devices": [{}], **DATA}, ["/devices/0"], ["one_device"]),
        ({"devices": [{**TOKEN, "object_id": "a"}], **DATA}, ["/devices/0"], ["one_device"]),
        ({"devices": [{"token": "a"}], **DATA}, ["/devices/0/device_type"], ["missing_key"]),
        ({"channels": ["a", 1, 2], **DATA}, ["/channels/1"], ["invalid_value"]),
        ({"devices": [1], **DATA}, ["/devices/0"], ["invalid_value"]),
        (
            {"devices": [TOKEN, {**TOKEN, "device_type": "toaster"}], **DATA},
            ["/devices/1/device_type"],
            ["invalid_value"],
        ),
        ({"devices": [{**TOKEN, "badge": 2**31}], **DATA}, ["/devices/0/badge"], ["invalid_value"]),
        (
            {"devices": [{**TOKEN, "app_identifier": "a\r\nb: c"}], **DATA},
            ["/devices/0/app_identifier"],
            ["invalid_value"],
        ),
        ({"devices": [{**TOKEN, "locle": "de"}], **DATA}, ["/devices/0/locle"], ["unknown_key"]),
        ({"devices": [{"object_id": ""}], **DATA}, ["/devices/0/object_id"], ["invalid_value"]),
        ({"devices": [TOKEN] * (DEVICES_LIMIT + 1), **DATA}, ["/devices"], ["too_many"]),
    ],
)
async def test_a_bad_push_is_refused_with_pointers(
    api: Api, body: dict[str, Any], pointers: list[str], codes: list[str] | None
) -> None:
    """A problem with status 400 that names every field at fault."""
    answer = await api.v1("POST", PATH, json=body)

    assert answer.status == 400
    assert pointers == answer.pointers
    assert codes == answer.codes
    assert answer.headers["Content-Type"] == "application/problem+json"
    Problem.model_validate(answer.body)


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"chanels": [], **DATA}, 'Did you mean "channels"?'),
        ({"devices": [{**TOKEN, "locle": "de"}], **DATA}, 'Did you mean "locale"?'),
    ],
)
async def test_an_unknown_key_comes_with_the_nearest_known(
    api: Api, body: dict[str, Any], hint: str
) -> None:
    """A slip of the pen must not send to the wrong people."""
    answer = await api.v1("POST", PATH, json=body)

    assert hint in answer.body["errors"][0]["detail"]


async def test_the_faults_of_a_reply_are_bounded(api: Api) -> None:
    """However many there are."""
    many = {f"k{number}": 1 for number in range(1000)}
    for body in ({**many, **DATA}, {"devices": [{**TOKEN, "badge": "x"}] * 30, **DATA}):
        answer = await api.v1("POST", PATH, json={"where": {}, **body})

        assert len(answer.pointers) == 20


async def test_an_idempotency_key_pushes_once(api: Api) -> None:
    """The repeat is marked; another body under the key is refused."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"where": {}, **DATA}

    first = await api.v1("POST", PATH, json=body, headers=headers)
    again = await api.v1("POST", PATH, json=body, headers=headers)
    other = await api.v1("POST", PATH, json={"channels": [], **DATA}, headers=headers)

    assert (202, first.body) == (again.status, again.body)
    assert tuple(a.headers.get("Idempotent-Replayed") for a in (again, first)) == ("true", None)
    assert first.headers["Location"] == again.headers["Location"]
    assert (other.status, other.body["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_an_idempotency_key_has_bounds(api: Api, key: str) -> None:
    """It is stored."""
    answer = await api.v1("POST", PATH, json={}, headers={"Idempotency-Key": key})

    assert (answer.status, answer.codes) == (400, ["invalid_idempotency_key"])


async def test_doors_do_not_share_idempotency_keys(api: Api) -> None:
    """A Parse request id is no key of `/v1`."""
    await api.v1("POST", PATH, json={"where": {}, **DATA}, headers={"Idempotency-Key": "one"})

    answer = await api.master(
        "POST", "/push", json={"where": {}, **DATA}, headers={"X-Parse-Request-Id": "one"}
    )

    assert answer.status == 200


async def test_pages_go_back_in_time_and_end(api: Api) -> None:
    """Each push on one page, newest first, though new ones come in."""
    sent = [(await api.v1("POST", PATH, json={"where": {}, **DATA})).body["id"] for _ in range(5)]

    first = await api.v1("GET", PATH, params={"limit": 2})
    await api.v1("POST", PATH, json={"where": {}, **DATA})
    second = await api.v1("GET", PATH, params={"limit": 2, "cursor": first.body["next_cursor"]})
    last = await api.v1("GET", PATH, params={"limit": 2, "cursor": second.body["next_cursor"]})

    pages = [first, second, last]
    assert sent[::-1] == [push["id"] for page in pages for push in page.body["pushes"]]
    assert last.body["next_cursor"] is None
    PushPage.model_validate(first.body)


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"limit": "0"}, "?limit"),
        ({"limit": "101"}, "?limit"),
        ({"limit": "many"}, "?limit"),
        ({"cursor": "x"}, "?cursor"),
        ({"cursor": "________"}, "?cursor"),
        ({"cursor": "é"}, "?cursor"),
        ({"limt": "5"}, "?limt"),
    ],
)
async def test_a_bad_page_is_refused(api: Api, params: dict[str, str], pointer: str) -> None:
    """A parameter that nobody reads is a mistake, too."""
    answer = await api.v1("GET", PATH, params=params)

    assert (400, [pointer]) == (answer.status, answer.pointers)


async def test_counts_are_told_by_outcome_type_and_class(api: Api, database: AsyncEngine) -> None:
    """They add up to the devices; what went out twice in doubt stands beside them."""
    made = await api.v1("POST", PATH, json={"where": {}, **DATA})
    statement = update(pushes).where(pushes.c.object_id == made.body["id"])
    counts = {"ios": {"1": 3, "2": 1}, "android": {"1": 2, "10": 1, "12": 1, "16": 3}}
    async with database.begin() as connection:
        values = {"state": PushState.DONE, "counts": counts, "devices_planned": 8}
        await connection.execute(statement.values(**values))

    body = (await api.v1("GET", f"{PATH}/{made.body['id']}")).body

    words = ("failed", "unknown", "expired", "deduplicated", "cancelled", "validated", "excluded")
    nothing = dict.fromkeys(words, 0)
    assert {
        "android": nothing | {"sent": 2, "unknown": 1, "deduplicated": 1},
        "ios": nothing | {"sent": 3, "failed": 1},
    } == body["by_device_type"]
    assert body["classes"] == {"ok": 5, "token_dead": 1, "unknown": 1, "deduplicated": 1}
    assert (
        nothing | {"sent": 5, "failed": 1, "unknown": 1, "deduplicated": 1, "open": 0}
        == body["counts"]
    )
    assert (body["state"], body["devices"], body["possible_duplicates"]) == ("done", 8, 3)


async def test_a_push_of_another_app_is_not_found(api: Api, database: AsyncEngine) -> None:
    """Its id says nothing to a stranger."""
    made = await api.v1("POST", PATH, json={"where": {}, **DATA})
    async with database.begin() as connection:
        other = await apps.create_app(connection, name=uuid.uuid4().hex)
        _, key = await apps.create_key(connection, other, kind=KeyKind.API, scopes=[Scope.READ])
    headers = {"Authorization": f"Bearer {key}"}

    answer = await api.call("GET", f"{PATH}/{made.body['id']}", headers=headers)

    assert (answer.status, answer.body["code"]) == (404, "not_found")


@pytest.mark.parametrize("push_id", ["abcdefghij", "%00", "a"])
async def test_an_unknown_push_is_not_found(api: Api, push_id: str) -> None:
    """Whatever stands in the path."""
    answer = await api.v1("GET", f"{PATH}/{push_id}")

    assert (answer.status, answer.body["code"]) == (404, "not_found")
