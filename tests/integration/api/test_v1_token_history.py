"""`/v1/installations/{id}/token-history`."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.api.v1.token_views import TokenHistoryView
from pushsvc.model import OutcomeClass
from pushsvc.storage import apps
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.tables import installations as i, pushes, token_events as e
from tests.integration.api.conftest import Answer, Api

TOKEN = "ab" * 32


async def made(api: Api, **fields: Any) -> str:
    """Save an installation by the Parse API; return its objectId."""
    answer = await api.client(
        "POST",
        "/installations",
        json={"deviceType": "ios", "deviceToken": TOKEN, "installationId": "A-1"} | fields,
    )
    assert answer.status == 201
    return str(answer.body["objectId"])


async def note(database: AsyncEngine, object_id: str, **values: Any) -> None:
    """Write an event."""
    async with database.begin() as connection:
        statement = select(i.c.id, i.c.app_id).where(i.c.object_id == object_id)
        row = (await connection.execute(statement)).one()
        values = {"app_id": row.app_id, "installation_id": row.id, "token": TOKEN, **values}
        await connection.execute(insert(e).values(values))


async def history(api: Api, name: str, **parameters: str) -> Answer:
    return await api.v1("GET", f"/v1/installations/{name}/token-history", params=parameters)


async def test_a_token_s_history_is_shown_with_its_state(api: Api, database: AsyncEngine) -> None:
    """By either id; the push by its public id."""
    object_id = await made(api)
    push = (
        await api.v1("POST", "/v1/pushes", json={"channels": ["a"], "data": {"alert": "x"}})
    ).body
    assert push["tokens_held"] == 0
    since = datetime(2026, 3, 1, tzinfo=UTC)
    async with database.begin() as connection:
        found = select(pushes.c.id).where(pushes.c.object_id == push["id"])
        key = (await connection.execute(found)).scalar_one()
        await connection.execute(
            update(i)
            .where(i.c.object_id == object_id)
            .values(token_retired_at=func.now(), token_quarantined_until=since)
        )
    await note(
        database,
        object_id,
        kind="quarantined",
        gateway="apns",
        scope="apns:",
        outcome=int(OutcomeClass.TOKEN_SUSPECT),
        reason="BadDeviceToken",
        push_id=key,
        since=since,
    )

    by_object_id, by_own = await history(api, object_id), await history(api, "a-1")

    assert by_object_id.status == 200
    assert by_object_id.body == by_own.body
    TokenHistoryView.model_validate(by_own.body)
    (event,) = by_own.body["events"]
    event.pop("at")
    assert event == {
        "kind": "quarantined",
        "token": TOKEN,
        "gateway": "apns",
        "reason": "BadDeviceToken",
        "push": push["id"],
        "since": "2026-03-01T00:00:00.000Z",
    }
    token = by_own.body["token"]
    assert (token["value"], token["state"]) == (TOKEN, "quarantined")
    assert token["quarantined_until"] == "2026-03-01T00:00:00.000Z"

    await api.master("PUT", f"/installations/{object_id}", json={"deviceToken": TOKEN})

    revived = (await history(api, "A-1")).body
    assert [one["kind"] for one in revived["events"]] == ["registered", "quarantined"]
    assert revived["token"]["state"] == "active"
    assert revived["token"]["retired_at"] is revived["token"]["quarantined_until"] is None


async def test_it_comes_in_pages_newest_first(api: Api, database: AsyncEngine) -> None:
    """Each event once; the last page has no cursor."""
    object_id = await made(api)
    for n in range(5):
        moment = datetime.now(UTC) - timedelta(days=5 - n)
        await note(database, object_id, kind="replaced", token=f"t{n}", created_at=moment)

    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await history(api, object_id, limit="2", **cursor)).body
        seen += [event["token"] for event in page["events"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}

    assert seen == [f"t{n}" for n in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize("name", ["nobody", "%00", "%ED%A0%80", "A" * 300, "a%0Ab"])
async def test_an_unknown_installation_is_told(api: Api, name: str) -> None:
    """404, whatever the id looks like."""
    answer = await api.call(
        "GET",
        f"/v1/installations/{name}/token-history",
        headers={"Authorization": f"Bearer {api.row.api_key}"},
    )

    assert (answer.status, answer.body["code"]) == (404, "not_found")


async def test_another_app_s_installation_is_unknown(api: Api, database: AsyncEngine) -> None:
    """And a key without both scopes may not ask: whole tokens are shown."""
    object_id = await made(api)
    async with database.begin() as connection:
        other = await apps.create_app(connection, name=uuid.uuid4().hex)
        _, stranger = await apps.create_key(
            connection, other, kind=KeyKind.API, scopes=[Scope.ADMIN]
        )
        some = [
            (await apps.create_key(connection, api.row.app, kind=KeyKind.API, scopes=[scope]))[1]
            for scope in (Scope.SEND, Scope.READ)
        ]
    path = f"/v1/installations/{object_id}/token-history"

    answers = [
        await api.v1("GET", path, headers={"Authorization": f"Bearer {key}"})
        for key in (stranger, *some)
    ]

    assert [one.status for one in answers] == [404, 403, 403]


@pytest.mark.parametrize("parameters", [{"cursor": "nonsense"}, {"limit": "0"}, {"limits": "3"}])
async def test_wrong_parameters_are_named(api: Api, parameters: dict[str, str]) -> None:
    """As in every other list."""
    answer = await history(api, await made(api), **parameters)

    assert answer.status == 400
    assert answer.pointers == [f"?{next(iter(parameters))}"]
