"""What is wrong with a `wns` block is told when the push is submitted, with its place."""

from typing import Any

import pytest

from pushsvc.shaping.body import ContentError, check_content

IMAGE = "https://example.com/i.png"


@pytest.mark.parametrize(
    "block",
    [
        None,
        {},
        {"type": None, "audio": None, "unheard-of": None},
        {"type": "toast", "image": IMAGE, "audio": "silent", "launch": "", "tag": "a1"},
        {"type": "toast", "group": "G" * 16, "suppress_popup": True, "ttl": 1, "priority": 1},
        {"type": "tile", "image": "ms-appx:///i.png", "launch": "{{ name }}", "cache": False},
        {"type": "badge", "badge": 0, "ttl": 2**31 - 1, "priority": 4, "cache": True},
        {"badge": 100},
        {"badge": "newMessage"},
        {"raw": "Hello {{ name }}"},
        {"raw": {"to": ["{{ name }}"]}, "cache": True},
        {"type": "raw"},
        {"image": "ms-appdata:///local/i.png"},
        {"image": "{{ picture }}"},
        {"image": "HTTP://example.com"},
        {"audio": "ms-winsoundevent:Notification.Looping.Alarm10"},
        {"audio": "ms-appx:///Assets/a.m4a"},
    ],
)
def test_good_blocks(block: Any) -> None:
    """Null counts as missing, and what Windows shows may hold variables."""
    check_content({"data": {"alert": "Hi"}, "wns": block})


@pytest.mark.parametrize(
    ("block", "place", "words"),
    [
        pytest.param("x", "/wns", "an object", id="no object"),
        pytest.param({"sound": "x"}, "/wns/sound", "there are type, image", id="unknown key"),
        pytest.param({"a/b~": 1}, "/wns/a~1b~0", "no such key", id="unknown key, as a pointer"),
        pytest.param({"type": "alert"}, "/wns/type", "toast, badge, tile, raw", id="type"),
        pytest.param({"type": ["toast"]}, "/wns/type", "one of", id="type list"),
        pytest.param({"type": "{{ kind }}"}, "/wns/type", "one of", id="type by a variable"),
        pytest.param({"image": "i.png"}, "/wns/image", "begins with http", id="image"),
        pytest.param({"image": {}}, "/wns/image", "URL", id="image object"),
        pytest.param({"audio": "bell.wav"}, "/wns/audio", "ms-winsoundevent", id="Apple's sound"),
        pytest.param({"audio": "ms-appx:///a b"}, "/wns/audio", "ms-appx", id="audio with a space"),
        pytest.param({"audio": "{{ a }}"}, "/wns/audio", "silent", id="audio by a variable"),
        pytest.param({"launch": 5}, "/wns/launch", "a string", id="launch"),
        pytest.param({"badge": -1}, "/wns/badge", "from 0", id="negative badge"),
        pytest.param({"badge": True}, "/wns/badge", "whole number", id="badge true"),
        pytest.param({"badge": 1.5}, "/wns/badge", "whole number", id="half a badge"),
        pytest.param({"badge": 2**31}, "/wns/badge", "whole number", id="endless badge"),
        pytest.param({"badge": "99+"}, "/wns/badge", "newMessage", id="glyph"),
        pytest.param({"badge": "Alert"}, "/wns/badge", "alert", id="glyph in capitals"),
        pytest.param({"raw": ""}, "/wns/raw", "not empty", id="empty raw"),
        pytest.param({"raw": [1]}, "/wns/raw", "an object, or", id="raw list"),
        pytest.param({"tag": "a-b"}, "/wns/tag", "letters and digits", id="tag"),
        pytest.param({"tag": "a" * 17}, "/wns/tag", "at most 16", id="long tag"),
        pytest.param({"tag": "a\n"}, "/wns/tag", "letters", id="tag with a line break"),
        pytest.param({"tag": "{{ t }}"}, "/wns/tag", "letters", id="tag by a variable"),
        pytest.param({"group": ""}, "/wns/group", "letters", id="empty group"),
        pytest.param({"ttl": 0}, "/wns/ttl", "from 1", id="TTL 0"),
        pytest.param({"ttl": "60"}, "/wns/ttl", "seconds", id="TTL text"),
        pytest.param({"ttl": 2**31}, "/wns/ttl", "seconds", id="endless TTL"),
        pytest.param({"cache": "cache"}, "/wns/cache", "true or false", id="cache"),
        pytest.param({"priority": 5}, "/wns/priority", "1, 2, 3 or 4", id="priority"),
        pytest.param({"priority": 0}, "/wns/priority", "1, 2, 3 or 4", id="priority 0"),
        pytest.param({"priority": "1"}, "/wns/priority", "1, 2, 3 or 4", id="priority text"),
        pytest.param({"suppress_popup": 1}, "/wns/suppress_popup", "true", id="popup"),
        pytest.param({"type": "toast", "badge": 1}, "/wns/badge", "only of badge", id="toast"),
        pytest.param({"type": "toast", "cache": True}, "/wns/cache", "tile or raw", id="cached"),
        pytest.param({"type": "tile", "audio": "silent"}, "/wns/audio", "only of toast", id="tile"),
        pytest.param({"type": "badge", "tag": "a"}, "/wns/tag", "toast or tile", id="badge"),
        pytest.param({"raw": "x", "badge": 1}, "/wns/badge", "type raw", id="raw and badge"),
        pytest.param({"raw": "x", "launch": "x"}, "/wns/launch", "type raw", id="raw's launch"),
    ],
)
def test_bad_blocks(block: Any, place: str, words: str) -> None:
    """WNS would refuse it, or Windows read over it, on every device."""
    with pytest.raises(ContentError) as caught:
        check_content({"data": {"alert": "Hi"}, "wns": block})
    assert caught.value.field == place
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("data", "block", "words"),
    [
        pytest.param({"k": 1}, {"type": "toast"}, "toast needs", id="toast without text"),
        pytest.param({"alert": "\x01"}, {"type": "tile"}, "tile needs", id="no text that shows"),
        pytest.param({"alert-fr": "x"}, {"type": "toast"}, "every locale", id="text for some"),
        pytest.param({"k": 1}, {"type": "badge"}, "wns.badge or data.badge", id="no badge"),
    ],
)
def test_a_type_needs_what_it_shows(data: Any, block: Any, words: str) -> None:
    """Windows would show an empty notification."""
    with pytest.raises(ContentError, match=words) as caught:
        check_content({"data": data, "wns": block})
    assert caught.value.field == "/wns/type"


@pytest.mark.parametrize(
    ("data", "block"),
    [
        ({"title": "T"}, {"type": "toast"}),
        ({"alert": {"body": "B"}}, {"type": "tile"}),
        ({"alert-fr": "x", "title": "T"}, {"type": "toast"}),
        ({"k": 1}, {"type": "toast", "image": IMAGE}),
        ({"image": IMAGE}, {"type": "tile"}),
        ({"badge": "Increment"}, {"type": "badge"}),
        ({"badge": 0}, {"type": "badge"}),
    ],
)
def test_what_there_is_to_see_may_stand_in_data(data: Any, block: Any) -> None:
    """The block says only what is different for Windows."""
    check_content({"data": data, "wns": block})
