"""What a push does to the badges of its devices."""

from typing import Any, Final

from pushsvc.model import BadgeChange, Json
from pushsvc.shaping.fault import ContentError

#: Badges are kept as 32-bit integers.
_BOUND: Final = 2**31
#: Parse Server's words, to the letter.
_BAD_BADGE: Final = "Invalid value for badge, expected number or 'Increment' or {increment: number}"


def badge_change(content: Json) -> BadgeChange | None:
    """Return what the content asks for; None where badges stay as they are.

    `"Increment"` in any case, `{"__op": "Increment", "amount": n}` with n not 0, or an integer.
    What JavaScript calls false (null, "", false) asks for nothing, as in Parse Server; 0 is an
    integer and clears the badge. Raises ContentError for anything else.
    """
    badge = content["data"].get("badge")
    if badge is None or badge is False or badge == "":
        return None
    if _is_increment(badge):
        return BadgeChange(increment=1)
    if isinstance(badge, dict) and _is_increment(badge.get("__op")):
        amount = _integer(badge.get("amount"))
        if amount:
            return BadgeChange(increment=amount)
    elif (absolute := _integer(badge)) is not None:
        return BadgeChange(absolute=absolute)
    raise ContentError(field="/data/badge", message=_BAD_BADGE)


def _is_increment(word: Any) -> bool:
    return isinstance(word, str) and word.lower() == "increment"


def _integer(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == value // 1 and -_BOUND <= value < _BOUND else None
