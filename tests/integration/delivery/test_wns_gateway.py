"""The WNS client against a strict WNS and its token endpoints."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pushsvc.delivery.tokens import Token
from pushsvc.model import ACCEPTED, Answer, OutcomeClass, WnsShape
from pushsvc.simulators import Simulators
from pushsvc.simulators.authority import open_authority
from pushsvc.simulators.ledger import Entry
from pushsvc.simulators.script import Rule
from tests.integration.delivery.sending import (
    TOAST,
    WNS_SHAPE,
    Clients,
    channel,
    send,
    until,
)

pytestmark = pytest.mark.integration

O = OutcomeClass  # noqa: E741 - a table is read across


def entries(simulators: Simulators) -> list[Entry]:
    return simulators.ledger.page(gateway="wns", token=None, after=0, limit=100_000)[0]


def fetches(simulators: Simulators) -> int:
    return simulators.registry.wns_tokens.fetches


async def test_every_channel_gets_its_notification_once(
    clients: Clients, simulators: Simulators
) -> None:
    """The URI is used as it is, fields and body are the shape's, on few kept connections."""
    uris = [channel(number) for number in range(300)]
    shape = WnsShape(headers=(*WNS_SHAPE.headers, ("X-WNS-TTL", "60")), body=TOAST)
    answers = await send(clients.wns(), uris, shape)

    assert set(answers.values()) == {ACCEPTED}
    assert Counter(uris) == Counter(entry.token for entry in entries(simulators))
    assert {(e.push_type, e.expiration, e.payload) for e in entries(simulators)} == {
        ("wns/toast", "60", TOAST)
    }
    assert fetches(simulators) == 1
    assert len({entry.connection for entry in entries(simulators)}) <= 64


async def test_an_entra_application_signs_in_at_its_tenant(
    clients: Clients, simulators: Simulators
) -> None:
    """The other endpoint, the other scope, the same notification."""
    assert await send(clients.wns(entra=True), [channel(1)], WNS_SHAPE) == {channel(1): ACCEPTED}
    assert fetches(simulators) == 1


FAULTS = [
    ("~dropped", O.REQUEST_BAD, "dropped"),
    ("~channelthrottled", O.THROTTLED_DEVICE, "channelthrottled"),
    ("~disconnected", O.OK, ""),
    ("~bad_request", O.REQUEST_BAD, "The request is malformed"),
    ("~forbidden", O.TOKEN_SUSPECT, "The cloud service may not send to this channel"),
    ("~not_found", O.TOKEN_DEAD, "The channel URI is not valid"),
    ("~method", O.REQUEST_BAD, "Method not allowed"),
    ("~throttled", O.THROTTLED_SENDER, "Throttle limit exceeded"),
    ("~gone", O.TOKEN_DEAD, "The channel expired"),
    ("~domain_blocked", O.TOKEN_DEAD, "Domain blocked"),
    ("~too_large", O.REQUEST_BAD, "The payload exceeds 5000 bytes"),
    ("~quota", O.THROTTLED_SENDER, "The monthly quota is exhausted"),
    ("~internal", O.RETRY_BACKOFF, "Internal failure"),
    ("~unavailable", O.RETRY_BACKOFF, "The server is unavailable"),
    ("~unknown_status", O.REQUEST_BAD, "I am a teapot"),
    ("~slow", O.OK, ""),
    ("~close_before-00", O.UNKNOWN, "ServerDisconnectedError"),
    ("~close_after", O.OK, ""),
    ("~close_mid_body", O.OK, ""),
    ("~chunked_response", O.TOKEN_DEAD, "The channel expired"),
    ("~no_content_length", O.TOKEN_DEAD, "The channel expired"),
]


async def test_each_answer_has_its_class_and_harms_no_neighbour(clients: Clients) -> None:
    """One send with every answer WNS knows, healthy channels in between: all as the tables say."""
    expected: dict[str, tuple[OutcomeClass, str]] = {}
    for number, (marker, outcome, reason) in enumerate(FAULTS):
        expected[channel(number, marker)] = (outcome, reason)
        expected[channel(1000 + number)] = (O.OK, "")
    answers = await send(clients.wns(), expected, WNS_SHAPE)

    assert expected == {uri: (a.outcome, a.reason) for uri, a in answers.items()}


@pytest.mark.parametrize("marker", ["~throttled-09", "~quota-09", "~unavailable-09"])
async def test_retry_after_reaches_the_answer(marker: str, clients: Clients) -> None:
    """406, 429 and 503 say when to come back."""
    uri = channel(1, marker)

    assert (await send(clients.wns(), [uri], WNS_SHAPE))[uri].retry_after == 9.0


async def test_what_is_never_answered_is_unknown(clients: Clients) -> None:
    """A time-out after the request was written is a doubt."""
    silent = channel(1, "~never")
    answers = await send(clients.wns(timeout_seconds=1.0), [silent, channel(2)], WNS_SHAPE)

    assert (answers[silent].outcome, answers[channel(2)]) == (O.UNKNOWN, ACCEPTED)


async def test_a_refused_access_token_is_replaced_once(
    clients: Clients, simulators: Simulators
) -> None:
    """401: one new token for all, and everybody is served."""
    simulators.script.add(Rule(gateway="wns-oauth", scope="next", fault="revoked"))
    answers = await send(clients.wns(), map(channel, range(100)), WNS_SHAPE)

    assert set(answers.values()) == {ACCEPTED}
    assert fetches(simulators) == 2


async def test_a_channel_that_alone_gets_401_is_tried_once_more(
    clients: Clients, simulators: Simulators
) -> None:
    """Once more with a new token; what is refused again is told so."""
    once, always = channel(1, "~unauth-01"), channel(2, "~unauth")
    answers = await send(clients.wns(), [once, always], WNS_SHAPE)

    assert {once: ACCEPTED, always: Answer(O.CREDENTIAL, "http_401")} == answers
    assert fetches(simulators) == 2
    assert Counter(entry.token for entry in entries(simulators))[always] == 2


async def test_a_wrong_secret_is_a_matter_of_the_credential(
    clients: Clients, simulators: Simulators
) -> None:
    """Microsoft refuses the sign-in; no channel is called."""
    answers = await send(clients.wns(secret="wrong"), [channel(1)], WNS_SHAPE)

    (answer,) = answers.values()
    assert answer.outcome is O.CREDENTIAL
    assert answer.reason.startswith("token_refused: ")
    assert entries(simulators) == []


async def test_a_foreign_host_is_never_called(clients: Clients, simulators: Simulators) -> None:
    """No request, no token, not even a sign-in; and each says why."""
    port = simulators.endpoints.wns_address.rpartition(":")[2]
    foreign = [
        f"https://127.0.0.1:{port}/?token=x",
        f"https://localhost:{port}/?token=x",
        f"https://db3.notify.windows.com:{port}/?token=x",
        "https://db3.notify.windows.com@localhost/?token=x",
        "http://db3.notify.windows.com/?token=x",
    ]
    retired = "http://sn1.notify.live.net/throttledthirdparty/01.00/x"
    answers = await send(clients.wns(), [*foreign, retired], WNS_SHAPE)

    bad = Answer(O.REQUEST_BAD, "bad_channel_uri")
    gone = Answer(O.REQUEST_BAD, "provider_retired")
    assert {**dict.fromkeys(foreign, bad), retired: gone} == answers
    assert (entries(simulators), fetches(simulators)) == ([], 0)


async def test_foreign_hosts_do_not_stop_the_others(clients: Clients) -> None:
    """Bad URIs among good ones, and bad ones while no token is to be had."""
    bad = [f"https://x{n}.example/" for n in range(10)]
    answers = await send(clients.wns(), [*bad, channel(1), "?", channel(2)], WNS_SHAPE)
    refused = await send(clients.wns(secret="wrong"), [channel(1), *bad], WNS_SHAPE)

    assert [answers[channel(1)], answers[channel(2)]] == [ACCEPTED, ACCEPTED]
    assert {answers[uri] for uri in bad} == {Answer(O.REQUEST_BAD, "bad_channel_uri")}
    assert {refused[uri] for uri in bad} == {Answer(O.REQUEST_BAD, "bad_channel_uri")}


async def test_an_unreachable_host_gives_everything_back(clients: Clients) -> None:
    """Nobody listens: every notification is safe to send later."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    gateway = clients.wns(connect_to=("127.0.0.1", port))
    answers = await send(gateway, map(channel, range(100)), WNS_SHAPE)

    assert set(answers.values()) == {Answer(O.RETRY_SAFE, "ClientConnectorError")}


async def test_a_certificate_of_another_name_gets_no_token(
    clients: Clients, simulators: Simulators
) -> None:
    """TLS is verified for the channel's host, wherever the connection goes."""
    uri = "https://a.b.notify.windows.com/?token=x"
    answers = await send(clients.wns(), [uri], WNS_SHAPE)

    assert {uri: Answer(O.RETRY_SAFE, "ClientConnectorCertificateError")} == answers
    assert entries(simulators) == []


@contextlib.asynccontextmanager
async def raw_server(directory: Path, answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A TLS server that says `answer` to whatever comes; its port, and what came."""
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        with contextlib.suppress(OSError):
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    context = open_authority(directory).context(["http/1.1"])
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def with_token(clients: Clients) -> None:
    """Put a token in the store, so that only the channel's host is asked."""
    name = clients.wns()._tokens.name
    now = clients.clock.now().timestamp()
    token = Token(value="secret", minted_at=now, refresh_at=now + 99, expires_at=now + 99)
    await clients.store.put(name, token, ttl_seconds=99)


async def test_a_redirect_is_not_followed(clients: Clients, simulator_directory: Path) -> None:
    """WNS never redirects; whoever does shall not get our access token sent elsewhere."""
    away = b"HTTP/1.1 307 Away\r\nLocation: https://db4.notify.windows.com/\r\n"
    await with_token(clients)
    async with raw_server(simulator_directory, away + b"Content-Length: 0\r\n\r\n") as (
        port,
        heard,
    ):
        gateway = clients.wns(connect_to=("127.0.0.1", port))
        answers = await send(gateway, [channel(1)], WNS_SHAPE)

    assert {channel(1): Answer(O.RETRY_BACKOFF, "http_307")} == answers
    assert len(heard) == 1


async def test_a_request_has_nothing_that_was_not_asked_for(
    clients: Clients, simulator_directory: Path
) -> None:
    """Host, length, the shape's fields and the token; the query as the device gave it."""
    await with_token(clients)
    ok = b"HTTP/1.1 200 OK\r\nX-WNS-Status: received\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(simulator_directory, ok) as (port, heard):
        await send(clients.wns(connect_to=("127.0.0.1", port)), [channel(1)], WNS_SHAPE)

    lines = heard[0].decode().rstrip("\r\n").split("\r\n")
    assert lines[0] == "POST /?token=AwYAAAB%2bzJ1 HTTP/1.1"
    assert sorted(lines[1:], key=str.lower) == [
        "Authorization: Bearer secret",
        f"Content-Length: {len(TOAST)}",
        "Content-Type: text/xml",
        "Host: db3.notify.windows.com",
        "X-WNS-Type: wns/toast",
    ]


async def test_an_endless_body_is_not_read(clients: Clients, simulator_directory: Path) -> None:
    """The status is the answer; a body of megabytes is left where it is."""
    await with_token(clients)
    head = b"HTTP/1.1 410 Gone\r\nContent-Length: 100000000\r\n\r\n"
    async with raw_server(simulator_directory, head + b"x" * 1_000_000) as (port, _):
        gateway = clients.wns(connect_to=("127.0.0.1", port))
        answers = await send(gateway, [channel(1)], WNS_SHAPE)

    assert {channel(1): Answer(O.TOKEN_DEAD, "http_410")} == answers


async def test_a_closed_gateway_takes_nothing(clients: Clients, simulators: Simulators) -> None:
    """What is sent after the end is safe to send elsewhere; what was under way was finished."""
    gateway = clients.wns()
    under_way = asyncio.create_task(send(gateway, [channel(1, "~slow-01")], WNS_SHAPE))
    await until(lambda: bool(entries(simulators)))
    await gateway.close()

    assert await under_way == {channel(1, "~slow-01"): ACCEPTED}
    late = await send(gateway, [channel(2)], WNS_SHAPE)
    assert late == {channel(2): Answer(O.RETRY_SAFE, "the gateway is closed")}
