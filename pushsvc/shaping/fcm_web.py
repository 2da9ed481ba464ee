"""Messages for browsers that are reached through FCM.

`data` is what Android devices get; where there is text, the browser shows it by itself. What the
caller writes in `webpush` wins over what is made of the rest. Header fields: RFC 8030, section 5.
"""

from collections.abc import Mapping
from typing import Any, Final

from pushsvc.model import Json
from pushsvc.shaping import limits
from pushsvc.shaping.content import Content, Envelope
from pushsvc.shaping.fcm import parse_data, present
from pushsvc.shaping.fcm_message import HTTPS, TOPIC, written

#: Apple's priority -> how urgent: whether a browser may be woken for it.
_URGENCY: Final[Mapping[str, str]] = {"10": "high", "5": "normal", "1": "low"}
#: Keys of `data` that a browser shows, where they are addresses; Android's icons are names.
_SHOWN: Final = ("icon", "image")


def message(content: Content, envelope: Envelope) -> Json:
    """Return the message in the texts of this content, but for its token."""
    own = written(content.beside, "webpush")
    shown = {**_notification(content), **own.get("notification", {})}
    options = {**_options(content), **own.get("fcm_options", {})}
    webpush: dict[str, Any] = {
        "headers": _headers(content, envelope, own.get("headers", {})),
        "data": {**parse_data(content, envelope), **own.get("data", {})},
        "notification": shown or None,
        "fcm_options": options or None,
    }
    return {"webpush": present(webpush)}


def _headers(content: Content, envelope: Envelope, given: Mapping[str, str]) -> dict[str, str]:
    # Names of header fields have no case.
    own = {_NAMES.get(name.lower(), name): value for name, value in given.items()}
    kept = int(own.pop("TTL", limits.FCM_TTL_SECONDS))
    left = envelope.ttl_seconds
    topic = content.option("collapse_id")
    return {
        "TTL": str(kept if left is None else min(kept, left)),
        "Urgency": _URGENCY[str(content.option("priority") or 10)],
        **({"Topic": topic} if topic and TOPIC.fullmatch(topic) else {}),
        **own,
    }


_NAMES: Final = {name.lower(): name for name in ("TTL", "Urgency", "Topic")}


def _notification(content: Content) -> dict[str, Any]:
    """Return what the browser shows; nothing where there is no text."""
    data = content.data
    alert = data.get("alert")
    parts: Json = alert if isinstance(alert, dict) else {"body": alert}
    texts = {"title": data.get("title") or parts.get("title"), "body": parts.get("body")}
    shown = {name: text for name, text in texts.items() if text}
    if shown:
        shown |= {name: data[name] for name in _SHOWN if _is_https(content, data.get(name))}
    return shown


def _options(content: Content) -> dict[str, Any]:
    """Return where a click leads: FCM takes nothing but https."""
    uri = content.data.get("uri")
    return {"link": uri} if _is_https(content, uri) else {}


def _is_https(content: Content, value: Any) -> bool:
    """Tell whether a value is such an address, whatever its variables are."""
    return isinstance(value, str) and HTTPS.fullmatch(content.variables.source(value)) is not None
