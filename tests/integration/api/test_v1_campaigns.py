"""`/v1/campaigns`: made once, shown, changed, run at once, paused, resumed, called off."""

import uuid
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.api.v1.cursor import write
from pushsvc.storage import tables
from pushsvc.storage.ids import new_object_id
from tests.integration.api.conftest import Answer, Api

PLACE = "/v1/campaigns"
NOWHERE = {"__type": "GeoPoint", "latitude": 0, "longitude": 0}


def campaign(**changes: Any) -> dict[str, Any]:
    """A campaign's body."""
    return {
        "name": f"c-{uuid.uuid4().hex[:12]}",
        "audience": {"channels": ["news"]},
        "content": {"data": {"alert": "Hello"}},
        "schedule": {"cron": "0 9 * * *", "zone": "Europe/Berlin"},
    } | changes


async def made(api: Api, **changes: Any) -> dict[str, Any]:
    """Create a campaign."""
    answer = await api.v1("POST", PLACE, json=campaign(**changes))
    assert answer.status == 201, answer.body
    return dict(answer.body)


async def asked(api: Api, shown: dict[str, Any], verb: str, **body: Any) -> Answer:
    """Ask something of a campaign."""
    return await api.v1("POST", f"{PLACE}/{shown['id']}:{verb}", json=body)


@pytest.fixture
async def devices(api: Api, database: AsyncEngine) -> None:
    """Three devices in two zones and none."""
    rows = [
        {
            "app_id": api.row.app.id,
            "object_id": new_object_id(),
            "device_token": f"{place:064x}",
            "device_type": "ios",
            "channels": ["news"],
            "time_zone": zone,
            "app_identifier": "com.example.app",
        }
        for place, zone in enumerate(("Europe/Berlin", "Asia/Tokyo", None))
    ]
    async with database.begin() as connection:
        await connection.execute(insert(tables.installations), rows)


async def test_a_campaign_is_made_and_shown(api: Api) -> None:
    """By its id and by its name, as it was asked for and with its next times."""
    body = campaign()
    created = await api.v1("POST", PLACE, json=body)
    assert created.status == 201
    assert created.headers["Location"] == f"{PLACE}/{created.body['id']}"
    shown = created.body
    assert (shown["name"], shown["state"], shown["definition"]) == (body["name"], "active", body)
    assert (len(shown["next_runs"]), shown["last_run"], shown["runs"]) == (5, None, 0)
    for key in (shown["id"], shown["name"]):
        assert (await api.v1("GET", f"{PLACE}/{key}")).body == shown
    assert (await api.v1("GET", f"{PLACE}/none")).status == 404


async def test_a_name_is_taken_once(api: Api) -> None:
    """A repeat under a key is answered with what there is; any other is refused."""
    body, once = campaign(), {"headers": {"Idempotency-Key": "k"}}
    first = await api.v1("POST", PLACE, json=body, **once)
    again = await api.v1("POST", PLACE, json=body, **once)
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (
        201,
        first.body,
        "true",
    )
    other = body | {"content": {"data": {"alert": "Other"}}}
    for request in ({"json": body}, {"json": other, **once}):
        answer = await api.v1("POST", PLACE, **request)
        assert (answer.status, answer.body["code"]) == (409, "campaign_exists")


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"schedul": {}}, "/schedul", "unknown_key"),
        ({"schedule": {"at": "2020-01-01T00:00:00Z"}}, "/schedule", "invalid_value"),
        ({"confirm_recipients": "all"}, "/confirm_recipients", "invalid_value"),
        ({"content": {"template": "none"}}, "/content/template", "invalid_template"),
        ({"content": {"data": {"alert": 1}}}, "/content/data/alert", "invalid_push"),
        ({"audience": {"audience": "none"}}, "/audience/audience", "invalid_audience"),
        ({"audience": {"where": {"$x": 1}}}, "/audience/where/$x", "invalid_query"),
        (
            {"audience": {"where": {}, "exclude": {"where": {"a": {"$x": 1}}}}},
            "/audience/exclude/where/a",
            "invalid_query",
        ),
        (
            {"audience": {"where": {}, "exclude": {"where": {"a": {"$nearSphere": NOWHERE}}}}},
            "/audience/exclude",
            "invalid_query",
        ),
    ],
)
async def test_what_is_wrong_is_told(
    api: Api, changes: dict[str, Any], pointer: str, code: str
) -> None:
    """By the field of the definition, whoever finds it; nothing is stored."""
    answer = await api.v1("POST", PLACE, json=campaign(**changes))
    assert answer.status == 400
    assert answer.pointers[0].startswith(pointer)
    assert answer.codes[0] == code
    assert (await api.v1("GET", PLACE)).body["campaigns"] == []


async def test_campaigns_in_pages(api: Api) -> None:
    """Newest first, all or those in one state."""
    names = [(await made(api))["name"] for _ in range(3)]
    await api.v1("POST", f"{PLACE}/{names[0]}:cancel")
    first = await api.v1("GET", PLACE, params={"limit": 2})
    second = await api.v1("GET", PLACE, params={"cursor": first.body["next_cursor"]})
    found = [*first.body["campaigns"], *second.body["campaigns"]]
    assert [one["name"] for one in found] == names[::-1]
    assert second.body["next_cursor"] is None
    active = await api.v1("GET", PLACE, params={"state": "active"})
    assert [one["name"] for one in active.body["campaigns"]] == names[:0:-1]
    assert (await api.v1("GET", PLACE, params={"state": "x"})).status == 400


async def test_a_changed_campaign(api: Api) -> None:
    """Keeps its name and its runs, and goes by the new times."""
    shown = await made(api)
    place, body = f"{PLACE}/{shown['id']}", campaign(name=shown["name"])
    body["schedule"] = {"at": "2099-01-01T09:00:00", "local_time": True}
    changed = await api.v1("PUT", place, json=body)
    assert changed.status == 200
    assert changed.body["next_runs"] == ["2099-01-01T09:00:00.000"]
    renamed = await api.v1("PUT", place, json=campaign())
    assert (renamed.status, renamed.pointers) == (400, ["/name"])


async def test_a_run_now(api: Api, database: AsyncEngine) -> None:
    """Is a push that names its campaign; one at a time, and a repeat starts none."""
    shown, once = await made(api), {"headers": {"Idempotency-Key": "r"}}
    place = f"{PLACE}/{shown['name']}"
    started = await api.v1("POST", f"{place}:run", **once)
    assert started.status == 202
    run = started.body
    assert started.headers["Location"] == f"/v1/pushes/{run['push_id']}"
    assert (run["number"], run["state"], run["push_state"]) == (1, "started", "waiting")
    push = (await api.v1("GET", f"/v1/pushes/{run['push_id']}")).body
    assert push["campaign"] == shown["id"]

    again = await api.v1("POST", f"{place}:run", **once)
    assert (again.status, again.body["push_id"]) == (202, run["push_id"])
    busy = await api.v1("POST", f"{place}:run")
    assert (busy.status, busy.body["code"]) == (409, "campaign_state")

    async with database.begin() as connection:
        done = update(tables.pushes).where(tables.pushes.c.app_id == api.row.app.id)
        await connection.execute(done.values(state="done"))
    assert (await api.v1("POST", f"{place}:run")).body["number"] == 2
    runs = await api.v1("GET", f"{place}/runs", params={"limit": 1})
    more = await api.v1("GET", f"{place}/runs", params={"cursor": runs.body["next_cursor"]})
    numbers = [one["number"] for one in (*runs.body["runs"], *more.body["runs"])]
    assert numbers == [2, 1]
    assert (await api.v1("GET", place)).body["last_run"]["number"] == 2


async def test_pause_resume_cancel(api: Api) -> None:
    """Stop and end the campaign with its run; each can be asked for twice."""
    shown = await made(api)
    push_id = (await asked(api, shown, "run")).body["push_id"]

    async def halt() -> str | None:
        pushed = await api.v1("GET", f"{PLACE}/{shown['id']}/runs")
        assert pushed.body["runs"][0]["push_id"] == push_id
        state: str = pushed.body["runs"][0]["push_state"]
        return state

    for _ in range(2):
        paused = await asked(api, shown, "pause")
        assert (paused.status, paused.body["state"]) == (200, "paused")
        assert paused.body["state_reason"] == "Paused by request."
        assert paused.body["next_runs"] == []
    refused = await asked(api, shown, "run")
    assert (refused.status, refused.body["code"]) == (409, "campaign_state")
    for _ in range(2):
        resumed = await asked(api, shown, "resume")
        assert (resumed.status, resumed.body["state"]) == (200, "active")
        assert (resumed.body["state_reason"], len(resumed.body["next_runs"])) == (None, 5)
    for _ in range(2):
        cancelled = await asked(api, shown, "cancel")
        assert (cancelled.status, cancelled.body["state"]) == (200, "cancelled")
    assert await halt() == "cancelled"
    for verb in ("run", "pause", "resume"):
        answer = await asked(api, shown, verb)
        assert (answer.status, answer.body["code"]) == (409, "campaign_state")


async def test_a_campaign_that_is_over_is_deleted(api: Api) -> None:
    """With its runs; their pushes stay, and the name is free."""
    shown = await made(api)
    place = f"{PLACE}/{shown['name']}"
    push_id = (await asked(api, shown, "run")).body["push_id"]
    refused = await api.v1("DELETE", place)
    assert (refused.status, refused.body["code"]) == (409, "campaign_state")
    await asked(api, shown, "cancel")
    assert (await api.v1("DELETE", place)).status == 204
    assert (await api.v1("DELETE", place)).status == 404
    push = await api.v1("GET", f"/v1/pushes/{push_id}")
    assert (push.status, push.body["campaign"]) == (200, None)
    assert (await api.v1("GET", f"/v1/pushes/{push_id}/report")).status == 200
    assert (await api.v1("POST", PLACE, json=campaign(name=shown["name"]))).status == 201


async def test_what_names_no_campaign(api: Api) -> None:
    """Is not found, whatever it is; a cursor of another list is no page."""
    shown = await made(api)
    for key in ("none", "%00", "a%2Fb", "%F0%9F%98%80"):
        assert (await api.v1("GET", f"{PLACE}/{key}/runs")).status == 404
    for cursor in (write(2**31), write(2**63 - 1)):
        runs = await api.v1("GET", f"{PLACE}/{shown['id']}/runs", params={"cursor": cursor})
        assert (runs.status, runs.body["runs"]) == (200, [])


@pytest.mark.usefixtures("devices")
async def test_a_large_audience_must_be_confirmed(api: Api) -> None:
    """Before the campaign is made, and before it runs; the answer names the number."""
    body = campaign(max_recipients=2)
    refused = await api.v1("POST", PLACE, json=body)
    assert (refused.status, refused.body["code"]) == (409, "confirmation_required")
    assert '"confirm_recipients": 3' in refused.body["detail"]
    assert (await api.v1("POST", PLACE, json=body | {"confirm_recipients": 2})).status == 409
    shown = await api.v1("POST", PLACE, json=body | {"confirm_recipients": 3})
    assert shown.status == 201
    assert (await asked(api, shown.body, "run")).status == 202

    small = await made(api, audience={"channels": ["none"]}, max_recipients=2)
    grown = campaign(name=small["name"], max_recipients=2)
    place = f"{PLACE}/{small['id']}"
    assert (await api.v1("PUT", place, json=grown)).status == 409
    assert (await api.v1("PUT", place, json=grown | {"confirm_recipients": 3})).status == 200


@pytest.mark.usefixtures("devices")
async def test_a_campaign_is_seen_before_it_is_made(api: Api) -> None:
    """Who, in which zones and variants, when, what, and for how long; nothing is stored."""
    body = campaign(
        variants=[
            {"name": "a", "weight": 45, "content": {"data": {"alert": "A"}}},
            {"name": "b", "weight": 45},
        ],
        holdout=10,
        max_recipients=2,
        rate_per_minute=60,
        schedule={"cron": "0 9 * * *", "local_time": True},
    )
    seen = await api.v1("POST", f"{PLACE}:preview", json=body)
    assert seen.status == 200, seen.body
    found = seen.body
    assert len(found["next_runs"]) == 5
    assert found["audience"]["recipients"] == 3
    zones = {one["zone"]: one["devices"] for one in found["audience"]["by_zone"]}
    assert zones == {"Europe/Berlin": 1, "Asia/Tokyo": 1, None: 1}
    assert [(one["name"], one["share"]) for one in found["variants"]] == [("a", 0.45), ("b", 0.45)]
    alerts = [
        next(m for m in one["messages"] if m["platform"] == "ios")["request"]["body"]["aps"]
        for one in found["variants"]
    ]
    assert [one["alert"] for one in alerts] == ["A", "Hello"]
    assert (found["holdout"]["share"], found["confirmation_required"]) == (0.1, True)
    assert found["estimate"]["span_seconds"] == 26 * 3_600
    assert (await api.v1("GET", PLACE)).body["campaigns"] == []
