"""Peers that do not keep to what we asked for, or ask us to do less."""

import asyncio
from contextlib import suppress
from typing import Any

import hpack
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Unknown, Verdict
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks, ticked
from tests.integration.wire.peer import Peer, answer_all as answer_properly
from tests.integration.wire.raw_peer import RawPeer, RawWire, answer_all
from tests.integration.wire.sending import SECONDS, TEMPLATE, OpenPool, Pulled, Told, calls, until

pytestmark = pytest.mark.integration


async def test_settings_that_are_never_acknowledged(
    authority: Authority, open_pool: OpenPool
) -> None:
    """After a liberal time we leave with SETTINGS_TIMEOUT, when what is under way is over."""

    async def never_acknowledge(wire: RawWire) -> None:
        wire.say(SettingsFrame(0, {}))
        first = await wire.request()
        await until(lambda: not pool.connections()[0].accepts)
        wire.answer_own(first)

    told = Told()
    async with RawPeer(never_acknowledge, answer_all).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, Limits(settings_ack_seconds=0.3))
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(1)), told, timeout_seconds=SECONDS)
            await pool.send_many(calls(range(1, 9)), told, timeout_seconds=SECONDS)
        assert told.own() == list(range(9))
        await peer.over()
        assert peer.wires[0].goaways == [ErrorCodes.SETTINGS_TIMEOUT]
        assert peer.wires[1].goaways == [ErrorCodes.NO_ERROR]


async def test_a_peer_that_goes_on_using_its_table(
    authority: Authority, open_pool: OpenPool
) -> None:
    """Its first connection ends as RFC 9113 section 4.3.1 wants; on the next it may have one."""

    async def disobey(wire: RawWire) -> None:
        wire.encoder = hpack.Encoder()
        wire.greet(max_concurrent_streams=100)
        while (request := await wire.request_or_end()) is not None:
            wire.answer(request.stream_id, 200, fields=[("x-same", "value"), ("x-more", "x")])

    told = Told()
    async with RawPeer(disobey).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, Limits(max_connections=1, max_streams=1))
        await pool.send_many(calls(range(100)), told, timeout_seconds=SECONDS)
        async with nothing_leaks(pool):
            assert len(told.keys(Answered)) >= 98
            assert told.keys(NotProcessed) == []
            (doubt,) = {told.verdicts[key] for key in told.keys(Unknown)}
            assert isinstance(doubt, Unknown)
            assert doubt.why.startswith("COMPRESSION_ERROR: index")
            assert len(peer.wires) == 2
        await peer.over()
        assert peer.wires[0].goaways == [ErrorCodes.COMPRESSION_ERROR]
        tables = [
            wire.of(SettingsFrame)[0].settings[SettingCodes.HEADER_TABLE_SIZE]
            for wire in peer.wires
        ]
        assert tables == [0, 4_096]


async def test_late_answers_to_a_thousand_deadlines_are_no_flood(
    authority: Authority, open_pool: OpenPool
) -> None:
    """A peer that stalls, then answers everything it was asked, keeps its connection."""

    async def stall(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=1_000)
        patient, *late = await wire.requests(1_000)
        await until(lambda: len(told.verdicts) == 999)
        wire.say(*(f for r in late for f in (wire.head(r.stream_id), wire.data(r.stream_id, b"x"))))
        wire.answer_own(patient)

    told, kept = Told(), Told()
    async with RawPeer(stall, answer_all).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port, Limits(max_connections=1, await_settings=True))
        async with nothing_leaks(pool), asyncio.TaskGroup() as senders:
            senders.create_task(pool.send_many(calls([7_777]), kept, timeout_seconds=SECONDS))
            await until(lambda: pool.stats.in_flight)
            senders.create_task(pool.send_many(calls(range(999)), told, timeout_seconds=0.5))
        assert told.keys(Unknown) == list(range(999))
        assert kept.own() == [7_777]
        await peer.over()
        assert peer.wires[0].goaways == [ErrorCodes.NO_ERROR]


async def test_a_peer_that_ends_for_calm_is_given_a_pause(
    authority: Authority, open_pool: OpenPool
) -> None:
    """GOAWAY ENHANCE_YOUR_CALM: what was not taken goes out again, after a while."""

    async def want_calm(wire: RawWire) -> None:
        wire.greet()
        first, *_ = await wire.requests(3)
        wire.answer_own(first)
        wire.say(GoAwayFrame(0, first.stream_id, ErrorCodes.ENHANCE_YOUR_CALM))

    told = Told()
    async with RawPeer(want_calm, answer_all).listen(authority.server_context()) as peer:
        limits = Limits(max_connections=1, max_streams=3, growth_spacing_seconds=0.5)
        pool = open_pool(peer.port, limits)
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(10)), told, timeout_seconds=SECONDS)
            assert told.keys(NotProcessed) == [1, 2]
            assert len(told.own()) == 8
            (replacement,) = pool.connections()
            assert replacement.accepts
            assert replacement.counts.answered == 7
            assert pool.stats.opened == 2
        await peer.over()
    assert len(peer.wires[1].of(HeadersFrame)) == 7


async def test_each_connection_tells_how_it_does(authority: Authority, open_pool: OpenPool) -> None:
    """Age, silence, streams and what was answered, errors among it, for every connection."""

    async def refuse_half(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=7)
        while (request := await wire.request_or_end()) is not None:
            wire.answer(request.stream_id, 410 if int(request.fields[b"apns-id"]) % 2 else 200)

    told = Told()
    async with (
        RawPeer(refuse_half).listen(authority.server_context()) as peer,
        Peer(answer_properly).listen(authority.server_context()) as other,
    ):
        pool, idle = open_pool(peer.port, Limits(await_settings=True)), open_pool(other.port)
        assert idle.connections() == []
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(10)), told, timeout_seconds=SECONDS)
            (health,) = pool.connections()
            assert health.accepts
            assert (health.in_flight, health.allowed) == (0, 7)
            assert (health.counts.answered, health.counts.errors) == (10, 5)
            assert 0 <= health.silent_seconds <= health.age_seconds < SECONDS
            assert pool.stats.errors == 5


async def test_one_slow_request_opens_no_second_connection(
    authority: Authority, open_pool: OpenPool
) -> None:
    """All streams are taken, and nobody waits for one."""

    async def be_slow(wire: RawWire) -> None:
        wire.greet(max_concurrent_streams=1)
        request = await wire.request()
        # Growth has been considered a few times by then.
        for _ in range(3):
            await until(lambda: not ticked(pool))
            await until(lambda: ticked(pool))
            wire.say(PingFrame(0, b"12345678"))
        wire.answer_own(request)

    told = Told()
    async with RawPeer(be_slow, answer_all).listen(authority.server_context()) as peer:
        limits = Limits(await_settings=True, growth_spacing_seconds=0.0)
        pool = open_pool(peer.port, limits)
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(1)), told, timeout_seconds=SECONDS)
            assert told.own() == [0]
            assert pool.stats.opened == 1


async def test_a_peer_without_h2_that_speaks_first_hears_nothing(
    authority: Authority, open_pool: OpenPool
) -> None:
    """Not even the preface, which is for those who chose h2 (RFC 9113 section 3.2)."""
    heard: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        with suppress(OSError):
            while octets := await reader.read(1_000):
                heard.append(octets)
        writer.close()

    context = authority.server_context(alpn=None)
    server = await asyncio.start_server(speak, "127.0.0.1", 0, ssl=context)
    async with server:
        limits = Limits(connect_attempts=2, backoff_first_seconds=0.01)
        pool = open_pool(server.sockets[0].getsockname()[1], limits)
        told = Told()
        await pool.send_many(calls(range(1)), told, timeout_seconds=SECONDS)
        assert told.keys(NotProcessed) == [0]
        assert pool.stats.connect_failures == 2
        await pool.close()
    assert heard == []


@pytest.mark.parametrize(
    ("varying", "body"),
    [
        pytest.param(("text",), b"", id="a value that is text"),
        pytest.param((b"1",), "text", id="a body that is text"),
    ],
)
async def test_a_call_of_the_wrong_types_is_its_sender_s(
    authority: Authority, open_pool: OpenPool, varying: Any, body: Any
) -> None:
    """The error is raised to who made it, and nobody else on the connection notices."""
    told = Told()
    async with RawPeer(answer_all).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port)
        async with nothing_leaks(pool):
            await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
            wrong = (9, TEMPLATE, b"/x", varying, body)
            with pytest.raises(TypeError):
                await pool.send_many([wrong], Told(), timeout_seconds=SECONDS)
            await pool.send_many(calls(range(3, 6)), told, timeout_seconds=SECONDS)
            assert told.own() == list(range(6))
            assert pool.stats.opened == 1
        await peer.over()


async def test_a_sender_that_fails_at_a_rejected_call_pulls_no_more(
    authority: Authority, open_pool: OpenPool
) -> None:
    """Its own error, at a verdict that it was told in a turn; what else was pulled is told, too."""
    bad = (5, TEMPLATE, b"/x", (b"a\r\nb",), b"")
    pulled = Pulled([*calls(range(5)), bad, *calls(range(6, 200))])

    told = Told()

    def fail(key: int, verdict: Verdict) -> None:
        told(key, verdict)
        if key == 5:
            message = "broken"
            raise RuntimeError(message)

    async with RawPeer(answer_all).listen(authority.server_context()) as peer:
        pool = open_pool(peer.port)
        async with nothing_leaks(pool):
            with pytest.raises(RuntimeError, match="broken"):
                await pool.send_many(pulled, fail, timeout_seconds=SECONDS)
            assert sorted(told.verdicts) == list(range(pulled.count))
            assert told.keys(Unknown) == []
            assert pulled.count < 20
        await peer.over()
