"""Connections: made, refused, grown, worn out and replaced."""

import asyncio
import ssl

import pytest

from pushsvc.delivery.wire import Answered, Limits, NotProcessed, Origin, Pool, client_context
from tests.integration.wire.certificates import Authority
from tests.integration.wire.peer import Peer, Wire, answer_all
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls, until

pytestmark = pytest.mark.integration

QUICK = Limits(connect_attempts=2, backoff_first_seconds=0.01, connect_timeout_seconds=0.3)


async def given_back(pool: Pool) -> str:
    """Send three calls that all come back for the same reason."""
    told = Told()
    await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
    assert told.keys(NotProcessed) == [0, 1, 2]
    (verdict,) = set(told.verdicts.values())
    assert isinstance(verdict, NotProcessed)
    return verdict.why


async def free_port() -> int:
    """A port on which nobody listens."""
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_nobody_listens(open_pool: OpenPool) -> None:
    """A refused connection is tried a few times, then calls are given back."""
    pool = open_pool(await free_port(), QUICK)
    assert "no connection: 127.0.0.1" in await given_back(pool)
    assert pool.stats.connect_failures == 2


async def test_no_such_host(authority: Authority) -> None:
    """A name without an address is a failed connect as well."""
    context = client_context(authority.ca_file)
    pool = Pool(Origin("no-such-host.invalid"), ssl_context=context, limits=QUICK)
    assert "no-such-host.invalid: no address" in await given_back(pool)
    await pool.close()


@pytest.mark.parametrize("alpn", ["http/1.1", None])
async def test_a_peer_without_h2(
    authority: Authority, open_pool: OpenPool, alpn: str | None
) -> None:
    """ALPN must agree on h2 (E3.26)."""
    async with Peer().listen(authority.server_context(alpn=alpn)) as peer:
        assert "does not speak h2" in await given_back(open_pool(peer.port, QUICK))


async def test_a_certificate_for_another_name(authority: Authority, open_pool: OpenPool) -> None:
    """TLS verifies the origin's host, wherever we connect to (E3.26)."""
    async with Peer().listen(authority.server_context("other.example")) as peer:
        assert "CERTIFICATE_VERIFY_FAILED" in await given_back(open_pool(peer.port, QUICK))


async def test_an_expired_certificate(authority: Authority, open_pool: OpenPool) -> None:
    """An expired certificate is none (E3.26)."""
    async with Peer().listen(authority.server_context(expired=True)) as peer:
        assert "certificate has expired" in await given_back(open_pool(peer.port, QUICK))


async def test_an_unknown_authority(authority: Authority) -> None:
    """Only the given authorities are trusted."""
    async with Peer().listen(authority.server_context()) as peer:
        pool = Pool(
            Origin("localhost"),
            ssl_context=client_context(),
            connect_to=("127.0.0.1", peer.port),
            limits=QUICK,
        )
        assert "CERTIFICATE_VERIFY_FAILED" in await given_back(pool)
        await pool.close()


async def test_a_client_certificate(authority: Authority) -> None:
    """A client certificate is presented when one is given."""
    context = authority.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    ours = client_context(authority.ca_file, certificate_file=authority.certify("client.example"))
    async with Peer().listen(context) as peer:
        pool = Pool(Origin("localhost"), ssl_context=ours, connect_to=("127.0.0.1", peer.port))
        told = Told()
        await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
        assert told.own() == [0, 1, 2]
        await pool.close()


async def test_a_server_that_hangs_up(open_pool: OpenPool) -> None:
    """A reason is given even when the error has no words of its own."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    try:
        why = await given_back(open_pool(server.sockets[0].getsockname()[1], QUICK))
        assert "Connection" in why
    finally:
        server.close()
        await server.wait_closed()


async def test_a_server_that_never_shakes_hands(open_pool: OpenPool) -> None:
    """TCP alone is no connection: the connect timeout covers TLS."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _r, w: held.append(w), "127.0.0.1", 0)
    try:
        why = await given_back(open_pool(server.sockets[0].getsockname()[1], QUICK))
        assert "no answer in time" in why
    finally:
        for writer in held:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


async def test_a_peer_without_settings(authority: Authority, open_pool: OpenPool) -> None:
    """A peer that shakes hands and says nothing is not waited for (E3.3)."""

    async def dumb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()

    limits = Limits(await_settings=True, connect_attempts=1, connect_timeout_seconds=0.3)
    context = authority.server_context()
    server = await asyncio.start_server(dumb, "127.0.0.1", 0, ssl=context)
    try:
        pool = open_pool(server.sockets[0].getsockname()[1], limits)
        assert "no SETTINGS in time" in await given_back(pool)
    finally:
        server.close()
        await server.wait_closed()


async def test_a_server_that_comes_back(authority: Authority, open_pool: OpenPool) -> None:
    """A sender that waits through failed connects is served by the first that works."""

    async def leave(wire: Wire) -> None:
        wire.tear()

    limits = Limits(connect_attempts=10, backoff_first_seconds=0.01, await_settings=True)
    async with Peer(leave, leave, leave, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        await pool.send_many(calls(range(50)), told, timeout_seconds=SECONDS)
        assert told.own() == list(range(50))
        assert len(peer.wires) == 4
        assert pool.stats.connect_failures == 3


async def test_growth_when_streams_are_short(authority: Authority, open_pool: OpenPool) -> None:
    """With all streams taken and calls waiting, connections are added up to the most, spaced."""

    async def hold(wire: Wire) -> None:
        await wire.requests(2)
        held.append(wire)
        if len(held) == 3:
            full.set()
        await full.wait()
        for stream_id in (1, 3):
            wire.answer(stream_id)
        await answer_all(wire)

    held: list[Wire] = []
    full = asyncio.Event()
    limits = Limits(max_connections=3, growth_spacing_seconds=0.05, await_settings=True)
    async with Peer(hold, initial={3: 2}).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        await pool.send_many(calls(range(300)), told, timeout_seconds=SECONDS)
        assert told.keys(Answered) == list(range(300))
        assert len(peer.wires) == 3
        assert pool.stats.opened == 3


async def test_no_growth_without_need(authority: Authority, open_pool: OpenPool) -> None:
    """One connection with streams to spare stays alone."""
    limits = Limits(growth_spacing_seconds=0.0)
    async with Peer().listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        senders = [
            pool.send_many(calls(range(n * 10, n * 10 + 10)), told, timeout_seconds=SECONDS)
            for n in range(50)
        ]
        await asyncio.gather(*senders)
        assert told.own() == list(range(500))
        assert len(peer.wires) == 1


async def test_an_old_connection_is_replaced_first(
    authority: Authority, open_pool: OpenPool
) -> None:
    """At its age a connection takes no more; another one is there before it goes."""

    async def slow(wire: Wire) -> None:
        while request := await wire.request_or_end():
            await asyncio.sleep(0.005)
            wire.answer(request.stream_id)

    limits = Limits(
        max_connections=1,
        max_connection_age_seconds=0.15,
        growth_spacing_seconds=0.0,
        max_streams=2,
        streams_before_settings=2,
    )
    async with Peer(slow).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        await pool.send_many(calls(range(100)), told, timeout_seconds=SECONDS)
        assert told.keys(Answered) == list(range(100))
        assert len(peer.wires) >= 2
        assert pool.stats.connect_failures == 0


async def test_an_idle_connection_is_not_kept_beyond_its_age(
    authority: Authority, open_pool: OpenPool
) -> None:
    """With nothing under way an old connection just closes; the next request opens another."""
    limits = Limits(max_connection_age_seconds=0.05)
    async with Peer().listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port, limits), Told()
        await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
        await peer.wires[0].until(peer.wires[0].ended.is_set)
        assert peer.wires[0].goaways == [0]
        await pool.send_many(calls([2]), told, timeout_seconds=SECONDS)
        assert told.own() == [1, 2]


async def test_an_idle_connection_that_ends(authority: Authority, open_pool: OpenPool) -> None:
    """A peer may close an idle connection; the next request opens another."""

    async def one(wire: Wire) -> None:
        request = await wire.request()
        wire.answer(request.stream_id)
        wire.close()

    async with Peer(one, answer_all).listen(authority.server_context()) as peer:
        pool, told = open_pool(peer.port), Told()
        await pool.send_many(calls([1]), told, timeout_seconds=SECONDS)
        await until(lambda: not pool.stats.connections)
        await pool.send_many(calls([2]), told, timeout_seconds=SECONDS)
        assert told.keys(Answered) == [1, 2]
        assert len(peer.wires) == 2


async def test_info(authority: Authority, open_pool: OpenPool) -> None:
    """One line says what a pool is doing."""
    async with Peer().listen(authority.server_context()) as peer:
        pool = open_pool(peer.port)
        await pool.send_many(calls([1]), Told(), timeout_seconds=SECONDS)
        assert "https://localhost" in pool.info()
        assert "connections=1" in repr(pool)
        assert repr(pool._links).startswith("[<Link up <Connection open, 0/1000 streams")
