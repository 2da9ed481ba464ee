"""The `apns-id`, made of push and device so that it need not be stored."""

import uuid

from hypothesis import given, strategies as st

from pushsvc.delivery.apns.client import apns_id

words = st.integers(0, 2**64 - 1)


@given(push_id=words, device_key=words)
def test_an_id_is_a_canonical_uuid_of_both(push_id: int, device_key: int) -> None:
    """Lower-case 8-4-4-4-12; push in the upper half, device in the lower."""
    text = apns_id(push_id, device_key).decode()

    assert text == str(uuid.UUID(int=push_id << 64 | device_key))


@given(device_key=st.integers(-(2**63), -1))
def test_a_signed_key_is_an_id_too(device_key: int) -> None:
    """A 64-bit hash read as signed is the same 64 bits."""
    assert apns_id(1, device_key) == apns_id(1, device_key + 2**64)
