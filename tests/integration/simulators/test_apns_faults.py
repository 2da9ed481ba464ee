"""Every fault row of APNs does what the table says, and the ledger knows whether it delivered."""

import time
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from h2.errors import ErrorCodes

from pushsvc.simulators import Simulators
from pushsvc.simulators.apns.faults import FAULTS
from tests.integration.simulators.client import (
    DEVICE,
    Goaway,
    Sender,
    apns_fields,
    connect,
    provider_token,
)

pytestmark = pytest.mark.integration

BODY = b'{"aps":{"alert":"hello"}}'
DAY_MS = 24 * 60 * 60 * 1000
MAX_ID = 2**31 - 1
ILLEGAL_CODES = range(0x70, 0x80)
CERTIFICATE = b'{"reason":"BadCertificateEnvironment"}'
MAX_STREAMS = b"Maximum active streams violated for this endpoint"


@dataclass(frozen=True)
class Fate:
    """What becomes of a request with this fault (PP = `parameter`)."""

    status: int = 0
    reason: str = ""
    body: bytes | None = None
    reset: int | None = None
    goaways: tuple[Goaway, ...] = ()
    end: str | None = None
    delivered: bool = False
    silent: bool = False
    parameter: int = 0


def refused(status: int, reason: str) -> Fate:
    return Fate(status=status, reason=reason)


FATES = {
    "ok": Fate(status=200, delivered=True),
    "unregistered": refused(410, "Unregistered"),
    "expired_token": refused(410, "ExpiredToken"),
    "unregistered_old": refused(410, "Unregistered"),
    "bad_token": refused(400, "BadDeviceToken"),
    "not_for_topic": refused(400, "DeviceTokenNotForTopic"),
    "topic_disallowed": refused(400, "TopicDisallowed"),
    "expired_jwt": refused(403, "ExpiredProviderToken"),
    "invalid_jwt": refused(403, "InvalidProviderToken"),
    "forbidden": refused(403, "Forbidden"),
    "unrelated_key": refused(403, "UnrelatedKeyIdInToken"),
    "bad_environment_key": refused(403, "BadEnvironmentKeyIdInToken"),
    "too_many_updates": refused(429, "TooManyProviderTokenUpdates"),
    "throttled": refused(429, "TooManyRequests"),
    "e500": refused(500, "InternalServerError"),
    "unavailable": refused(503, "ServiceUnavailable"),
    "shutdown": Fate(
        status=503,
        reason="Shutdown",
        goaways=(Goaway(MAX_ID, 0, b""), Goaway(1, 0, b"")),
        end="eof",
    ),
    "too_large": refused(413, "PayloadTooLarge"),
    "slow": Fate(status=200, delivered=True, parameter=1),
    "never": Fate(delivered=True, silent=True),
    "never_n": Fate(silent=True),
    "slow_body": Fate(status=400, reason="BadDeviceToken", parameter=1),
    "rst_refused": Fate(reset=ErrorCodes.REFUSED_STREAM),
    "rst_internal": Fate(reset=ErrorCodes.INTERNAL_ERROR, delivered=True),
    "rst_cancel": Fate(reset=ErrorCodes.CANCEL),
    "rst_noerror_after": Fate(status=200, delivered=True),
    "rst_after_headers": Fate(status=400, reason="", body=b"", reset=ErrorCodes.INTERNAL_ERROR),
    "rst_calm": Fate(reset=ErrorCodes.ENHANCE_YOUR_CALM),
    "goaway_graceful": Fate(
        status=200,
        delivered=True,
        goaways=(Goaway(MAX_ID, 0, b""), Goaway(1, 0, b"")),
        end="eof",
    ),
    "goaway_below": Fate(goaways=(Goaway(0, 0, b""),), end="eof"),
    "goaway_zero_error": Fate(goaways=(Goaway(0, 0, CERTIFICATE), Goaway(0, 0, b"")), end="eof"),
    "goaway_idle": Fate(goaways=(Goaway(0, 0, b'{"reason":"IdleTimeout"}'),), end="eof"),
    "goaway_maxstreams": Fate(
        goaways=(Goaway(0, ErrorCodes.REFUSED_STREAM, MAX_STREAMS),), end="eof"
    ),
    "goaway_calm": Fate(
        goaways=(Goaway(0, ErrorCodes.ENHANCE_YOUR_CALM, b"too_many_pings"),), end="eof"
    ),
    "goaway_then_eof": Fate(goaways=(Goaway(1, 0, b""),), end="eof", delivered=True),
    "goaway_on_connect": Fate(goaways=(Goaway(0, 0, b""),), end="eof"),
    "tcp_rst": Fate(end="reset"),
    "eof": Fate(end="eof"),
    "half_close": Fate(end="eof"),
    "stall_read": Fate(status=200, delivered=True, parameter=1),
    "blackhole": Fate(delivered=True, silent=True),
    "split_body": refused(400, "BadDeviceToken"),
    "padded": Fate(status=200, body=b"", delivered=True),
    "continuation": Fate(status=200, delivered=True, parameter=5),
    "no_body": Fate(status=500, body=b""),
    "html_body": Fate(status=503, body=b"<html>Service Unavailable</html>"),
    "huge_body": Fate(status=503),
    "bad_json": Fate(status=400, body=b'{"reason":"BadDevice'),
    "unknown_reason": refused(400, "NewReason"),
    "unknown_status": refused(418, "ImATeapot"),
    "upper_apns_id": Fate(status=200, delivered=True),
    "no_apns_id": Fate(status=200, delivered=True),
    "wrong_apns_id": Fate(status=200, delivered=True),
    "informational": Fate(status=200, delivered=True),
    "trailers": Fate(status=200, body=b"{}", delivered=True),
    "dyn_headers": Fate(status=200, delivered=True),
    "huge_headers": refused(503, "ServiceUnavailable"),
    "settings_seq": Fate(status=200, delivered=True),
    "window_shrink": Fate(status=200, delivered=True, parameter=1),
    "window_starved": Fate(status=200, delivered=True, parameter=1),
    "table_size": Fate(status=200, delivered=True, parameter=1),
    "ping": Fate(status=200, delivered=True, parameter=3),
    "unknown_frames": Fate(status=200, delivered=True),
    "bad_collapse_id": refused(400, "BadCollapseId"),
    "bad_expiration_date": refused(400, "BadExpirationDate"),
    "bad_message_id": refused(400, "BadMessageId"),
    "bad_priority": refused(400, "BadPriority"),
    "bad_topic": refused(400, "BadTopic"),
    "duplicate_headers": refused(400, "DuplicateHeaders"),
    "idle_timeout": refused(400, "IdleTimeout"),
    "invalid_push_type": refused(400, "InvalidPushType"),
    "missing_device_token": refused(400, "MissingDeviceToken"),
    "missing_topic": refused(400, "MissingTopic"),
    "payload_empty": refused(400, "PayloadEmpty"),
    "bad_certificate": refused(403, "BadCertificate"),
    "bad_certificate_environment": refused(403, "BadCertificateEnvironment"),
    "missing_provider_token": refused(403, "MissingProviderToken"),
    "bad_path": refused(404, "BadPath"),
    "method_not_allowed": refused(405, "MethodNotAllowed"),
}


def token_of(name: str, parameter: int = 0, *, device: str = DEVICE) -> str:
    """The token that asks for a fault."""
    fault = FAULTS.named(name)
    assert fault is not None
    assert fault.code is not None
    return f"{device}fa17{fault.code:02x}{parameter:02x}"


def test_table_is_covered() -> None:
    """Every row has a code of its own, and its fate here (illegal octets: in a test of theirs)."""
    codes = {fault.name: fault.code for fault in FAULTS}
    assert {name for name, code in codes.items() if code not in ILLEGAL_CODES} == set(FATES)
    assert len(codes) == len(set(codes.values()))


@pytest.mark.parametrize("name", FATES)
async def test_fault(simulators: Simulators, name: str) -> None:
    """The row does what it says, on the wire and in the ledger."""
    endpoints = simulators.endpoints
    fate = FATES[name]
    token = token_of(name, fate.parameter)
    async with connect(endpoints.apns_url, endpoints) as sender:
        stream_id = await sender.send(apns_fields(endpoints, token), BODY)
        if fate.silent:
            await until_unanswered(simulators, token)
        elif fate.end:
            assert fate.end == await sender.until_end()
        else:
            await sender.reply(stream_id)
        check_wire(sender, fate, stream_id)

    (entry,), _ = simulators.ledger.page(gateway="apns", token=token, after=0, limit=10)
    assert (name, fate.delivered) == (entry.fault, entry.delivered)
    assert entry.answered is (fate.status > 0 and fate.reset is None)


def check_wire(sender: Sender, fate: Fate, stream_id: int) -> None:
    """The stream and the connection met their fate."""
    reply = sender.replies[stream_id]
    assert (fate.status, fate.reset) == (reply.status, reply.reset)
    assert list(fate.goaways) == sender.goaways
    if fate.body is not None:
        assert fate.body == reply.body
    elif fate.reason:
        assert fate.reason == orjson.loads(reply.body)["reason"]


async def until_unanswered(simulators: Simulators, token: str) -> None:
    """Another connection comes and is answered; the one before it was read and still is not."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as other:
        for _ in range(3):
            await other.ask(apns_fields(endpoints), BODY)
    assert simulators.ledger.summary("apns", token) is not None


@pytest.mark.parametrize("name", ["tcp_rst", "eof"])
async def test_ends_may_come_after_delivery(simulators: Simulators, name: str) -> None:
    """With PP = 1 the message was taken before the connection ended."""
    endpoints = simulators.endpoints
    token = token_of(name, 1)
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.send(apns_fields(endpoints, token), BODY)
        await sender.until_end()

    summary = simulators.ledger.summary("apns", token)
    assert summary is not None
    assert (summary.delivered, summary.last_status) == (1, 0)


@pytest.mark.parametrize("name", ["throttled", "e500", "rst_refused"])
async def test_first_n_then_ok(simulators: Simulators, name: str) -> None:
    """The first PP requests of a token fail, then it is accepted; other tokens count apart."""
    endpoints = simulators.endpoints
    statuses: dict[str, list[int]] = {}
    async with connect(endpoints.apns_url, endpoints) as sender:
        for device in (DEVICE, DEVICE[::-1]):
            token = token_of(name, 2, device=device)
            replies = [await sender.ask(apns_fields(endpoints, token), BODY) for _ in range(3)]
            statuses[token] = [reply.status == 200 for reply in replies]

    assert list(statuses.values()) == [[False, False, True]] * 2
    for token in statuses:
        summary = simulators.ledger.summary("apns", token)
        assert summary is not None
        assert (summary.attempts, summary.delivered) == (3, 1)


async def test_first_ff_never_ends(simulators: Simulators) -> None:
    """PP = ff fails always."""
    endpoints = simulators.endpoints
    token = token_of("e500", 0xFF)
    async with connect(endpoints.apns_url, endpoints) as sender:
        replies = [await sender.ask(apns_fields(endpoints, token), BODY) for _ in range(5)]

    assert [reply.status for reply in replies] == [500] * 5


@pytest.mark.parametrize(
    ("name", "parameter", "days"),
    [("unregistered", 3, 3), ("expired_token", 0, 0), ("unregistered_old", 1, 3650)],
)
async def test_timestamp_of_410(
    simulators: Simulators, name: str, parameter: int, days: int
) -> None:
    """410 says in milliseconds since when the token is dead: PP days, or ten years."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(apns_fields(endpoints, token_of(name, parameter)), BODY)

    age_ms = time.time() * 1000 - orjson.loads(reply.body)["timestamp"]
    assert days * DAY_MS <= age_ms < days * DAY_MS + 60_000


async def test_retry_after(simulators: Simulators) -> None:
    """503 carries `retry-after: PP` if there is a PP."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        replies = [
            await sender.ask(apns_fields(endpoints, token_of("unavailable", seconds)), BODY)
            for seconds in (0, 30)
        ]

    assert [reply.fields.get("retry-after") for reply in replies] == [None, "30"]


async def test_expired_jwt_wedges_the_connection(simulators: Simulators) -> None:
    """After the fault every request of this connection is refused; a new connection is free."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        statuses = [
            (await sender.ask(apns_fields(endpoints, token), BODY)).status
            for token in (token_of("expired_jwt"), DEVICE)
        ]
    async with connect(endpoints.apns_url, endpoints) as sender:
        statuses.append((await sender.ask(apns_fields(endpoints), BODY)).status)

    assert statuses == [403, 403, 200]


async def test_an_expired_jwt_does_the_same(simulators: Simulators) -> None:
    """A token that is too old wedges its connection too, even for a fresh one after it."""
    endpoints = simulators.endpoints
    old = f"bearer {provider_token(endpoints, iat=int(time.time()) - 2 * 3600)}"
    statuses = []
    async with connect(endpoints.apns_url, endpoints) as sender:
        for changes in ({"authorization": old}, {}):
            reply = await sender.ask(apns_fields(endpoints, **changes), BODY)
            statuses.append((reply.status, orjson.loads(reply.body)["reason"]))
    async with connect(endpoints.apns_url, endpoints) as sender:
        fresh = await sender.ask(apns_fields(endpoints), BODY)

    assert statuses == [(403, "ExpiredProviderToken")] * 2
    assert fresh.status == 200


async def test_goaway_on_connect_strikes_the_next_connections(simulators: Simulators) -> None:
    """The next PP connections get a GOAWAY before any answer, and take nothing; then it ends."""
    endpoints = simulators.endpoints
    token = token_of("goaway_on_connect", 2)
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.send(apns_fields(endpoints, token), BODY)
        await sender.until_end()
    for _ in range(2):
        async with connect(endpoints.apns_url, endpoints) as sender:
            await sender.send(apns_fields(endpoints), BODY)
            await sender.until_end()
            assert sender.goaways == [Goaway(0, 0, b"")]
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(apns_fields(endpoints), BODY)

    assert (reply.status, simulators.ledger.sums("apns").delivered) == (200, 1)


async def test_split_body_comes_byte_by_byte(simulators: Simulators) -> None:
    """The body comes in frames of one byte, with empty frames between."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(apns_fields(endpoints, token_of("split_body")), BODY)

    assert {0, 1} == {len(piece) for piece in reply.pieces}


IDS: list[Any] = [
    pytest.param("upper_apns_id", str.upper, id="capitals"),
    pytest.param("no_apns_id", lambda _: None, id="none"),
    pytest.param("wrong_apns_id", lambda given: given[::-1], id="wrong"),
]


@pytest.mark.parametrize(("name", "change"), IDS)
async def test_odd_apns_ids(simulators: Simulators, name: str, change: Any) -> None:
    """An accepted push may come back with another apns-id, or none."""
    endpoints = simulators.endpoints
    fields = apns_fields(endpoints, token_of(name))
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(fields, BODY)

    assert change(fields["apns-id"]) == reply.fields.get("apns-id")


async def test_unknown_code_is_accepted_with_a_warning(simulators: Simulators) -> None:
    """A marker with a code that is no row (a random token may have one) is accepted."""
    endpoints = simulators.endpoints
    token = DEVICE + "fa17ee00"
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(apns_fields(endpoints, token), BODY)

    (entry,), _ = simulators.ledger.page(gateway="apns", token=token, after=0, limit=1)
    assert (reply.status, entry.warnings[-1]) == (200, "the marker names no fault")
