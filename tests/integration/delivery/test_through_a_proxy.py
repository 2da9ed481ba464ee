"""Everything that goes to gateways and token endpoints goes through the proxy, if there is one."""

import socket
import ssl
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from pydantic import SecretStr

from pushsvc.config import Settings
from pushsvc.delivery.tokens import TokenError, exchange
from pushsvc.delivery.wire import Proxy
from pushsvc.delivery.wns.client import WnsGateway
from pushsvc.model import ACCEPTED, Answer, OutcomeClass, PushState
from pushsvc.simulators import Simulators
from tests.integration.conftest import AppRow
from tests.integration.delivery.sending import WNS_SHAPE, Clients, send
from tests.integration.pushing import Site, apns_token, fcm_token, site, wns_channel, working
from tests.integration.wire.connect_proxy import ConnectProxy, Play, saying

pytestmark = pytest.mark.integration

O = OutcomeClass  # noqa: E741 - a table is read across

#: Nobody listens on these: who goes around the proxy reaches nothing.
APNS, FCM, WNS, WNS_TOKENS = "localhost:1", "localhost:2", "localhost:3", "localhost:4"
#: A host of Microsoft's domain that only the proxy has a route to.
CHANNEL_HOST = "nowhere.notify.windows.com"


def hidden(opened: Site, proxy: ConnectProxy) -> Site:
    """The same site, whose worker is told addresses that only the proxy can reach."""
    ends = opened.simulators.endpoints
    directly = {
        APNS: urlsplit(ends.apns_url).netloc,
        FCM: urlsplit(ends.fcm_url).netloc,
        WNS: ends.wns_address,
        WNS_TOKENS: urlsplit(ends.wns_token_url).netloc,
    }
    for target, address in directly.items():
        proxy.routes[target] = addressed(address)
    # The service account of the simulators has this URL in it, port and all.
    proxy.routes[directly[FCM]] = addressed(directly[FCM])
    told = opened.resources.settings.model_copy(
        update={
            "apns_url": f"https://{APNS}",
            "fcm_url": f"https://{FCM}",
            "wns_connect_to": WNS,
            "wns_token_url": ends.wns_token_url.replace(directly[WNS_TOKENS], WNS_TOKENS),
        }
    )
    return replace(opened, resources=replace(opened.resources, settings=told))


def addressed(netloc: str) -> tuple[str, int]:
    host, _, port = netloc.rpartition(":")
    return host, int(port)


async def pushed(opened: Site) -> Mapping[int, tuple[OutcomeClass, str]]:
    """Push to one device of each gateway; what came of it."""
    await opened.install(apns_token())
    await opened.install(fcm_token(), "android")
    await opened.install(wns_channel(), "winrt")
    async with working(opened):
        push = await opened.done(await opened.push())
    assert push.state is PushState.DONE
    return await opened.ledger(push)


async def test_a_push_reaches_all_gateways_through_the_proxy_alone(
    settings: Settings, app_row: AppRow, tmp_path: Path
) -> None:
    """Three gateways and two token endpoints, a tunnel for each, all with the credentials."""
    proxy = ConnectProxy(credentials=("user", "pässword:/@"))
    async with proxy.listen():
        given = settings.model_copy(update={"gateway_proxy_url": SecretStr(proxy.url)})
        async with site(given, app_row.app, tmp_path) as opened:
            ledger = await pushed(hidden(opened, proxy))

            assert list(ledger.values()) == [(O.OK, "")] * 3
            assert len(opened.sent()) == 3
            registry = opened.simulators.registry
            assert (registry.fcm_tokens.fetches, registry.wns_tokens.fetches) == (1, 1)
            fcm_tokens = urlsplit(opened.simulators.endpoints.fcm_token_url).netloc
    assert Counter(proxy.targets) == Counter((APNS, FCM, WNS, WNS_TOKENS, fcm_tokens))


async def test_the_environment_names_no_proxy(
    settings: Settings, app_row: AppRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS_PROXY and its kin are for others; one setting says it for all gateways."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:1")
    async with site(settings, app_row.app, tmp_path) as opened:
        ledger = await pushed(opened)

    assert list(ledger.values()) == [(O.OK, "")] * 3


def wns(clients: Clients, proxy: Proxy, *, timeout_seconds: float = 5.0) -> WnsGateway:
    """A gateway to the channels' own hosts, through a proxy; tokens come directly."""
    gateway = WnsGateway(
        clients.wns()._tokens,
        clock=clients.clock,
        timeout_seconds=timeout_seconds,
        ssl_context=ssl.create_default_context(cafile=clients.endpoints.ca_file),
        proxy=proxy,
    )
    clients.made.append(gateway)
    return gateway


def channel(number: int) -> str:
    return f"https://{CHANNEL_HOST}/?token=AwYAAAB%2bzJ{number}"


async def test_wns_channels_share_tunnels(clients: Clients, simulators: Simulators) -> None:
    """Each connection asks once for the channel's host, and is used again and again."""
    proxy = ConnectProxy(
        routes={f"{CHANNEL_HOST}:443": addressed(simulators.endpoints.wns_address)}
    )
    async with proxy.listen():
        answers = await send(wns(clients, proxy.proxy), map(channel, range(300)), WNS_SHAPE)
        await clients.close()

    assert set(answers.values()) == {ACCEPTED}
    assert len(answers) == 300
    assert set(proxy.targets) == {f"{CHANNEL_HOST}:443"}
    assert len(proxy.targets) <= 64


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        pytest.param(
            saying(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"),
            "ClientHttpProxyError 403",
            id="refused",
        ),
        pytest.param(saying(b""), "TimeoutError", id="silent"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\n\r\n"), "TimeoutError", id="leads nowhere"),
    ],
)
async def test_without_a_tunnel_notifications_are_safe_to_send_later(
    clients: Clients, play: Play, reason: str
) -> None:
    """What was said to the proxy is no notification that was written."""
    async with ConnectProxy(play).listen() as proxy:
        gateway = wns(clients, proxy.proxy, timeout_seconds=0.5)
        answers = await send(gateway, [channel(1)], WNS_SHAPE)
        await clients.close()

    (answer,) = answers.values()
    assert answer.outcome is O.RETRY_SAFE
    assert reason in answer.reason


async def test_a_proxy_that_is_not_there(clients: Clients) -> None:
    """Its name says that it is the proxy."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        nobody = Proxy(host="127.0.0.1", port=bound.getsockname()[1])
        answers = await send(wns(clients, nobody), [channel(1)], WNS_SHAPE)

    assert list(answers.values()) == [Answer(O.RETRY_SAFE, "ClientProxyConnectionError")]


async def test_a_token_endpoint_behind_a_proxy_that_refuses(
    clients: Clients, simulators: Simulators
) -> None:
    """It is no refusal of the gateway's credential, and no secret is in the traceback."""
    async with ConnectProxy(credentials=("user", "right")).listen() as proxy:
        wrong = Proxy.from_url(f"http://user:hunter2@127.0.0.1:{proxy.port}")
        with pytest.raises(TokenError) as caught:
            await exchange(
                clients.session,
                simulators.endpoints.wns_token_url,
                {},
                clock=clients.clock,
                proxy=wrong,
            )

    told = "".join(traceback.format_exception(caught.value))
    assert caught.value.answer.outcome is O.RETRY_BACKOFF
    assert caught.value.answer.reason == "token_unavailable: ClientHttpProxyError 407"
    assert isinstance(caught.value.__cause__, aiohttp.ClientHttpProxyError)
    assert wrong.authorization
    assert "hunter2" not in told
    assert wrong.authorization not in told
