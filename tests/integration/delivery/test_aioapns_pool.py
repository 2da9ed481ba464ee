"""An `APNs` object of aioapns whose pool is ours, against a strict APNs."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
from aioapns import APNs, NotificationRequest
from aioapns.common import NotificationResult, PushType
from aioapns.connection import APNsProductionClientProtocol
from aioapns.exceptions import MaxAttemptsExceeded

from pushsvc.delivery.apns.aioapns_pool import UNKNOWN_STATUS, WirePool
from pushsvc.delivery.wire import Limits, Origin, Pool, client_context
from pushsvc.simulators import Simulators
from pushsvc.simulators.ledger import Entry
from pushsvc.simulators.script import Rule
from tests.integration.delivery.sending import (
    TIMEOUT_SECONDS,
    TOPIC,
    Clients,
    apns_token,
    until,
)

pytestmark = pytest.mark.integration

MESSAGE = {"aps": {"alert": "Grüße 👋", "badge": 3}, "n": [1, 2.5, None, True], "s": 'a "b"'}


class OpenApns(Protocol):
    """Makes an `APNs` object that sends over our wire."""

    def __call__(self, *, url: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> APNs:
        """Its pool is closed after the test."""


@pytest.fixture
async def open_apns(clients: Clients) -> AsyncIterator[OpenApns]:
    """Makes `APNs` objects as their users do, and gives them our pool."""
    async with AsyncExitStack() as stack:

        def open_one(*, url: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> APNs:
            origin = Origin.from_url(url or clients.endpoints.apns_url)
            context = client_context(str(clients.endpoints.ca_file))
            limits = Limits(max_connections=2, await_settings=True, backoff_first_seconds=0.01)
            pool = WirePool(
                lambda: Pool(origin, ssl_context=context, limits=limits),
                clients.provider_token(),
                clock=clients.clock,
                timeout_seconds=timeout_seconds,
                topic=TOPIC,
            )
            apns = stock(clients)
            apns.pool = pool
            stack.push_async_callback(pool.wait_closed)
            stack.callback(pool.close)
            return apns

        yield open_one


def stock(clients: Clients) -> APNs:
    """An `APNs` object with its own pool, on the simulator."""
    key = clients.endpoints.credentials.apns
    apns = APNs(
        key=key.p8,
        key_id=key.key_id,
        team_id=key.team_id,
        topic=TOPIC,
        ssl_context=client_context(str(clients.endpoints.ca_file)),
    )
    origin = Origin.from_url(clients.endpoints.apns_url)

    class ToSimulator(APNsProductionClientProtocol):
        APNS_SERVER = origin.host
        APNS_PORT = origin.port

    apns.pool.protocol_class = ToSimulator
    return apns


def request(number: int, marker: str = "", **named: Any) -> NotificationRequest:
    named = {"message": MESSAGE, "push_type": PushType.ALERT, **named}
    return NotificationRequest(apns_token(number, marker), **named)


def entries(simulators: Simulators) -> list[Entry]:
    return simulators.ledger.page(gateway="apns", token=None, after=0, limit=100_000)[0]


async def outcome(apns: APNs, sent: NotificationRequest) -> tuple[str, str | None]:
    result = await apns.send_notification(sent)
    assert result.notification_id == sent.notification_id
    return result.status, result.description


async def test_an_accepted_notification(open_apns: OpenApns, simulators: Simulators) -> None:
    """The result is aioapns' own, with status 200 and nothing to describe."""
    sent = request(1)
    result = await open_apns().send_notification(sent)

    assert isinstance(result, NotificationResult)
    assert result.is_successful
    assert (result.notification_id, result.status) == (sent.notification_id, "200")
    assert (result.description, result.timestamp) == (None, None)
    assert simulators.ledger.sums("apns").delivered == 1


@pytest.mark.parametrize(
    ("marker", "status", "description"),
    [
        ("fa170400", "400", "BadDeviceToken"),
        ("fa170100", "410", "Unregistered"),
        ("fa170200", "410", "ExpiredToken"),
        ("fa170800", "403", "InvalidProviderToken"),
        ("fa170d00", "429", "TooManyRequests"),
        ("fa171000", "503", "Shutdown"),
        ("fa171100", "413", "PayloadTooLarge"),
        ("fa175000", "400", "BadDeviceToken"),
        ("fa175300", "500", "http_500"),
        ("fa175400", "503", "http_503"),
        ("fa175700", "400", "NewReason"),
        ("fa175900", "200", None),
        ("fa175a00", "200", None),
    ],
)
async def test_a_refusal_is_described_by_its_reason(
    marker: str, status: str, description: str | None, open_apns: OpenApns
) -> None:
    """Also where Apple's answer is such that aioapns itself would wait for ever, or send again."""
    assert await outcome(open_apns(), request(1, marker)) == (status, description)


async def test_a_dead_token_has_a_timestamp(open_apns: OpenApns) -> None:
    """In milliseconds, as Apple says it: three days ago."""
    result = await open_apns().send_notification(request(1, "fa170103"))

    assert result.timestamp is not None
    assert 3 * 86_400 - 60 < time.time() - result.timestamp / 1000 < 3 * 86_400 + 60


async def test_err_func_is_told_of_failures(open_apns: OpenApns) -> None:
    """aioapns calls it with the request and the result, as ever."""
    told: list[tuple[NotificationRequest, NotificationResult]] = []

    async def err_func(sent: NotificationRequest, result: NotificationResult) -> None:
        told.append((sent, result))

    apns = open_apns()
    apns.err_func = err_func
    bad = request(1, "fa170400")
    result = await apns.send_notification(bad)
    await apns.send_notification(request(2))

    assert told == [(bad, result)]


async def test_many_at_once(open_apns: OpenApns, simulators: Simulators) -> None:
    """500 sends at once on a gateway that begins with one stream: all accepted, each once."""
    apns = open_apns()
    results = await asyncio.gather(*(apns.send_notification(request(n)) for n in range(500)))

    assert all(result.is_successful for result in results)
    sums = simulators.ledger.sums("apns")
    assert (sums.requests, sums.delivered, sums.duplicates) == (500, 500, 0)
    assert len({entry.credential for entry in entries(simulators)}) == 1
    assert len({entry.connection for entry in entries(simulators)}) <= 2


async def test_a_cancelled_send_disturbs_no_other(
    open_apns: OpenApns, simulators: Simulators
) -> None:
    """One gives up while 50 others wait, and its late answer harms nobody: one connection."""
    apns = open_apns()
    await apns.send_notification(request(999))
    given_up = asyncio.create_task(apns.send_notification(request(0, "fa171202")))
    others = [
        asyncio.create_task(apns.send_notification(request(n, "fa171203"))) for n in range(50)
    ]
    await until(lambda: simulators.ledger.sums("apns").requests == 52)
    given_up.cancel()
    results = await asyncio.gather(*others)

    assert given_up.cancelled()
    assert all(result.is_successful for result in results)
    assert await outcome(apns, request(1000)) == ("200", None)
    sums = simulators.ledger.sums("apns")
    assert (sums.requests, sums.duplicates) == (53, 0)
    assert len({entry.connection for entry in entries(simulators)}) == 1


async def test_thousands_of_refusals_in_a_row(open_apns: OpenApns, simulators: Simulators) -> None:
    """3,000 bad tokens on one connection; aioapns stops for ever after 2,427."""
    apns = open_apns()
    apns.err_func = quiet
    for begin in range(0, 3000, 100):
        sent = [request(begin + n, "fa170400") for n in range(100)]
        results = await asyncio.gather(*map(apns.send_notification, sent))
        assert {result.description for result in results} == {"BadDeviceToken"}

    assert len({entry.connection for entry in entries(simulators)}) == 1


async def quiet(_sent: NotificationRequest, _result: NotificationResult) -> None:
    """Say nothing of thousands of refusals."""


@pytest.mark.parametrize("marker", ["fa171300", "fa172100", "fa174001"])
async def test_doubt_is_told_and_not_resolved_by_sending_again(
    marker: str, open_apns: OpenApns, simulators: Simulators
) -> None:
    """No answer, a reset, the end of the connection: status "0", and one request was made."""
    apns = open_apns(timeout_seconds=0.5)
    await apns.send_notification(request(1))
    result = await apns.send_notification(request(2, marker))

    assert (result.status, result.is_successful) == (UNKNOWN_STATUS, False)
    assert result.description is not None
    assert result.description.startswith("Unknown: ")
    assert simulators.ledger.sums("apns").requests == 2


async def test_what_was_not_processed_is_sent_again(
    open_apns: OpenApns, simulators: Simulators
) -> None:
    """Refused once: accepted then. Refused always: aioapns' own error, after three attempts."""
    apns = open_apns()

    assert await outcome(apns, request(1, "fa172001")) == ("200", None)
    with pytest.raises(MaxAttemptsExceeded, match="REFUSED_STREAM"):
        await apns.send_notification(request(2, "fa172000"))
    assert simulators.ledger.sums("apns").requests == 2 + 3
    assert simulators.ledger.sums("apns").delivered == 1


async def test_an_unreachable_gateway(open_apns: OpenApns) -> None:
    """Nobody listens: aioapns' own error, for all who wait, and soon."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    apns = open_apns(url=f"https://127.0.0.1:{port}")
    sends = (apns.send_notification(request(n)) for n in range(20))
    results = await asyncio.gather(*sends, return_exceptions=True)

    assert {type(result) for result in results} == {MaxAttemptsExceeded}


async def test_an_expired_provider_token_is_mended(
    open_apns: OpenApns, simulators: Simulators
) -> None:
    """The connection that refuses it is left, and nobody hears of it."""
    simulators.script.add(Rule(gateway="apns", scope="next", fault="expired_jwt"))
    apns = open_apns()
    results = await asyncio.gather(*(apns.send_notification(request(n)) for n in range(50)))

    assert all(result.is_successful for result in results)
    assert simulators.ledger.sums("apns").delivered == 50


async def test_what_cannot_be_a_token_is_not_sent(
    open_apns: OpenApns, simulators: Simulators
) -> None:
    """Apple's word for it, without asking Apple."""
    sent = NotificationRequest("not hex\r\n", MESSAGE)

    assert await outcome(open_apns(), sent) == ("400", "BadDeviceToken")
    assert entries(simulators) == []


async def test_a_bad_request_is_an_error_and_harms_no_other(
    open_apns: OpenApns, simulators: Simulators
) -> None:
    """A line break in a header, a message that is no JSON: raised, and nothing was sent."""
    apns = open_apns()
    with pytest.raises(ValueError, match="apns-collapse-id"):
        await apns.send_notification(request(1, collapse_key="a\r\nb: c"))
    with pytest.raises(TypeError):
        await apns.send_notification(request(2, message={"aps": object()}))

    assert await outcome(apns, request(3)) == ("200", None)
    assert len(entries(simulators)) == 1


async def test_a_closed_pool_finishes_and_takes_no_more(
    open_apns: OpenApns, simulators: Simulators
) -> None:
    """What is in flight gets its answer; what comes then is refused."""
    apns = open_apns()
    slow = asyncio.create_task(apns.send_notification(request(1, "fa171203")))
    await until(lambda: simulators.ledger.sums("apns").requests == 1)
    apns.pool.close()

    assert (await slow).is_successful
    with pytest.raises(MaxAttemptsExceeded):
        await apns.send_notification(request(2))
    assert len(entries(simulators)) == 1


REQUESTS: dict[str, dict[str, Any]] = {
    "as few as can be": {},
    "every field": {"time_to_live": 60, "priority": 10, "collapse_key": "score"},
    "no time to live": {"time_to_live": 0, "priority": 5},
    "its own topic": {"apns_topic": f"{TOPIC}.voip", "push_type": PushType.VOIP},
    "not ASCII": {"collapse_key": "für ✓"},
    "its own id": {"notification_id": "0f8fad5b-d9cb-469f-a165-70867728950e"},
}
#: The fields that are not sent alike, and why.
DIFFERENCES = {
    ":authority": "aioapns names the server in `host`, without its port; RFC 9113 prefers this",
    "host": "see :authority",
    "apns-id": "made anew for each request that has none",
    "authorization": "aioapns signs a token for each connection; ours is shared",
}


async def test_both_pools_send_the_same_requests(
    clients: Clients, open_apns: OpenApns, simulators: Simulators
) -> None:
    """Path, fields and body, to the byte; other than what is listed, which does differ."""
    ours = await recorded(open_apns(), simulators)
    simulators.reset()
    apns = stock(clients)
    theirs = await recorded(apns, simulators)
    apns.pool.close()
    await until(lambda: not apns.pool.connections)

    assert len(ours) == len(theirs) == len(REQUESTS)
    differing = set()
    for token, (fields, body) in ours.items():
        their_fields, their_body = theirs[token]
        assert body == their_body
        # Counted from when each of the two sends, so the same or nearly so.
        expirations = [int(one.pop("apns-expiration", 0)) for one in (fields, their_fields)]
        assert abs(expirations[0] - expirations[1]) < 60
        differing |= {name for name, _ in fields.items() ^ their_fields.items()}
        assert fields.keys() - {":authority"} == their_fields.keys() - {"host"}
        assert scheme(fields) == scheme(their_fields) == "bearer"
    assert differing == DIFFERENCES.keys()


async def recorded(apns: APNs, simulators: Simulators) -> dict[str, tuple[dict[str, str], bytes]]:
    """Send the requests, and return what arrived for each token."""
    for number, named in enumerate(REQUESTS.values()):
        assert await outcome(apns, request(number, **named)) == ("200", None)
    return {entry.token: (dict(entry.fields), entry.payload) for entry in entries(simulators)}


def scheme(fields: dict[str, str]) -> str:
    return fields["authorization"].partition(" ")[0]
