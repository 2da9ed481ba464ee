"""What FCM answers through stock pyfcm."""

import threading
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from pushsvc.delivery.fcm.stock import StockFcmGateway
from pushsvc.model import ACCEPTED, Answer, GatewayName, OutcomeClass
from pushsvc.simulators import Simulators
from tests.integration.delivery.building import Build, device, entries
from tests.integration.delivery.sending import FCM_SHAPE, send
from tests.integration.wire.certificates import Authority
from tests.integration.wire.connect_proxy import ConnectProxy

pytestmark = pytest.mark.integration

O = OutcomeClass  # noqa: E741 - a table is read across

#: Marker of FCM -> what comes of it by pyfcm. On HTTP/1.1 there is no RST_STREAM: where the wire
#: knows that a stream was refused, here is a connection that ended.
FCM_ANSWERS: Final = [
    ("~unregistered", O.TOKEN_DEAD, "UNREGISTERED"),
    ("~bad_token", O.TOKEN_DEAD, "INVALID_ARGUMENT message.token"),
    ("~invalid_arg", O.REQUEST_BAD, "INVALID_ARGUMENT"),
    ("~sender_mismatch", O.TOKEN_SUSPECT, "SENDER_ID_MISMATCH"),
    ("~perm_denied", O.CREDENTIAL, "PERMISSION_DENIED"),
    ("~not_found", O.CREDENTIAL, "NOT_FOUND"),
    ("~not_found_html", O.CREDENTIAL, "http_404"),
    ("~third_party", O.CREDENTIAL, "THIRD_PARTY_AUTH_ERROR"),
    ("~quota-05", O.THROTTLED_SENDER, "QUOTA_EXCEEDED"),
    ("~quota_date-1e", O.THROTTLED_SENDER, "QUOTA_EXCEEDED"),
    ("~quota_device", O.THROTTLED_DEVICE, "QUOTA_EXCEEDED"),
    ("~internal", O.RETRY_BACKOFF, "INTERNAL"),
    ("~html502", O.RETRY_BACKOFF, "http_502"),
    ("~timeout504", O.RETRY_BACKOFF, "http_504"),
    ("~unavailable-07", O.RETRY_BACKOFF, "UNAVAILABLE"),
    ("~slow-02", O.OK, ""),
    ("~never", O.UNKNOWN, None),
    ("~rst_refused", O.UNKNOWN, "ConnectionError"),
    ("~tcp_rst-01", O.UNKNOWN, "ConnectionError"),
    ("~eof-01", O.UNKNOWN, "ConnectionError"),
    ("~no_body", O.RETRY_BACKOFF, "http_500"),
    ("~huge_body", O.RETRY_BACKOFF, "http_503"),
    ("~bad_json", O.REQUEST_BAD, "http_400"),
    ("~unknown_reason", O.REQUEST_BAD, "SOMETHING_NEW"),
]


async def test_pyfcm_s_answers_have_the_same_classes(build: Build, simulators: Simulators) -> None:
    """No message waits for another's Retry-After, and none is sent twice."""
    expected: dict[str, tuple[OutcomeClass, str | None]] = {}
    for number, (marker, outcome, reason) in enumerate(FCM_ANSWERS):
        expected[device(number, marker)] = (outcome, reason)
        expected[device(1000 + number)] = (O.OK, "")
    gateway = build(GatewayName.FCM, "pyfcm", gateway_timeout_seconds=1)
    answers = await send(gateway, expected, FCM_SHAPE)

    told = {
        t: (a.outcome, a.reason if expected[t][1] is not None else None) for t, a in answers.items()
    }
    assert expected == told
    assert answers[device(8, "~quota-05")].retry_after == 5
    assert simulators.ledger.sums("fcm").requests == len(expected)


async def test_pyfcm_has_the_fleet_s_token(build: Build, simulators: Simulators) -> None:
    """Four threads, and a gateway on the wire beside them: the token endpoint is asked once."""
    gateway = build(GatewayName.FCM, "pyfcm", gateway_connections=4)
    answers = await send(gateway, [device(number) for number in range(200)], FCM_SHAPE)
    await send(build(GatewayName.FCM, "wire"), [device(999)], FCM_SHAPE)

    assert set(answers.values()) == {ACCEPTED}
    assert simulators.registry.fcm_tokens.fetches == 1
    assert len({entry.connection for entry in entries(simulators, "fcm")}) <= 5


async def test_a_refused_access_token_is_replaced_once_for_pyfcm(
    build: Build, simulators: Simulators
) -> None:
    """One that is refused for good ends, where pyfcm would ask for ever."""
    once, always = device(1, "~unauth-01"), device(2, "~unauth")
    answers = await send(build(GatewayName.FCM, "pyfcm"), [once, always, device(3)], FCM_SHAPE)

    assert [answers[once], answers[device(3)]] == [ACCEPTED, ACCEPTED]
    assert answers[always] == Answer(O.CREDENTIAL, "UNAUTHENTICATED")
    assert simulators.registry.fcm_tokens.fetches == 2


async def test_the_environment_does_not_redirect_pyfcm(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxy and CA are settings; variables that requests would follow are not."""
    for variable in ("HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(variable, "/nowhere.pem")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    answers = await send(build(GatewayName.FCM, "pyfcm"), [device(1)], FCM_SHAPE)

    assert list(answers.values()) == [ACCEPTED]


def behind(proxy: ConnectProxy) -> dict[str, object]:
    """Settings of a worker that reaches FCM by the proxy only."""
    return {"fcm_url": "https://localhost:2", "gateway_proxy_url": SecretStr(proxy.url)}


def routes(simulators: Simulators) -> dict[str, tuple[str, int]]:
    """Where the proxy finds FCM and its token endpoint."""
    host, _, port = urlsplit(simulators.endpoints.fcm_url).netloc.rpartition(":")
    return {"localhost:2": (host, int(port)), f"{host}:{port}": (host, int(port))}


@pytest.mark.parametrize("password", ["p:/@", "pä", "pł"])
async def test_pyfcm_goes_through_the_proxy(
    build: Build, simulators: Simulators, password: str
) -> None:
    """With its credentials, one tunnel for each connection; the name is the proxy's to look up."""
    open_to = ConnectProxy(routes=routes(simulators), credentials=("user", password))
    async with open_to.listen() as proxy:
        gateway = build(GatewayName.FCM, "pyfcm", **behind(proxy))
        answers = await send(gateway, [device(number) for number in range(20)], FCM_SHAPE)
        await gateway.close()

    assert set(answers.values()) == {ACCEPTED}
    assert proxy.targets.count("localhost:2") <= 2


@pytest.mark.parametrize("marker", ["~eof-01", "~tcp_rst-01"])
async def test_an_answer_that_was_lost_behind_a_proxy_is_in_doubt(
    build: Build, simulators: Simulators, marker: str
) -> None:
    """urllib3 calls it a proxy's error, as it does one before anything was written."""
    async with ConnectProxy(routes=routes(simulators)).listen() as proxy:
        gateway = build(GatewayName.FCM, "pyfcm", **behind(proxy))
        answers = await send(gateway, [device(0), device(1, marker)], FCM_SHAPE)
        await gateway.close()

    assert answers[device(1, marker)].outcome is O.UNKNOWN
    assert simulators.ledger.sums("fcm").duplicates == 0


async def test_without_a_tunnel_pyfcm_has_written_nothing(
    build: Build, simulators: Simulators
) -> None:
    """Wrong credentials for the proxy: safe to send later."""
    gateway = build(GatewayName.FCM, "pyfcm")
    await send(gateway, [device(0)], FCM_SHAPE)
    async with ConnectProxy(credentials=("user", "right")).listen() as proxy:
        wrong = SecretStr(f"http://user:wrong@127.0.0.1:{proxy.port}")
        # It has the access token of the other one, so that only the messages need the proxy.
        gateway = build(GatewayName.FCM, "pyfcm", gateway_proxy_url=wrong)
        answers = await send(gateway, [device(1), device(2)], FCM_SHAPE)
        await gateway.close()

    assert set(answers.values()) == {Answer(O.RETRY_SAFE, "ProxyError")}
    assert len(entries(simulators, "fcm")) == 1


async def test_a_server_that_is_not_trusted_hears_nothing_of_pyfcm(
    build: Build, simulators: Simulators, tmp_path: Path
) -> None:
    """Its certificate is another authority's: safe to send later."""
    gateway = build(GatewayName.FCM, "pyfcm")
    await send(gateway, [device(0)], FCM_SHAPE)
    stranger = build(GatewayName.FCM, "pyfcm", gateway_ca_file=Authority(tmp_path).ca_file)
    answers = await send(stranger, [device(1)], FCM_SHAPE)

    assert list(answers.values()) == [Answer(O.RETRY_SAFE, "SSLError")]
    assert len(entries(simulators, "fcm")) == 1


async def test_what_no_thread_has_begun_is_not_in_doubt(
    build: Build, simulators: Simulators
) -> None:
    """The one thread hangs until the message's time is up: it was not sent, and will not be."""
    gateway = build(GatewayName.FCM, "pyfcm", gateway_connections=1, gateway_timeout_seconds=0.2)
    assert isinstance(gateway, StockFcmGateway)
    released = threading.Event()
    gateway._threads.submit(released.wait)
    answers = await send(gateway, [device(1)], FCM_SHAPE)
    released.set()
    after = await send(gateway, [device(2)], FCM_SHAPE)

    assert [answer.outcome for answer in answers.values()] == [O.RETRY_SAFE]
    assert list(after.values()) == [ACCEPTED]
    assert [entry.token for entry in entries(simulators, "fcm")] == [device(2)]
