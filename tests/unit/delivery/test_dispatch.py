"""Messages to their gateways, answers onto the sheet."""

from collections.abc import Callable, Iterator

from pushsvc.delivery import dispatch
from pushsvc.delivery.gateway import Message, Settle
from pushsvc.model import (
    ACCEPTED,
    ApnsHead,
    ApnsShape,
    Device,
    FcmShape,
    OutcomeClass,
    Refused,
    Shape,
)

SHAPE = FcmShape(head=b"", tail=b"")


class Accepting:
    """A gateway that takes what it is given, up to a number; then it fails or is stopped."""

    def __init__(self, *, most: int = 1_000, error: BaseException | None = None) -> None:
        self.most = most
        self.error = error
        self.got: list[str] = []

    async def send(self, messages: Iterator[Message[Shape]], settle: Settle) -> None:
        """Accept messages; raise when it has had enough."""
        for index, _key, token, _shape in messages:
            if len(self.got) == self.most and self.error is not None:
                raise self.error
            self.got.append(token)
            settle(index, ACCEPTED)

    async def close(self) -> None:
        """Nothing is open."""


def devices(*tokens: str) -> list[Device]:
    return [Device(place, "android", token, None, None, None) for place, token in enumerate(tokens)]


async def sent(
    found: list[Device],
    gateway: Accepting | None,
    *,
    shape: Shape | Refused = SHAPE,
    in_time: Callable[[], bool] = lambda: True,
    stopped: Callable[[], bool] = lambda: False,
    validate_only: bool = False,
) -> list[OutcomeClass]:
    sheet = dispatch.Sheet(bytes(len(found)))
    await dispatch.send(
        found,
        sheet,
        shape_of=lambda _device: shape,
        gateway_of=lambda _shape: gateway,
        key_of=lambda index: index,
        in_time=in_time,
        stopped=stopped,
        validate_only=validate_only,
    )
    return [OutcomeClass(byte) for byte in sheet.outcomes]


async def test_what_cannot_be_sent_says_why_and_the_rest_goes() -> None:
    """No token, a refused shape, no credential: each has its outcome without a gateway."""
    gateway = Accepting()

    assert await sent(devices("a", ""), gateway) == [OutcomeClass.OK, OutcomeClass.TOKEN_DEAD]
    assert await sent(devices("c"), gateway, shape=Refused(reason="x")) == [
        OutcomeClass.REQUEST_BAD
    ]
    assert await sent(devices("d"), None) == [OutcomeClass.CREDENTIAL]
    assert gateway.got == ["a"]


async def test_of_a_push_that_is_only_looked_at_fcm_alone_hears() -> None:
    """Its yes is no delivery; the other gateways would deliver, so they are not called."""
    gateway = Accepting()
    head = ApnsHead(push_id=1, topic="a.b", headers=())
    apns = ApnsShape(head, b"{}")

    assert await sent(devices("a"), gateway, validate_only=True) == [OutcomeClass.VALIDATED]
    assert gateway.got == ["a"]
    assert await sent(devices("ab", "no hex"), gateway, shape=apns, validate_only=True) == [
        OutcomeClass.VALIDATED,
        OutcomeClass.TOKEN_SUSPECT,
    ]
    assert await sent(devices("ab"), None, shape=apns, validate_only=True) == [
        OutcomeClass.CREDENTIAL
    ]
    assert gateway.got == ["a"]


async def test_a_push_that_expires_while_it_is_sent_stops_there() -> None:
    """What was handed over was in time; the rest has expired, and no gateway gets it."""
    gateway = Accepting()
    moments = iter([True, True, False])

    found = await sent(devices("a", "b", "c", "d"), gateway, in_time=lambda: next(moments, False))

    assert found == [OutcomeClass.OK] * 2 + [OutcomeClass.EXPIRED] * 2
    assert gateway.got == ["a", "b"]


async def test_a_process_that_is_stopped_hands_nothing_more_to_a_gateway() -> None:
    """What it had handed over has its outcome; the rest is still open, for another process."""
    gateway = Accepting()
    moments = iter([False, False, True])

    found = await sent(devices("a", "b", "c", "d"), gateway, stopped=lambda: next(moments, True))

    assert found == [OutcomeClass.OK] * 2 + [OutcomeClass.OPEN] * 2
    assert gateway.got == ["a", "b"]


async def test_what_a_gateway_was_handed_when_it_failed_is_in_doubt() -> None:
    """And what it was not handed is still open, to be tried again."""
    gateway = Accepting(most=1, error=RuntimeError("a fault of ours"))

    found = await sent(devices("a", "b", "c"), gateway)

    assert found == [OutcomeClass.OK, OutcomeClass.UNKNOWN, OutcomeClass.OPEN]
