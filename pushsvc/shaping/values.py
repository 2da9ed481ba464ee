"""What kind of value JSON holds: the questions that more than one gateway's keys ask."""

from typing import Any


def is_text(value: Any) -> bool:
    """Tell whether this is a string."""
    return isinstance(value, str)


def is_storable(text: str) -> bool:
    """Tell whether a text can be kept in UTF-8 by Postgres, which has no U+0000."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def is_number(value: Any) -> bool:
    """Tell whether this is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_integer(value: Any) -> Any:
    """Return a number without a fraction as an integer, others as they are: 10.0 in JSON is 10."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_integer(value: Any, numbers: range) -> bool:
    """Tell whether this is an integer among these numbers."""
    return isinstance(value, int) and not isinstance(value, bool) and value in numbers


def is_share(value: Any) -> bool:
    """Tell whether this is a number from 0 to 1."""
    return is_number(value) and 0 <= value <= 1
