"""The demo's installations."""

from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from pushsvc.cli.demo import fleet
from pushsvc.simulators.apns.faults import FAULTS as APNS_FAULTS
from pushsvc.simulators.faults import FaultTable, hex_marker, named_marker
from pushsvc.simulators.fcm.faults import FAULTS as FCM_FAULTS
from pushsvc.simulators.wns.faults import FAULTS as WNS_FAULTS
from pushsvc.storage.fields import parse_installation_row

MANY = 4_000


def token_of(device: dict[str, object]) -> str:
    uris = device.get("channelUris")
    return str(uris["_Default"] if isinstance(uris, dict) else device["deviceToken"])


def is_marked(device: dict[str, object]) -> bool:
    token = token_of(device)
    marker = hex_marker(token) if device["deviceType"] == "ios" else named_marker(token)
    return marker is not None


def test_a_seed_makes_the_same_devices_again() -> None:
    """A demo can be repeated, and another seed is another demo."""
    first = list(fleet.devices(20, seed=1))

    assert first == list(fleet.devices(20, seed=1))
    assert first != list(fleet.devices(20, seed=2))


def test_the_shares_are_as_promised() -> None:
    """55 % iOS, 40 % Android, 5 % Windows; 5 % of the tokens are faulty; all are in the channel."""
    devices = list(fleet.devices(MANY, seed=0))
    types = Counter(device["deviceType"] for device in devices)

    for device_type, share in fleet.TYPES.items():
        assert types[device_type] == pytest.approx(MANY * share / 1000, rel=0.25)
    faulty = sum(map(is_marked, devices))
    assert faulty == pytest.approx(MANY * fleet.FAULTY_SHARE, rel=0.25)
    assert all(fleet.EVERYONE in device["channels"] for device in devices)
    assert len({token_of(device) for device in devices}) == MANY


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_only_faulty_tokens_ask_for_faults(seed: int) -> None:
    """No token asks for a fault by chance, whatever the seed: every mark is one of ours."""
    for device in fleet.devices(50, seed=seed):
        if is_marked(device):
            assert token_of(device).endswith(tuple(fleet.FAULTS[device["deviceType"]]))


def test_the_api_takes_every_device() -> None:
    """The demo's installations are well-formed."""
    for device in fleet.devices(100, seed=3):
        assert parse_installation_row(device)["deviceType"] == device["deviceType"]


@pytest.mark.parametrize(
    ("device_type", "table"),
    [("ios", APNS_FAULTS), ("android", FCM_FAULTS), ("winrt", WNS_FAULTS)],
)
def test_the_simulators_know_every_fault(device_type: str, table: FaultTable) -> None:
    """A mark nobody reads would be a sound token."""
    for mark in fleet.FAULTS[device_type]:
        marker = hex_marker(mark) if device_type == "ios" else named_marker(mark)
        assert marker is not None
        assert table.named(marker.name) is not None
