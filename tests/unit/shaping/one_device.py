"""Content, and the message that one device gets of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pushsvc.model import Device, Refused, Shape
from pushsvc.shaping.body import ContentError, Envelope, Shaper, check_content

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)

#: A device of each form, by its type and what else tells it.
IOS = Device(0, "ios", "00" * 32, "com.example.app", None, None)
ANDROID = Device(0, "android", "a:b", None, None, None)
WINDOWS = Device(0, "winrt", "https://db3.notify.windows.com/?token=a", None, None, None)


def shaper_of(
    content: dict[str, Any], expires_at: datetime | None = None, *, created_at: datetime = NOW
) -> Shaper:
    """The shaper of a push that was submitted at NOW."""
    return Shaper(
        content,
        Envelope(
            push_id=7,
            push_object_id="abcdefghij",
            created_at=created_at,
            expires_at=expires_at,
            now=NOW,
        ),
    )


def let_in(content: dict[str, Any], *, lives: float | None = None) -> Shaper | None:
    """The shaper of content that lives so many seconds; None where it is refused at the door."""
    try:
        check_content(content)
    except ContentError:
        return None
    return shaper_of(content, None if lives is None else NOW + timedelta(seconds=lives))


def shaped(
    device: Device, data: dict[str, Any], *, expires_at: datetime | None = None, **beside: Any
) -> Shape | Refused:
    """What this device gets of content that was let in."""
    content = {"data": data, **beside}
    check_content(content)
    return shaper_of(content, expires_at).shape(device)
