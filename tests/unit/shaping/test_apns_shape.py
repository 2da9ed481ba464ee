"""Content becomes the notification that Apple documents, whole bodies and headers."""

from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from pushsvc.model import ApnsShape, Refused
from tests.unit.shaping.one_device import IOS, NOW, shaped

EXPIRES = NOW + timedelta(hours=1)


def shape(
    data: dict[str, Any],
    *,
    app_identifier: str | None = "com.example.app",
    badge: int | None = None,
    locale: str | None = None,
    expires_at: datetime | None = None,
    **beside: Any,
) -> ApnsShape | Refused:
    device = IOS._replace(app_identifier=app_identifier, badge=badge, locale=locale)
    made = shaped(device, data, expires_at=expires_at, **beside)
    assert isinstance(made, ApnsShape | Refused)
    return made


def accepted(data: dict[str, Any], **rest: Any) -> ApnsShape:
    made = shape(data, **rest)
    assert isinstance(made, ApnsShape)
    return made


@pytest.mark.parametrize(
    ("data", "body"),
    [
        pytest.param({"alert": "Hi"}, {"aps": {"alert": "Hi"}}, id="alert"),
        pytest.param(
            {"title": "T", "alert": "Hi"},
            {"aps": {"alert": {"title": "T", "body": "Hi"}}},
            id="title before alert",
        ),
        pytest.param(
            {"alert": "Hi", "title": "T"},
            {"aps": {"alert": {"title": "T", "body": "Hi"}}},
            id="title after alert",
        ),
        pytest.param({"title": "T"}, {"aps": {"alert": {"title": "T"}}}, id="title alone"),
        pytest.param(
            {"alert": {"loc-key": "K", "loc-args": ["a"]}, "title": "T"},
            {"aps": {"alert": {"loc-key": "K", "loc-args": ["a"], "title": "T"}}},
            id="alert object",
        ),
        pytest.param({"alert": None, "title": None, "k": 1}, {"aps": {}, "k": 1}, id="null texts"),
        pytest.param({"badge": 5}, {"aps": {"badge": 5}}, id="badge number"),
        pytest.param({"badge": 0}, {"aps": {"badge": 0}}, id="badge 0 clears"),
        pytest.param({"sound": "a.caf"}, {"aps": {"sound": "a.caf"}}, id="sound"),
        pytest.param(
            {"sound": {"critical": 1, "name": "a.caf", "volume": 0.5}},
            {"aps": {"sound": {"critical": 1, "name": "a.caf", "volume": 0.5}}},
            id="critical sound",
        ),
        pytest.param(
            {"content-available": 1, "mutable-content": True, "alert": "Hi"},
            {"aps": {"content-available": 1, "mutable-content": 1, "alert": "Hi"}},
            id="flags",
        ),
        pytest.param(
            {"content-available": 0, "mutable-content": False, "alert": "Hi"},
            {"aps": {"alert": "Hi"}},
            id="flags that are not set",
        ),
        pytest.param(
            {
                "category": "C",
                "threadId": "t",
                "interruptionLevel": "critical",
                "targetContentIdentifier": "w",
            },
            {
                "aps": {
                    "category": "C",
                    "thread-id": "t",
                    "interruption-level": "critical",
                    "target-content-id": "w",
                }
            },
            id="Parse's spelling",
        ),
        pytest.param(
            {"thread-id": "t", "interruption-level": "passive", "target-content-id": "w"},
            {"aps": {"thread-id": "t", "interruption-level": "passive", "target-content-id": "w"}},
            id="Apple's spelling",
        ),
        pytest.param(
            {"alert": "Grüße 👋", "uri": "app://x", "alert-color": "red", "a": {"b": [1, None]}},
            {
                "aps": {"alert": "Grüße 👋"},
                "uri": "app://x",
                "alert-color": "red",
                "a": {"b": [1, None]},
            },
            id="custom keys",
        ),
        pytest.param(
            {"alert": "Hi", "sound": "a", "aps": {"sound": "b", "relevance-score": 0.5}},
            {"aps": {"alert": "Hi", "sound": "b", "relevance-score": 0.5}},
            id="aps is merged and is the more particular word",
        ),
        pytest.param(
            {"aps": {"alert": {"title": "T", "subtitle": "S"}}, "alert": "Hi"},
            {"aps": {"alert": {"body": "Hi", "title": "T", "subtitle": "S"}}},
            id="alerts are merged key by key",
        ),
        pytest.param(
            {"aps": {"alert": {"body": "mine"}}, "alert": "Hi", "title": "T"},
            {"aps": {"alert": {"body": "mine", "title": "T"}}},
            id="and those of aps count",
        ),
        pytest.param(
            {"aps": {"alert": "mine"}, "title": "T"},
            {"aps": {"alert": {"body": "mine", "title": "T"}}},
            id="a short alert in aps",
        ),
        pytest.param(
            {"aps": {"alert": None}, "alert": "Hi"},
            {"aps": {"alert": "Hi"}},
            id="a null alert in aps takes nothing away",
        ),
        pytest.param(
            {"aps": {"content-available": True, "mutable-content": False, "alert": "Hi"}},
            {"aps": {"content-available": 1, "alert": "Hi"}},
            id="flags in aps",
        ),
        pytest.param(
            {"sound": {"critical": True, "name": "a.caf", "volume": 1}},
            {"aps": {"sound": {"critical": 1, "name": "a.caf", "volume": 1}}},
            id="true is Apple's 1 in a critical sound, too",
        ),
        pytest.param({"aps": {"badge": 9}, "badge": 3}, {"aps": {"badge": 9}}, id="badge in aps"),
        pytest.param(
            {"alert": "Hi", "priority": 5, "push_type": "alert", "collapse_id": "c"},
            {"aps": {"alert": "Hi"}},
            id="what steers the delivery is not sent",
        ),
    ],
)
def test_body(data: dict[str, Any], body: dict[str, Any]) -> None:
    """The payload holds `aps` as Apple has it, and custom keys beside it."""
    assert body == orjson.loads(accepted(data, badge=4).body)


@pytest.mark.parametrize(
    ("data", "badge", "aps"),
    [
        pytest.param(
            {"alert": "Hi", "badge": "increment"}, 4, {"alert": "Hi", "badge": 4}, id="spliced"
        ),
        pytest.param({"badge": "Increment"}, 4, {"badge": 4}, id="into an empty aps"),
        pytest.param(
            {"alert": "Hi", "badge": "Increment"}, None, {"alert": "Hi"}, id="no badge known"
        ),
        pytest.param(
            {"badge": {"__op": "Increment", "amount": -2}}, -1, {"badge": -1}, id="below zero"
        ),
        pytest.param(
            {"badge": "Increment", "aps": {"badge": 9}}, 4, {"badge": 9}, id="aps says it"
        ),
    ],
)
def test_increment(data: dict[str, Any], badge: int | None, aps: dict[str, Any]) -> None:
    """A counted badge is the device's own."""
    assert {"aps": aps, "k": 1} == orjson.loads(accepted({**data, "k": 1}, badge=badge).body)


@pytest.mark.parametrize(
    ("push_type", "topic"),
    [
        ("alert", "com.example.app"),
        ("background", "com.example.app"),
        ("complication", "com.example.app.complication"),
        ("controls", "com.example.app.push-type.controls"),
        ("fileprovider", "com.example.app.pushkit.fileprovider"),
        ("liveactivity", "com.example.app.push-type.liveactivity"),
        ("location", "com.example.app.location-query"),
        ("pushtotalk", "com.example.app.voip-ptt"),
        ("voip", "com.example.app.voip"),
        ("widgets", "com.example.app.push-type.widgets"),
    ],
)
def test_topic(push_type: str, topic: str) -> None:
    """The topic is the bundle id with the suffix of the push type."""
    made = accepted({"alert": "Hi"}, push_type=push_type)
    headers = dict(made.head.headers)
    assert (topic, topic.encode(), push_type.encode()) == (
        made.head.topic,
        headers[b"apns-topic"],
        headers[b"apns-push-type"],
    )


def test_headers_are_complete() -> None:
    """Type, priority, expiry in epoch seconds, collapse id and topic are in wire form."""
    made = accepted(
        {"alert": "Hi", "priority": 1}, priority="5", collapse_id="score-é", expires_at=EXPIRES
    )
    assert (made.head.push_id, made.head.topic) == (7, "com.example.app")
    assert made.head.headers == (
        (b"apns-push-type", b"alert"),
        (b"apns-priority", b"5"),
        (b"apns-expiration", b"1795345200"),
        (b"apns-collapse-id", "score-é".encode()),
        (b"apns-topic", b"com.example.app"),
    )


def test_headers_without_expiry_and_collapse_id_are_left_out() -> None:
    """0 would mean a single attempt to Apple, so no expiry is no header."""
    assert accepted({"alert": "Hi"}).head.headers == (
        (b"apns-push-type", b"alert"),
        (b"apns-priority", b"10"),
        (b"apns-topic", b"com.example.app"),
    )


@pytest.mark.parametrize(
    ("data", "push_type", "priority"),
    [
        pytest.param({"content-available": 1}, b"background", b"5", id="silent"),
        pytest.param({"aps": {"content-available": 1}}, b"background", b"5", id="silent by aps"),
        pytest.param(
            {"content-available": 1, "priority": 10}, b"background", b"5", id="10 is an error"
        ),
        pytest.param({"content-available": 1, "priority": 1}, b"background", b"1", id="1 is not"),
        pytest.param({"content-available": 1, "k": 1}, b"background", b"5", id="with custom keys"),
        pytest.param({"content-available": 1, "alert": "Hi"}, b"alert", b"10", id="alert"),
        pytest.param({"content-available": 1, "title": "Hi"}, b"alert", b"10", id="title"),
        pytest.param({"content-available": 1, "sound": "a"}, b"alert", b"10", id="sound"),
        pytest.param({"content-available": 1, "badge": 1}, b"alert", b"10", id="badge"),
        pytest.param(
            {"content-available": 1, "badge": "Increment"}, b"alert", b"10", id="counted badge"
        ),
        pytest.param(
            {"content-available": 1, "push_type": "alert"}, b"alert", b"10", id="type is given"
        ),
        pytest.param({"k": 1}, b"alert", b"10", id="custom keys alone"),
    ],
)
def test_background(data: dict[str, Any], push_type: bytes, priority: bytes) -> None:
    """A push that the user cannot notice is a background push, with the priority it may have."""
    headers = dict(accepted(data).head.headers)
    assert (push_type, priority) == (headers[b"apns-push-type"], headers[b"apns-priority"])


@pytest.mark.parametrize(
    ("app_identifier", "reason"),
    [
        pytest.param(None, "MissingTopic", id="none"),
        pytest.param("", "MissingTopic", id="empty"),
        pytest.param("com.example\r\nx: y", "BadTopic", id="no header value"),
        pytest.param("com.exämple", "BadTopic", id="no bundle id"),
        pytest.param("a" * 256, "BadTopic", id="too long"),
    ],
)
def test_topic_is_refused(app_identifier: str | None, reason: str) -> None:
    """A device without a usable bundle id is refused before it can harm a connection."""
    assert Refused(reason=reason) == shape({"alert": "Hi"}, app_identifier=app_identifier)


@pytest.mark.parametrize(
    ("push_type", "limit"), [("alert", 4096), ("background", 4096), ("voip", 5120)]
)
def test_payload_limit(push_type: str, limit: int) -> None:
    """A payload is taken up to Apple's limit and refused one byte above; bytes, not characters."""
    half = (limit - len(b'{"aps":{"alert":""}}')) // 2
    half -= len(b',"content-available":1') // 2 if push_type == "background" else 0
    # The short text in another language lets the content in.
    fits = accepted({"alert": "é" * half, "alert-fr": "b"}, push_type=push_type)
    assert limit - 1 <= len(fits.body) <= limit
    too_large = shape({"alert": "é" * (half + 1), "alert-fr": "b"}, push_type=push_type)
    assert Refused(reason="PayloadTooLarge") == too_large


def test_payload_limit_counts_the_badge() -> None:
    """A badge of many digits can be what makes a payload too large."""
    data = {"alert": "a" * (4096 - len(b'{"aps":{"alert":"","badge":99}}')), "badge": "Increment"}
    assert len(accepted(data, badge=99).body) == 4096
    assert Refused(reason="PayloadTooLarge") == shape(data, badge=100)
