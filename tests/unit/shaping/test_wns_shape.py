"""Content becomes a toast, a badge or raw data for Windows."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from pushsvc.model import Refused, WnsShape
from tests.unit.shaping.one_device import NOW, WINDOWS, shaped

XML = ("Content-Type", "text/xml")
TOAST = '<toast><visual><binding template="ToastGeneric">{}</binding></visual></toast>'


def shape(
    data: dict[str, Any],
    *,
    badge: int | None = None,
    expires_at: datetime | None = None,
    **beside: Any,
) -> WnsShape | Refused:
    made = shaped(WINDOWS._replace(badge=badge), data, expires_at=expires_at, **beside)
    assert isinstance(made, WnsShape | Refused)
    return made


def accepted(data: dict[str, Any], **rest: Any) -> WnsShape:
    made = shape(data, **rest)
    assert isinstance(made, WnsShape)
    return made


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        pytest.param({"alert": "Hi"}, "<text>Hi</text>", id="alert"),
        pytest.param({"title": "T"}, "<text>T</text>", id="title"),
        pytest.param(
            {"alert": "Hi", "title": "T"}, "<text>T</text><text>Hi</text>", id="title first"
        ),
        pytest.param(
            {"alert": {"title": "T", "subtitle": "S", "body": "B", "loc-key": "k"}},
            "<text>T</text><text>S</text><text>B</text>",
            id="alert object",
        ),
        pytest.param(
            {"alert": '<b> & "q" 👋'}, '<text>&lt;b&gt; &amp; "q" 👋</text>', id="escaped"
        ),
        pytest.param(
            {"alert": "a\x01b\x1fc\ufffe\uffffd"}, "<text>abcd</text>", id="no XML characters"
        ),
    ],
)
def test_toast(data: dict[str, Any], texts: str) -> None:
    """Title, subtitle and body are the lines of a toast."""
    made = accepted(data, badge=3)
    assert TOAST.format(texts) == made.body.decode()
    assert made.headers == (XML, ("X-WNS-Type", "wns/toast"))


@pytest.mark.parametrize(
    ("data", "start", "end"),
    [
        pytest.param({"uri": "app://x?a=1&b"}, '<toast launch="app://x?a=1&amp;b">', "", id="uri"),
        pytest.param(
            {"k": {"a": 'é"'}, "uri": 5, "badge": 3, "category": "C", "aps": {"x": 1}},
            '<toast launch="{&quot;k&quot;:{&quot;a&quot;:&quot;é\\&quot;&quot;},'
            '&quot;category&quot;:&quot;C&quot;}">',
            "",
            id="custom keys",
        ),
        pytest.param(
            {"sound": "ms-winsoundevent:Notification.Mail"},
            "<toast>",
            '<audio src="ms-winsoundevent:Notification.Mail" />',
            id="sound of Windows",
        ),
        pytest.param(
            {"sound": "ms-appx:///a.wav"},
            "<toast>",
            '<audio src="ms-appx:///a.wav" />',
            id="sound of the app",
        ),
        pytest.param({"sound": "default"}, "<toast>", "", id="sound of Apple"),
        pytest.param({"sound": {"name": "ms-appx:"}}, "<toast>", "", id="critical sound"),
    ],
)
def test_toast_launch_and_audio(data: dict[str, Any], start: str, end: str) -> None:
    """The app is started with `uri` or else the custom keys; sounds of Windows are heard."""
    expected = TOAST.format("<text>Hi</text>").replace("<toast>", start)
    expected = expected.replace("</toast>", f"{end}</toast>")
    assert expected == accepted({"alert": "Hi", **data}).body.decode()


@pytest.mark.parametrize(
    ("wanted", "own", "shown"),
    [
        pytest.param(5, None, 5, id="number"),
        pytest.param(5, 9, 5, id="number, whatever the device's own"),
        pytest.param(0, None, 0, id="0 clears"),
        pytest.param(-3, None, 0, id="no negative badges"),
        pytest.param("Increment", 4, 4, id="counted"),
        pytest.param({"__op": "Increment", "amount": -9}, -4, 0, id="counted below zero"),
    ],
)
def test_badge(wanted: Any, own: int | None, shown: int) -> None:
    """Without text a badge is sent as one."""
    made = accepted({"badge": wanted, "alert": "\x01", "k": 1}, badge=own)
    assert f'<badge value="{shown}" />'.encode() == made.body
    assert made.headers == (XML, ("X-WNS-Type", "wns/badge"), ("X-WNS-Cache-Policy", "cache"))


def test_raw() -> None:
    """What cannot be shown goes to the app as JSON."""
    made = accepted(
        {"k": "é", "content-available": 1, "badge": "Increment", "collapse_id": "c", "uri": "x"}
    )
    assert '{"k":"é","uri":"x"}'.encode() == made.body
    assert made.headers == (
        ("Content-Type", "application/octet-stream"),
        ("X-WNS-Type", "wns/raw"),
        ("X-WNS-Cache-Policy", "no-cache"),
    )


@pytest.mark.parametrize(
    ("lifetime", "ttl"),
    [
        pytest.param(timedelta(hours=1), "3600", id="seconds"),
        pytest.param(timedelta(seconds=-1), "1", id="WNS takes no 0"),
    ],
)
def test_ttl(lifetime: timedelta, ttl: str) -> None:
    """The time to live is whole seconds from now, 1 or more."""
    made = accepted({"alert": "Hi"}, expires_at=NOW + lifetime)
    assert made.headers == (XML, ("X-WNS-Type", "wns/toast"), ("X-WNS-TTL", ttl))


@pytest.mark.parametrize(
    ("collapse_id", "tag"),
    [
        pytest.param("Score1", (("X-WNS-Tag", "Score1"),), id="letters and digits"),
        pytest.param("a" * 16, (("X-WNS-Tag", "a" * 16),), id="16 of them"),
        pytest.param("a" * 17, (), id="no more"),
        pytest.param("a-b", (), id="nothing else"),
    ],
)
def test_tag(collapse_id: str, tag: tuple[tuple[str, str], ...]) -> None:
    """A toast carries the collapse id where it can be a tag."""
    made = accepted({"alert": "Hi"}, collapse_id=collapse_id)
    assert (XML, ("X-WNS-Type", "wns/toast"), *tag) == made.headers


def test_payload_limit() -> None:
    """5000 bytes are taken, one more is refused."""
    frame = len(TOAST.format("<text></text>"))
    assert len(accepted({"alert": "a" * (5000 - frame)}).body) == 5000
    # The short text in another language lets the content in.
    too_large = shape({"alert": "a" * (5001 - frame), "alert-fr": "b"})
    assert Refused(reason="PayloadTooLarge") == too_large
