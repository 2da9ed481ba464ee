"""Which of its channels a Windows device is reached by."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from pushsvc.storage.channel_uri import Flaw, chosen, flaw
from pushsvc.storage.devices import address_of

A = "https://db3.notify.windows.com/?token=a"
B = "https://db5.notify.windows.com/?token=b"
MPNS = "http://sn1.notify.live.net/throttledthirdparty/01.00/x"
FOREIGN = "https://notify.windows.com.evil.example/?token=x"


@pytest.mark.parametrize(
    ("channels", "token", "uri"),
    [
        pytest.param({"_Default": A}, "", A, id="the default"),
        pytest.param({"A": B, "_Default": A}, "", A, id="the default before others"),
        pytest.param({"b": A, "a": B}, "", B, id="the first by name"),
        pytest.param({"_Default": MPNS, "tile": A}, "", A, id="what WNS takes before MPNS"),
        pytest.param({"_Default": FOREIGN, "tile": A}, "", A, id="and before strangers"),
        pytest.param({"_Default": MPNS, "tile": FOREIGN}, "", MPNS, id="all bad: the retired"),
        pytest.param({"_Default": FOREIGN, "tile": MPNS}, "", MPNS, id="whatever the order"),
        pytest.param({"_Toast": MPNS}, "", MPNS, id="MPNS alone"),
        pytest.param({"_Default": FOREIGN}, "", FOREIGN, id="a stranger alone"),
        pytest.param({"_Default": ""}, "", "", id="no URI at all"),
        pytest.param({"_Default": A}, B, B, id="a token that is a channel"),
        pytest.param({"_Default": A}, "abc", A, id="a token that is none"),
        pytest.param({"_Default": A}, FOREIGN, A, id="a token that is a stranger's"),
        pytest.param({"_Default": A}, MPNS, A, id="a token that is MPNS's"),
        pytest.param({"_Default": FOREIGN}, MPNS, MPNS, id="a token that tells why"),
    ],
)
def test_of_several_channels_the_one_that_wns_takes(
    channels: dict[str, str], token: str, uri: str
) -> None:
    """Else one that tells why none is: Microsoft's own retired service, before anybody else."""
    assert chosen(channels, token) == uri


@pytest.mark.parametrize(
    ("device_type", "push_type", "token", "address"),
    [
        pytest.param("winrt", None, None, A, id="winrt"),
        pytest.param("winphone", None, None, A, id="winphone"),
        pytest.param("dotnet", None, None, A, id="dotnet"),
        pytest.param("ios", None, "ab" * 32, "ab" * 32, id="an Apple device"),
        pytest.param("ios", None, None, "", id="an Apple device without a token"),
        pytest.param("android", None, None, "", id="an Android device without a token"),
        pytest.param("winrt", "fcm", "a:b", "a:b", id="a Windows device that FCM reaches"),
        pytest.param("ios", "winrt", "ab" * 32, A, id="the push type wins"),
        pytest.param("winrt", "gcm", "a:b", A, id="a push type that names no way"),
    ],
)
def test_channels_are_for_windows_devices_alone(
    device_type: str, push_type: str | None, token: str | None, address: str
) -> None:
    """No other gateway is handed a channel URI for a token."""
    found = address_of(device_type, push_type, token=token, channels={"_Default": A})
    assert found == address


@pytest.mark.parametrize("channels", [None, {}])
def test_a_windows_device_without_channels_has_its_token(channels: Any) -> None:
    """Old installations keep the channel in deviceToken."""
    assert address_of("winrt", None, token=A, channels=channels) == A
    assert not address_of("winrt", None, token=None, channels=channels)


_URIS = st.sampled_from([A, B, MPNS, FOREIGN, "", "abc", "https://u@db3.notify.windows.com/"])


@given(st.dictionaries(st.sampled_from(["_Default", "_Toast", "a", "b"]), _URIS), _URIS)
def test_no_channel_of_wns_is_missed(channels: dict[str, str], token: str) -> None:
    """Where there is one it is chosen; what is chosen otherwise was the device's own, too."""
    uris = {*channels.values(), token}
    found = chosen(channels, token)
    assert found in {*uris, ""}
    assert (flaw(found) is None) == any(flaw(uri) is None for uri in uris)
    if any(flaw(uri) is Flaw.PROVIDER_RETIRED for uri in uris) and flaw(found):
        assert flaw(found) is Flaw.PROVIDER_RETIRED
