"""The `android` block in full: its fields win over what is made of the rest."""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.shaping.fcm_devices import ON_FCM, STAMPS, message
from tests.unit.shaping.one_device import NOW


def android(data: dict[str, Any], **rest: Any) -> dict[str, Any]:
    found: dict[str, Any] = message(ON_FCM, data, **rest)["android"]
    return found


def test_every_field() -> None:
    """All of AndroidConfig, in Firebase's spelling, becomes FCM v1's."""
    found = android(
        {"alert": "Hi"},
        collapse_id="derived",
        notification={"title": "T", "body": "B"},
        android={
            "collapseKey": "own",
            "priority": "normal",
            "ttl": 3600,
            "restrictedPackageName": "com.example",
            "directBootOk": True,
            "bandwidthConstrainedOk": False,
            "restrictedSatelliteOk": True,
            "data": {"channel": "news"},
            "fcmOptions": {"analyticsLabel": "spring-1"},
            "notification": {"body": "own", "channelId": "c", "imageUrl": None},
        },
    )
    assert found == {
        "collapse_key": "own",
        "priority": "NORMAL",
        "ttl": "3600s",
        "restricted_package_name": "com.example",
        "direct_boot_ok": True,
        "bandwidth_constrained_ok": False,
        "restricted_satellite_ok": True,
        "data": {**STAMPS, "data": '{"alert":"Hi"}', "channel": "news"},
        "fcm_options": {"analytics_label": "spring-1"},
        "notification": {"title": "T", "body": "own", "channel_id": "c"},
    }


def test_every_field_of_a_notification() -> None:
    """AndroidNotification, in the names and values of Firebase's senders."""
    found = android(
        {"alert": "Hi"},
        notification={
            "icon": "i",
            "color": "#0a0b0C",
            "sound": "s",
            "tag": "t",
            "ticker": "t",
            "clickAction": "OPEN",
            "bodyLocKey": "k",
            "bodyLocArgs": ["a"],
            "sticky": True,
            "localOnly": True,
            "eventTimestamp": "2026-11-22T10:00:00Z",
            "priority": "max",
            "proxy": "if_priority_lowered",
            "visibility": "secret",
            "notificationCount": 3,
            "vibrateTimingsMillis": [0, 500, 1250.5],
            "defaultVibrateTimings": False,
            "defaultSound": True,
            "defaultLightSettings": False,
            "lightSettings": {
                "color": "#ff003380",
                "lightOnDurationMillis": 1000,
                "lightOffDurationMillis": 1,
            },
        },
    )
    assert found["notification"] == {
        "icon": "i",
        "color": "#0a0b0C",
        "sound": "s",
        "tag": "t",
        "ticker": "t",
        "click_action": "OPEN",
        "body_loc_key": "k",
        "body_loc_args": ["a"],
        "sticky": True,
        "local_only": True,
        "event_time": "2026-11-22T10:00:00Z",
        "notification_priority": "PRIORITY_MAX",
        "proxy": "IF_PRIORITY_LOWERED",
        "visibility": "SECRET",
        "notification_count": 3,
        "vibrate_timings": ["0s", "0.5s", "1.2505s"],
        "default_vibrate_timings": False,
        "default_sound": True,
        "default_light_settings": False,
        "light_settings": {
            "color": {"red": 1.0, "green": 0.0, "blue": 0.2, "alpha": 128 / 255},
            "light_on_duration": "1s",
            "light_off_duration": "0.001s",
        },
    }


def test_a_light_color_without_a_share_is_opaque() -> None:
    """`#rrggbb` has an alpha of 1, as with Firebase's senders."""
    lights = {"color": "#000000", "light_on_duration": "1s", "light_off_duration": "2s"}
    found = android({"alert": "Hi"}, android={"notification": {"lightSettings": lights}})
    color = {"red": 0.0, "green": 0.0, "blue": 0.0, "alpha": 1.0}
    assert {**lights, "color": color} == found["notification"]["light_settings"]


@pytest.mark.parametrize(
    ("own", "lifetime", "ttl"),
    [
        pytest.param(60, None, "60s", id="a number is seconds"),
        pytest.param(1.5, None, "1.5s", id="with a fraction"),
        pytest.param("3.500s", None, "3.500s", id="as FCM writes it"),
        pytest.param(0, timedelta(hours=1), "0s", id="now or never"),
        pytest.param("60s", timedelta(hours=1), "60s", id="shorter than the push lives"),
        pytest.param(7200, timedelta(hours=1), "3600s", id="longer than the push lives"),
        pytest.param(2_419_200, timedelta(days=60), "2419200s", id="four weeks"),
    ],
)
def test_ttl(own: Any, lifetime: timedelta | None, ttl: str) -> None:
    """The block's own time to live, and never past the push's own expiry."""
    expires_at = lifetime and NOW + lifetime
    assert ttl == android({"alert": "Hi"}, android={"ttl": own}, expires_at=expires_at)["ttl"]


def test_a_notification_with_variables() -> None:
    """Its texts are filled in for each device."""
    found = android(
        {"k": 1}, android={"notification": {"title": "{{ name }}"}}, variables={"name": "Zoë"}
    )
    assert found["notification"] == {"title": "Zoë"}
