"""The schema of a v1 message, and a reader that finds fault with a document as Google's does.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
Names may be snake_case or lowerCamelCase (proto3 JSON); what is read comes back in snake_case.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

Violations = list[tuple[str, str]]
Kind = Callable[[Any, str, Violations], Any]

DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
CAMEL_HUMP = re.compile(r"_([a-z0-9])")
FCM_TYPES = "type.googleapis.com/google.firebase.fcm.v1."


def _wrong(value: Any, path: str, *, kind: str) -> tuple[str, str]:
    shown = orjson.dumps(value).decode()
    return path, f"Invalid value at '{path}' ({kind}), {shown}"


def _scalar(kind: str, *types: type) -> Kind:
    def read(value: Any, path: str, violations: Violations) -> Any:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            violations.append(_wrong(value, path, kind=kind))
        return value

    return read


def _enum(name: str, *values: str) -> Kind:
    """FCM takes enums in any case (its own samples say "high"), and numbers."""
    known = set(values)

    def read(value: Any, path: str, violations: Violations) -> Any:
        if isinstance(value, str) and value.upper() in known:
            return value.upper()
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(values):
            return values[value]
        violations.append(_wrong(value, path, kind=FCM_TYPES + name))
        return value

    return read


def duration(value: Any, path: str, violations: Violations) -> Any:
    """Seconds with an `s` behind them."""
    if not isinstance(value, str) or not DURATION.fullmatch(value):
        violations.append(_wrong(value, path, kind="type.googleapis.com/google.protobuf.Duration"))
    return value


def struct(value: Any, path: str, violations: Violations) -> Any:
    """Any JSON object."""
    if not isinstance(value, dict):
        violations.append(_wrong(value, path, kind="type.googleapis.com/google.protobuf.Struct"))
    return value


def string_map(value: Any, path: str, violations: Violations) -> Any:
    """Strings only: the rule that senders break most."""
    if not isinstance(value, dict):
        violations.append(_wrong(value, path, kind="MAP"))
        return {}
    for position, item in enumerate(value.values()):
        STRING(item, f"{path}[{position}].value", violations)
    return value


def _list_of(kind: Kind) -> Kind:
    def read(value: Any, path: str, violations: Violations) -> Any:
        if not isinstance(value, list):
            violations.append(_wrong(value, path, kind="LIST"))
            return []
        return [kind(item, f"{path}[{place}]", violations) for place, item in enumerate(value)]

    return read


@dataclass(frozen=True, slots=True)
class Record:
    """A message: its fields by both of their names."""

    fields: Mapping[str, tuple[str, Kind]]

    def __call__(self, value: Any, path: str, violations: Violations) -> Any:
        """Read an object; unknown names are violations, as are repeated ones."""
        if not isinstance(value, dict):
            violations.append(_wrong(value, path, kind="MESSAGE"))
            return {}
        read: dict[str, Any] = {}
        for given, item in value.items():
            name, kind = self.fields.get(given, (None, None))
            if name is None or kind is None:
                where = f" at '{path}'" if path else ""
                sentence = f'Unknown name "{given}"{where}: Cannot find field.'
                violations.append((path, f"Invalid JSON payload received. {sentence}"))
            elif item is not None:
                read[name] = kind(item, f"{path}.{name}" if path else name, violations)
        return read


def _record(**fields: Kind) -> Record:
    both = {name: (name, kind) for name, kind in fields.items()}
    camel = {CAMEL_HUMP.sub(lambda hump: hump[1].upper(), name): both[name] for name in fields}
    return Record(both | camel)


STRING = _scalar("TYPE_STRING", str)
BOOL = _scalar("TYPE_BOOL", bool)
INT32 = _scalar("TYPE_INT32", int)
FLOAT = _scalar("TYPE_FLOAT", int, float)
TIMESTAMP = _scalar("type.googleapis.com/google.protobuf.Timestamp", str)
PRIORITY = _enum("AndroidMessagePriority", "NORMAL", "HIGH")
LABEL = _record(analytics_label=STRING)
COLOR = _record(red=FLOAT, green=FLOAT, blue=FLOAT, alpha=FLOAT)

ANDROID_NOTIFICATION = _record(
    title=STRING,
    body=STRING,
    icon=STRING,
    color=STRING,
    sound=STRING,
    tag=STRING,
    click_action=STRING,
    body_loc_key=STRING,
    body_loc_args=_list_of(STRING),
    title_loc_key=STRING,
    title_loc_args=_list_of(STRING),
    channel_id=STRING,
    ticker=STRING,
    sticky=BOOL,
    event_time=TIMESTAMP,
    local_only=BOOL,
    notification_priority=_enum(
        "AndroidNotification.NotificationPriority",
        "PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW",
        "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX",
    ),
    default_sound=BOOL,
    default_vibrate_timings=BOOL,
    default_light_settings=BOOL,
    vibrate_timings=_list_of(duration),
    visibility=_enum(
        "AndroidNotification.Visibility", "VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"
    ),
    notification_count=INT32,
    light_settings=_record(color=COLOR, light_on_duration=duration, light_off_duration=duration),
    image=STRING,
    proxy=_enum(
        "AndroidNotification.Proxy", "PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"
    ),
    bypass_proxy_notification=BOOL,
)  # fmt: skip

ANDROID = _record(
    collapse_key=STRING,
    priority=PRIORITY,
    ttl=duration,
    restricted_package_name=STRING,
    data=string_map,
    notification=ANDROID_NOTIFICATION,
    fcm_options=LABEL,
    direct_boot_ok=BOOL,
    bandwidth_constrained_ok=BOOL,
    restricted_satellite_ok=BOOL,
)

MESSAGE = _record(
    name=STRING,
    data=string_map,
    notification=_record(title=STRING, body=STRING, image=STRING),
    android=ANDROID,
    webpush=_record(
        headers=string_map,
        data=string_map,
        notification=struct,
        fcm_options=_record(link=STRING, analytics_label=STRING),
    ),
    apns=_record(
        headers=string_map,
        payload=struct,
        fcm_options=_record(analytics_label=STRING, image=STRING),
        live_activity_token=STRING,
    ),
    fcm_options=LABEL,
    token=STRING,
    topic=STRING,
    condition=STRING,
    fid=STRING,
)

SEND_REQUEST = _record(validate_only=BOOL, message=MESSAGE)


def read_request(document: Any) -> tuple[dict[str, Any], Violations]:
    """The document in snake_case, and all that is wrong with it."""
    violations: Violations = []
    return SEND_REQUEST(document, "", violations), violations
