"""The APNs client against a strict APNs."""

import asyncio
import socket
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pushsvc.delivery.apns.client import apns_id
from pushsvc.delivery.apns.provider_token import mint_provider_token
from pushsvc.delivery.tokens import LocalTokenStore
from pushsvc.model import ACCEPTED, Answer, OutcomeClass
from pushsvc.simulators import Simulators
from pushsvc.simulators.ledger import Entry
from pushsvc.simulators.script import Rule
from tests.integration.delivery.sending import (
    BODY,
    TOPIC,
    Clients,
    apns_shape,
    apns_token,
    send,
    send_messages,
    with_topic,
)

pytestmark = pytest.mark.integration

O = OutcomeClass  # noqa: E741 - a table is read across


def entries(simulators: Simulators) -> list[Entry]:
    return simulators.ledger.page(gateway="apns", token=None, after=0, limit=100_000)[0]


async def test_every_device_gets_its_message_once(clients: Clients, simulators: Simulators) -> None:
    """Path, fields and body are the shape's, `apns-id` is push and device, one JWT serves all."""
    tokens = [apns_token(number) for number in range(300)]
    fields = ((b"apns-expiration", b"1900000000"), (b"apns-collapse-id", b"score"))
    shape = apns_shape(*fields)
    answers = await send(clients.apns(), tokens, shape)

    assert set(answers.values()) == {ACCEPTED}
    found = {entry.token: entry for entry in entries(simulators)}
    assert sorted(tokens) == sorted(found)
    assert simulators.ledger.sums("apns").delivered == 300
    assert len({entry.credential for entry in found.values()}) == 1
    assert not simulators.ledger.sums("apns").warnings
    for number, token in enumerate(tokens):
        entry = found[token]
        assert entry.message_id == apns_id(77, 1000 + number).decode()
        assert (entry.topic, entry.push_type, entry.priority) == (TOPIC, "alert", "10")
        assert (entry.expiration, entry.collapse_id) == ("1900000000", "score")
        assert entry.payload == BODY


async def test_shapes_may_alternate(clients: Clients, simulators: Simulators) -> None:
    """Many small pushes go out in one send, each with its own fields and body."""
    shapes = [
        apns_shape(
            (b"apns-collapse-id", b"c%d" % number),
            push_id=number,
            body=b'{"aps":{"badge":%d}}' % number,
        )
        for number in range(20)
    ]
    messages = [(i, i, apns_token(i), shapes[i * 7 % 20]) for i in range(200)]
    settled = await send_messages(clients.apns(), messages)

    assert set(settled.values()) == {ACCEPTED}
    found = {entry.token: entry for entry in entries(simulators)}
    for _, key, token, shape in messages:
        assert found[token].payload == shape.body
        assert found[token].collapse_id == f"c{shape.head.push_id}"
        assert found[token].message_id == apns_id(shape.head.push_id, key).decode()


FAULTS = [
    ("fa170100", O.TOKEN_DEAD, "Unregistered"),
    ("fa170200", O.TOKEN_DEAD, "ExpiredToken"),
    ("fa170300", O.TOKEN_DEAD, "Unregistered"),
    ("fa170400", O.TOKEN_SUSPECT, "BadDeviceToken"),
    ("fa170500", O.TOKEN_SUSPECT, "DeviceTokenNotForTopic"),
    ("fa170600", O.CREDENTIAL, "TopicDisallowed"),
    ("fa170800", O.CREDENTIAL, "InvalidProviderToken"),
    ("fa170900", O.CREDENTIAL, "Forbidden"),
    ("fa170a00", O.CREDENTIAL, "UnrelatedKeyIdInToken"),
    ("fa170b00", O.CREDENTIAL, "BadEnvironmentKeyIdInToken"),
    ("fa170c00", O.RETRY_BACKOFF, "TooManyProviderTokenUpdates"),
    ("fa170d00", O.THROTTLED_DEVICE, "TooManyRequests"),
    ("fa170e00", O.RETRY_BACKOFF, "InternalServerError"),
    ("fa170f00", O.RETRY_BACKOFF, "ServiceUnavailable"),
    ("fa171000", O.RETRY_BACKOFF, "Shutdown"),
    ("fa171100", O.REQUEST_BAD, "PayloadTooLarge"),
    ("fa171200", O.OK, ""),
    ("fa171500", O.TOKEN_SUSPECT, "BadDeviceToken"),
    ("fa172300", O.OK, ""),
    ("fa173000", O.OK, ""),
    ("fa175000", O.TOKEN_SUSPECT, "BadDeviceToken"),
    ("fa175300", O.RETRY_BACKOFF, "http_500"),
    ("fa175400", O.RETRY_BACKOFF, "http_503"),
    ("fa175600", O.REQUEST_BAD, "http_400"),
    ("fa175700", O.REQUEST_BAD, "NewReason"),
    ("fa175800", O.REQUEST_BAD, "ImATeapot"),
    ("fa175900", O.OK, ""),
    ("fa175a00", O.OK, ""),
    ("fa175b00", O.OK, ""),
    ("fa178000", O.REQUEST_BAD, "BadCollapseId"),
    ("fa178100", O.REQUEST_BAD, "BadExpirationDate"),
    ("fa178200", O.REQUEST_BAD, "BadMessageId"),
    ("fa178300", O.REQUEST_BAD, "BadPriority"),
    ("fa178400", O.CREDENTIAL, "BadTopic"),
    ("fa178500", O.REQUEST_BAD, "DuplicateHeaders"),
    ("fa178700", O.REQUEST_BAD, "InvalidPushType"),
    ("fa178800", O.REQUEST_BAD, "MissingDeviceToken"),
    ("fa178900", O.CREDENTIAL, "MissingTopic"),
    ("fa178a00", O.REQUEST_BAD, "PayloadEmpty"),
    ("fa178b00", O.CREDENTIAL, "BadCertificate"),
    ("fa178c00", O.CREDENTIAL, "BadCertificateEnvironment"),
    ("fa178d00", O.CREDENTIAL, "MissingProviderToken"),
    ("fa178e00", O.REQUEST_BAD, "BadPath"),
    ("fa178f00", O.REQUEST_BAD, "MethodNotAllowed"),
]


async def test_each_answer_has_its_class_and_harms_no_neighbour(
    clients: Clients, simulators: Simulators
) -> None:
    """One send with every answer APNs knows, healthy devices in between: all as the tables say."""
    expected: dict[str, tuple[OutcomeClass, str]] = {}
    for number, (marker, outcome, reason) in enumerate(FAULTS):
        expected[apns_token(number, marker)] = (outcome, reason)
        expected[apns_token(1000 + number)] = (O.OK, "")
    answers = await send(clients.apns(), expected, apns_shape())

    assert expected == {token: (a.outcome, a.reason) for token, a in answers.items()}
    assert simulators.ledger.sums("apns").duplicates == 0


async def test_a_410_carries_its_time_and_a_503_its_pause(clients: Clients) -> None:
    """What feedback and retries need is in the answer."""
    gone, busy = apns_token(1, "fa170105"), apns_token(2, "fa170f07")
    answers = await send(clients.apns(), [gone, busy], apns_shape())
    five_days_ago = clients.clock.now() - timedelta(days=5)

    since = answers[gone].invalid_since_ms
    assert since is not None
    assert abs(since / 1000 - five_days_ago.timestamp()) < 60
    assert answers[busy].retry_after == 7.0


@pytest.mark.parametrize(
    ("marker", "outcome"),
    [
        pytest.param("fa172001", O.OK, id="refused once: sent again"),
        pytest.param("fa172002", O.OK, id="refused twice: sent again"),
        pytest.param("fa172000", O.RETRY_SAFE, id="refused always: left for later"),
        pytest.param("fa178600", O.RETRY_SAFE, id="IdleTimeout always: left for later"),
        pytest.param("fa173100", O.RETRY_SAFE, id="disowned by GOAWAY: left for later"),
        pytest.param("fa172100", O.UNKNOWN, id="RST INTERNAL_ERROR"),
        pytest.param("fa172500", O.UNKNOWN, id="RST ENHANCE_YOUR_CALM"),
        pytest.param("fa173600", O.UNKNOWN, id="GOAWAY that owns it, then EOF"),
        pytest.param("fa174001", O.UNKNOWN, id="TCP reset"),
        pytest.param("fa174101", O.UNKNOWN, id="EOF"),
    ],
)
async def test_a_broken_exchange_is_told_honestly(
    marker: str, outcome: OutcomeClass, clients: Clients
) -> None:
    """Not processed is sent again; written and unanswered is unknown."""
    token = apns_token(1, marker)

    assert (await send(clients.apns(), [token], apns_shape()))[token].outcome is outcome


async def test_a_message_that_is_never_answered_is_unknown(clients: Clients) -> None:
    """The deadline ends the wait, for this message alone."""
    silent, healthy = apns_token(1, "fa171300"), apns_token(2)
    answers = await send(clients.apns(timeout_seconds=1.0), [healthy, silent], apns_shape())

    assert answers[healthy] is ACCEPTED
    assert answers[silent].outcome is O.UNKNOWN


async def test_a_token_that_is_no_token_never_leaves(
    clients: Clients, simulators: Simulators
) -> None:
    """Apple punishes bad tokens, so what cannot be one is settled here, with Apple's word."""
    bad = ["", "xyz", "abc", "é" * 64, "0x12", "12 34", "a_b0", "ab" * 101, "ab\r\n"]
    answers = await send(clients.apns(), [*bad, apns_token(1)], apns_shape())

    assert {answers[token] for token in bad} == {Answer(O.TOKEN_SUSPECT, "BadDeviceToken")}
    assert [entry.token for entry in entries(simulators)] == [apns_token(1)]


async def test_a_shape_that_cannot_be_written_harms_no_other(clients: Clients) -> None:
    """A field with a line break is refused here; the other pushes of the send go out."""
    shape = apns_shape()
    broken = apns_shape((b"apns-collapse-id", b"a\r\nb"))
    topic = with_topic(shape, "com.\nexample")
    messages = [(i, i, apns_token(i), (broken, shape, topic)[i % 3]) for i in range(30)]
    settled = await send_messages(clients.apns(), messages)

    outcomes = [settled[i].outcome for i in range(30)]
    assert outcomes == [O.REQUEST_BAD, O.OK, O.REQUEST_BAD] * 10


async def test_an_expired_provider_token_is_minted_anew(
    clients: Clients, simulators: Simulators
) -> None:
    """ExpiredProviderToken: another JWT, another connection, and everybody is served."""
    now = int(clients.clock.now().timestamp())
    old = mint_provider_token(clients.provider_key, issued_at=now - 3660, now=now - 3660)
    gateway = clients.apns()
    await clients.store.put(
        gateway._tokens.name,
        replace(old, refresh_at=now + 999, expires_at=now + 999),
        ttl_seconds=999,
    )
    tokens = [apns_token(number) for number in range(100)]
    answers = await send(gateway, tokens, apns_shape())

    assert set(answers.values()) == {ACCEPTED}
    accepted = [entry for entry in entries(simulators) if entry.delivered]
    refused = [entry for entry in entries(simulators) if not entry.delivered]
    assert {"ExpiredProviderToken"} == {entry.reason for entry in refused}
    assert len(refused) <= 20
    assert len({entry.credential for entry in accepted}) == 1
    assert {e.connection for e in accepted}.isdisjoint(e.connection for e in refused)


async def test_a_wedged_connection_is_left(clients: Clients, simulators: Simulators) -> None:
    """A young token that is called expired is not replaced, but tried on another connection."""
    simulators.script.add(Rule(gateway="apns", scope="next", fault="expired_jwt"))
    gateway = clients.apns()
    answers = await send(gateway, [apns_token(number) for number in range(100)], apns_shape())

    assert set(answers.values()) == {ACCEPTED}
    assert len({entry.credential for entry in entries(simulators)}) == 1
    assert len({entry.connection for entry in entries(simulators)}) == 2


async def test_leaving_a_connection_loses_no_other_sender_s_message(
    clients: Clients, simulators: Simulators
) -> None:
    """Ten senders share the connection that is left; all of them are served, each device once."""
    simulators.script.add(Rule(gateway="apns", scope="next", fault="expired_jwt"))
    gateway = clients.apns()
    answers = await asyncio.gather(
        *(
            send(gateway, [apns_token(100 * group + n) for n in range(50)], apns_shape())
            for group in range(10)
        )
    )

    assert {answer for group in answers for answer in group.values()} == {ACCEPTED}
    assert simulators.ledger.sums("apns").delivered == 500
    assert simulators.ledger.sums("apns").duplicates == 0


async def test_one_token_too_many_gives_way_to_the_one_before(
    clients: Clients, simulators: Simulators
) -> None:
    """TooManyProviderTokenUpdates: the token that serves still, another connection, nobody lost."""
    now = int(clients.clock.now().timestamp())
    old = mint_provider_token(clients.provider_key, issued_at=now - 50 * 60, now=now)
    name = clients.provider_token().name
    await clients.store.put(name, old, ttl_seconds=999)
    await send(clients.apns(), [apns_token(0)], apns_shape())
    await clients.store.put(name, replace(old, refresh_at=now - 1), ttl_seconds=999)
    simulators.ledger.clear()
    answers = await send(
        clients.apns(), [apns_token(number) for number in range(100)], apns_shape()
    )

    assert set(answers.values()) == {ACCEPTED}
    accepted = [entry for entry in entries(simulators) if entry.delivered]
    refused = [entry for entry in entries(simulators) if not entry.delivered]
    assert {"TooManyProviderTokenUpdates"} == {entry.reason for entry in refused}
    assert {e.credential for e in accepted}.isdisjoint(e.credential for e in refused)
    assert {e.connection for e in accepted}.isdisjoint(e.connection for e in refused)


async def test_one_token_too_many_fails_nobody_for_good(
    clients: Clients, simulators: Simulators
) -> None:
    """Somebody else signs with the key: messages wait, few are tried, no token is made."""
    now = int(clients.clock.now().timestamp())
    foreign = mint_provider_token(clients.provider_key, issued_at=now - 60, now=now)
    await clients.store.put(clients.provider_token().name, foreign, ttl_seconds=999)
    await send(clients.apns(), [apns_token(0)], apns_shape())
    clients.store = LocalTokenStore()
    gateway = clients.apns()
    answers = await send(gateway, [apns_token(number) for number in range(1, 501)], apns_shape())

    assert {(a.outcome, a.retry_after) for a in answers.values()} == {(O.RETRY_BACKOFF, 400.0)}
    assert len(entries(simulators)) < 200
    assert len({entry.credential for entry in entries(simulators)}) == 2


async def test_two_processes_do_not_look_like_two_minters(
    clients: Clients, simulators: Simulators
) -> None:
    """Gateways that share no store show APNs one token, so neither is refused for minting."""
    first = await send(clients.apns(), [apns_token(1)], apns_shape())
    clients.store = LocalTokenStore()
    second = await send(clients.apns(), [apns_token(2)], apns_shape())

    assert [*first.values(), *second.values()] == [ACCEPTED, ACCEPTED]
    assert len({entry.credential for entry in entries(simulators)}) == 1


async def test_senders_at_once_share_one_gateway(clients: Clients, simulators: Simulators) -> None:
    """Many sends on one gateway: every device once, one JWT, few connections."""
    gateway = clients.apns()
    answers = await asyncio.gather(
        *(
            send(gateway, [apns_token(100 * group + n) for n in range(50)], apns_shape())
            for group in range(20)
        )
    )

    assert {answer for group in answers for answer in group.values()} == {ACCEPTED}
    assert simulators.ledger.sums("apns").delivered == 1000
    assert simulators.ledger.sums("apns").duplicates == 0
    assert len({entry.credential for entry in entries(simulators)}) == 1
    assert len({entry.connection for entry in entries(simulators)}) <= 2


async def test_a_wrong_key_is_not_tried_a_thousand_times(
    clients: Clients, simulators: Simulators
) -> None:
    """After 20 refusals in a row the rest is refused here; APNs hears no more."""
    key = replace(clients.provider_key, key=ec.generate_private_key(ec.SECP256R1()))
    tokens = [apns_token(number) for number in range(1000)]
    answers = await send(clients.apns(key=key), tokens, apns_shape())

    reasons = Counter(answer.reason for answer in answers.values())
    assert {answer.outcome for answer in answers.values()} == {O.CREDENTIAL}
    assert reasons["InvalidProviderToken"] == len(entries(simulators)) < 100
    assert reasons["InvalidProviderToken (not sent after 20 in a row)"] > 900


async def test_a_wrong_topic_does_not_stop_the_right_one(
    clients: Clients, simulators: Simulators
) -> None:
    """One key, two apps, one of them not the team's: only its devices fail."""
    good, bad = apns_shape(), with_topic(apns_shape(), "com.stranger")
    messages = [(i, i, apns_token(i), bad if i < 500 else good) for i in range(1000)]
    settled = await send_messages(clients.apns(), messages)

    assert {settled[i].outcome for i in range(500)} == {O.CREDENTIAL}
    assert {settled[i] for i in range(500, 1000)} == {ACCEPTED}
    assert sum(entry.topic == "com.stranger" for entry in entries(simulators)) < 500


async def test_kinds_of_pushes_are_not_remembered_for_ever(clients: Clients) -> None:
    """A process sees many topics in its life; what it keeps of them is bounded."""
    gateway = clients.apns()
    shapes = [with_topic(apns_shape(), f"com.stranger{number}") for number in range(600)]
    messages = [(i, i, apns_token(i), shape) for i, shape in enumerate(shapes)]
    settled = await send_messages(gateway, messages)

    assert {answer.reason for answer in settled.values()} == {"TopicDisallowed"}
    assert len(gateway._templates) <= 256


async def test_an_unreachable_gateway_gives_everything_back(clients: Clients) -> None:
    """Nobody listens: every message is safe to send later, and the wait is short."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    gateway = clients.apns(url=f"https://127.0.0.1:{port}")
    answers = await send(gateway, [apns_token(number) for number in range(500)], apns_shape())

    assert {answer.outcome for answer in answers.values()} == {O.RETRY_SAFE}
    assert gateway._pool.stats.connect_failures == 3


async def test_a_closed_gateway_takes_nothing(clients: Clients) -> None:
    """What is sent after the end is safe to send elsewhere."""
    gateway = clients.apns()
    await gateway.close()
    answers = await send(gateway, [apns_token(1)], apns_shape())

    assert [answer.outcome for answer in answers.values()] == [O.RETRY_SAFE]
