"""Laws of shaping: any content that was let in can be shaped, within limits, and is remembered."""

from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from pushsvc.model import ApnsShape, Device, FcmShape, Refused, Shape, WnsShape
from pushsvc.shaping import limits
from tests.unit.shaping.one_device import ANDROID, IOS, WINDOWS, let_in, shaper_of

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


def check_apns(shape: Shape) -> None:
    assert isinstance(shape, ApnsShape)
    assert len(shape.body) <= (5120 if shape.head.topic.endswith(".voip") else 4096)
    assert isinstance(orjson.loads(shape.body)["aps"], dict)
    assert all(b"\n" not in value and b"\r" not in value for _, value in shape.head.headers)


def check_fcm(shape: Shape) -> None:
    assert isinstance(shape, FcmShape)
    message = orjson.loads(shape.head + b'"t"' + shape.tail)["message"]
    assert all(isinstance(value, str) for value in message["android"]["data"].values())
    assert sum(len(k) + len(v.encode()) for k, v in message["android"]["data"].items()) <= 4096
    assert isinstance(orjson.loads(message["android"]["data"]["data"]), dict)


def check_wns(shape: Shape) -> None:
    assert isinstance(shape, WnsShape)
    assert 1 <= len(shape.body) <= 5000
    kind = dict(shape.headers)["X-WNS-Type"].removeprefix("wns/")
    if kind == "raw":
        assert isinstance(orjson.loads(shape.body), dict)
    else:
        assert ET.fromstring(shape.body.decode()).tag == kind


CHECKS = {
    IOS: check_apns,
    ANDROID: check_fcm,
    WINDOWS: check_wns,
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
    shaper = let_in(content, lives=lifetime)
    if shaper is None:
        return
    for device, check in CHECKS.items():
        shape = shaper.shape(device._replace(locale=locale, badge=badge))
        if not isinstance(shape, Refused):
            check(shape)


@settings(deadline=None)
@given(CONTENT)
def test_some_gateway_takes_what_is_let_in(content: dict[str, Any]) -> None:
    """Content without locale variants is refused at submission or taken by one gateway at least."""
    data = {key: value for key, value in content["data"].items() if "-fr" not in key}
    content = {**content, "data": data}
    shaper = let_in(content)
    if shaper is None:
        return
    shapes = [shaper.shape(device) for device in CHECKS]
    assert not all(isinstance(shape, Refused) for shape in shapes)


@pytest.mark.parametrize("device", CHECKS)
def test_devices_share_messages(device: Device) -> None:
    """Locales that make no difference make no new message."""
    shaper = shaper_of({"data": {"alert": "a", "alert-fr": "b", "badge": "Increment"}})

    def shape(locale: str) -> Shape | Refused:
        return shaper.shape(device._replace(locale=locale, badge=3))

    assert shape("en-GB") is shape("de")
    assert shape("fr-CA") is shape("fr_BE")
    assert shape("fr") is not shape("en")


@pytest.mark.parametrize("device", CHECKS)
def test_badges_that_are_not_counted_make_no_difference(device: Device) -> None:
    """Where the content counts no badges, a device's own is not looked at."""
    shaper = shaper_of({"data": {"alert": "a", "badge": 2}})
    assert shaper.shape(device._replace(badge=3)) is shaper.shape(device._replace(badge=4))


def test_memory_is_bounded() -> None:
    """More variants than are kept are forgotten, and shaped again, the same."""
    shaper = shaper_of({"data": {"alert": "a", "badge": "Increment"}})
    first = shaper.shape(IOS._replace(badge=0))
    for badge in range(1, limits.KEPT_SHAPES + 1):
        made = shaper.shape(IOS._replace(locale=f"en-{badge}", badge=badge))
        assert isinstance(made, ApnsShape)
        assert f'{{"aps":{{"alert":"a","badge":{badge}}}}}'.encode() == made.body
    again = shaper.shape(IOS._replace(badge=0))
    assert again is not first
    assert again == first


@pytest.mark.parametrize("device", CHECKS)
def test_too_large_a_text_is_refused_in_its_language_only(device: Device) -> None:
    """A text that is too long in one language fails the devices of that language."""
    shaper = shaper_of({"data": {"alert": "a", "alert-fr": "b" * 6000, "badge": "Increment"}})
    assert Refused(reason="PayloadTooLarge") == shaper.shape(device._replace(locale="fr"))
    assert not isinstance(shaper.shape(device), Refused)
