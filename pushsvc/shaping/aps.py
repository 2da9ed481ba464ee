"""The keys of `aps`: how `data` spells them, and what each must be.

Apple, "Generating a remote notification" (tables 1 to 3); the spellings in camel case are those of
Parse's push adapter, and the same rule for the keys that it does not know.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pushsvc.model import Json
from pushsvc.shaping import limits
from pushsvc.shaping.values import as_integer, is_integer, is_number, is_share, is_text

#: what a value must be, and how that is said
_Kind = tuple[Callable[[Any], bool], str]


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


def _is_flag(value: Any) -> bool:
    return value in (0, 1)


def _is_moment(value: Any) -> bool:
    """Milliseconds are thousands of years ahead: Apple drops such an update without a word."""
    return is_number(value) and 0 <= value < limits.LATEST_EXPIRY


def _is_sound(value: Any) -> bool:
    """A file's name, or for a critical alert `{name, critical, volume}`."""
    if not isinstance(value, dict):
        return isinstance(value, str)
    return all(
        key not in value or is_right(value[key])
        for key, is_right in (("name", is_text), ("critical", _is_flag), ("volume", is_share))
    )


_TEXT: Final[_Kind] = (is_text, "a string")
_FLAG: Final[_Kind] = (_is_flag, "1 or 0")
_MOMENT: Final[_Kind] = (_is_moment, "a number: seconds since 1970, not milliseconds")
#: What JSON's encoders have in common.
_INT64: Final = range(-(2**63), 2**63)
_OBJECT: Final[_Kind] = (lambda value: isinstance(value, dict), "an object")
_INTERRUPTIONS: Final = ("passive", "active", "time-sensitive", "critical")
_EVENTS: Final = ("start", "update", "end")

_NOTIFICATION: Final[Mapping[str, _Kind]] = {
    "sound": (
        _is_sound,
        'a string, or an object of "name", "critical" (1 or 0) and "volume" (0 to 1)',
    ),
    "content-available": _FLAG,
    "mutable-content": _FLAG,
    "category": _TEXT,
    "thread-id": _TEXT,
    "target-content-id": _TEXT,
    "interruption-level": (
        lambda value: value in _INTERRUPTIONS,
        f"one of {', '.join(_INTERRUPTIONS)}",
    ),
    "relevance-score": (is_share, "a number from 0 to 1"),
    "filter-criteria": _TEXT,
}
#: Of live activities. In `data` they are custom keys unless the push type is that: "event" and
#: "timestamp" are names that apps have for things of their own.
_LIVE_ACTIVITY: Final[Mapping[str, _Kind]] = {
    "event": (lambda value: value in _EVENTS, f"one of {', '.join(_EVENTS)}"),
    "timestamp": _MOMENT,
    "content-state": _OBJECT,
    "stale-date": _MOMENT,
    "dismissal-date": _MOMENT,
    "attributes-type": _TEXT,
    "attributes": _OBJECT,
    # Where a started activity is updated from: a token of its own, or a channel of broadcasts.
    "input-push-token": _FLAG,
    "input-push-channel": _TEXT,
}
#: Of widgets and controls, whose extension is told by it to fetch what has changed; custom else.
_WIDGET: Final[Mapping[str, _Kind]] = {
    "content-changed": (lambda value: isinstance(value, bool), "true or false"),
}
#: The keys of `aps`.
OWN: Final[Mapping[str, _Kind]] = {
    "alert": (lambda value: isinstance(value, str | dict), "a string or an object"),
    "badge": (lambda value: is_integer(as_integer(value), _INT64), "an integer"),
    **_NOTIFICATION,
    **_LIVE_ACTIVITY,
    **_WIDGET,
}
#: Live activities are put in order by any numbers.
_OF_LIVE_ACTIVITIES: Final[Mapping[str, _Kind]] = {
    **OWN,
    "relevance-score": (is_number, "a number"),
}
#: The keys of an alert in its long form.
ALERT: Final[Mapping[str, _Kind]] = {
    **dict.fromkeys(("title", "subtitle", "body", "launch-image"), _TEXT),
    **dict.fromkeys(("title-loc-key", "subtitle-loc-key", "loc-key"), _TEXT),
    **dict.fromkeys(
        ("title-loc-args", "subtitle-loc-args", "loc-args"), (_is_texts, "an array of strings")
    ),
}
#: Where the adapter's spelling is not the key in camel case.
_SPELLED: Final[Mapping[str, str]] = {"target-content-id": "targetContentIdentifier"}
#: Written as 1, and left out where they are 0: Apple knows only the 1.
_FLAGS: Final = frozenset({"content-available", "mutable-content", "input-push-token"})

LIVE_ACTIVITY: Final = "liveactivity"
#: Push types whose payload Apple's samples have as `{"aps": {"content-changed": true}}`.
WIDGETS: Final = frozenset({"widgets", "controls"})


def _camel(key: str) -> str:
    first, *others = key.split("-")
    return _SPELLED.get(key) or first + "".join(word.capitalize() for word in others)


def _spellings(push_type: str) -> dict[str, str]:
    own = {LIVE_ACTIVITY: _LIVE_ACTIVITY, **dict.fromkeys(WIDGETS, _WIDGET)}.get(push_type, {})
    return {name: key for key in (*_NOTIFICATION, *own) for name in (_camel(key), key)}


_SPELLINGS: Final = {name: _spellings(name) for name in ("", LIVE_ACTIVITY, *WIDGETS)}


def spellings(push_type: str) -> Mapping[str, str]:
    """Return the keys of `data` that are keys of `aps`, with what they are called there."""
    return _SPELLINGS.get(push_type) or _SPELLINGS[""]


def read(data: Json, push_type: str) -> dict[str, Any]:
    """Return the keys of `aps` that stand in `data`, but for alert, badge and `aps` itself."""
    aps: dict[str, Any] = {}
    spelled = spellings(push_type)
    if spelled.keys().isdisjoint(data):
        return aps
    for name, key in spelled.items():
        value = data.get(name)
        if key in _FLAGS:
            value = 1 if value else None
        if value is not None:
            aps[key] = value
    return aps


def with_numbers(aps: Json) -> dict[str, Any]:
    """Return `aps` with Apple's integers where callers write others, and without flags of no."""
    written = {key: value for key, value in aps.items() if value or key not in _FLAGS}
    written |= dict.fromkeys(_FLAGS & written.keys(), 1)
    sound = aps.get("sound")
    if isinstance(sound, dict) and isinstance(sound.get("critical"), bool | float):
        written["sound"] = {**sound, "critical": int(sound["critical"])}
    if "badge" in aps:
        written["badge"] = as_integer(aps["badge"])
    return written


def flaws(data: Json, push_type: str) -> Iterator[tuple[str, str]]:
    """Yield what Apple would refuse or read over: the place in `data`, and a sentence."""
    kinds = _OF_LIVE_ACTIVITIES if push_type == LIVE_ACTIVITY else OWN
    spelled = spellings(push_type)
    for name, key in () if spelled.keys().isdisjoint(data) else spelled.items():
        if (value := data.get(name)) is not None:
            yield from _flaw(f"/data/{name}", value, kinds[key])
    own = data.get("aps") or {}
    yield from _flaws_within("/data/aps", own, kinds)
    for place, alert in [("/data/aps/alert", own.get("alert")), *_alerts(data)]:
        if isinstance(alert, dict):
            yield from _flaws_within(place, alert, ALERT)


def _flaws_within(
    place: str, values: Json, kinds: Mapping[str, _Kind]
) -> Iterator[tuple[str, str]]:
    for key, kind in kinds.items() if values else ():
        if (value := values.get(key)) is not None:
            yield from _flaw(f"{place}/{key}", value, kind)


def _alerts(data: Json) -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if key == "alert" or key.startswith("alert-"):
            yield f"/data/{key}", value


def _flaw(place: str, value: Any, kind: _Kind) -> Iterator[tuple[str, str]]:
    is_right, said = kind
    if not is_right(value):
        name = place.removeprefix("/data/").replace("/", ".")
        yield place, f"{name} must be {said}."
