"""What APNs answers through stock aioapns, and what becomes of its connections."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from h2.settings import SettingCodes
from hyperframe.frame import SettingsFrame

from pushsvc.clock import SystemClock
from pushsvc.delivery.apns.provider_token import LocalMoments
from pushsvc.delivery.apns.stock import StockApnsGateway
from pushsvc.delivery.tokens import LocalTokenStore
from pushsvc.model import ACCEPTED, Answer, GatewayName, OutcomeClass
from pushsvc.simulators import Simulators
from pushsvc.simulators.endpoints import Endpoints
from pushsvc.simulators.script import Rule
from tests.integration.delivery.building import (
    Build,
    builder_of,
    credential,
    entries,
    settings_for,
)
from tests.integration.delivery.sending import (
    Clients,
    apns_shape,
    apns_token,
    send,
    send_messages,
)
from tests.integration.wire.certificates import Authority
from tests.integration.wire.peer import Peer, Wire, answer_all

pytestmark = pytest.mark.integration

O = OutcomeClass  # noqa: E741 - a table is read across

#: Marker of APNs -> what comes of it by aioapns. A reset and an error without a body it takes for
#: no answer yet, so that these are in doubt when the time is up; by the wire they are not.
APNS_ANSWERS: Final = [
    ("fa170100", O.TOKEN_DEAD, "Unregistered"),
    ("fa170200", O.TOKEN_DEAD, "ExpiredToken"),
    ("fa170400", O.TOKEN_SUSPECT, "BadDeviceToken"),
    ("fa170500", O.TOKEN_SUSPECT, "DeviceTokenNotForTopic"),
    ("fa170600", O.CREDENTIAL, "TopicDisallowed"),
    ("fa170800", O.CREDENTIAL, "InvalidProviderToken"),
    ("fa170c00", O.RETRY_BACKOFF, "TooManyProviderTokenUpdates"),
    ("fa170d00", O.THROTTLED_DEVICE, "TooManyRequests"),
    ("fa170e00", O.RETRY_BACKOFF, "InternalServerError"),
    ("fa170f00", O.RETRY_BACKOFF, "ServiceUnavailable"),
    ("fa171100", O.REQUEST_BAD, "PayloadTooLarge"),
    ("fa171202", O.OK, ""),
    ("fa171300", O.UNKNOWN, "TimeoutError"),
    ("fa171400", O.UNKNOWN, "TimeoutError"),
    ("fa171501", O.TOKEN_SUSPECT, "BadDeviceToken"),
    ("fa172000", O.UNKNOWN, "TimeoutError"),
    ("fa172100", O.UNKNOWN, "TimeoutError"),
    ("fa175300", O.UNKNOWN, "TimeoutError"),
    ("fa175700", O.REQUEST_BAD, "NewReason"),
    ("fa175800", O.REQUEST_BAD, "ImATeapot"),
    ("fa175a00", O.UNKNOWN, "TimeoutError"),
    ("fa178000", O.REQUEST_BAD, "BadCollapseId"),
    ("fa178e00", O.REQUEST_BAD, "BadPath"),
]


async def test_aioapns_s_answers_have_the_same_classes(
    build: Build, simulators: Simulators
) -> None:
    """All at once, healthy devices in between: each settled once, nobody sent to twice."""
    expected: dict[str, tuple[OutcomeClass, str]] = {}
    for number, (marker, outcome, reason) in enumerate(APNS_ANSWERS):
        expected[apns_token(number, marker)] = (outcome, reason)
        expected[apns_token(1000 + number)] = (O.OK, "")
    gateway = build(GatewayName.APNS, "aioapns", gateway_timeout_seconds=1)
    answers = await send(gateway, expected, apns_shape())

    assert expected == {token: (a.outcome, a.reason) for token, a in answers.items()}
    # What was one provider token too many goes once more.
    assert simulators.ledger.sums("apns").requests == len(expected) + 1


async def test_a_dead_token_s_moment_comes_through_aioapns(build: Build) -> None:
    """It decides whether the token is retired."""
    token = apns_token(1, "fa170103")
    gateways = [build(GatewayName.APNS, "wire"), build(GatewayName.APNS, "aioapns")]
    moments = [(await send(g, [token], apns_shape()))[token].invalid_since_ms for g in gateways]

    assert moments[0] is not None
    assert moments[1] is not None
    assert abs(moments[0] - moments[1]) < 60_000


@pytest.mark.parametrize("marker", ["fa171206", "fa171506"])
async def test_a_late_answer_costs_aioapns_nothing(
    marker: str, build: Build, simulators: Simulators
) -> None:
    """It comes when its message is settled as unknown; the connection and who is on it stay."""
    gateway = build(GatewayName.APNS, "aioapns", gateway_connections=1, gateway_timeout_seconds=0.5)
    shape = apns_shape()
    late = await send_messages(gateway, [(0, 0, apns_token(0, marker), shape)])
    other = await send_messages(gateway, [(0, 1, apns_token(1, "fa171202"), shape)])
    after = await send_messages(gateway, [(0, 2, apns_token(2), shape)])

    assert late[0].outcome is O.UNKNOWN
    assert [other[0], after[0]] == [ACCEPTED, ACCEPTED]
    assert [entry.connection for entry in entries(simulators, "apns")] == [1, 1, 1]


async def test_what_is_never_answered_gives_its_place_back(
    build: Build, simulators: Simulators
) -> None:
    """aioapns has two places on a connection; five lost answers do not close it to others."""
    gateway = build(GatewayName.APNS, "aioapns", gateway_connections=1, gateway_timeout_seconds=0.3)
    markers = ["", *["fa171300"] * 5, ""]
    messages = [(n, n, apns_token(n, marker), apns_shape()) for n, marker in enumerate(markers)]
    settled = await send_messages(gateway, messages)

    assert [settled[n].outcome for n in range(7)] == [O.OK, *[O.UNKNOWN] * 5, O.OK]
    assert {entry.connection for entry in entries(simulators, "apns")} == {1}


async def test_aioapns_s_connection_outlives_thousands_of_refusals(
    build: Build, simulators: Simulators
) -> None:
    """What the reasons take of its window is given back: 2,500 of them on one connection."""
    gateway = build(GatewayName.APNS, "aioapns", gateway_connections=1)
    tokens = [apns_token(number, "fa170400") for number in range(2500)]
    answers = await send(gateway, tokens, apns_shape())

    assert set(answers.values()) == {Answer(O.TOKEN_SUSPECT, "BadDeviceToken")}
    assert len({entry.connection for entry in entries(simulators, "apns")}) == 1


async def test_aioapns_has_the_fleet_s_token(build: Build, simulators: Simulators) -> None:
    """Two connections, and a gateway on the wire beside them: APNs sees one token."""
    tokens = [apns_token(number) for number in range(300)]
    await send(build(GatewayName.APNS, "aioapns"), tokens, apns_shape())
    await send(build(GatewayName.APNS, "wire"), [apns_token(999)], apns_shape())

    assert len({entry.credential for entry in entries(simulators, "apns")}) == 1


async def test_aioapns_leaves_a_connection_that_calls_the_token_expired(
    build: Build, simulators: Simulators
) -> None:
    """A new one takes the same token, and everybody is served."""
    simulators.script.add(Rule(gateway="apns", scope="next", fault="expired_jwt"))
    tokens = [apns_token(number) for number in range(100)]
    answers = await send(build(GatewayName.APNS, "aioapns"), tokens, apns_shape())

    assert set(answers.values()) == {ACCEPTED}
    assert simulators.ledger.sums("apns").duplicates == 0


@pytest.mark.parametrize("fault", ["eof", "tcp_rst", "goaway_then_eof"])
async def test_a_lost_connection_of_aioapns_is_told_honestly(
    fault: str, build: Build, simulators: Simulators
) -> None:
    """What was on it is unknown and not sent again; the next message finds another."""
    gateway = build(GatewayName.APNS, "aioapns")
    await send(gateway, [apns_token(1)], apns_shape())
    simulators.script.add(Rule(gateway="apns", scope="next", fault=fault))
    lost = await send(gateway, [apns_token(2)], apns_shape())
    after = await send(gateway, [apns_token(3)], apns_shape())

    assert [answer.outcome for answer in lost.values()] == [O.UNKNOWN]
    assert set(after.values()) == {ACCEPTED}
    assert simulators.ledger.sums("apns").requests == 3


async def test_what_aioapns_cannot_send_is_refused(build: Build, simulators: Simulators) -> None:
    """A token that is none, a field with a line break; the others are not concerned."""
    good = apns_shape()
    bad = apns_shape((b"apns-collapse-id", b"a\r\nb"))
    messages = [(0, 0, "no hex", good), (1, 1, apns_token(1), bad), (2, 2, apns_token(2), good)]
    settled = await send_messages(build(GatewayName.APNS, "aioapns"), messages)

    outcomes = [settled[index].outcome for index in range(3)]
    assert outcomes == [O.TOKEN_SUSPECT, O.REQUEST_BAD, O.OK]
    assert len(entries(simulators, "apns")) == 1


async def test_what_was_accepted_is_not_remembered(build: Build) -> None:
    """Nothing of a message stays on its connection; aioapns keeps the stream of each."""
    gateway = build(GatewayName.APNS, "aioapns", gateway_connections=1)
    assert isinstance(gateway, StockApnsGateway)
    tokens = [apns_token(n, "fa170400" if n % 2 else "") for n in range(20)]
    await send(gateway, tokens, apns_shape())

    (connection,) = gateway._connections.connections
    assert (connection.requests, connection.request_streams) == ({}, {})
    assert connection.request_statuses == {}


async def test_a_message_that_meets_a_closing_connection_takes_another(
    build: Build, simulators: Simulators
) -> None:
    """aioapns closes one that was idle for ten seconds, and would lose what comes just then."""
    gateway = build(GatewayName.APNS, "aioapns", gateway_connections=2)
    assert isinstance(gateway, StockApnsGateway)
    await send_messages(gateway, [(0, 0, apns_token(0), apns_shape())])
    for connection in gateway._connections.connections:
        connection.close()
    after = await send_messages(gateway, [(0, 1, apns_token(1), apns_shape())])

    assert after[0] is ACCEPTED
    assert [entry.connection for entry in entries(simulators, "apns")] == [1, 2]


async def test_its_connections_are_gone_when_it_is_closed(build: Build) -> None:
    """Those that were left, too."""
    failures = failures_of_the_loop()
    gateway = build(GatewayName.APNS, "aioapns")
    assert isinstance(gateway, StockApnsGateway)
    await send_messages(gateway, [(0, 0, apns_token(0), apns_shape())])
    gateway._connections.leave()
    await send_messages(gateway, [(0, 1, apns_token(1), apns_shape())])
    alive = list(gateway._connections._alive)
    await gateway.close()

    assert len(alive) == 2
    assert all(connection.lost.done() for connection in alive)
    assert failures == []


async def test_nothing_is_sent_before_settings(build: Build, tmp_path: Path) -> None:
    """They come late and allow one stream; the peer would not forgive a second one."""

    async def late_settings(wire: Wire) -> None:
        wire.mute = True
        await wire.until(lambda: wire.h2.remote_settings.max_header_list_size)
        wire.mute = False
        wire.say(SettingsFrame(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1}))
        await answer_all(wire)

    authority = Authority(tmp_path)
    peer = Peer(late_settings, initial={SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    async with peer.listen(authority.server_context()):
        url = f"https://localhost:{peer.port}"
        gateway = build(
            GatewayName.APNS, "aioapns", apns_url=url, gateway_ca_file=authority.ca_file
        )
        answers = await send(gateway, [apns_token(n) for n in range(20)], apns_shape())
        await gateway.close()

    assert set(answers.values()) == {ACCEPTED}


async def test_a_server_that_hangs_up_at_once_leaves_nothing_behind(
    build: Build, tmp_path: Path
) -> None:
    """No connection is kept that is none, and nobody waits: the messages are safe to send later."""
    failures = failures_of_the_loop()
    authority = Authority(tmp_path)

    async def hang_up(wire: Wire) -> None:
        wire.mute = True
        wire.close()

    peer = Peer(hang_up)
    async with peer.listen(authority.server_context()):
        url = f"https://localhost:{peer.port}"
        gateway = build(
            GatewayName.APNS, "aioapns", apns_url=url, gateway_ca_file=authority.ca_file
        )
        assert isinstance(gateway, StockApnsGateway)
        answers = await send(gateway, [apns_token(n) for n in range(5)], apns_shape())
        await gateway.close()

    assert {answer.outcome for answer in answers.values()} == {O.RETRY_SAFE}
    assert gateway._connections.connections == []
    assert failures == []


def failures_of_the_loop() -> list[dict[str, Any]]:
    """What callbacks raise from now on; the loop would only log it."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, told: failures.append(told))
    return failures


@pytest.mark.parametrize("marker", ["fa171203", "fa171503"])
async def test_an_answer_that_comes_with_the_deadline_leaves_no_second_try(
    tmp_path: Path, marker: str
) -> None:
    """Both are found in one turn of a loop that was busy: it may have arrived."""
    async with served_apart(tmp_path) as served, aiohttp.ClientSession() as session:
        clock = SystemClock()
        clients = Clients(
            endpoints=served,
            session=session,
            store=LocalTokenStore(),
            clock=clock,
            moments=LocalMoments(clock),
        )
        settings = settings_for(
            clients, "aioapns", gateway_connections=1, gateway_timeout_seconds=0.5
        )
        builder = builder_of(clients, settings)
        gateway = builder.build(credential(clients, GatewayName.APNS))
        await send(gateway, [apns_token(0)], apns_shape())
        asyncio.get_running_loop().call_later(0.2, time.sleep, 0.4)
        answers = await send(gateway, [apns_token(1, marker)], apns_shape())
        await gateway.close()
        await builder.close()

    assert {answer.outcome for answer in answers.values()} != {O.RETRY_SAFE}


@asynccontextmanager
async def served_apart(directory: Path) -> AsyncIterator[Endpoints]:
    """Simulators on a loop of their own, which goes on while this one is busy."""
    started: Future[Endpoints] = Future()
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with Simulators(directory) as simulators:
            started.set_result(simulators.endpoints)
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        yield await asyncio.wrap_future(started)
    finally:
        loop.call_soon_threadsafe(stop.set)
        await asyncio.to_thread(thread.join)
        loop.close()
