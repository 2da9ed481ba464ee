"""TLS as gateways may have it: old versions, other authorities, client certificates."""

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from pushsvc.delivery.wire import Limits, NotProcessed, Origin, Pool, client_context
from tests.integration.wire.certificates import Authority
from tests.integration.wire.peer import Peer
from tests.integration.wire.sending import SECONDS, Told, calls

pytestmark = pytest.mark.integration

#: As for APNs. In TLS 1.3 a server judges our certificate after we could write: with requests
#: held back until its SETTINGS are in, nothing is in doubt when it refuses.
LIMITS = Limits(
    await_settings=True,
    connect_attempts=2,
    backoff_first_seconds=0.01,
    connect_timeout_seconds=2.0,
)
PASSWORD = "correct horse"
VERSIONS = [
    pytest.param(ssl.TLSVersion.TLSv1_2, id="TLS 1.2"),
    pytest.param(ssl.TLSVersion.TLSv1_3, id="TLS 1.3"),
]


@pytest.fixture
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


async def sent(port: int, context: ssl.SSLContext) -> Told:
    """What became of three calls in a pool of their own."""
    pool = Pool(
        Origin("localhost"), ssl_context=context, connect_to=("127.0.0.1", port), limits=LIMITS
    )
    told = Told()
    await pool.send_many(calls(range(3)), told, timeout_seconds=SECONDS)
    await pool.close()
    return told


@asynccontextmanager
async def judging(context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port on which hands are shaken with alerts that say why not; asyncio's servers are mute."""

    async def shake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        with contextlib.suppress(OSError):
            while octets := await reader.read(65_536):
                incoming.write(octets)
                with contextlib.suppress(ssl.SSLError):
                    tls.do_handshake()
                writer.write(outgoing.read())
        writer.close()

    server = await asyncio.start_server(shake, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def refused(server: ssl.SSLContext, ours: ssl.SSLContext) -> str:
    """The reason for which calls came back, in lower case: OpenSSL's versions differ in it."""
    async with judging(server) as port:
        told = await sent(port, ours)
    assert told.keys(NotProcessed) == [0, 1, 2]
    (verdict,) = set(told.verdicts.values())
    assert isinstance(verdict, NotProcessed)
    return verdict.why.lower()


# -- Versions and authorities -----------------------------------------------------------------


def speaking(version: ssl.TLSVersion, context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context for one version alone, with the ciphers that an old one needs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = version
        context.maximum_version = version
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def understood(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Whether the two agree, without a socket between them."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    done = set()
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return len(done) == len(ends)


@pytest.mark.parametrize("version", VERSIONS)
async def test_versions_that_are_spoken(authority: Authority, version: ssl.TLSVersion) -> None:
    """TLS 1.2 and 1.3 (RFC 9113 section 9.2)."""
    server = speaking(version, authority.server_context())
    async with Peer().listen(server) as peer:
        assert (await sent(peer.port, client_context(authority.ca_file))).own() == [0, 1, 2]


async def test_an_old_version_is_not_spoken(authority: Authority) -> None:
    """TLS 1.1 is refused because of its age, not for want of a common cipher."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = ssl.TLSVersion.TLSv1_1
    server = speaking(old, authority.server_context())
    lenient = speaking(old, ssl.create_default_context(cafile=authority.ca_file))
    if not understood(server, lenient):
        pytest.skip("this OpenSSL has no TLS 1.1")
    ours = client_context(authority.ca_file)
    ours.set_ciphers("DEFAULT:@SECLEVEL=0")

    assert "protocol version" in await refused(server, ours)


async def test_authorities_of_a_file(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    """All that are in the file are trusted, and only they."""
    both = joined(tmp_path / "both.pem", stranger.ca_file, authority.ca_file)
    async with Peer().listen(authority.server_context()) as peer:
        assert (await sent(peer.port, client_context(both))).own() == [0, 1, 2]

    reason = await refused(authority.server_context(), client_context(stranger.ca_file))
    assert "certificate_verify_failed" in reason


def joined(path: Path, *files: str) -> str:
    path.write_text("".join(Path(file).read_text() for file in files))
    return str(path)


def test_a_file_without_authorities(tmp_path: Path) -> None:
    """It is told when the context is made: with no authorities nothing would be trusted."""
    with pytest.raises(FileNotFoundError):
        client_context(str(tmp_path / "missing.pem"))
    with pytest.raises(ssl.SSLError):
        client_context(joined(tmp_path / "empty.pem"))


# -- Client certificates ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Files:
    """A client's certificate and its key, in a file each."""

    certificate: str
    key: str


def client_files(authority: Authority, folder: Path, *, password: str | None = None) -> Files:
    """A certificate for a client, and its key under a password if there is one."""
    both = Path(authority.certify("client.example")).read_bytes()
    certificate, begin, key = both.partition(b"-----BEGIN PRIVATE KEY")
    if password is not None:
        loaded = load_pem_private_key(begin + key, password=None)
        locked = BestAvailableEncryption(password.encode())
        begin, key = b"", loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
    (folder / "client.pem").write_bytes(certificate)
    (folder / "client.key").write_bytes(begin + key)
    return Files(str(folder / "client.pem"), str(folder / "client.key"))


def asking(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A server that wants a certificate of this authority from its clients."""
    context = authority.server_context()
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    return context


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("password", [None, PASSWORD], ids=["key", "encrypted key"])
async def test_a_certificate_with_its_key_in_a_file(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion, password: str | None
) -> None:
    """The server knows who we are."""
    files = client_files(authority, tmp_path, password=password)
    ours = client_context(
        authority.ca_file,
        certificate_file=files.certificate,
        key_file=files.key,
        key_password=password,
    )
    async with Peer().listen(asking(authority, version)) as peer:
        assert (await sent(peer.port, ours)).own() == [0, 1, 2]


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        pytest.param(ssl.TLSVersion.TLSv1_2, "handshake failure", id="TLS 1.2"),
        pytest.param(ssl.TLSVersion.TLSv1_3, "certificate required", id="TLS 1.3"),
    ],
)
async def test_no_certificate_where_one_is_wanted(
    authority: Authority, version: ssl.TLSVersion, reason: str
) -> None:
    """Nothing was processed, and the server's reason is told."""
    ours = client_context(authority.ca_file)

    assert reason in await refused(asking(authority, version), ours)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_certificate_of_an_unknown_authority(
    authority: Authority, stranger: Authority, version: ssl.TLSVersion
) -> None:
    """The server refuses it, and says so."""
    theirs = stranger.certify("client.example")
    ours = client_context(authority.ca_file, certificate_file=theirs)

    assert "unknown ca" in await refused(asking(authority, version), ours)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_expired_client_certificate(authority: Authority, version: ssl.TLSVersion) -> None:
    """The server looks at the date, and says so."""
    old = authority.certify("client.example", expired=True)
    ours = client_context(authority.ca_file, certificate_file=old)

    assert "certificate expired" in await refused(asking(authority, version), ours)


def test_a_password_that_does_not_open_the_key(authority: Authority, tmp_path: Path) -> None:
    """It is told when the context is made, and nobody is asked for it at a terminal."""
    files = client_files(authority, tmp_path, password=PASSWORD)
    for wrong in ("wrong", "", None):
        with pytest.raises(ssl.SSLError):
            client_context(
                certificate_file=files.certificate, key_file=files.key, key_password=wrong
            )


def test_a_key_of_another_certificate(authority: Authority, tmp_path: Path) -> None:
    """Files that do not belong together are told when the context is made."""
    (tmp_path / "other").mkdir()
    files, other = (client_files(authority, folder) for folder in (tmp_path, tmp_path / "other"))
    with pytest.raises(ssl.SSLError, match="KEY_VALUES_MISMATCH"):
        client_context(certificate_file=files.certificate, key_file=other.key)
