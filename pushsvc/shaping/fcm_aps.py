"""An Apple payload that a caller wrote for FCM, spelled as Apple or as Firebase's senders do.

https://firebase.google.com/docs/reference/admin/node/firebase-admin.messaging.aps
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pushsvc.model import Json
from pushsvc.shaping import aps as keys
from pushsvc.shaping.fault import dotted, within
from pushsvc.shaping.fcm_kinds import Flaw

#: Firebase's name -> Apple's.
_APS: Final[Mapping[str, str]] = {
    "contentAvailable": "content-available",
    "mutableContent": "mutable-content",
    "threadId": "thread-id",
}
_ALERT: Final[Mapping[str, str]] = {
    "titleLocKey": "title-loc-key",
    "titleLocArgs": "title-loc-args",
    "subtitleLocKey": "subtitle-loc-key",
    "subtitleLocArgs": "subtitle-loc-args",
    "locKey": "loc-key",
    "locArgs": "loc-args",
    "launchImage": "launch-image",
    "actionLocKey": "action-loc-key",
}
#: With one of these it is a live activity's.
_LIVE: Final = frozenset({"event", "content-state"})
#: Written as 1, or left out: Apple knows only the 1.
_FLAGS: Final = frozenset({"content-available", "mutable-content", "critical"})


class ApplePayload:
    """The kind of an Apple payload: any object, with an `aps` that Apple would understand."""

    def flaws(self, place: str, value: Any) -> Iterator[Flaw]:
        """Yield what Apple would refuse or read over; its keys in Apple's spelling."""
        if not isinstance(value, dict):
            yield place, f"{dotted(place)} must be an object."
            return
        own, where = value.get("aps"), within(place, "aps")
        if isinstance(own, dict):
            # Of a live activity more is right, and nothing else of it says what it is.
            push_type = keys.LIVE_ACTIVITY if _LIVE & own.keys() else ""
            for found, said in keys.flaws({"aps": _written(own)}, push_type):
                yield place + found.removeprefix("/data"), said
        elif own is not None:
            yield where, f"{dotted(where)} must be an object."

    def written(self, value: Json) -> Json:
        """Return it in Apple's spelling."""
        own = value.get("aps")
        return value if own is None else {**value, "aps": _written(own)}


def _written(own: Json) -> dict[str, Any]:
    aps = _spelled(own, _APS)
    if isinstance(aps.get("alert"), dict):
        aps["alert"] = _spelled(aps["alert"], _ALERT)
    if isinstance(aps.get("sound"), dict):
        aps["sound"] = _spelled(aps["sound"], {})
    return aps


def _spelled(given: Json, names: Mapping[str, str]) -> dict[str, Any]:
    spelled = {names.get(key, key): value for key, value in given.items() if value is not None}
    return {
        key: 1 if key in _FLAGS and value is True else value
        for key, value in spelled.items()
        if key not in _FLAGS or value not in (0, False)
    }


PAYLOAD: Final = ApplePayload()
