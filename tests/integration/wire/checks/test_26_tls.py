"""Check 26: TLS that fails, in every way: not processed, and the cause is named."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hyperframe.frame import HeadersFrame

from pushsvc.delivery.wire import Limits, NotProcessed, Pool
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks
from tests.integration.wire.raw_peer import RawPeer, RawWire
from tests.integration.wire.sending import SECONDS, OpenPool, Told, calls

pytestmark = pytest.mark.integration

QUICK = Limits(
    max_connections=1, await_settings=True, connect_attempts=2, backoff_first_seconds=0.01
)


async def given_back(pool: Pool) -> str:
    """Send a few calls, all of which come back for one and the same reason."""
    told = Told()
    async with nothing_leaks(pool):
        await pool.send_many(calls(range(5)), told, timeout_seconds=SECONDS)
        assert told.keys(NotProcessed) == [0, 1, 2, 3, 4]
        (verdict,) = set(told.verdicts.values())
        assert pool.stats.connections == 0
        assert pool.stats.connect_failures == 2
    assert isinstance(verdict, NotProcessed)
    assert verdict.why.startswith("no connection: ")
    return verdict.why


async def listens(_wire: RawWire) -> None:
    """Say nothing; read what comes."""


def old_server(authority: Authority) -> ssl.SSLContext:
    """A server of TLS 1.1, and nothing newer."""
    context = authority.server_context()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def speaks_old(context: ssl.SSLContext, authority: Authority) -> bool:
    """Whether this build of ssl can play a server of TLS 1.1 at all."""
    client = ssl.create_default_context(cafile=authority.ca_file)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.minimum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname="localhost"),
        context.wrap_bio(there, back, server_side=True),
    ]
    try:
        for _ in range(3):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLError:
        return False
    return ends[0].version() == "TLSv1.1"


def stranger(_authority: Authority, folder: Path) -> ssl.SSLContext:
    """A good certificate, signed by an authority that nobody knows."""
    return Authority(folder).server_context()


CASES: dict[str, tuple[Callable[[Authority, Path], ssl.SSLContext], str]] = {
    "no ALPN": (lambda a, _: a.server_context(alpn=None), "does not speak h2"),
    "only HTTP/1.1": (lambda a, _: a.server_context(alpn="http/1.1"), "does not speak h2"),
    "h2 by another name": (lambda a, _: a.server_context(alpn="h2c"), "does not speak h2"),
    "another name": (lambda a, _: a.server_context("other.example"), "Hostname mismatch"),
    "expired": (lambda a, _: a.server_context(expired=True), "certificate has expired"),
    "unknown authority": (stranger, "CERTIFICATE_VERIFY_FAILED"),
}


@pytest.mark.parametrize(("context", "why"), CASES.values(), ids=CASES)
async def test_tls_fails(
    authority: Authority,
    open_pool: OpenPool,
    tmp_path: Path,
    context: Callable[[Authority, Path], ssl.SSLContext],
    why: str,
) -> None:
    """No request leaves us, all calls are given back, and the reason says what was wrong."""
    async with RawPeer(listens).listen(context(authority, tmp_path)) as peer:
        assert why in await given_back(open_pool(peer.port, QUICK))
        assert [frame for wire in peer.wires for frame in wire.of(HeadersFrame)] == []


@contextlib.asynccontextmanager
async def refusing(context: ssl.SSLContext) -> AsyncIterator[int]:
    """A server that says in an alert why it refuses (asyncio's streams just close); its port."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(there, back, server_side=True)
        refused = False
        while not refused and (octets := await reader.read(65_536)):
            there.write(octets)
            try:
                tls.do_handshake()
            except ssl.SSLError as error:
                refused = not isinstance(error, ssl.SSLWantReadError)
            writer.write(back.read())
        writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_tls_that_is_too_old(authority: Authority, open_pool: OpenPool) -> None:
    """TLS 1.1 is refused (RFC 9113 section 9.2)."""
    context = old_server(authority)
    if not speaks_old(context, authority):
        pytest.skip("this build of ssl has no TLS 1.1 to refuse")
    async with refusing(context) as port:
        assert "PROTOCOL_VERSION" in await given_back(open_pool(port, QUICK))


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (ssl.TLSVersion.TLSv1_2, "HANDSHAKE_FAILURE"),
        # Said after the handshake, as we see it.
        (ssl.TLSVersion.TLSv1_3, "CERTIFICATE_REQUIRED"),
    ],
    ids=["TLS 1.2", "TLS 1.3"],
)
async def test_a_client_certificate_is_wanted(
    authority: Authority, open_pool: OpenPool, version: ssl.TLSVersion, why: str
) -> None:
    """A server that knows its clients by their certificates, and we have none to show."""
    context = authority.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    context.maximum_version = version
    async with refusing(context) as port:
        assert why in await given_back(open_pool(port, QUICK))


async def test_no_tls_at_all(open_pool: OpenPool) -> None:
    """A server that answers in plain text is no server of ours."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    try:
        why = await given_back(open_pool(server.sockets[0].getsockname()[1], QUICK))
        assert "SSL" in why
    finally:
        server.close()
        await server.wait_closed()
