"""Browsers through FCM get Parse's data, what to show, and Web Push's headers."""

from datetime import timedelta
from typing import Any

import pytest

from pushsvc.model import Refused
from pushsvc.shaping.forms import WEB_PUSH_SUBSCRIPTION
from tests.unit.shaping.fcm_devices import STAMPS, WEB, message
from tests.unit.shaping.one_device import NOW, shaped


def webpush(data: dict[str, Any], **rest: Any) -> dict[str, Any]:
    found = message(WEB, data, **rest)
    assert found.keys() == {"webpush"}
    shown: dict[str, Any] = found["webpush"]
    return shown


def test_message() -> None:
    """The whole message."""
    found = webpush(
        {
            "title": "T",
            "alert": "Grüße",
            "badge": "Increment",
            "uri": "https://example.com/a",
            "icon": "https://example.com/i.png",
            "image": "https://example.com/j.png",
        },
        collapse_id="score",
        expires_at=NOW + timedelta(hours=1),
    )
    assert found == {
        "headers": {"TTL": "3600", "Urgency": "high", "Topic": "score"},
        "data": {
            **STAMPS,
            "data": '{"title":"T","alert":"Grüße","uri":"https://example.com/a",'
            '"icon":"https://example.com/i.png","image":"https://example.com/j.png"}',
        },
        "notification": {
            "title": "T",
            "body": "Grüße",
            "icon": "https://example.com/i.png",
            "image": "https://example.com/j.png",
        },
        "fcm_options": {"link": "https://example.com/a"},
    }


def test_message_without_text() -> None:
    """Nothing is shown; four weeks are Web Push's time to live."""
    assert webpush({"k": 1, "icon": "https://example.com/i.png"}) == {
        "headers": {"TTL": "2419200", "Urgency": "high"},
        "data": {**STAMPS, "data": '{"k":1,"icon":"https://example.com/i.png"}'},
    }


@pytest.mark.parametrize(
    ("data", "beside", "headers"),
    [
        pytest.param({"priority": 5}, {}, {"Urgency": "normal"}, id="as power allows"),
        pytest.param({}, {"priority": "1"}, {"Urgency": "low"}, id="never wake it"),
        pytest.param({}, {"priority": 10}, {"Urgency": "high"}, id="at once"),
        pytest.param({}, {"collapse_id": "a_B-9" * 6}, {"Topic": "a_B-9" * 6}, id="topic"),
        pytest.param({}, {"collapse_id": "a" * 33}, {}, id="too long for a topic"),
        pytest.param({}, {"collapse_id": "a b"}, {}, id="no topic"),
    ],
)
def test_headers(data: Any, beside: Any, headers: dict[str, str]) -> None:
    """Priority is urgency, and the collapse id a topic where it can be one."""
    found = webpush({"k": 1, **data}, **beside)["headers"]
    assert found == {"TTL": "2419200", "Urgency": "high", **headers}


@pytest.mark.parametrize("uri", ["http://example.com", "app://x", "https://", "javascript:1", 5])
def test_a_uri_that_is_no_link(uri: Any) -> None:
    """FCM takes https only, and would refuse the message."""
    assert "fcm_options" not in webpush({"alert": "Hi", "uri": uri})


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        pytest.param("https://example.com/{{ x }}", "https://example.com/7", id="begins as one"),
        pytest.param("{{ x }}", None, id="could be anything"),
    ],
)
def test_a_uri_with_variables(uri: str, link: str | None) -> None:
    """It is a link if it begins as one whatever is filled in."""
    found = webpush({"alert": "Hi", "uri": uri}, variables={"x": "7"})
    assert link == found.get("fcm_options", {}).get("link")


def test_the_block_wins() -> None:
    """`webpush` is merged over what is made of the rest; names of header fields have no case."""
    found = webpush(
        {"alert": "Hi", "uri": "https://example.com/a"},
        webpush={
            "headers": {"ttl": "60", "urgency": "very-low", "X-Own": "1"},
            "data": {"k": "v"},
            "notification": {
                "body": "own",
                "actions": [{"action": "a"}],
                "requireInteraction": True,
            },
            "fcmOptions": {"link": "https://example.com/b", "analyticsLabel": "l"},
        },
    )
    assert found == {
        "headers": {"TTL": "60", "Urgency": "very-low", "X-Own": "1"},
        "data": {**STAMPS, "data": '{"alert":"Hi","uri":"https://example.com/a"}', "k": "v"},
        "notification": {"body": "own", "actions": [{"action": "a"}], "requireInteraction": True},
        "fcm_options": {"link": "https://example.com/b", "analytics_label": "l"},
    }


def test_its_own_ttl_ends_with_the_push() -> None:
    """No browser is shown what has expired."""
    expires_at = NOW + timedelta(minutes=1)
    found = webpush({"k": 1}, webpush={"headers": {"TTL": "3600"}}, expires_at=expires_at)
    assert found["headers"]["TTL"] == "60"


def test_payload_limit() -> None:
    """What is shown counts beside the data, with the link."""
    frame = len("".join(key + value for key, value in STAMPS.items())) + len('data{"alert":""}')
    frame += len('{"body":""}')
    half, rest = divmod(4096 - frame, 2)
    webpush({"alert": "a" * half}, webpush={"data": {"k": ""}} if rest else None)
    made = shaped(WEB, {"alert": "a" * (half + 1)})
    assert made == Refused(reason="PayloadTooLarge")


def test_a_browsers_own_subscription() -> None:
    """It is no token of FCM's."""
    made = shaped(WEB._replace(token='{"endpoint":"https://example.com"}'), {"alert": "Hi"})
    assert made == WEB_PUSH_SUBSCRIPTION
