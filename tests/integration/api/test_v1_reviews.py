"""`/v1/pushes/{id}/devices/{installation}` and `/v1/pushes/{id}/outcomes`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from sqlalchemy import select, text, update

from pushsvc.api.v1.review_views import ExplanationView, OutcomesPage
from pushsvc.app import create_app
from pushsvc.config import Settings
from pushsvc.delivery.apns.client import apns_id
from pushsvc.model import Lane, OutcomeClass as C, Push, PushState
from pushsvc.resources import Resources, open_resources
from pushsvc.storage import apps, tables
from pushsvc.storage.ids import new_object_id
from tests.integration.api.conftest import Answer, Api
from tests.integration.conftest import AppRow
from tests.integration.pushing import apns_token, site, wns_channel, working
from tests.integration.reviewed import Scene, staged

#: More than is sent before anybody could leave.
BATCHES = 500
LINES = {"Accept": "application/x-ndjson"}


@pytest.fixture
async def scene(settings: Settings, app_row: AppRow) -> AsyncIterator[Scene]:
    """An app whose pushes have batches of four."""
    async with open_resources(settings.model_copy(update={"batch_size": 4})) as resources:
        yield Scene(app=app_row.app, resources=resources)


async def explained(api: Api, push: Push, device: str) -> dict[str, Any]:
    path = f"/v1/pushes/{push.object_id}/devices/{quote(device, safe='')}"
    answer = await api.v1("GET", path)
    assert answer.status == 200, answer.body
    ExplanationView.model_validate(answer.body)
    found: dict[str, Any] = answer.body
    return found


async def outcomes(api: Api, push: Push, **params: Any) -> Answer:
    return await api.v1("GET", f"/v1/pushes/{push.object_id}/outcomes", params=params)


async def test_what_came_of_a_device_is_told_with_its_attempts(api: Api, scene: Scene) -> None:
    """By objectId or installationId: sent, dead, a double, resent and then sent, expired."""
    push = await staged(scene)
    key = apns_id(push.id, scene.keys["sent"]).decode()

    sent = await explained(api, push, scene.ids["sent"])
    assert (sent["targeted"], sent["why"], sent["outcome"]) == (True, None, "sent")
    assert (sent["apns_id"], sent["possible_duplicate"]) == (key, False)
    assert (sent["device"]["gateway"], sent["device"]["token_state"]) == ("apns", "active")
    assert sent == await explained(api, push, f"SENT-{scene.app.id}")

    dead = await explained(api, push, scene.ids["dead"])
    assert (dead["class"], dead["reason"]) == ("token_dead", "Unregistered")
    assert dead["apns_id"]

    double = await explained(api, push, scene.ids["double"])
    assert (double["outcome"], double["apns_id"]) == ("deduplicated", None)
    assert double["duplicate_of"] == scene.ids["twin"]

    again = await explained(api, push, scene.ids["retried"])
    assert (again["outcome"], again["attempt"], again["possible_duplicate"]) == ("sent", 2, True)
    steps = [(one["attempt"], one["class"], one["reason"]) for one in again["attempts"]]
    assert steps == [(1, "resent", "Stopped"), (2, "ok", None)]
    assert again["finished_at"] == again["attempts"][1]["finished_at"]

    late = await explained(api, push, scene.ids["late"])
    assert (late["outcome"], late["apns_id"]) == ("expired", None)
    assert (await explained(api, push, scene.ids["android"]))["apns_id"] is None


async def test_rows_without_a_range_are_looked_into(api: Api, scene: Scene) -> None:
    """As older versions have written them."""
    push = await staged(scene)
    async with scene.resources.engine.begin() as connection:
        batches = tables.batches
        clear = update(batches).where(batches.c.push_id == push.id)
        await connection.execute(clear.values(first_id=None, last_id=None))

    assert (await explained(api, push, scene.ids["dead"]))["class"] == "token_dead"


async def test_explicit_devices_are_found_by_token(api: Api, scene: Scene) -> None:
    """Percent-encoded; doubles of each other and of an installation, and one tried again."""
    token = apns_token()
    await scene.install("named", token)
    uri, other = wns_channel(), apns_token()
    ios = {"device_type": "ios"}
    push = await scene.push(
        lane=Lane.BULK,
        audience={
            "devices": [
                {"object_id": scene.ids["named"]},
                {"token": uri, "device_type": "winrt"},
                {"token": other, **ios},
                {"token": other, **ios},
                {"token": token, **ios},
            ]
        },
    )
    await scene.close(push, 0, [C.OK])
    double = C.DEDUPLICATED
    reasons = {"InternalServerError": [1]}
    await scene.close(push, 1, [C.OK, C.CARRIED, double, double], reasons=reasons, again=[1])

    windows = await explained(api, push, uri)
    assert (windows["outcome"], windows["device"]["installation"]) == ("sent", None)
    waiting = await explained(api, push, other.upper())
    assert (waiting["outcome"], waiting["class"]) == (None, None)
    assert [one["state"] for one in waiting["attempts"]] == ["done", "open"]
    assert waiting["apns_id"] == apns_id(push.id, 1 << 63 | 1 << 32 | 1).decode()
    taken = await explained(api, push, token)
    assert (taken["outcome"], taken["duplicate_of"]) == ("deduplicated", scene.ids["named"])

    page = (await outcomes(api, push)).body
    assert [one["token_end"] for one in page["outcomes"]] == [
        None,
        uri[-16:],
        other[-16:],
        token[-16:],
    ]


async def test_who_was_not_targeted_is_told_why(api: Api, scene: Scene) -> None:
    """As far as it can be known now."""
    before = datetime.now(UTC) - timedelta(days=1)
    old: dict[str, Any] = {"created_at": before}
    await scene.install("other", channels=["other"], **old)
    await scene.install("mute", **old)
    await scene.change("mute", device_token=None)
    await scene.install("retired", token_retired_at=before, **old)
    await scene.install("moved", channels=[], **old)
    push = await scene.push()
    await scene.change("moved", channels=["all"])
    # As the version before leaves it that registers a token again.
    await scene.install("new", token_quarantined_until=before)

    found = {name: await explained(api, push, scene.ids[name]) for name in scene.ids}

    assert {name: one["why"] for name, one in found.items()} == {
        "other": "no_match",
        "mute": "no_token",
        "retired": "token_retired",
        "moved": "matched_later",
        "new": "created_after_plan",
    }
    assert {one["targeted"] for one in found.values()} == {False}
    assert found["moved"]["matches_now"] is True
    assert found["retired"]["device"]["token_state"] == "retired"
    new = found["new"]["device"]
    assert (new["token_state"], new["token_quarantined_until"]) == ("active", None)
    named = await scene.push(audience={"devices": [{"object_id": scene.ids["new"]}]})
    assert (await explained(api, named, scene.ids["other"]))["why"] == "not_named"


@pytest.mark.parametrize(
    ("state", "why", "targeted"),
    [
        (PushState.WAITING, "not_planned_yet", None),
        (PushState.CANCELLED, "push_cancelled", False),
        (PushState.FAILED, "push_failed", False),
    ],
)
async def test_a_push_without_batches_says_so(
    api: Api, scene: Scene, state: PushState, why: str, targeted: object
) -> None:
    """Who will be of its audience is not known before the plan; who would be now is told."""
    await scene.install("one")
    push = await scene.push(
        planned=False, push_time=(datetime.now(UTC) + timedelta(hours=1)).timestamp()
    )
    async with scene.resources.engine.begin() as connection:
        pushes = tables.pushes
        change = update(pushes).where(pushes.c.id == push.id)
        await connection.execute(change.values(state=state, error="no such column"))

    found = await explained(api, push, scene.ids["one"])

    assert (found["why"], found["targeted"]) == (why, targeted)
    assert found["matches_now"] is (True if state is PushState.WAITING else None)
    assert (await outcomes(api, push)).body == {"outcomes": [], "next_cursor": None}


@pytest.mark.parametrize("device", ["nobody", "%00", "a%2Fb", "%ff", "", "x" * 3000])
async def test_an_unknown_device_is_not_found(api: Api, scene: Scene, device: str) -> None:
    """Whatever stands in the path; nor is one of another app."""
    await scene.install("one")
    push = await scene.push()

    answer = await api.v1("GET", f"/v1/pushes/{push.object_id}/devices/{device}")

    assert (answer.status, answer.body["code"]) == (404, "not_found")


async def test_a_device_of_another_app_is_not_found(
    api: Api, scene: Scene, resources: Resources
) -> None:
    """Its id says nothing to a stranger."""
    async with resources.engine.begin() as connection:
        other = await apps.create_app(connection, name=new_object_id())
    stranger = Scene(app=other, resources=resources)
    await stranger.install("one")
    push = await scene.push()

    answer = await api.v1("GET", f"/v1/pushes/{push.object_id}/devices/{stranger.ids['one']}")

    assert answer.status == 404


async def test_outcomes_come_in_pages_and_in_lines(api: Api, scene: Scene) -> None:
    """Each device once, in order, with what it came to; the lines are the same."""
    push = await staged(scene)
    found, cursor = [], None
    while True:
        page = await outcomes(api, push, limit=3, **({"cursor": cursor} if cursor else {}))
        OutcomesPage.model_validate(page.body)
        found += page.body["outcomes"]
        cursor = page.body["next_cursor"]
        if cursor is None:
            break

    ids = scene.ids | {"deleted": None}
    order = ("sent", "dead", "twin", "double", "late", "deleted", "android", "retried")
    assert [one["installation"] for one in found] == [ids[name] for name in order]
    assert found[1] == {
        "installation": ids["dead"],
        "token_end": None,
        "device_type": "ios",
        "outcome": "failed",
        "class": "token_dead",
        "reason": "Unregistered",
        "attempt": 1,
        "finished_at": found[0]["finished_at"],
        "apns_id": apns_id(push.id, scene.keys["dead"]).decode(),
    }
    lines = await api.v1("GET", f"/v1/pushes/{push.object_id}/outcomes", headers=LINES)
    assert lines.headers["Content-Type"] == "application/x-ndjson"
    assert [orjson.loads(line) for line in lines.body.splitlines()] == found


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"outcome": "failed"}, ["dead"]),
        ({"class": "expired"}, ["late"]),
        ({"class": "deduplicated", "outcome": "deduplicated"}, ["double"]),
        ({"class": "credential"}, []),
    ],
)
async def test_outcomes_are_picked_by_class_and_word(
    api: Api, scene: Scene, params: dict[str, str], names: list[str]
) -> None:
    """In pages and in lines."""
    push = await staged(scene)
    wanted = [scene.ids[name] for name in names]

    page = await outcomes(api, push, **params)
    lines = await api.v1(
        "GET", f"/v1/pushes/{push.object_id}/outcomes", params=params, headers=LINES
    )

    assert [one["installation"] for one in page.body["outcomes"]] == wanted
    assert [orjson.loads(one)["installation"] for one in lines.body.splitlines()] == wanted


@pytest.mark.parametrize(
    ("params", "headers", "pointer", "told"),
    [
        ({"class": "carried"}, {}, "?class", "token_dead"),
        ({"outcome": "lost"}, {}, "?outcome", "deduplicated"),
        ({"class": "ok", "outcome": "failed"}, {}, "?outcome", "sent"),
        ({"cursor": "x"}, {}, "?cursor", "next_cursor"),
        ({"limit": "1001"}, {}, "?limit", "1000"),
        ({"clas": "ok"}, {}, "?clas", '"class"'),
        ({"limit": "5"}, LINES, "?limit", "no pages"),
    ],
)
async def test_a_bad_page_of_outcomes_is_refused(
    api: Api, scene: Scene, params: dict[str, str], headers: dict[str, str], pointer: str, told: str
) -> None:
    """With the parameter, and what it may be."""
    push = await scene.push(planned=False)

    path = f"/v1/pushes/{push.object_id}/outcomes"
    answer = await api.v1("GET", path, params=params, headers=headers)

    assert (answer.status, answer.pointers) == (400, [pointer])
    assert told in answer.body["detail"]


async def test_a_client_that_goes_away_ends_the_export(
    settings: Settings, app_row: AppRow, scene: Scene
) -> None:
    """Nothing is read for it any more."""
    await scene.install("one")
    push = await scene.push()
    await scene.close(push, 0, [C.OK])
    async with scene.resources.engine.begin() as connection:
        await connection.execute(
            text("""
                INSERT INTO batches (push_id, seq, lane, installation_ids, state, outcomes, counts,
                    finished_at)
                SELECT push_id, seq + n, lane, installation_ids, state, outcomes, counts,
                    finished_at FROM batches, generate_series(1, :n) AS n WHERE push_id = :id
            """),
            {"id": push.id, "n": BATCHES - 1},
        )
        await connection.execute(
            update(tables.pushes)
            .where(tables.pushes.c.id == push.id)
            .values(batches_planned=BATCHES)
        )
    path = f"/v1/pushes/{push.object_id}/outcomes"
    left, chunks = asyncio.Event(), []
    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        if (message := next(asked, None)) is not None:
            return message
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message.get("body"):
            chunks.append(message["body"])
            left.set()

    app = create_app(settings)
    async with app.router.lifespan_context(app):
        await app(_get(path, app_row.api_key), receive, send)

    assert 1 <= len(chunks) < BATCHES


def _get(path: str, api_key: str) -> dict[str, Any]:
    """A request for lines, as the server hands it to the application."""
    headers = {"authorization": f"Bearer {api_key}", "accept": LINES["Accept"]}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


async def test_the_message_ids_are_those_that_apple_was_told(
    api: Api, settings: Settings, tmp_path: Path
) -> None:
    """Of an installation and of an explicit device, after a real delivery."""
    async with site(settings, api.row.app, tmp_path) as opened:
        installed, explicit = apns_token(), apns_token()
        number = await opened.install(installed)
        topic = opened.simulators.endpoints.credentials.apns.topics[0]
        device = {"token": explicit, "device_type": "ios", "app_identifier": topic}
        async with opened.engine.connect() as connection:
            column = tables.installations.c
            statement = select(column.object_id).where(column.id == number)
            object_id = (await connection.execute(statement)).scalar_one()
        async with working(opened):
            named = {"devices": [{"object_id": object_id}, device]}
            push = await opened.done(await opened.push(audience=named))
        told = [(await explained(api, push, one))["apns_id"] for one in (object_id, explicit)]
        seen = [opened.sent_to(one)[0].message_id for one in (installed, explicit)]

    assert seen == told
    assert [one["apns_id"] for one in (await outcomes(api, push)).body["outcomes"]] == told
