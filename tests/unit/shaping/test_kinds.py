"""Devices of one kind have the same message, and go the same way."""

from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from pushsvc.model import WINDOWS_DEVICE_TYPES, Device
from pushsvc.shaping.forms import APPLE, gateway_of, kinds_of, parties_of
from tests.unit.shaping.one_device import shaper_of

CONTENT = {"data": {"alert": "Hi", "alert-fr": "Salut", "badge": "Increment"}, "webpush": {}}
FILLED = {"data": {"alert": "{{ badge | default('no') }}", "title": "{{ name }}"}}
LONG = {"data": {"alert": "Hi" * 3_000, "badge": "Increment"}, "truncate": True}
TYPES = [*sorted(APPLE | WINDOWS_DEVICE_TYPES), "android", "fcm", "web", "toaster"]
DEVICES = st.builds(
    Device,
    st.just(0),
    st.sampled_from(TYPES),
    st.sampled_from(["ab" * 32, "cd" * 32, "a:b", "c:d", '{"endpoint":"https://example.com"}']),
    st.sampled_from([None, "com.example", "com.example.other"]),
    st.sampled_from([None, "fr-CA", "en"]),
    st.sampled_from([None, 0, 7]),
    st.sampled_from([None, "fcm", "gcm", "ios", "web"]),
    st.none(),
)


@given(st.lists(DEVICES, max_size=20))
def test_devices_of_one_kind_have_the_same_message(devices: list[Device]) -> None:
    shaper = shaper_of(CONTENT)
    assert shaper.kinds_of is not None
    first = dict[object, Device]()
    for device, kind in zip(devices, shaper.kinds_of(devices), strict=True):
        assert shaper.shape(first.setdefault(kind, device)) == shaper.shape(device)


@given(DEVICES, st.sampled_from([CONTENT, FILLED, LONG]))
def test_a_message_is_the_same_where_nothing_is_kept(
    device: Device, content: dict[str, Any]
) -> None:
    shaper = shaper_of(content)
    assert shaper.shape_one(device) == shaper.shape(device)


@given(st.lists(DEVICES, max_size=20))
def test_devices_of_one_party_have_one_gateway_and_one_app(devices: list[Device]) -> None:
    first = dict[object, Device]()
    for device, party in zip(devices, parties_of(devices), strict=True):
        one = first.setdefault(party, device)
        assert (gateway_of(one), one.app_identifier) == (gateway_of(device), device.app_identifier)


def test_where_texts_have_variables_each_device_has_its_own() -> None:
    content = {"data": {"alert": "Hi {{ name | default('you') }}"}, "variables": {}}
    assert shaper_of(content).kinds_of is None


def test_locale_and_badge_make_kinds_but_no_parties() -> None:
    one = Device(0, "ios", "ab" * 32, "com.example", "en", 1)
    devices = [one, one._replace(badge=2), one._replace(locale="fr"), one._replace(token="cd" * 32)]
    assert len(set(kinds_of(devices))) == 3
    assert len(set(parties_of(devices))) == 1
