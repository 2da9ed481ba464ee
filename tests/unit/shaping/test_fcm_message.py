"""FCM's fields: what passes in either spelling, and what is told of the others."""

from typing import Any

import pytest

from pushsvc.shaping.body import ContentError, check_content


@pytest.mark.parametrize(
    "notification",
    [
        {"title": "T", "imageUrl": "https://example.com/i.png", "channelId": "c", "tag": None},
        {"priority": "high", "visibility": "public", "titleLocArgs": ["a"], "sticky": True},
        {"notification_priority": "PRIORITY_LOW", "priority": None},
        {"color": "#0a0b0C", "notificationCount": 3, "eventTime": "2026-11-22T10:00:00Z"},
        {"event_time": "2026-11-22T10:00:00.123456789+05:30", "vibrateTimingsMillis": [1]},
        {"vibrate_timings": ["0.5s", "1s"], "proxy": "DENY"},
        {
            "lightSettings": {
                "color": {"red": 1, "green": 0.5},
                "light_on_duration": "1s",
                "lightOffDurationMillis": 500,
            }
        },
    ],
)
def test_good_notification(notification: dict[str, Any]) -> None:
    """FCM's fields pass in both spellings; null is nothing."""
    check_content({"data": {"k": 1}, "notification": notification})


LIGHTS = {"color": "#000000", "light_on_duration": "1s", "light_off_duration": "1s"}


@pytest.mark.parametrize(
    ("notification", "place", "words"),
    [
        ("x", "", "notification must be an object"),
        ({"__type": {}}, "/__type", "no field '__type'; FCM's AndroidNotification tells which"),
        ({"colour": "#000000"}, "/colour", "did you mean 'color'?"),
        ({"a/b~": 1}, "/a~1b~0", "no field 'a/b~'"),
        ({"title": 1}, "/title", "notification.title must be a string"),
        ({"sticky": "true"}, "/sticky", "true or false"),
        ({"priority": "urgent"}, "/priority", "one of unspecified, min, low"),
        ({"priority": "{{ p }}"}, "/priority", "one of"),
        ({"visibility": []}, "/visibility", "private"),
        ({"proxy": {}}, "/proxy", "allow, deny"),
        ({"titleLocArgs": "a"}, "/titleLocArgs", "an array of strings"),
        ({"bodyLocArgs": ["a", 1]}, "/bodyLocArgs", "an array of strings"),
        ({"color": "red"}, "/color", "#rrggbb"),
        ({"color": "{{ c }}"}, "/color", "#rrggbb"),
        ({"notification_count": 2**31}, "/notification_count", "32 bits"),
        ({"notification_count": True}, "/notification_count", "32 bits"),
        ({"eventTime": "2026-11-22"}, "/eventTime", "with its zone"),
        ({"eventTime": "2026-13-22T10:00:00Z"}, "/eventTime", "with its zone"),
        ({"eventTime": 5}, "/eventTime", "RFC 3339"),
        ({"vibrateTimings": [0.5]}, "/vibrateTimings", "durations"),
        ({"vibrateTimings": ["{{ t }}"]}, "/vibrateTimings", "durations"),
        ({"vibrateTimingsMillis": [-1]}, "/vibrateTimingsMillis", "milliseconds"),
        ({"imageUrl": "a", "image": "b"}, "/image", "same field"),
        ({"lightSettings": {**LIGHTS, "color": {"red": 2}}}, "/lightSettings/color", "shares"),
        ({"lightSettings": {"color": "#000000"}}, "/lightSettings", "light_on_duration"),
    ],
)
def test_bad_notification(notification: Any, place: str, words: str) -> None:
    """FCM would refuse it for every device; so it is told at once."""
    with pytest.raises(ContentError) as caught:
        check_content({"data": {"k": 1}, "notification": notification})
    assert f"/notification{place}" == caught.value.field
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("beside", "field", "words"),
    [
        ({"android": 1}, "/android", "must be an object"),
        ({"android": {"to": "x"}}, "/android/to", "no field 'to'"),
        ({"android": {"ttl": "3600"}}, "/android/ttl", 'as "3600s"'),
        ({"android": {"ttl": "{{ t }}"}}, "/android/ttl", 'as "3600s"'),
        ({"android": {"ttl": -1}}, "/android/ttl", "2419200"),
        ({"android": {"ttl": "2419201s"}}, "/android/ttl", "2419200"),
        ({"android": {"ttl": True}}, "/android/ttl", "seconds"),
        ({"android": {"priority": "max"}}, "/android/priority", "one of normal, high"),
        ({"android": {"directBootOk": 1}}, "/android/directBootOk", "true or false"),
        ({"android": {"data": {"n": 1}}}, "/android/data/n", "must be a string"),
        ({"android": {"data": {"n": None}}}, "/android/data/n", "must be a string"),
        ({"android": {"data": {"message_type": ""}}}, "/android/data/message_type", "keeps for"),
        ({"android": {"data": {"push_id": "x"}}}, "/android/data/push_id", "the push itself"),
        ({"webpush": {"data": {"data": "x"}}}, "/webpush/data/data", "the push itself"),
        ({"webpush": {"headers": {"TTL": 5}}}, "/webpush/headers/TTL", "a string"),
        ({"webpush": {"headers": {"ttl": "1.5"}}}, "/webpush/headers/ttl", "seconds"),
        ({"webpush": {"headers": {"TTL": "2419201"}}}, "/webpush/headers/TTL", "2419200"),
        ({"webpush": {"headers": {"Urgency": "x"}}}, "/webpush/headers/Urgency", "very-low"),
        ({"webpush": {"headers": {"Topic": "a b"}}}, "/webpush/headers/Topic", "32 letters"),
        ({"webpush": {"headers": {"X": "a\n"}}}, "/webpush/headers/X", "control characters"),
        ({"webpush": {"notification": "x"}}, "/webpush/notification", "an object"),
        ({"webpush": {"fcmOptions": {"link": "x"}}}, "/webpush/fcmOptions/link", "https://"),
    ],
)
def test_bad_blocks(beside: dict[str, Any], field: str, words: str) -> None:
    """Each is named by its place and told what it must be."""
    with pytest.raises(ContentError) as caught:
        check_content({"data": {"k": 1}, **beside})
    assert field == caught.value.field
    assert words in caught.value.message
