"""The demo's installations: phones and PCs around the world, some with a token that is faulty."""

import base64
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

#: The channel that everyone is in, and the demo's push goes to.
EVERYONE: Final = "everyone"
CHANNELS: Final = ("news", "sports", "weather", "music", "offers")
ZONES: Final = (
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/Berlin",
    "Africa/Lagos",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Sydney",
)
LOCALES: Final = ("en-US", "en-GB", "pt-BR", "de-DE", "fr-FR", "hi-IN", "ja-JP")
VERSIONS: Final = ("3.9.2", "4.0.0", "4.1.0", "4.1.1")
BUNDLE_ID: Final = "com.example.app"

#: Of a thousand devices, how many are of each type.
TYPES: Final[Mapping[str, int]] = {"ios": 550, "android": 400, "winrt": 50}
FAULTY_SHARE: Final = 0.05

#: What the simulators read in a token, by type. Faults that take long to come to an end are not
#: here, nor those that speak of the sender as a whole: a demo is watched. APNs: the last eight
#: digits, fa17CCPP; the others: ~name-PP.
FAULTS: Final[Mapping[str, Sequence[str]]] = {
    "ios": (
        "fa170100",  # 410 Unregistered
        "fa170400",  # 400 BadDeviceToken
        "fa170500",  # 400 DeviceTokenNotForTopic
        "fa170d01",  # 429 TooManyRequests, once
        "fa170e01",  # 500 InternalServerError, once
        "fa170e02",  # the same, twice
        "fa172001",  # RST_STREAM REFUSED_STREAM, once
    ),
    "android": (
        "~unregistered",  # 404 UNREGISTERED
        "~sender_mismatch",  # 403 SENDER_ID_MISMATCH
        "~invalid_arg",  # 400 INVALID_ARGUMENT
        "~quota_device-01",  # 429 QUOTA_EXCEEDED of the device, Retry-After: 1
    ),
    "winrt": (
        "~gone",  # 410
        "~dropped",  # 200, X-WNS-Status: dropped
        "~channelthrottled",  # 200, X-WNS-Status: channelthrottled
    ),
}
#: What APNs has surely not processed is sent again at once, within one attempt.
REFUSED_ONCE: Final = "fa172001"
MARKER: Final = "fa17"


def devices(count: int, *, seed: int) -> Iterator[dict[str, Any]]:
    """Yield installations as a device would send them, always the same ones for a seed."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, guards nothing
    for _ in range(count):
        yield _device(chance)


def extra_sends(token: str) -> int:
    """Return how often the gateway sees a message more than there are attempts."""
    return int(token.endswith(REFUSED_ONCE))


def _device(chance: random.Random) -> dict[str, Any]:
    device_type = chance.choices(tuple(TYPES), weights=tuple(TYPES.values()))[0]
    faulty = chance.random() < FAULTY_SHARE
    fault = chance.choice(FAULTS[device_type]) if faulty else ""
    return {
        "installationId": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "deviceType": device_type,
        **_address(chance, device_type, fault),
        "channels": [EVERYONE, *chance.sample(CHANNELS, k=chance.randrange(3))],
        "timeZone": chance.choice(ZONES),
        "localeIdentifier": chance.choice(LOCALES),
        "appVersion": chance.choice(VERSIONS),
        "appIdentifier": BUNDLE_ID,
        "badge": chance.randrange(5),
        "premium": chance.random() < 0.2,  # noqa: PLR2004 - a share that matters to nothing
    }


def _address(chance: random.Random, device_type: str, fault: str) -> dict[str, Any]:
    if device_type == "ios":
        digits = chance.randbytes(32).hex()
        # By chance a token may ask for a fault; this one must not.
        sound = digits[:-8] + digits[-8:].replace(MARKER, "0000")
        return {"deviceToken": digits[:-8] + fault if fault else sound}
    if device_type == "android":
        return {"deviceToken": f"{_letters(chance, 16)}:APA91b{_letters(chance, 99)}{fault}"}
    uri = f"https://db5.notify.windows.com/?token=AwYAAAB{_letters(chance, 60)}{fault}"
    return {"channelUris": {"_Default": uri}}


def _letters(chance: random.Random, size: int) -> str:
    return base64.urlsafe_b64encode(chance.randbytes(size)).decode().rstrip("=")
