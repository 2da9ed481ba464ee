"""Installations of a Parse Server, and what is to come of a push to each."""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.acceptance.parse_server import Counts
from tests.integration.pushing import apns_token, fcm_token, wns_channel

APPLE: Final = ("ios", "macos", "osx", "tvos", "watchos")
GATEWAYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(APPLE, "apns"),
    **dict.fromkeys(("android", "web"), "fcm"),
    **dict.fromkeys(("winrt", "winphone"), "wns"),
}
#: What a browser's PushManager gives, which no gateway of the service takes.
SUBSCRIPTION: Final = {"endpoint": "https://push.example/1", "keys": {"p256dh": "B", "auth": "a"}}

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Device:
    """An installation, and its fate."""

    device_type: str
    token: str
    #: whether its gateway takes the message
    sent: bool = True
    #: whether its gateway says, of this registration, that the app is gone
    dead: bool = False
    #: where it is not its type
    counted_as: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    installation_id: str = field(default_factory=lambda: f"device-{next(_numbers)}")

    @property
    def address(self) -> str:
        """What the gateway knows it by."""
        uris: Mapping[str, str] = self.fields.get("channelUris") or {"_Default": self.token}
        return uris["_Default"]

    def row(self, topic: str, channel: str) -> dict[str, Any]:
        """What its app would save."""
        return {
            "installationId": self.installation_id,
            "deviceType": self.device_type,
            "deviceToken": self.token,
            "channels": [channel],
            "timeZone": "Europe/Berlin",
            "localeIdentifier": "en-US",
            **({"appIdentifier": topic} if self.device_type in APPLE else {}),
            **self.fields,
        }


def some(count: int, *, fault: str = "00000000") -> list[Device]:
    """Return so many iPhones."""
    sent = fault == "00000000"
    return [Device(device_type="ios", token=apns_token(fault), sent=sent) for _ in range(count)]


def all_kinds() -> list[Device]:
    """Return one of each type and fate, and more that differ in what they are sent."""
    return [*_apple(), *_others(), *_without_a_gateway()]


def _apple() -> list[Device]:
    return [
        Device(device_type="ios", token=apns_token(), fields={"badge": 4}),
        Device(
            device_type="ios",
            token=apns_token(),
            fields={"badge": 4, "localeIdentifier": "fr-CA"},
        ),
        Device(device_type="ios", token=apns_token(), fields={"localeIdentifier": "fr-FR"}),
        *(Device(device_type=name, token=apns_token()) for name in APPLE[1:]),
        # Unregistered, now; and ten years ago, before it registered here.
        Device(device_type="ios", token=apns_token("fa170100"), sent=False, dead=True),
        Device(device_type="ios", token=apns_token("fa170300"), sent=False),
        Device(device_type="ios", token=apns_token("fa170400"), sent=False),
    ]


def _others() -> list[Device]:
    droid = {"pushType": "gcm", "badge": 4}
    return [
        Device(device_type="android", token=fcm_token(), fields=droid),
        Device(
            device_type="android", token=fcm_token(), fields=droid | {"localeIdentifier": "de-DE"}
        ),
        Device(device_type="android", token=fcm_token("~unregistered"), sent=False, dead=True),
        Device(device_type="android", token=fcm_token("~sender_mismatch"), sent=False),
        Device(device_type="web", token=fcm_token()),
        _windows("winrt"),
        _windows("winphone"),
        Device(device_type="winrt", token=wns_channel("~gone"), sent=False, dead=True),
        # Its channel is gone; that says nothing of the token, which is not what was sent to.
        _windows("winrt", fault="~gone", sent=False),
    ]


def _windows(device_type: str, *, fault: str = "", sent: bool = True) -> Device:
    channel = {"_Default": wns_channel(fault)}
    token = f"windows-{next(_numbers)}"
    return Device(
        device_type=device_type,
        token=token,
        sent=sent,
        fields={"channelUris": channel, "localeIdentifier": "ja-JP"},
    )


def _without_a_gateway() -> list[Device]:
    return [
        Device(device_type="web", token=json.dumps(SUBSCRIPTION), sent=False),
        Device(device_type="expo", token="ExponentPushToken[a]", sent=False),
        Device(
            device_type="ios",
            token="ExponentPushToken[b]",
            sent=False,
            fields={"pushType": "expo"},
        ),
        Device(device_type="toaster", token="crumbs", sent=False),
        # As keys of its counts they would end Parse Server.
        Device(device_type="constructor", token="a", sent=False, counted_as="other"),
        Device(device_type="9", token="b", sent=False, counted_as="other"),
    ]


def expected(devices: Iterable[Device]) -> Counts:
    """What a `_PushStatus` must say of them."""
    found = Counts(sent=Counter(), failed=Counter())
    for device in devices:
        (found.sent if device.sent else found.failed)[device.counted_as or device.device_type] += 1
    return found
