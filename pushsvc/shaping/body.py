"""One push's content in the shape of each gateway, for each device at the price of a look-up."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Generic, TypeVar

import orjson

from pushsvc.model import GatewayName, Json, Refused, Shape
from pushsvc.shaping import apns, fcm, limits, wns
from pushsvc.shaping.badge import badge_change
from pushsvc.shaping.check import check_content
from pushsvc.shaping.content import Choice, Content, ContentError, Envelope

__all__ = [
    "ContentError",
    "ShapeOf",
    "Shaper",
    "badge_change",
    "check_content",
    "gateway_of",
    "push_hash",
]

#: Parse's device types, those of its SDKs of today included -> the gateway that reaches them.
_GATEWAYS: Final[Mapping[str, GatewayName]] = {
    "ios": GatewayName.APNS,
    "macos": GatewayName.APNS,
    "osx": GatewayName.APNS,
    "tvos": GatewayName.APNS,
    "watchos": GatewayName.APNS,
    "android": GatewayName.FCM,
    "fcm": GatewayName.FCM,
    "dotnet": GatewayName.WNS,
    "winphone": GatewayName.WNS,
    "winrt": GatewayName.WNS,
}

#: (app identifier, locale, badge) of a device -> its shape
ShapeOf = Callable[[str | None, str | None, int | None], Shape | Refused]

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


def gateway_of(device_type: str) -> GatewayName | None:
    """Return the gateway that reaches devices of this type; None when there is none."""
    return _GATEWAYS.get(device_type)


def push_hash(content: Json) -> str:
    """Return Parse's pushHash: MD5 of the alert's text, of the JSON of an object or null.

    Without an alert, and where it is neither, it is that of nothing (Parse Server's rule).
    """
    alert = content["data"].get("alert", "")
    if isinstance(alert, str):
        text = alert.encode()
    else:
        text = orjson.dumps(alert) if alert is None or isinstance(alert, dict | list) else b""
    return hashlib.md5(text, usedforsecurity=False).hexdigest()


class _Memo(dict[KeyT, ValueT], Generic[KeyT, ValueT]):
    """What was made for each key. Full, it forgets everything: all of it is cheap to make again."""

    def __init__(self, make: Callable[[KeyT], ValueT], limit: int) -> None:
        super().__init__()
        self._make = make
        self._limit = limit

    def __missing__(self, key: KeyT) -> ValueT:
        if len(self) >= self._limit:
            self.clear()
        made = self[key] = self._make(key)
        return made


class Shaper:
    """The shapes of one push, each made once for all devices that share it.

    Devices share a shape when they share gateway, app, texts and badge. A device's locale is
    mapped to the texts that the content has before it is a key, so locales that make no
    difference cost no memory; a badge is spliced into a body that is otherwise finished.

    The time to live of FCM and WNS is counted from `now`: make a new Shaper for each batch.
    Content must have passed `check_content`.
    """

    def __init__(
        self,
        content: Json,
        *,
        push_id: int,
        push_object_id: str,
        created_at: datetime,
        expires_at: datetime | None,
        now: datetime,
    ) -> None:
        self._content = Content.of(content)
        self._envelope = Envelope(
            push_id=push_id,
            push_object_id=push_object_id,
            created_at=created_at,
            expires_at=expires_at,
            now=now,
        )
        self._choices: _Memo[str | None, Choice] = _Memo(self._content.choose, limits.KEPT_LOCALES)
        self._shapes: dict[GatewayName, ShapeOf] = {
            GatewayName.APNS: self._apns(),
            GatewayName.FCM: self._fcm(),
            GatewayName.WNS: self._wns(),
        }

    def shape(
        self,
        gateway: GatewayName,
        *,
        app_identifier: str | None,
        locale: str | None,
        badge: int | None,
    ) -> Shape | Refused:
        """Return what to send to a device; `badge` is its own, after the push's increment.

        The badge is only looked at where the content says "Increment".
        """
        return self._shapes[gateway](app_identifier, locale, badge)

    def on(self, gateway: GatewayName) -> ShapeOf:
        """Return `shape` for one gateway, for loops over many devices."""
        return self._shapes[gateway]

    def _apns(self) -> ShapeOf:
        choices = self._choices
        templates = _Memo(self._apns_template, limits.KEPT_TEMPLATES)

        def finish(key: tuple[str | None, Choice, int | None]) -> Shape | Refused:
            app_identifier, choice, badge = key
            template = templates[choice]
            if isinstance(template, Refused):
                return template
            return apns.finish(template, app_identifier, badge)

        finished = _Memo(finish, limits.KEPT_SHAPES)
        if _counts_badges(self._content):
            return lambda app, locale, badge: finished[app, choices[locale], badge]
        return lambda app, locale, _badge: finished[app, choices[locale], None]

    def _apns_template(self, choice: Choice) -> apns.Template | Refused:
        return apns.template(self._content, choice, self._envelope)

    def _fcm(self) -> ShapeOf:
        choices = self._choices
        finished = _Memo(self._fcm_shape, limits.KEPT_TEMPLATES)
        return lambda _app, locale, _badge: finished[choices[locale]]

    def _fcm_shape(self, choice: Choice) -> Shape | Refused:
        return fcm.shape(self._content, choice, self._envelope)

    def _wns(self) -> ShapeOf:
        choices = self._choices
        templates = _Memo(self._wns_template, limits.KEPT_TEMPLATES)

        def finish(key: tuple[Choice, int | None]) -> Shape | Refused:
            choice, badge = key
            return wns.finish(templates[choice], badge)

        finished = _Memo(finish, limits.KEPT_SHAPES)
        if _counts_badges(self._content):
            return lambda _app, locale, badge: finished[choices[locale], badge]
        return lambda _app, locale, _badge: finished[choices[locale], None]

    def _wns_template(self, choice: Choice) -> wns.Template:
        return wns.template(self._content, choice, self._envelope)


def _counts_badges(content: Content) -> bool:
    change = badge_change(content.beside)
    return change is not None and change.increment is not None
