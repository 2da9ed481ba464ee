"""`/v1/pushes/{id}:cancel` and its like."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pushsvc import pipeline
from pushsvc.api.v1.views import PushView
from pushsvc.resources import Resources
from pushsvc.storage.ledger import push_key
from tests.integration.api.conftest import Api

pytestmark = pytest.mark.integration

PATH = "/v1/pushes"
UNKNOWN = f"{PATH}/abcdefghij"


async def scheduled(api: Api, **fields: Any) -> str:
    """A push of tomorrow; its path."""
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = {"channels": ["steps"], "data": {"alert": "x"}, "push_time": later} | fields
    sent = await api.v1("POST", PATH, json=body)
    assert sent.status == 202, sent.body
    return f"{PATH}/{sent.body['id']}"


async def test_a_push_is_paused_resumed_and_cancelled(api: Api) -> None:
    """Each answers with the push as it is now; a repeat changes nothing."""
    path = await scheduled(api)
    seen = []
    for step in ("pause", "pause", "resume", "resume", "pause", "cancel", "cancel"):
        answer = await api.v1("POST", f"{path}:{step}")
        assert answer.status == 200, answer.body
        PushView.model_validate(answer.body)
        seen.append((answer.body["state"], answer.body["halt"]))

    paused, free, gone = ("waiting", "pause"), ("waiting", None), ("cancelled", "cancel")
    assert seen == [paused, paused, free, free, paused, gone, gone]
    shown = (await api.v1("GET", path)).body
    assert shown["halt_reason"] == "Cancelled through the API."
    for step in ("pause", "resume"):
        refused = await api.v1("POST", f"{path}:{step}")
        assert (refused.status, refused.body["code"]) == (409, "wrong_state")
        assert "cancelled" in refused.body["detail"]


async def test_a_push_that_is_done_cannot_be_cancelled(api: Api, resources: Resources) -> None:
    """409, and why; it stays as it was."""
    path = await scheduled(api, push_time=None, channels=["nobody"])
    async with resources.engine.connect() as connection:
        key = await push_key(connection, path.rpartition("/")[2])
    assert key is not None
    await pipeline.plan_push(resources, key)

    refused = await api.v1("POST", f"{path}:cancel")

    assert (refused.status, refused.body["code"]) == (409, "wrong_state")
    assert (await api.v1("GET", path)).body["state"] == "done"


async def test_a_push_is_moved(api: Api) -> None:
    """What is left out stays; wrong times are told as when it was asked for."""
    path = await scheduled(api, expiration_interval=60)
    later = datetime.now(UTC) + timedelta(days=2)

    moved = await api.v1("PATCH", path, json={"push_time": later.isoformat()})
    wrong = await api.v1("PATCH", path, json={"push_time": "2001-01-01T00:00:00Z"})
    early = await api.v1("PATCH", path, json={"expiration_time": later.timestamp() - 60})

    assert moved.status == 200, moved.body
    PushView.model_validate(moved.body)
    due = datetime.fromisoformat(moved.body["due_at"])
    assert abs(due - later) < timedelta(milliseconds=1)
    assert datetime.fromisoformat(moved.body["expires_at"]) - due == timedelta(seconds=60)
    assert (wrong.status, wrong.body["code"]) == (400, "invalid_push_time")
    assert (early.status, early.body["code"]) == (400, "invalid_expiration")


@pytest.mark.parametrize(
    ("method", "suffix", "body", "pointer"),
    [
        ("POST", ":cancel", {"reason": "x"}, "/reason"),
        ("POST", ":resume", {"confirm_recipients": "5"}, "/confirm_recipients"),
        ("POST", ":resume", {"confirm_recipients": -1}, "/confirm_recipients"),
        ("PATCH", "", {}, ""),
        ("PATCH", "", {"data": {}}, "/data"),
        ("PATCH", "", {"expiration_interval": 0}, "/expiration_interval"),
    ],
)
async def test_a_wrong_body_is_told(
    api: Api, method: str, suffix: str, body: dict[str, Any], pointer: str
) -> None:
    """With its field; and the push is as it was."""
    path = await scheduled(api)

    answer = await api.v1(method, f"{path}{suffix}", json=body)

    assert answer.status == 400
    assert answer.pointers == [pointer]
    assert (await api.v1("GET", path)).body["state"] == "waiting"


@pytest.mark.parametrize("step", [":cancel", ":pause", ":resume", ""])
async def test_a_push_that_is_not_there_is_not_found(api: Api, step: str) -> None:
    """Nor one whose id cannot be one."""
    method, body = ("POST", {}) if step else ("PATCH", {"push_time": None})
    for path in (UNKNOWN, f"{PATH}/x"):
        answer = await api.v1(method, f"{path}{step}", json=body)
        assert (answer.status, answer.body["code"]) == (404, "not_found")
