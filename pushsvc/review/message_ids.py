"""The `apns-id` under which Apple knows a message that we sent."""

from typing import Final

from pushsvc.delivery import dispatch
from pushsvc.delivery.apns.client import apns_id
from pushsvc.model import Device, GatewayName, OutcomeClass
from pushsvc.shaping.forms import gateway_of

#: With these no gateway was given a message; with `EXPIRED` one may have been, at its last attempt.
_NEVER_SENT: Final = frozenset(
    {
        OutcomeClass.OPEN,
        OutcomeClass.DEDUPLICATED,
        OutcomeClass.VALIDATED,
    }
)
#: Ours, for what is not handed to a gateway.
_NOT_HANDED: Final = frozenset(
    answer.reason
    for answer in (
        dispatch.SHAPING_FAILED,
        dispatch.NO_TOKEN,
        dispatch.NO_CREDENTIAL,
        dispatch.NOT_SENT,
        dispatch.PAUSED,
        dispatch.CANCELLED,
        dispatch.NO_INSTALLATION,
        dispatch.EXPIRED,
    )
)


def gateway(device_type: str | None, push_type: str | None, token: str) -> GatewayName | None:
    """Return the gateway of such a device; None where there is none, or nobody knows any more."""
    if device_type is None:
        return None
    return gateway_of(Device(0, device_type, token, None, None, None, push_type))


def message_id(
    push_id: int, key: int | None, *, seq: int, place: int, outcome: OutcomeClass, reason: str
) -> str | None:
    """Return the `apns-id` of an APNs device's message; None where there was no message.

    `key` is the installation's; an explicit device has none, and is known by its place in a batch.
    """
    if outcome in _NEVER_SENT or reason in _NOT_HANDED:
        return None
    known_by = dispatch.explicit_key(seq, place) if key is None else key
    return apns_id(push_id, known_by).decode()
