"""FCM v1's message, field by field: how callers spell it, and what FCM would refuse of it.

Names and types are those of https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages,
the other names those of Firebase's own senders. FCM refuses a message with one field that it does
not know, on every device; so it is told when the push is submitted.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from pushsvc.model import Json
from pushsvc.shaping import apns, fcm_aps, limits
from pushsvc.shaping.fcm_kinds import (
    ALL_MILLISECONDS,
    DURATION,
    DURATIONS,
    FLAG,
    INTEGER,
    LIGHT_COLOR,
    MILLISECONDS,
    MOMENT,
    OBJECT,
    RGB,
    TEXT,
    TEXTS,
    TTL,
    Flaw,
    Record,
    Strings,
    Value,
    matches,
    one_of,
)

#: What Parse's SDKs read, and we write: a push's id, its time, and its `data`.
PARSE_KEYS: Final = ("push_id", "time", "data")

#: What is wrong with the value of a header field, by its name in lower case.
_Headers = Mapping[str, tuple[Callable[[str], bool], str]]

_RESERVED_KEYS: Final = frozenset({"from", "message_type"})
_RESERVED_PREFIXES: Final = ("google", "gcm")
_WHOLE: Final = re.compile(r"\d{1,12}", re.ASCII)
#: RFC 9110, section 5.1.
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Apple's form: small letters, 8-4-4-4-12.
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: RFC 8030, section 5.4.
TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
#: An address whose host is no variable: where a click leads is not for a device's fields to say.
HTTPS: Final = re.compile(r"https://[^\s/?#{}]+([/?#].*)?")
_LABEL: Final = re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}")


def _wrong_beside(key: str, text: str) -> str | None:
    if key in PARSE_KEYS:
        return "is written by the push itself; use another name"
    return _wrong_in_data(key, text)


def _wrong_in_data(key: str, _text: str) -> str | None:
    if key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
        return "has a name that FCM keeps for itself: from, message_type, google..., gcm..."
    return None


def _headers(rules: _Headers) -> Strings:
    def wrong(name: str, text: str) -> str | None:
        if not _FIELD_NAME.fullmatch(name):
            return "has a name that no header field can have"
        is_right, said = rules.get(
            name.lower(), (str.isprintable, "text without control characters")
        )
        return None if is_right(text) else f"must be {said}"

    return Strings(wrong, _clashes)


def _clashes(fields: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield header fields that do not go together; their names have no case."""
    names: dict[str, str] = {}
    for name in fields:
        if (first := names.setdefault(name.lower(), name)) != name:
            yield name, f"and {first} are the same header field"
    told = {name: fields[given] for name, given in names.items()}
    if told.get("apns-push-type") == "background" and told.get("apns-priority") == "10":
        # Apple answers BadPriority.
        yield names["apns-priority"], 'must be "5" or "1" for the push type background'


def _is_whole(most: int) -> Callable[[str], bool]:
    return lambda text: _WHOLE.fullmatch(text) is not None and int(text) <= most


_DATA: Final = Strings(_wrong_in_data)
_LABEL_FIELD: Final = Value(matches(_LABEL), "1 to 50 letters, digits and -_.~%")
_LABELS: Final = {"analytics_label": _LABEL_FIELD}
_IMAGE: Final = {"image_url": ("image", TEXT)}

_LIGHTS: Final = Record(
    "LightSettings",
    {"color": LIGHT_COLOR, "light_on_duration": DURATION, "light_off_duration": DURATION},
    {
        "light_on_duration_millis": ("light_on_duration", MILLISECONDS),
        "light_off_duration_millis": ("light_off_duration", MILLISECONDS),
    },
    required=("color", "light_on_duration", "light_off_duration"),
)
_PRIORITY: Final = one_of(
    *("UNSPECIFIED", "MIN", "LOW", "DEFAULT", "HIGH", "MAX"), prefix="PRIORITY_"
)
ANDROID_NOTIFICATION: Final = Record(
    "AndroidNotification",
    {
        **dict.fromkeys(("title", "body", "icon", "sound", "tag", "ticker", "image"), TEXT),
        **dict.fromkeys(("click_action", "channel_id", "title_loc_key", "body_loc_key"), TEXT),
        **dict.fromkeys(("title_loc_args", "body_loc_args"), TEXTS),
        **dict.fromkeys(("sticky", "local_only", "bypass_proxy_notification"), FLAG),
        **dict.fromkeys(("default_sound", "default_vibrate_timings"), FLAG),
        "default_light_settings": FLAG,
        "color": RGB,
        "event_time": MOMENT,
        "notification_count": INTEGER,
        "notification_priority": _PRIORITY,
        "visibility": one_of("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
        "proxy": one_of("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
        "vibrate_timings": DURATIONS,
        "light_settings": _LIGHTS,
    },
    {
        **_IMAGE,
        "priority": ("notification_priority", _PRIORITY),
        "event_timestamp": ("event_time", MOMENT),
        "vibrate_timings_millis": ("vibrate_timings", ALL_MILLISECONDS),
    },
)
ANDROID: Final = Record(
    "AndroidConfig",
    {
        **dict.fromkeys(("collapse_key", "restricted_package_name"), TEXT),
        **dict.fromkeys(("direct_boot_ok", "bandwidth_constrained_ok"), FLAG),
        "restricted_satellite_ok": FLAG,
        "priority": one_of("NORMAL", "HIGH"),
        "ttl": TTL,
        "data": _DATA,
        "notification": ANDROID_NOTIFICATION,
        "fcm_options": Record("AndroidFcmOptions", _LABELS),
    },
)
WEBPUSH: Final = Record(
    "WebpushConfig",
    {
        "headers": _headers(
            {
                "ttl": (
                    _is_whole(limits.FCM_TTL_SECONDS),
                    f'seconds as a string: "0" to "{limits.FCM_TTL_SECONDS}"',
                ),
                "urgency": (
                    {"very-low", "low", "normal", "high"}.__contains__,
                    "one of very-low, low, normal, high",
                ),
                "topic": (matches(TOPIC), "1 to 32 letters, digits, - and _"),
            }
        ),
        "data": _DATA,
        "notification": OBJECT,
        "fcm_options": Record(
            "WebpushFcmOptions", {**_LABELS, "link": Value(matches(HTTPS), "an https:// address")}
        ),
    },
)
_APNS: Final = Record(
    "ApnsConfig",
    {
        "headers": _headers(
            {
                "apns-priority": (apns.PRIORITIES.__contains__, '"1", "5" or "10"'),
                "apns-expiration": (_is_whole(limits.LATEST_EXPIRY), "seconds since 1970"),
                "apns-push-type": (
                    apns.PUSH_TYPES.__contains__,
                    f"one of {', '.join(apns.PUSH_TYPES)}",
                ),
                "apns-collapse-id": (apns.is_collapse_id, apns.COLLAPSE_ID),
                "apns-id": (matches(_UUID), "a UUID in small letters"),
            }
        ),
        "payload": fcm_aps.PAYLOAD,
        "live_activity_token": TEXT,
        "fcm_options": Record("ApnsFcmOptions", {**_LABELS, "image": TEXT}, _IMAGE),
    },
)
#: Those fields of a message that Parse's push adapter lets through; the target is the device.
RAW: Final = Record(
    "Message",
    {
        "data": _DATA,
        "notification": Record(
            "Notification", dict.fromkeys(("title", "body", "image"), TEXT), _IMAGE
        ),
        "android": ANDROID,
        "apns": _APNS,
        "webpush": WEBPUSH,
        "fcm_options": Record("FcmOptions", _LABELS),
    },
)


def _beside(record: Record) -> Record:
    return replace(record, fields={**record.fields, "data": Strings(_wrong_beside)})


#: Keys beside a push's `data` -> what of FCM's stands there.
_BESIDE: Final[Mapping[str, Record]] = {
    "notification": ANDROID_NOTIFICATION,
    "android": _beside(ANDROID),
    "webpush": _beside(WEBPUSH),
    "rawPayload": RAW,
}


def flaws(content: Json) -> Iterator[Flaw]:
    """Yield what FCM would refuse of the keys beside `data`, as the caller wrote them."""
    for key, record in _BESIDE.items():
        if content.get(key) is not None:
            yield from record.flaws(f"/{key}", content[key])
    if content.get("rawPayload") is not None and not written(content, "rawPayload"):
        yield "/rawPayload", f"rawPayload must have a key, of {', '.join(RAW.fields)}."


def written(content: Json, key: str) -> dict[str, Any]:
    """Return a key beside `data` as FCM v1 spells it; nothing where it is not given."""
    return _BESIDE[key].written(content.get(key) or {})
