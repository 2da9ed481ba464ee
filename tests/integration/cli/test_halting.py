"""Pushes are cancelled, paused, resumed and moved from the command line."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.cli.conftest import Pushsvc

pytestmark = pytest.mark.integration


@pytest.fixture
def ids(pushsvc: Pushsvc) -> list[str]:
    """Two pushes of tomorrow."""
    name = f"app-{uuid.uuid4().hex[:12]}"
    assert pushsvc("app", "create", name).status == 0
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    given = ("send", "--app", name, "--where", "{}", "--alert", "x", "--at", at, "--json")
    return [pushsvc(*given).json["push"]["id"] for _ in range(2)]


def test_pushes_are_paused_resumed_and_cancelled(pushsvc: Pushsvc, ids: list[str]) -> None:
    """Several at once; what they are then is told, to people and as /v1 has it."""
    paused = pushsvc("push", "pause", *ids, COLUMNS="120")
    resumed = pushsvc("push", "resume", *ids, "--json")
    cancelled = pushsvc("push", "cancel", *ids, "--json")

    assert paused.status == 0
    assert paused.out.count("waiting,") == len(ids)
    assert [(one["state"], one["halt"]) for one in resumed.json["pushes"]] == [
        ("waiting", None)
    ] * 2
    assert [(one["id"], one["state"]) for one in cancelled.json["pushes"]] == [
        (push_id, "cancelled") for push_id in ids
    ]
    shown = pushsvc("push", "show", ids[0])
    assert "Cancelled from the command line." in shown.out
    assert pushsvc("push", "watch", ids[0]).status == 1
    refused = pushsvc("push", "pause", ids[0], "--json")
    assert (refused.status, refused.error["code"]) == (2, "wrong_state")


def test_pushes_are_moved(pushsvc: Pushsvc, ids: list[str]) -> None:
    """To a moment with a zone, or to now, and their expiry with them."""
    later = datetime.now(UTC) + timedelta(days=2)
    given = ("push", "reschedule", *ids, "--at", later.isoformat(), "--expires-in", "60")

    moved = pushsvc(*given, "--json").json["pushes"]
    freed = pushsvc("push", "reschedule", ids[0], "--at", "now", "--expires-at", "never", "--json")

    for one in moved:
        due, end = (datetime.fromisoformat(one[key]) for key in ("due_at", "expires_at"))
        assert abs(due - later) < timedelta(milliseconds=1)
        assert end - due == timedelta(seconds=60)
    (now,) = freed.json["pushes"]
    assert datetime.fromisoformat(now["due_at"]) < datetime.now(UTC) + timedelta(minutes=1)
    assert now["expires_at"] is None
    for wrong, code in ((("--at", "2001-01-01T00:00:00Z"), "invalid_push_time"), ((), "usage")):
        refused = pushsvc("push", "reschedule", ids[1], *wrong, "--json")
        assert (refused.status, refused.error["code"]) == (2, code)
        assert refused.error["message"].startswith("--at: ")


def test_a_push_that_is_not_there_stops_all(pushsvc: Pushsvc, ids: list[str]) -> None:
    """Nothing is done to those before it either."""
    refused = pushsvc("push", "cancel", ids[0], "nosuchpush", "--json")

    assert (refused.status, refused.error["code"]) == (2, "unknown_push")
    assert pushsvc("push", "show", ids[0], "--json").json["push"]["state"] == "waiting"
