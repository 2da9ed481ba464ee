"""FCM's `AndroidNotification`, made of Parse's `notification`, and what FCM would refuse of it.

The names and types are those of Firebase's reference of `projects.messages`. FCM refuses a message
with one field that it does not know, on every device; so it is told when the push is submitted.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from pushsvc.model import Json

_HUMP: Final = re.compile(r"(?<=[a-z0-9])[A-Z]")
_DURATION: Final = re.compile(r"\d{1,9}(\.\d{1,9})?s")
_RGB: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_INT32: Final = range(-(2**31), 2**31)


def _upper(value: Any) -> str:
    return str(value).upper()


#: Names that Firebase's own senders have -> name in FCM v1, and how the value is written there.
#: The others differ in the spelling only: channelId is channel_id.
_RENAMED: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "image_url": ("image", lambda value: value),
    "priority": ("notification_priority", lambda value: f"PRIORITY_{_upper(value)}"),
    "visibility": ("visibility", _upper),
}


def notification(given: Json) -> dict[str, Any]:
    """Return the notification as FCM v1 spells it."""
    spelled = {}
    for key, value in given.items():
        name = _HUMP.sub(lambda hump: f"_{hump[0].lower()}", key)
        name, write = _RENAMED.get(name, (name, lambda value: value))
        spelled[name] = write(value)
    return spelled


def flaw(given: Json) -> str | None:
    """Return what FCM would refuse of a notification, as a sentence; None if it takes it."""
    for name, value in notification(given).items():
        is_right, kind = _FIELDS.get(name, (None, ""))
        if is_right is None:
            return (
                f"notification has no field {name[:100]!r}; FCM's AndroidNotification tells which."
            )
        if value is not None and not is_right(value):
            return f"notification.{name} is {kind}."
    return None


# ---------------------------------------------------------------- kinds of values

_Kind = tuple[Callable[[Any], bool], str]


def _is_moment(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in _INT32


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _each(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_right, value))


def _one_of(*names: str, prefix: str = "") -> _Kind:
    known = [f"{prefix}{name}" for name in names]
    return known.__contains__, f"one of {', '.join(name.lower() for name in names)}"


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_lights(value: Any) -> bool:
    """Tell whether these are FCM's LightSettings: a color of shares, and two durations."""
    if not isinstance(value, dict) or value.keys() != _LIGHTS:
        return False
    color, *durations = (value[name] for name in sorted(_LIGHTS))
    is_color = isinstance(color, dict) and color.keys() <= _SHARES
    return is_color and all(map(_is_share, color.values())) and all(map(_is_duration, durations))


_LIGHTS: Final = frozenset({"color", "light_on_duration", "light_off_duration"})
_SHARES: Final = frozenset({"red", "green", "blue", "alpha"})
_is_duration: Final = _matches(_DURATION)

_TEXT: Final[_Kind] = (lambda value: isinstance(value, str), "a string")
_TEXTS: Final[_Kind] = (_each(_TEXT[0]), "an array of strings")
_FLAG: Final[_Kind] = (lambda value: isinstance(value, bool), "true or false")
_FIELDS: Final[Mapping[str, _Kind]] = {
    **dict.fromkeys(("title", "body", "icon", "sound", "tag", "ticker", "image"), _TEXT),
    **dict.fromkeys(("click_action", "channel_id", "title_loc_key", "body_loc_key"), _TEXT),
    **dict.fromkeys(("title_loc_args", "body_loc_args"), _TEXTS),
    **dict.fromkeys(("sticky", "local_only", "bypass_proxy_notification"), _FLAG),
    **dict.fromkeys(("default_sound", "default_vibrate_timings"), _FLAG),
    "default_light_settings": _FLAG,
    "color": (_matches(_RGB), "a color, as #rrggbb"),
    "event_time": (_is_moment, "a time in RFC 3339, with its zone"),
    "notification_count": (_is_integer, "a whole number of 32 bits"),
    "notification_priority": _one_of("MIN", "LOW", "DEFAULT", "HIGH", "MAX", prefix="PRIORITY_"),
    "visibility": _one_of("PRIVATE", "PUBLIC", "SECRET"),
    "proxy": _one_of("ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
    "vibrate_timings": (_each(_is_duration), 'an array of durations, as "0.5s"'),
    "light_settings": (_is_lights, "color, light_on_duration and light_off_duration"),
}
