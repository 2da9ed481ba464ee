"""Messages to their gateways, answers onto the sheet."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from pushsvc.delivery import dispatch
from pushsvc.delivery.circuit import Heard
from pushsvc.delivery.gateway import Gateway, Message, Over, Settle, never
from pushsvc.delivery.pacing import Asking, Grant
from pushsvc.model import (
    ACCEPTED,
    Answer,
    ApnsHead,
    ApnsShape,
    Deferral,
    Device,
    FcmShape,
    OutcomeClass,
    Refused,
    Shape,
    WnsShape,
)

SHAPE = FcmShape(head=b"", tail=b"")


class Accepting:
    """A gateway that takes what it is given, up to a number; then it fails or is stopped."""

    def __init__(self, *, most: int = 1_000, error: BaseException | None = None) -> None:
        self.most = most
        self.error = error
        self.got: list[str] = []

    async def send(
        self,
        messages: Iterator[Message[Shape]],
        settle: Settle,
        over: Over = never,  # noqa: ARG002
    ) -> None:
        """Accept messages; raise when it has had enough."""
        for index, _key, token, _shape in messages:
            if len(self.got) == self.most and self.error is not None:
                raise self.error
            self.got.append(token)
            settle(index, ACCEPTED)

    async def close(self) -> None:
        """Nothing is open."""


class Pace:
    """A pace that allows what it is told to, one answer after another, and then everything."""

    narrow: frozenset[str] = frozenset()
    stall_seconds = 0.01

    def __init__(self, *grants: Grant) -> None:
        self.grants = list(grants)
        self.told: list[tuple[Heard, bool]] = []
        self.stalled = asyncio.Event()

    async def acquire(self, count: int, asking: Asking) -> Grant:  # noqa: ARG002 - the same for all
        """Return the next answer."""
        return self.grants.pop(0) if self.grants else Grant(count=count)

    async def tell(self, heard: Heard, *, probe: bool) -> None:
        """Keep what is told."""
        self.told.append((heard, probe))

    def settled(self) -> None:
        """Nothing depends on it."""

    def waits(self, who: object, count: int) -> None:
        """Nor on this."""

    def stalls(self) -> bool:
        """As soon as it is asked."""
        self.stalled.set()
        return True


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
    pace: Pace | None = None,
) -> list[OutcomeClass]:
    sheet = await sheet_of(
        found,
        gateway,
        shape=shape,
        in_time=in_time,
        stopped=stopped,
        validate_only=validate_only,
        pace=pace,
    )
    return [OutcomeClass(byte) for byte in sheet.outcomes]


async def sheet_of(
    found: list[Device],
    gateway: Gateway[Shape] | None,
    *,
    shape: Shape | Refused = SHAPE,
    in_time: Callable[[], bool] = lambda: True,
    stopped: Callable[[], bool] = lambda: False,
    validate_only: bool = False,
    pace: Pace | None = None,
) -> dispatch.Sheet:
    sheet = dispatch.Sheet(bytes(len(found)))
    route = dispatch.Route(gateway, pace or Pace()) if gateway else None
    await dispatch.send(
        found,
        sheet,
        shape_of=lambda _device: shape,
        route_of=lambda _shape: route,
        key_of=lambda index: index,
        in_time=in_time,
        stopped=stopped,
        validate_only=validate_only,
    )
    return sheet


async def test_what_cannot_be_sent_says_why_and_the_rest_goes() -> None:
    """No token, a refused shape, no credential: each has its outcome without a gateway."""
    gateway = Accepting()

    assert await sent(devices("a", ""), gateway) == [OutcomeClass.OK, OutcomeClass.TOKEN_DEAD]
    assert await sent(devices("c"), gateway, shape=Refused(reason="x")) == [
        OutcomeClass.REQUEST_BAD
    ]
    assert await sent(devices("d"), None) == [OutcomeClass.CREDENTIAL]
    assert gateway.got == ["a"]


@pytest.mark.parametrize("validate_only", [False, True])
async def test_a_channel_that_nobody_serves_misses_no_credential(*, validate_only: bool) -> None:
    """What was switched off, or is no channel, no credential would reach."""
    uris = ("http://sn1.notify.live.net/x", "https://a.example/", "https://notify.windows.com/?t")
    wns = WnsShape((), b"<toast />")

    sheet = await sheet_of(devices(*uris), None, shape=wns, validate_only=validate_only)

    assert [sheet.answers[place].reason for place in range(3)] == [
        "provider_retired",
        "bad_channel_uri",
        "MissingCredential",
    ]


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


HELD = Answer(OutcomeClass.RETRY_SAFE, "CircuitOpen: http_503", 8.0, deferral=Deferral.HELD)


async def test_what_is_too_much_gets_a_time_and_the_gateway_never_sees_it() -> None:
    """In few turns: a tenth of the rest, or a second's worth where that is more."""
    gateway = Accepting()
    few = Pace(Grant(count=2, wait_seconds=3.0, interval_seconds=0.5))
    many = Pace(Grant(count=0, wait_seconds=0.0, interval_seconds=1.0))

    sheet = await sheet_of(devices(*"abcdef"), gateway, pace=few)
    long = await sheet_of(devices(*map(str, range(100))), gateway, pace=many)

    assert gateway.got == ["a", "b"]
    assert few.told == [(Heard(alive=2), False)]
    assert [sheet.answers[place].retry_after for place in range(2, 6)] == [3.0, 3.0, 4.0, 4.0]
    assert {answer.deferral for answer in sheet.answers.values()} == {Deferral.PACED}
    assert len({answer.retry_after for answer in long.answers.values()}) == 10


async def test_after_a_probe_that_went_well_all_others_go() -> None:
    """Few are tried; then the pace is asked again."""
    gateway, pace = Accepting(), Pace(Grant(count=1, probe=True))

    assert await sent(devices(*"abc"), gateway, pace=pace) == [OutcomeClass.OK] * 3
    assert pace.told == [(Heard(alive=1), True), (Heard(alive=2), False)]


async def test_while_a_circuit_is_open_nobody_is_asked() -> None:
    """The devices are put off with the reason, a little later than it says, all of them alike."""
    gateway = Accepting()

    sheet = await sheet_of(devices("a", "b"), gateway, pace=Pace(Grant(count=0, held=HELD)))

    assert gateway.got == []
    assert sheet.answers[0] == sheet.answers[1]
    assert sheet.answers[0].deferral is Deferral.HELD
    assert 8.0 <= (sheet.answers[0].retry_after or 0) <= 10.0


class Hanging:
    """A gateway that takes some messages, and says nothing of them until somebody has noticed."""

    def __init__(self, *, takes: int, noticed: asyncio.Event) -> None:
        self.takes = takes
        self.noticed = noticed
        self.got: list[int] = []

    async def send(
        self,
        messages: Iterator[Message[Shape]],
        settle: Settle,
        over: Over = never,  # noqa: ARG002
    ) -> None:
        """Take some, wait, and ask for more; then the deadline of the first has passed."""
        self.got += [index for index, *_ in islice(messages, self.takes)]
        await self.noticed.wait()
        late = [index for index, *_ in messages]
        for index in self.got:
            settle(index, Answer(OutcomeClass.UNKNOWN, "deadline"))
        self.got += late

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_gateway_that_hangs_gets_no_more() -> None:
    """What it was handed is in doubt in its time; the rest is put off, and goes elsewhere."""
    pace = Pace()
    gateway = Hanging(takes=25, noticed=pace.stalled)

    sheet = await sheet_of(devices(*map(str, range(40))), gateway, pace=pace)

    assert gateway.got == list(range(25))
    assert sheet.outcomes == bytes([OutcomeClass.UNKNOWN] * 25 + [OutcomeClass.RETRY_SAFE] * 15)
    assert {sheet.answers[place].deferral for place in range(25, 40)} == {Deferral.HELD}
    assert pace.told == []
