"""An alert shortened until its message fits."""

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from pushsvc.model import Refused, Shape
from pushsvc.shaping.content import Content
from pushsvc.shaping.limits import TOO_LARGE

ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
_JOINER: Final = "\N{ZERO WIDTH JOINER}"
#: Follow what they belong to: variation selectors, skin tones, tags.
_FOLLOWING: Final = (range(0xFE00, 0xFE10), range(0x1F3FB, 0x1F400), range(0xE0020, 0xE0080))


def shortened(content: Content, attempt: Callable[[Content], Shape | Refused]) -> Shape | Refused:
    """Return the message with as much of the alert's text as fits, and an ellipsis.

    `attempt` shapes content. Refused as too large where even the ellipsis alone is.
    """
    text = _alert_text(content.data.get("alert"))
    if text is None:
        return TOO_LARGE
    best: Shape | Refused = TOO_LARGE
    low, high = 0, len(text) - 1
    while low <= high:
        middle = (low + high) // 2
        made = attempt(_with_text(content, _cut(text, middle) + ELLIPSIS))
        if made is TOO_LARGE:
            high = middle - 1
        else:
            best, low = made, middle + 1
    return best


def without_text(content: Content) -> Content:
    """Return the content with nothing of the text that may be shortened."""
    text = _alert_text(content.data.get("alert"))
    return content if text is None else _with_text(content, "")


def _alert_text(alert: Any) -> str | None:
    text = alert.get("body") if isinstance(alert, dict) else alert
    return text if isinstance(text, str) and text else None


def _with_text(content: Content, text: str) -> Content:
    alert = content.data["alert"]
    shorter = {**alert, "body": text} if isinstance(alert, dict) else text
    return replace(content, data={**content.data, "alert": shorter})


def _cut(text: str, length: int) -> str:
    """Return the first so many characters, less what would be half of one that people see."""
    while 0 < length < len(text) and _belongs_together(text[length - 1], text[length]):
        length -= 1
    return text[:length].rstrip()


def _belongs_together(before: str, after: str) -> bool:
    if _JOINER in (before, after) or unicodedata.combining(after):
        return True
    return any(ord(after) in following for following in _FOLLOWING)
