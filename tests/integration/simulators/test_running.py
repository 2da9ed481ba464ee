"""Starting, stopping and starting again."""

import asyncio
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest

from pushsvc.simulators import BrokenCredentialError, Endpoints, Simulators, serve
from tests.integration.simulators.client import apns_fields, connect
from tests.integration.simulators.fcm_sender import fcm, message
from tests.integration.simulators.wns_sender import wns

pytestmark = pytest.mark.integration

BODY = b'{"aps":{"alert":"hello"}}'


async def test_serve_until_stopped(secrets: Path) -> None:
    """`serve` tells when all is ready, and ends when it is told to."""
    stop = asyncio.Event()
    ready: asyncio.Future[Endpoints] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(secrets, stop=stop, on_ready=ready.set_result))
    endpoints = await asyncio.wait_for(ready, 5)
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(apns_fields(endpoints), BODY)
        stop.set()
        await asyncio.wait_for(serving, 5)
        await sender.until_end()

    assert reply.status == 200


async def test_closing_with_everything_open(secrets: Path) -> None:
    """Closing cuts connections with unanswered requests, and waits until they are gone."""
    never = "ab" * 28 + "fa171300"
    async with Simulators(secrets) as simulators:
        endpoints = simulators.endpoints
        async with (
            connect(endpoints.apns_url, endpoints) as apple,
            fcm(endpoints) as google,
            wns(simulators) as windows,
        ):
            await apple.send(apns_fields(endpoints, never), BODY)
            await google.start(message("device:1~never"))
            asking = asyncio.create_task(windows.ask("/?token=x~never"))
            # What is answered now came after those.
            await google.ask(message())
            async with wns(simulators) as other:
                await other.ask()
            await apple.until(lambda: len(apple.limits) == 2)
            await simulators.__aexit__(None, None, None)
            answer = await asking

    opened = [
        gateway["wire"]["connections_open"]
        for gateway in simulators.control.stats()["gateways"].values()
    ]
    assert (opened, answer.end is not None) == ([0, 0, 0], True)


async def test_restart_keeps_credentials(secrets: Path) -> None:
    """A second start uses the same certificates and keys, so senders go on as they are."""
    kept = []
    for _ in range(2):
        async with Simulators(secrets) as simulators:
            endpoints = simulators.endpoints
            apns, google, windows = (
                endpoints.credentials.apns, endpoints.credentials.fcm, endpoints.credentials.wns,
            )  # fmt: skip
            account = orjson.loads(google.file.read_bytes())
            assert endpoints.fcm_token_url == account.pop("token_uri")
            kept.append(
                (endpoints.ca_file.read_bytes(), apns.p8_file.read_text(), account, windows)
            )

    assert kept[0] == kept[1]


async def test_senders_of_the_file_are_known_from_the_start(secrets: Path, tmp_path: Path) -> None:
    """`senders.json` is read before anything listens, so no request meets a gateway without it."""
    for name in ("AuthKey_SIMKEY0001.p8", "service-account.json", "wns.json"):
        (tmp_path / name).write_bytes((secrets / name).read_bytes())
    app = {"client_id": "ms-app://another", "client_secret": "secret"}
    (tmp_path / "senders.json").write_bytes(orjson.dumps({"wns": [app]}))
    async with Simulators(tmp_path) as simulators:
        assert simulators.registry.wns["ms-app://another"].client_secret == "secret"


async def test_broken_certificates_are_made_anew(secrets: Path, tmp_path: Path) -> None:
    """A certificate file that is damaged is replaced, and clients of the new CA are served."""
    for name in ("AuthKey_SIMKEY0001.p8", "service-account.json", "wns.json"):
        (tmp_path / name).write_bytes((secrets / name).read_bytes())
    (tmp_path / "ca.pem").write_text("not a certificate")
    async with Simulators(tmp_path) as simulators:
        endpoints = simulators.endpoints
        async with connect(endpoints.apns_url, endpoints) as sender:
            reply = await sender.ask(apns_fields(endpoints), BODY)

    assert reply.status == 200
    assert (tmp_path / "server.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["AuthKey_SIMKEY0001.p8", "service-account.json", "wns.json"])
@pytest.mark.parametrize("content", ["", "{}", "[1]"])
async def test_damaged_credentials_are_named(
    secrets: Path, tmp_path: Path, *, name: str, content: str
) -> None:
    """A credential file that cannot be used is an error that names it; nothing is overwritten."""
    for kept in (
        "AuthKey_SIMKEY0001.p8",
        "service-account.json",
        "wns.json",
        "ca.pem",
        "server.pem",
    ):
        (tmp_path / kept).write_bytes((secrets / kept).read_bytes())
    (tmp_path / name).write_text(content)
    with pytest.raises(BrokenCredentialError, match=name):
        async with Simulators(tmp_path):
            pass

    assert (tmp_path / name).read_text() == content


async def test_a_taken_port_is_an_error(secrets: Path) -> None:
    """A port in use is an OSError, and nothing stays open."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        async with Simulators(secrets, control_port=taken.getsockname()[1]):
            pass


async def test_ports_are_kept(secrets: Path) -> None:
    """A port that is asked for is used again after a restart with connections in between."""
    async with Simulators(secrets) as first:
        async with connect(first.endpoints.apns_url, first.endpoints):
            port = urlsplit(first.endpoints.apns_url).port
        assert port is not None
    async with Simulators(secrets, apns_port=port) as second:
        assert f"https://127.0.0.1:{port}" == second.endpoints.apns_url


async def test_strangers_do_not_trust_the_certificate(simulators: Simulators) -> None:
    """Only who trusts our CA connects."""
    address = urlsplit(simulators.endpoints.apns_url)
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(
            address.hostname, address.port, ssl=ssl.create_default_context()
        )


async def test_endpoints_are_json(simulators: Simulators) -> None:
    """All a sender must be told fits into JSON."""
    told = orjson.loads(orjson.dumps(simulators.endpoints.as_json()))

    assert told["apns_url"].rpartition(":")[0] == "https://127.0.0.1"
    assert told["credentials"]["fcm"]["service_account"]["token_uri"] == told["fcm_token_url"]
