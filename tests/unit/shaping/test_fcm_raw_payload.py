"""`rawPayload`: FCM's message as the caller writes it, in place of everything."""

from typing import Any

import pytest

from pushsvc.model import Device, Refused
from pushsvc.shaping.body import ContentError, check_content
from tests.unit.shaping.fcm_devices import APPLE, ON_FCM, WEB, message
from tests.unit.shaping.one_device import shaped

RAW = {
    "data": {"k": "v"},
    "notification": {"title": "T", "imageUrl": "https://example.com/i.png"},
    "android": {"ttl": 60, "notification": {"clickAction": "OPEN"}},
    "apns": {
        "headers": {"apns-priority": "5"},
        "payload": {
            "aps": {
                "alert": {"titleLocKey": "k", "titleLocArgs": ["a"], "body": "B"},
                "contentAvailable": True,
                "mutableContent": False,
                "threadId": "t",
                "sound": {"name": "s", "critical": True, "volume": 1},
                "badge": 0,
            },
            "custom": {"x": [None]},
        },
        "fcmOptions": {"imageUrl": "https://example.com/i.png"},
    },
    "webpush": {"headers": {"TTL": "1"}, "fcm_options": {"link": "https://example.com"}},
    "fcmOptions": {"analyticsLabel": "l"},
}


@pytest.mark.parametrize("device", [ON_FCM, APPLE, WEB], ids=["android", "apple", "web"])
def test_every_form(device: Device) -> None:
    """Each kind of device that FCM reaches gets it whole, in FCM v1's spelling and Apple's."""
    found = message(device, {"alert": "no"}, rawPayload=RAW, notification={"title": "no"})
    assert found == {
        "data": {"k": "v"},
        "notification": {"title": "T", "image": "https://example.com/i.png"},
        "android": {"ttl": "60s", "notification": {"click_action": "OPEN"}},
        "apns": {
            "headers": {"apns-priority": "5"},
            "payload": {
                "aps": {
                    "alert": {"title-loc-key": "k", "title-loc-args": ["a"], "body": "B"},
                    "content-available": 1,
                    "thread-id": "t",
                    "sound": {"name": "s", "critical": 1, "volume": 1},
                    "badge": 0,
                },
                "custom": {"x": [None]},
            },
            "fcm_options": {"image": "https://example.com/i.png"},
        },
        "webpush": {"headers": {"TTL": "1"}, "fcm_options": {"link": "https://example.com"}},
        "fcm_options": {"analytics_label": "l"},
    }


def test_without_data() -> None:
    """It is content of its own."""
    assert message(ON_FCM, {}, rawPayload={"data": {"k": "v"}}) == {"data": {"k": "v"}}


def test_variables() -> None:
    """Its texts are filled in; each platform's part is counted alone."""
    long = "a" * 1500
    text = {"title": "{{ x }}"}
    raw = {"android": {"notification": text}, "webpush": {"notification": text}, "data": {"k": "v"}}
    raw["apns"] = {"payload": {"aps": {"alert": text}}}
    found = message(ON_FCM, {}, rawPayload=raw, variables={"x": long})
    assert long == found["apns"]["payload"]["aps"]["alert"]["title"]

    made = shaped(ON_FCM, {}, rawPayload=raw, variables={"x": "a" * 4090})
    assert made == Refused(reason="PayloadTooLarge")


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        pytest.param("x", "/rawPayload", "must be an object", id="text"),
        pytest.param({}, "/rawPayload", "data, notification, android, apns", id="empty"),
        pytest.param({"android": None}, "/rawPayload", "must have a key", id="nothing but null"),
        pytest.param({"token": "a"}, "/rawPayload/token", "no field 'token'", id="token"),
        pytest.param({"topic": "a"}, "/rawPayload/topic", "no field 'topic'", id="topic"),
        pytest.param(
            {"data": {"n": 1}},
            "/rawPayload/data/n",
            "rawPayload.data.n must be a string",
            id="data",
        ),
        pytest.param({"data": []}, "/rawPayload/data", "object of strings", id="list"),
        pytest.param({"data": {"from": "a"}}, "/rawPayload/data/from", "keeps for", id="from"),
        pytest.param({"data": {"gcm.a": "a"}}, "/rawPayload/data/gcm.a", "keeps for", id="gcm"),
        pytest.param(
            {"apns": {"headers": {"apns-priority": 10}}},
            "/rawPayload/apns/headers/apns-priority",
            "must be a string",
            id="a number in a header",
        ),
        pytest.param(
            {"apns": {"headers": {"apns-priority": "7"}}},
            "/rawPayload/apns/headers/apns-priority",
            '"1", "5" or "10"',
            id="priority",
        ),
        pytest.param(
            {"apns": {"headers": {"Apns-Collapse-Id": "a" * 65}}},
            "/rawPayload/apns/headers/Apns-Collapse-Id",
            "64 bytes",
            id="collapse id",
        ),
        pytest.param(
            {"apns": {"headers": {"apns-push-type": "background", "Apns-Priority": "10"}}},
            "/rawPayload/apns/headers/Apns-Priority",
            "push type background",
            id="background at once",
        ),
        pytest.param(
            {"webpush": {"headers": {"TTL": "1", "ttl": "2"}}},
            "/rawPayload/webpush/headers/ttl",
            "and TTL are the same",
            id="a header twice",
        ),
        pytest.param(
            {"apns": {"payload": {"aps": {"relevance-score": 75}}}},
            "/rawPayload/apns/payload/aps/relevance-score",
            "0 to 1",
            id="score of what is no live activity",
        ),
        pytest.param(
            {"apns": {"payload": {"aps": {"badge": "Increment"}}}},
            "/rawPayload/apns/payload/aps/badge",
            "an integer",
            id="aps",
        ),
        pytest.param(
            {"apns": {"payload": {"aps": 1}}}, "/rawPayload/apns/payload/aps", "object", id="no aps"
        ),
        pytest.param({"apns": {"payload": 1}}, "/rawPayload/apns/payload", "object", id="payload"),
        pytest.param(
            {"fcmOptions": {"analyticsLabel": "a b"}},
            "/rawPayload/fcmOptions/analyticsLabel",
            "letters, digits",
            id="label",
        ),
        pytest.param(
            {"webpush": {"fcmOptions": {"link": "http://example.com"}}},
            "/rawPayload/webpush/fcmOptions/link",
            "https",
            id="link",
        ),
    ],
)
def test_flaws(raw: Any, field: str, words: str) -> None:
    """What FCM would refuse is told at submit, by its place."""
    with pytest.raises(ContentError) as caught:
        check_content({"data": {"k": 1}, "rawPayload": raw})
    assert field == caught.value.field
    assert words in caught.value.message


def test_too_large() -> None:
    """Alone and too large, it is refused at submit: nobody could be sent it."""
    raw = {"data": {"k": "a" * 4096}}
    with pytest.raises(ContentError, match="too large for every gateway"):
        check_content({"data": {}, "rawPayload": raw})
    check_content({"data": {"alert": "Hi"}, "rawPayload": raw})
