"""The token grammar and the tables of faults."""

import pytest
from hypothesis import given, strategies as st

from pushsvc.simulators.apns.faults import FAULTS as APNS
from pushsvc.simulators.apns.reasons import STATUS
from pushsvc.simulators.faults import FaultTable, Marker, hex_marker, named_marker
from pushsvc.simulators.fcm.faults import FAULTS as FCM
from pushsvc.simulators.token_endpoint import TOKEN_FAULTS
from pushsvc.simulators.wns.faults import FAULTS as WNS

BYTE = st.integers(0, 255)


@given(st.binary(min_size=4, max_size=60), BYTE, BYTE)
def test_hex_marker(device: bytes, code: int, parameter: int) -> None:
    """Any token with fa17CCPP at its end names code and parameter."""
    token = f"{device.hex()}fa17{code:02x}{parameter:02x}"

    assert Marker(f"{code:02x}", parameter) == hex_marker(token)


@pytest.mark.parametrize("token", ["", "ab" * 32, "fa17010", "fa170100" + "ab" * 4])
def test_no_hex_marker(token: str) -> None:
    """A token without the marker at its end asks for nothing."""
    assert hex_marker(token) is None


@pytest.mark.parametrize(
    ("token", "marker"),
    [
        ("device:1", None),
        ("device:1~unregistered", Marker("unregistered", 0)),
        ("device:1~quota-3c", Marker("quota", 0x3C)),
        ("device:1~20-02", Marker("20", 2)),
        ("~e500-ff:tail", Marker("e500", 0xFF)),
        ("device:1~gone-device", Marker("gone", 0)),
        ("https://a.notify.windows.com/?token=x~slow-01&y=1", Marker("slow", 1)),
    ],
)
def test_named_marker(token: str, marker: Marker | None) -> None:
    """A name after a tilde, and two hex digits after a hyphen if they stand alone."""
    assert marker == named_marker(token)


@pytest.mark.parametrize("table", [APNS, FCM, WNS, TOKEN_FAULTS])
def test_rows_are_found_by_name_and_by_code(table: FaultTable) -> None:
    """Names and codes are unique, and both find their row."""
    rows = list(table)

    assert len(rows) == len({row.name for row in rows})
    for row in rows:
        assert row is table.named(row.name)
        assert row.code is None or row is table.named(f"{row.code:02x}")
    assert table.named("no_such_fault") is None


def test_codes_mean_the_same_at_all_gateways() -> None:
    """A code that two gateways share has one name (WNS calls its eof `close_before`)."""
    apns = {row.code: row.name for row in APNS}
    shared = {row.code: row.name for table in (FCM, WNS) for row in table if row.code is not None}

    differing = {code for code, name in shared.items() if apns[code] != name}
    assert differing <= {0x41}


def test_every_reason_of_apple_can_be_asked_for() -> None:
    """Each row of Apple's table of reasons is a fault; the docs list 32 for device pushes."""
    wanted = {"".join(part.capitalize() for part in row.name.split("_")) for row in APNS}
    renamed = {
        "DeviceTokenNotForTopic": "not_for_topic",
        "BadDeviceToken": "bad_token",
        "ExpiredProviderToken": "expired_jwt",
        "InvalidProviderToken": "invalid_jwt",
        "UnrelatedKeyIdInToken": "unrelated_key",
        "BadEnvironmentKeyIdInToken": "bad_environment_key",
        "TooManyProviderTokenUpdates": "too_many_updates",
        "TooManyRequests": "throttled",
        "InternalServerError": "e500",
        "ServiceUnavailable": "unavailable",
        "PayloadTooLarge": "too_large",
    }
    assert all(APNS.named(name) for name in renamed.values())
    assert set(STATUS) <= wanted | set(renamed)


#: What a sender must be able to meet at each gateway; h2 stands for every fault of the wire.
H2 = {*range(0x12, 0x16), *range(0x20, 0x26), *range(0x30, 0x38), *range(0x40, 0x45),
      *range(0x50, 0x59), *range(0x5C, 0x60), *range(0x60, 0x66), *range(0x70, 0x80)}  # fmt: skip
FCM_NAMES = {"ok", "unregistered", "bad_token", "invalid_arg", "sender_mismatch", "perm_denied",
             "not_found_html", "unauth", "third_party", "quota", "quota_date", "quota_bare",
             "internal", "html502", "unavailable", "slow", "never"}  # fmt: skip
WNS_NAMES = {"ok", "dropped", "channelthrottled", "gone", "not_found", "forbidden", "unauth",
             "throttled", "quota", "too_large", "internal", "unavailable", "domain_blocked",
             "disconnected", "slow", "never", "close_before", "close_after", "close_mid_body",
             "chunked_response", "no_content_length"}  # fmt: skip
TOKEN_NAMES = {"slow", "internal", "short", "revoked"}


@pytest.mark.parametrize(
    ("table", "codes", "names"),
    [
        pytest.param(APNS, {*range(0x12), *H2, *range(0x59, 0x5C)}, set(), id="apns"),
        pytest.param(FCM, H2, FCM_NAMES, id="fcm"),
        pytest.param(WNS, set(), WNS_NAMES, id="wns"),
        pytest.param(TOKEN_FAULTS, set(), TOKEN_NAMES, id="tokens"),
    ],
)
def test_tables_are_complete(table: FaultTable, codes: set[int], names: set[str]) -> None:
    """No row that the gateways' behaviour asks for is missing."""
    assert codes <= {row.code for row in table}
    assert names <= {row.name for row in table}
