"""Nothing that anybody can send makes shaping raise anything but its own errors."""

from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest
from hypothesis import example, given, settings, strategies as st

from pushsvc.model import ApnsShape, Device, FcmShape, Refused, Shape, WnsShape
from pushsvc.shaping import limits
from pushsvc.shaping.body import ContentError, check_content
from pushsvc.shaping.fcm import counted_bytes
from tests.unit.shaping.one_device import ANDROID, IOS, WINDOWS, shaper_of

DEVICES = [
    IOS,
    IOS._replace(push_type="fcm", token="a:b"),
    ANDROID,
    ANDROID._replace(device_type="web"),
    WINDOWS,
    WINDOWS._replace(device_type="winphone"),
]
NAMES = [
    *("data", "notification", "rawPayload", "android", "webpush", "wns", "variables", "truncate"),
    *("alert", "alert-fr", "title", "title-fr", "badge", "sound", "aps", "uri", "image", "topic"),
    *("collapse_id", "push_type", "priority", "validate_only", "expiry", "content-state", "event"),
    *(
        "apns",
        "payload",
        "headers",
        "body",
        "ttl",
        "type",
        "raw",
        "tag",
        "icon",
        "name",
        "critical",
    ),
    *("__op", "amount", "fcmOptions", "link", "loc-args", "collapseId", "pushType", "k", "v"),
]
#: Half of a pair, noncharacters, what XML has not, marks of our own, and templates.
WORDS = [
    *("", "a", "\ud800", "\udfff", "\ufdd0b\ufdd1", "\ufdd00\ufdd1", "\x00", "\x01", "\uffff"),
    *("{{ v }}", "{{ v | upper }}", "{{ v.k[0] }}", "{% if v %}{{ k }}{% endif %}", "{{", "{{ 9"),
    *("Increment", "voip", "liveactivity", "raw", "toast", "tile", "badge", "5", "3600s", "👍🏽"),
    *("https://example.com", "]]>", '"><script>', "\\u0000", "a" * 4090, "é" * 2500, "é" * 9000),
]
NUMBERS = [0, 1, -1, 10, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, float("nan"), -0.0]
TEXT = st.sampled_from(WORDS) | st.text(st.characters(), max_size=8)
LEAF = st.none() | st.booleans() | st.sampled_from([*NUMBERS, float("inf")]) | TEXT
KEY = st.sampled_from(NAMES) | TEXT
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=5),
    max_leaves=12,
)
CONTENT = st.dictionaries(KEY, JSON, max_size=6).flatmap(
    lambda beside: st.dictionaries(KEY, JSON, max_size=6).map(lambda data: {**beside, "data": data})
)
FIELDS = st.dictionaries(st.sampled_from(["v", "k"]), JSON, max_size=2)


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"k": [value]}
    return value


@settings(max_examples=600, deadline=None)
@given(content=CONTENT, fields=FIELDS, badge=st.none() | st.integers(0, 2**31 - 1), locale=TEXT)
@example(content={"data": {"alert": "{{ v }}"}}, fields={"v": deep(30)}, badge=None, locale="")
@example(
    content={"data": {"alert": "{{ v }}", "k": "{{ v }}"}, "truncate": True},
    fields={"v": "\ud800" * 5000},
    badge=2**31 - 1,
    locale="fr_FR@calendar=x",
)
def test_nothing_but_typed_errors(
    *, content: dict[str, Any], fields: dict[str, Any], badge: int | None, locale: str
) -> None:
    """Content is told what is wrong with it, or each device gets a valid message or a reason."""
    try:
        check_content(content)
    except ContentError:
        return
    shaper = shaper_of(content)
    for device in DEVICES:
        check(shaper.shape(device._replace(fields=fields, badge=badge, locale=locale)), device)


@settings(max_examples=300, deadline=None)
@given(content=CONTENT)
@example(content={"data": {"aps": {"alert": {"body": "é" * 900}}, "alert": "é", "title": "t"}})
@example(content={"data": {f"{n}": {} for n in range(290)} | {"push_type": "liveactivity"}})
def test_what_is_short_fits(content: dict[str, Any]) -> None:
    """Nobody weighs content of two kilobytes: APNs takes it in whatever texts, if it is for it."""
    try:
        check_content(content)
    except ContentError:
        return
    shaper = shaper_of(content)
    is_short = len(orjson.dumps(content)) <= limits.APNS_PAYLOAD_BYTES // 2
    if is_short and shaper.content.says(()):
        for tag in ("", "fr"):
            made = shaper.outline(IOS._replace(locale=tag))
            assert made is not limits.TOO_LARGE


def check(made: Shape | Refused, device: Device) -> None:
    if isinstance(made, Refused):
        assert made.reason
    elif isinstance(made, ApnsShape):
        assert isinstance(orjson.loads(made.body)["aps"], dict)
        assert len(made.body) <= limits.APNS_VOIP_PAYLOAD_BYTES
        assert all(isinstance(value, bytes) for _, value in made.head.headers)
    elif isinstance(made, FcmShape):
        body = orjson.loads(made.head + orjson.dumps(device.token) + made.tail)
        assert counted_bytes(body["message"]) <= limits.FCM_PAYLOAD_BYTES
    else:
        assert isinstance(made, WnsShape)
        assert 0 < len(made.body) <= limits.WNS_PAYLOAD_BYTES
        if dict(made.headers)["Content-Type"] == "text/xml":
            ET.fromstring(made.body.decode())


@pytest.mark.parametrize("key", ["data", "android", "variables", "wns", "rawPayload", "unknown"])
def test_json_that_is_nested_deeply(key: str) -> None:
    """It is refused before anything goes down into it."""
    with pytest.raises(ContentError, match="nested too deeply") as caught:
        check_content({"data": {"alert": "Hi"}, key: deep(5000)})
    assert caught.value.field.startswith(f"/{key}")


@pytest.mark.parametrize("data", [None, [], "x", 5, True])
def test_data_that_is_no_object(data: object) -> None:
    """It is told as the field at fault."""
    with pytest.raises(ContentError) as caught:
        check_content({"data": data})
    assert caught.value.field == "/data"
