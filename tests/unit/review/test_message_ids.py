"""The ids under which Apple knows messages."""

import pytest

from pushsvc.delivery import dispatch
from pushsvc.delivery.apns.client import apns_id
from pushsvc.model import GatewayName, OutcomeClass as C
from pushsvc.review.message_ids import gateway, message_id


@pytest.mark.parametrize(
    ("outcome", "reason", "is_sent"),
    [
        (C.OK, "", True),
        (C.TOKEN_DEAD, "Unregistered", True),
        (C.TOKEN_DEAD, dispatch.NO_INSTALLATION.reason, False),
        (C.CREDENTIAL, dispatch.NO_CREDENTIAL.reason, False),
        (C.UNKNOWN, dispatch.STOPPED.reason, True),
        (C.RESENT, dispatch.WORKER_LOST.reason, True),
        (C.EXPIRED, dispatch.EXPIRED.reason, False),
        (C.EXPIRED, "ServiceUnavailable", True),
        (C.DEDUPLICATED, "", False),
        (C.OPEN, "", False),
    ],
)
def test_only_a_message_has_an_id(outcome: C, reason: str, *, is_sent: bool) -> None:
    """An id of what was never handed to APNs would be looked for in vain."""
    found = message_id(7, 5, seq=0, place=0, outcome=outcome, reason=reason)

    assert found == (apns_id(7, 5).decode() if is_sent else None)


def test_an_explicit_device_is_known_by_its_place() -> None:
    """In the batch of the attempt."""
    found = message_id(7, None, seq=3, place=4, outcome=C.OK, reason="")

    assert found == apns_id(7, 1 << 63 | 3 << 32 | 4).decode()


def test_an_apple_device_may_be_reached_by_another_gateway() -> None:
    """And of one that was deleted nobody knows."""
    assert gateway("ios", None, "00") is GatewayName.APNS
    assert gateway("ios", None, "a:b") is GatewayName.FCM
    assert gateway(None, None, "") is None
