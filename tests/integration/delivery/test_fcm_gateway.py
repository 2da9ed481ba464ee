"""The FCM client against a strict FCM and its token endpoint."""

import asyncio
import socket
from collections import Counter
from dataclasses import replace

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from pushsvc.delivery.tokens import Token
from pushsvc.model import ACCEPTED, Answer, Deferral, OutcomeClass
from pushsvc.simulators import Simulators
from pushsvc.simulators.ledger import Entry
from pushsvc.simulators.script import Rule
from tests.integration.delivery.sending import FCM_SHAPE, Clients, send, send_messages

pytestmark = pytest.mark.integration

O = OutcomeClass  # noqa: E741 - a table is read across


def entries(simulators: Simulators) -> list[Entry]:
    return simulators.ledger.page(gateway="fcm", token=None, after=0, limit=100_000)[0]


def fetches(simulators: Simulators) -> int:
    return simulators.registry.fcm_tokens.fetches


def device(number: int, marker: str = "") -> str:
    return f"dev{number}:APA91b-x{marker}"


async def test_every_device_gets_its_message_once(clients: Clients, simulators: Simulators) -> None:
    """The body is head, token and tail; one access token serves all."""
    tokens = [device(number) for number in range(300)]
    answers = await send(clients.fcm(), tokens, FCM_SHAPE)

    assert set(answers.values()) == {ACCEPTED}
    assert Counter(tokens) == Counter(entry.token for entry in entries(simulators))
    assert simulators.ledger.sums("fcm").delivered == 300
    assert fetches(simulators) == 1
    message = orjson.loads(entries(simulators)[0].payload)["message"]
    assert message["data"] == {"a": "b"}


FAULTS = [
    ("~unregistered", O.TOKEN_DEAD, "UNREGISTERED"),
    ("~bad_token", O.TOKEN_DEAD, "INVALID_ARGUMENT message.token"),
    ("~invalid_arg", O.REQUEST_BAD, "INVALID_ARGUMENT"),
    ("~invalid_bare", O.REQUEST_BAD, "INVALID_ARGUMENT"),
    ("~sender_mismatch", O.TOKEN_SUSPECT, "SENDER_ID_MISMATCH"),
    ("~perm_denied", O.CREDENTIAL, "PERMISSION_DENIED"),
    ("~not_found", O.CREDENTIAL, "NOT_FOUND"),
    ("~not_found_html", O.CREDENTIAL, "http_404"),
    ("~third_party", O.CREDENTIAL, "THIRD_PARTY_AUTH_ERROR"),
    ("~apns_auth", O.CREDENTIAL, "APNS_AUTH_ERROR"),
    ("~quota_bare", O.THROTTLED_SENDER, "QUOTA_EXCEEDED"),
    ("~quota_topic", O.THROTTLED_SENDER, "QUOTA_EXCEEDED"),
    ("~quota_device", O.THROTTLED_DEVICE, "QUOTA_EXCEEDED"),
    ("~internal", O.RETRY_BACKOFF, "INTERNAL"),
    ("~html502", O.RETRY_BACKOFF, "http_502"),
    ("~timeout504", O.RETRY_BACKOFF, "http_504"),
    ("~unavailable", O.RETRY_BACKOFF, "UNAVAILABLE"),
    ("~slow", O.OK, ""),
    ("~slow_body", O.TOKEN_DEAD, "UNREGISTERED"),
    ("~rst_noerror_after", O.OK, ""),
    ("~goaway_graceful", O.OK, ""),
    ("~split_body", O.TOKEN_DEAD, "UNREGISTERED"),
    ("~no_body", O.RETRY_BACKOFF, "http_500"),
    ("~bad_json", O.REQUEST_BAD, "http_400"),
    ("~unknown_reason", O.REQUEST_BAD, "SOMETHING_NEW"),
    ("~unknown_status", O.REQUEST_BAD, "UNKNOWN"),
]


async def test_each_answer_has_its_class_and_harms_no_neighbour(
    clients: Clients, simulators: Simulators
) -> None:
    """One send with every answer FCM knows, healthy devices in between: all as the tables say."""
    expected: dict[str, tuple[OutcomeClass, str]] = {}
    for number, (marker, outcome, reason) in enumerate(FAULTS):
        expected[device(number, marker)] = (outcome, reason)
        expected[device(1000 + number)] = (O.OK, "")
    answers = await send(clients.fcm(), expected, FCM_SHAPE)

    assert expected == {token: (a.outcome, a.reason) for token, a in answers.items()}
    assert simulators.ledger.sums("fcm").duplicates == 0


@pytest.mark.parametrize(
    ("marker", "least", "most"),
    [
        pytest.param("~quota-05", 5, 5, id="seconds"),
        # An HTTP-date has whole seconds, and the clocks are not read at one moment.
        pytest.param("~quota_date-1e", 28, 31, id="a date"),
        pytest.param("~quota_bare", 60, 60, id="none: a minute"),
        pytest.param("~unavailable-07", 7, 7, id="503"),
    ],
)
async def test_retry_after_reaches_the_answer(
    *, marker: str, least: float, most: float, clients: Clients
) -> None:
    """Both forms of Retry-After, and FCM's own rule where there is none."""
    token = device(1, marker)
    answer = (await send(clients.fcm(), [token], FCM_SHAPE))[token]

    assert answer.retry_after is not None
    assert least <= answer.retry_after <= most


@pytest.mark.parametrize(
    ("marker", "outcome"),
    [
        pytest.param("~rst_refused-01", O.OK, id="refused once: sent again"),
        pytest.param("~rst_refused", O.RETRY_SAFE, id="refused always: left for later"),
        pytest.param("~goaway_below", O.RETRY_SAFE, id="disowned: left for later"),
        pytest.param("~rst_internal", O.UNKNOWN, id="RST INTERNAL_ERROR"),
        pytest.param("~tcp_rst-01", O.UNKNOWN, id="TCP reset"),
    ],
)
async def test_a_broken_exchange_is_told_honestly(
    marker: str, outcome: OutcomeClass, clients: Clients
) -> None:
    """Not processed is sent again; written and unanswered is unknown."""
    token = device(1, marker)

    assert (await send(clients.fcm(), [token], FCM_SHAPE))[token].outcome is outcome


async def test_a_refused_access_token_is_replaced_once(
    clients: Clients, simulators: Simulators
) -> None:
    """401: one new token for all, and everybody is served."""
    gateways = [clients.fcm(), clients.fcm()]
    now = clients.clock.now().timestamp()
    revoked = Token(value="ya29.old", minted_at=now, refresh_at=now + 999, expires_at=now + 999)
    await clients.store.put(gateways[0]._tokens.name, revoked, ttl_seconds=999)
    answers = await asyncio.gather(
        *(
            send(gateways[group % 2], [device(100 * group + n) for n in range(50)], FCM_SHAPE)
            for group in range(6)
        )
    )

    assert {answer for group in answers for answer in group.values()} == {ACCEPTED}
    assert fetches(simulators) == 1


async def test_a_device_that_alone_gets_401_is_tried_once_more(
    clients: Clients, simulators: Simulators
) -> None:
    """Once more with a new token; what is refused again is told so."""
    once, always = device(1, "~unauth-01"), device(2, "~unauth")
    answers = await send(clients.fcm(), [once, always, device(3)], FCM_SHAPE)

    assert [answers[once], answers[device(3)]] == [ACCEPTED, ACCEPTED]
    assert Answer(O.CREDENTIAL, "UNAUTHENTICATED") == answers[always]
    assert fetches(simulators) == 2
    assert Counter(entry.token for entry in entries(simulators))[always] == 2


async def test_many_senders_fetch_one_token(clients: Clients, simulators: Simulators) -> None:
    """A herd of sends at start asks the token endpoint once."""
    gateways = [clients.fcm() for _ in range(4)]
    await asyncio.gather(*(send(gateways[n % 4], [device(n)], FCM_SHAPE) for n in range(40)))

    assert fetches(simulators) == 1
    assert simulators.ledger.sums("fcm").delivered == 40


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        ("invalid_grant", O.CREDENTIAL, "token_refused: invalid_grant"),
        ("unavailable", O.RETRY_BACKOFF, "token_unavailable: http_503"),
        ("internal", O.RETRY_BACKOFF, "token_unavailable: http_500"),
    ],
)
async def test_without_an_access_token_nothing_is_sent(
    *,
    fault: str,
    outcome: OutcomeClass,
    reason: str,
    clients: Clients,
    simulators: Simulators,
) -> None:
    """A refusal is about the credential, an outage passes; neither is asked about 100 times."""
    simulators.script.add(Rule(gateway="fcm-oauth", scope="every", fault=fault))
    gateway = clients.fcm()
    answers = [await send(gateway, [device(n)], FCM_SHAPE) for n in range(100)]

    held = Answer(outcome, reason, deferral=Deferral.HELD)
    assert {held} == {a for answer in answers for a in answer.values()}
    assert fetches(simulators) == 1
    assert entries(simulators) == []


async def test_an_unreachable_token_endpoint_is_an_outage(
    clients: Clients, simulators: Simulators
) -> None:
    """Nobody listens there: every message is for later, none is sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    account = replace(clients.service_account, token_uri=f"https://127.0.0.1:{port}/token")
    answers = await send(clients.fcm(account=account), [device(1), device(2)], FCM_SHAPE)

    reason = "token_unavailable: ClientConnectorError"
    held = Answer(O.RETRY_BACKOFF, reason, deferral=Deferral.HELD)
    assert set(answers.values()) == {held}
    assert entries(simulators) == []


async def test_a_stranger_s_key_is_refused_by_google(clients: Clients) -> None:
    """An assertion that Google cannot verify is a matter of the credential."""
    account = replace(clients.service_account, private_key=rsa.generate_private_key(65537, 2048))
    answers = await send(clients.fcm(account=account), [device(1)], FCM_SHAPE)

    assert [answer.outcome for answer in answers.values()] == [O.CREDENTIAL]


async def test_a_wrong_project_touches_no_token(clients: Clients, simulators: Simulators) -> None:
    """403 and 404 of the project are the credential's; after 20 in a row FCM hears no more."""
    account = replace(clients.service_account, project_id="not-ours")
    answers = await send(clients.fcm(account=account), map(device, range(1000)), FCM_SHAPE)

    assert {answer.outcome for answer in answers.values()} == {O.CREDENTIAL}
    assert 20 <= len(entries(simulators)) < 500


async def test_a_token_that_cannot_be_written_never_leaves(
    clients: Clients, simulators: Simulators
) -> None:
    """Half a surrogate pair is no text that FCM could have issued."""
    messages = [(0, 0, "\ud800", FCM_SHAPE), (1, 1, device(1), FCM_SHAPE)]
    settled = await send_messages(clients.fcm(), messages)

    assert settled[0].outcome is O.TOKEN_SUSPECT
    assert settled[1] is ACCEPTED
    assert len(entries(simulators)) == 1


async def test_a_token_with_quotes_stays_a_token(clients: Clients, simulators: Simulators) -> None:
    """A token is JSON text: it cannot become another part of the message."""
    token = 'x","topic":"all'
    answers = await send(clients.fcm(), [token], FCM_SHAPE)

    assert answers[token].outcome is O.TOKEN_DEAD
    assert [entry.token for entry in entries(simulators)] == [token]
