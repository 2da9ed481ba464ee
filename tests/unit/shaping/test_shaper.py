"""Laws of shaping: any content that was let in can be shaped, within limits, and is remembered."""

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from pushsvc.model import ApnsShape, FcmShape, GatewayName, Refused, Shape, WnsShape
from pushsvc.shaping import limits
from pushsvc.shaping.body import ContentError, Shaper, check_content, gateway_of

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)

TEXT = st.text(st.characters(), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SHOWN = st.sampled_from(["alert", "title", "badge", "sound", "aps", "category", "threadId", "uri"])
STEERING = st.sampled_from(["priority", "push_type", "collapse_id", "content-available"])
LOCALISED = st.sampled_from(["alert-fr", "alert-fr-CA", "title-fr", "alert-color"])
#: Values that mean something often enough beside those that mean nothing.
MEANT = (
    TEXT
    | st.sampled_from([1, 5, 10, "Increment", "background", "voip", "a" * 4090, "é" * 2500])
    | st.fixed_dictionaries({}, optional={"alert": TEXT, "badge": st.just(3), "body": TEXT})
)
DATA = st.dictionaries(SHOWN | STEERING | LOCALISED | TEXT, MEANT | JSON, max_size=6)
CONTENT = st.fixed_dictionaries(
    {"data": DATA},
    optional={
        "priority": st.sampled_from([1, 5, 10]),
        "push_type": st.sampled_from(["alert", "background", "voip"]),
        "collapse_id": TEXT,
        "notification": st.dictionaries(st.sampled_from(["title", "priority", "imageUrl"]), JSON),
    },
)


def shaper_of(content: dict[str, Any], expires_at: datetime | None = None) -> Shaper:
    return Shaper(
        content,
        push_id=7,
        push_object_id="abcdefghij",
        created_at=NOW,
        expires_at=expires_at,
        now=NOW,
    )


def check_apns(shape: Shape) -> None:
    assert isinstance(shape, ApnsShape)
    assert len(shape.body) <= (5120 if shape.topic.endswith(".voip") else 4096)
    assert isinstance(orjson.loads(shape.body)["aps"], dict)
    assert all(b"\n" not in value and b"\r" not in value for _, value in shape.headers)


def check_fcm(shape: Shape) -> None:
    assert isinstance(shape, FcmShape)
    message = orjson.loads(shape.head + b'"t"' + shape.tail)["message"]
    assert all(isinstance(value, str) for value in message["data"].values())
    assert sum(len(k) + len(v.encode()) for k, v in message["data"].items()) <= 4096
    assert isinstance(orjson.loads(message["data"]["data"]), dict)


def check_wns(shape: Shape) -> None:
    assert isinstance(shape, WnsShape)
    assert 1 <= len(shape.body) <= 5000
    kind = dict(shape.headers)["X-WNS-Type"].removeprefix("wns/")
    if kind == "raw":
        assert isinstance(orjson.loads(shape.body), dict)
    else:
        assert ET.fromstring(shape.body.decode()).tag == kind


CHECKS = {
    GatewayName.APNS: check_apns,
    GatewayName.FCM: check_fcm,
    GatewayName.WNS: check_wns,
}


@settings(max_examples=300, deadline=None)
@given(
    content=CONTENT,
    locale=st.sampled_from([None, "fr-CA", "fr", "de"]) | TEXT,
    badge=st.none() | st.integers(-(2**31), 2**31 - 1),
    lifetime=st.none() | st.integers(-10, 10**8),
)
def test_content_that_is_let_in_can_be_shaped(
    *, content: dict[str, Any], locale: str | None, badge: int | None, lifetime: int | None
) -> None:
    """For every gateway: valid and within its limits, or refused; never an exception."""
    try:
        check_content(content)
    except ContentError:
        return
    expires_at = None if lifetime is None else NOW + timedelta(seconds=lifetime)
    shaper = shaper_of(content, expires_at)
    for gateway, check in CHECKS.items():
        shape = shaper.shape(gateway, app_identifier="com.example", locale=locale, badge=badge)
        if not isinstance(shape, Refused):
            check(shape)


@settings(deadline=None)
@given(CONTENT)
def test_some_gateway_takes_what_is_let_in(content: dict[str, Any]) -> None:
    """Content without locale variants is refused at submission or taken by one gateway at least."""
    data = {key: value for key, value in content["data"].items() if "-fr" not in key}
    content = {**content, "data": data}
    try:
        check_content(content)
    except ContentError:
        return
    shaper = shaper_of(content)
    shapes = [
        shaper.shape(gateway, app_identifier="com.example", locale=None, badge=None)
        for gateway in GatewayName
    ]
    assert not all(isinstance(shape, Refused) for shape in shapes)


@pytest.mark.parametrize("gateway", GatewayName)
def test_devices_share_shapes(gateway: GatewayName) -> None:
    """Locales that make no difference make no new shape."""
    shape = shaper_of({"data": {"alert": "a", "alert-fr": "b", "badge": "Increment"}}).on(gateway)
    assert shape("a.b", "en-GB", 3) is shape("a.b", "de", 3)
    assert shape("a.b", "fr-CA", 3) is shape("a.b", "fr_BE", 3)
    assert shape("a.b", "fr", 3) is not shape("a.b", "en", 3)


@pytest.mark.parametrize("gateway", GatewayName)
def test_badges_that_are_not_counted_make_no_difference(gateway: GatewayName) -> None:
    """Where the content counts no badges, a device's own is not looked at."""
    shape = shaper_of({"data": {"alert": "a", "badge": 2}}).on(gateway)
    assert shape("a.b", None, 3) is shape("a.b", None, 4)


def test_memory_is_bounded() -> None:
    """More variants than are kept are forgotten, and shaped again, the same."""
    shape = shaper_of({"data": {"alert": "a", "badge": "Increment"}}).on(GatewayName.APNS)
    first = shape("a.b", "en", 0)
    for badge in range(1, limits.KEPT_SHAPES + 1):
        made = shape("a.b", f"en-{badge}", badge)
        assert isinstance(made, ApnsShape)
        assert f'{{"aps":{{"alert":"a","badge":{badge}}}}}'.encode() == made.body
    again = shape("a.b", "en", 0)
    assert again is not first
    assert again == first


@pytest.mark.parametrize("gateway", GatewayName)
def test_too_large_a_text_is_refused_in_its_language_only(gateway: GatewayName) -> None:
    """A text that is too long in one language fails the devices of that language."""
    shape = shaper_of({"data": {"alert": "a", "alert-fr": "b" * 6000, "badge": "Increment"}}).on(
        gateway
    )
    assert Refused(reason="PayloadTooLarge") == shape("a.b", "fr", 1)
    assert not isinstance(shape("a.b", "en", 1), Refused)


@pytest.mark.parametrize(
    ("device_type", "gateway"),
    [
        *((name, GatewayName.APNS) for name in ("ios", "osx", "macos", "tvos", "watchos")),
        *((name, GatewayName.FCM) for name in ("android", "fcm")),
        *((name, GatewayName.WNS) for name in ("winrt", "winphone", "dotnet")),
        *((name, None) for name in ("web", "expo", "iOS", "")),
    ],
)
def test_gateway_of(device_type: str, gateway: GatewayName | None) -> None:
    """Parse's device types know their gateway; the others have none."""
    assert gateway == gateway_of(device_type)
