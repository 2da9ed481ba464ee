"""Messages that are only to be looked at (`validate_only`): who is asked, and what it means (pure).

FCM alone looks at a message without delivering it. APNs and WNS know no such thing, so they are
not called, and what can be told without them is.
https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send
"""

from pushsvc.delivery.apns.client import BAD_DEVICE_TOKEN, is_device_token
from pushsvc.delivery.gateway import Settle
from pushsvc.delivery.wns import channel
from pushsvc.model import VALIDATED, Answer, ApnsShape, FcmShape, OutcomeClass, Shape


def unasked(token: str, shape: Shape) -> Answer | None:
    """Return what comes of a message whose gateway is not called; None where FCM is to be asked."""
    if isinstance(shape, FcmShape):
        return None
    if isinstance(shape, ApnsShape):
        return VALIDATED if is_device_token(token) else BAD_DEVICE_TOKEN
    return channel.refusal(token) or VALIDATED


def refused_unasked(token: str, shape: Shape) -> Answer | None:
    """Return why a message would get no further than to us; None where it would."""
    answer = unasked(token, shape)
    return None if answer is VALIDATED else answer


def meaning(answer: Answer) -> Answer:
    """Return what an answer of a gateway means: its yes is no delivery."""
    return VALIDATED if answer.outcome is OutcomeClass.OK else answer


def validating(settle: Settle) -> Settle:
    """Return what settles messages by that meaning."""
    return lambda index, answer: settle(index, meaning(answer))
