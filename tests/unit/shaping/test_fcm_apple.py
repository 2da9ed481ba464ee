"""Apple devices through FCM get Apple's own form within FCM's."""

from datetime import timedelta

from pushsvc.model import Refused
from tests.unit.shaping.fcm_devices import APPLE, message
from tests.unit.shaping.one_device import IOS, NOW, shaped


def test_message() -> None:
    """The whole message: headers as strings, no topic, `aps`, and custom keys beside it."""
    found = message(
        APPLE,
        {
            "title": "T",
            "alert": "Grüße",
            "badge": "Increment",
            "sound": {"name": "s", "critical": 1, "volume": 0.5},
            "threadId": "t",
            "k": {"b": [1, None]},
        },
        priority=5,
        collapse_id="score",
        expires_at=NOW + timedelta(hours=1),
    )
    assert found == {
        "apns": {
            "headers": {
                "apns-push-type": "alert",
                "apns-priority": "5",
                "apns-expiration": str(int(NOW.timestamp()) + 3600),
                "apns-collapse-id": "score",
            },
            "payload": {
                "aps": {
                    "alert": {"title": "T", "body": "Grüße"},
                    "badge": 3,
                    "sound": {"name": "s", "critical": 1, "volume": 0.5},
                    "thread-id": "t",
                },
                "k": {"b": [1, None]},
            },
        }
    }


def test_a_silent_push() -> None:
    """It is a background notification, which Apple takes with priority 5 only."""
    assert message(APPLE, {"content-available": 1, "k": 1})["apns"] == {
        "headers": {"apns-push-type": "background", "apns-priority": "5"},
        "payload": {"aps": {"content-available": 1}, "k": 1},
    }


def test_a_device_whose_badge_is_not_known() -> None:
    """It gets the rest."""
    found = message(APPLE._replace(badge=None), {"alert": "Hi", "badge": "Increment"})
    assert found["apns"]["payload"] == {"aps": {"alert": "Hi"}}


def test_push_type_fcm() -> None:
    """An Apple device whose push type is FCM's gets this form whatever its token looks like."""
    device = IOS._replace(push_type="fcm", token="the:token")
    assert message(device, {"alert": "Hi"}).keys() == {"apns"}


def test_what_is_androids_and_browsers_is_left_out() -> None:
    """So are `notification`, `android` and `webpush`."""
    found = message(
        APPLE,
        {"alert": "Hi"},
        notification={"title": "T"},
        android={"ttl": 1},
        webpush={"data": {"a": "b"}},
    )
    assert found.keys() == {"apns"}
    assert found["apns"]["payload"] == {"aps": {"alert": "Hi"}}


def test_payload_limit() -> None:
    """Apple's payload, as JSON, has 4096 bytes; the badge is counted."""
    room = 4096 - len('{"aps":{"alert":"","badge":3}}')
    message(APPLE, {"alert": "a" * room, "badge": "Increment"})
    made = shaped(APPLE, {"alert": "a" * (room + 1), "badge": "Increment"})
    assert made == Refused(reason="PayloadTooLarge")
