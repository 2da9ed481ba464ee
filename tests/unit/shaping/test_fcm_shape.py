"""Content becomes the data message that Parse's Android SDK expects, in FCM v1's spelling."""

from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from pushsvc.model import FcmShape, Refused
from pushsvc.shaping.body import check_content
from tests.unit.shaping.one_device import ANDROID, NOW, shaper_of


def shape(
    data: dict[str, Any],
    *,
    locale: str | None = None,
    expires_at: datetime | None = None,
    created_at: datetime = NOW,
    **beside: Any,
) -> FcmShape | Refused:
    content = {"data": data, **beside}
    check_content(content)
    shaper = shaper_of(content, expires_at, created_at=created_at)
    made = shaper.shape(ANDROID._replace(locale=locale, badge=3))
    assert isinstance(made, FcmShape | Refused)
    return made


def message(data: dict[str, Any], **rest: Any) -> dict[str, Any]:
    made = shape(data, **rest)
    assert isinstance(made, FcmShape)
    body = orjson.loads(made.head + b'"the-token"' + made.tail)
    assert {"message"} == body.keys()
    found: dict[str, Any] = body["message"]
    assert found.pop("token") == "the-token"
    return found


def test_message() -> None:
    """The whole message: id, time and content as strings, high priority, expiry, collapse key."""
    expected = {
        "android": {
            "priority": "HIGH",
            "ttl": "3600s",
            "collapse_key": "score",
            "data": {
                "push_id": "abcdefghij",
                "time": "2026-11-22T10:00:00.000Z",
                "data": (
                    '{"alert":"Grüße","title":"T","uri":"app://x","sound":"s","k":{"b":[1,null]}}'
                ),
            },
        },
    }
    found = message(
        {
            "alert": "Grüße",
            "title": "T",
            "badge": "Increment",
            "content-available": 1,
            "mutable-content": 1,
            "priority": 5,
            "expiration_time": 1,
            "uri": "app://x",
            "sound": "s",
            "k": {"b": [1, None]},
        },
        collapse_id="score",
        expires_at=NOW + timedelta(hours=1),
    )
    assert expected == found


def test_message_without_options() -> None:
    """No expiry is no ttl (FCM's own is four weeks), no collapse id no collapse key."""
    assert message({"alert": "Hi"})["android"].keys() == {"priority", "data"}


@pytest.mark.parametrize(
    ("lifetime", "ttl"),
    [
        pytest.param(timedelta(seconds=1.9), "1s", id="whole seconds"),
        pytest.param(timedelta(seconds=-5), "0s", id="now or never"),
        pytest.param(timedelta(days=60), "2419200s", id="four weeks at most"),
    ],
)
def test_ttl(lifetime: timedelta, ttl: str) -> None:
    """The time to live is seconds from now, within FCM's bounds."""
    assert ttl == message({"alert": "Hi"}, expires_at=NOW + lifetime)["android"]["ttl"]


def test_time_is_utc() -> None:
    """The time of the push is given as JavaScript writes it, in UTC and with milliseconds."""
    created_at = datetime(2026, 11, 22, 12, 30, 1, 999_999, tzinfo=timezone(timedelta(hours=2)))
    found = message({"alert": "Hi"}, created_at=created_at)
    assert found["android"]["data"]["time"] == "2026-11-22T10:30:01.999Z"


def test_notification() -> None:
    """A `notification` beside `data` becomes FCM's, spelled as v1 has it."""
    found = message(
        {"alert": "Hi"},
        notification={
            "title": "T",
            "imageUrl": "https://example.com/i.png",
            "clickAction": "OPEN",
            "channelId": "news",
            "priority": "high",
            "visibility": "public",
            "titleLocKey": "k",
            "titleLocArgs": ["a"],
            "bodyLocKey": "k",
            "bodyLocArgs": ["a"],
        },
    )
    assert found["android"]["notification"] == {
        "title": "T",
        "image": "https://example.com/i.png",
        "click_action": "OPEN",
        "channel_id": "news",
        "notification_priority": "PRIORITY_HIGH",
        "visibility": "PUBLIC",
        "title_loc_key": "k",
        "title_loc_args": ["a"],
        "body_loc_key": "k",
        "body_loc_args": ["a"],
    }


def test_payload_limit() -> None:
    """Keys and values up to 4096 bytes are taken, one more is refused."""
    frame = len('push_idabcdefghijtime2026-11-22T10:00:00.000Zdata{"alert":""}')
    message({"alert": "a" * (4096 - frame)})
    assert Refused(reason="PayloadTooLarge") == shape({"alert": "a" * (4097 - frame)})


def test_payload_limit_counts_the_notification() -> None:
    """A notification is payload as well."""
    frame = len('push_idabcdefghijtime2026-11-22T10:00:00.000Zdata{"alert":""}')
    notification = {"title": "T"}
    room = 4096 - frame - len('{"title":"T"}')
    message({"alert": "a" * room}, notification=notification)
    too_large = shape({"alert": "a" * (room + 1)}, notification=notification)
    assert Refused(reason="PayloadTooLarge") == too_large
