"""Which gateways a delivery does not believe when they call tokens dead."""

import pytest

from pushsvc.deliveries import End, held_of
from pushsvc.model import OutcomeClass, Recipient


@pytest.mark.parametrize(
    ("dead", "sent", "pending", "held"),
    [
        (49, 0, 0, []),
        (50, 0, 0, ["apns"]),
        (50, 200, 0, []),
        # those that are pending may come to the same end
        (1, 0, 49, ["apns"]),
        (1, 0, 48, []),
        (1, 200, 60, []),
        # nobody is accused yet
        (0, 0, 100, []),
    ],
)
def test_a_gateway_is_held_when_it_may_call_too_many_tokens_dead(
    dead: int, sent: int, pending: int, held: list[str]
) -> None:
    """At least 50, and more than the share of what it said, or may say yet."""
    ends = [
        *[End(OutcomeClass.TOKEN_DEAD, "Unregistered")] * dead,
        *[End(OutcomeClass.OK, "")] * sent,
        *[End(OutcomeClass.OPEN, "")] * pending,
    ]
    recipients = [Recipient(device_type="ios", token="x")] * len(ends)

    assert list(held_of(recipients, ends, share_limit=0.3)) == held
