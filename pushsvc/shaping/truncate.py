"""An alert shortened until its message fits."""

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from pushsvc.model import Refused, Shape
from pushsvc.shaping.content import Content
from pushsvc.shaping.limits import MOST_PAYLOAD_BYTES, TOO_LARGE
from pushsvc.shaping.splice import Texts, number_of, unmarked

ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
_JOINER: Final = "\N{ZERO WIDTH JOINER}"
#: Belong to what stands before them: skin tones, tags, the later letters of a Hangul syllable, the
#: Thai and Lao vowel AM, the marks of halfwidth katakana, the non-joiner. Accents, variation
#: selectors and the like are marks to Unicode (categories M).
_FOLLOWING: Final = (
    range(0x1F3FB, 0x1F400),
    range(0xE0020, 0xE0080),
    range(0x1160, 0x1200),
    range(0x0E33, 0x0E34),
    range(0x0EB3, 0x0EB4),
    range(0xFF9E, 0xFFA0),
    range(0x200C, 0x200D),
)
#: The viramas by which a consonant is one letter with the next (Unicode, Indic_Conjunct_Break):
#: of Devanagari, Bengali, Gujarati, Oriya, Telugu and Malayalam.
_LINKERS: Final = frozenset("\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d")
#: Two of them are a flag.
_REGIONAL: Final = range(0x1F1E6, 0x1F200)


def shortened(
    content: Content, texts: Texts, attempt: Callable[[Content], Shape | Refused]
) -> Shape | Refused:
    """Return the message with as much of the alert's text as fits, and an ellipsis.

    `attempt` shapes content; of texts with variables only the alert is filled in it. Refused as too
    large where even the ellipsis alone is.
    """
    text = _alert_text(content)
    if text is None:
        return TOO_LARGE
    whole: str = unmarked(text, texts)
    # A character is a byte at the least.
    ends = _ends(whole[: MOST_PAYLOAD_BYTES + 1])
    best = attempt(_with_text(content, ELLIPSIS))
    if isinstance(best, Refused):
        return best
    low, high = 1, len(ends) - 1
    while low <= high:
        middle = (low + high) // 2
        made = attempt(_with_text(content, whole[: ends[middle]].rstrip() + ELLIPSIS))
        if made is TOO_LARGE:
            high = middle - 1
        else:
            best, low = made, middle + 1
    return best


def shortest(content: Content) -> Content:
    """Return what is sent of the content at the least: an ellipsis where there is an alert's text.

    One with variables stays: it weighs nothing before it is filled. No text at all would be
    something else: what is no toast on Windows is raw data.
    """
    text = _alert_text(content)
    is_weightless = text is None or number_of(text) is not None
    return content if is_weightless else _with_text(content, ELLIPSIS)


def _alert_text(content: Content) -> str | None:
    alert = content.data.get("alert")
    text = alert.get("body") if isinstance(alert, dict) else alert
    return text if isinstance(text, str) and text else None


def _with_text(content: Content, text: str) -> Content:
    alert: Any = content.data["alert"]
    shorter = {**alert, "body": text} if isinstance(alert, dict) else text
    return replace(content, data={**content.data, "alert": shorter})


def _ends(text: str) -> list[int]:
    """Return where a text may be cut: between what people see as characters.

    Nearly as Unicode's annex 29 has it (grapheme clusters), for what people write.
    """
    ends, regionals = [0], 0
    for place in range(1, len(text)):
        before, after = text[place - 1], text[place]
        regionals = regionals + 1 if ord(before) in _REGIONAL else 0
        is_half_a_flag = regionals % 2 == 1 and ord(after) in _REGIONAL
        if not is_half_a_flag and not _belongs_together(before, after):
            ends.append(place)
    return ends


def _belongs_together(before: str, after: str) -> bool:
    if _JOINER in (before, after) or (before, after) == ("\r", "\n"):
        return True
    if after.isascii():
        return False
    number, category = ord(after), unicodedata.category(after)
    if category == "Lo" and before in _LINKERS:
        return True
    return category[0] == "M" or any(number in one for one in _FOLLOWING)
