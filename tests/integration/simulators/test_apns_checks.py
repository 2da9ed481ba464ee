"""Every reason that APNs checks for can be had by sending what deserves it."""

import time
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pushsvc.simulators import Knobs, Simulators
from tests.integration.simulators.client import TOKEN, apns_fields, connect, provider_token

pytestmark = pytest.mark.integration

BODY = b'{"aps":{"alert":"hello"}}'
HOUR = 3600

REFUSALS = [
    pytest.param({"apns_id": "no-uuid"}, BODY, 400, "BadMessageId", id="apns-id is no UUID"),
    pytest.param(
        {"apns_id": "0" * 7 + "A-0000-0000-0000-000000000000"},
        BODY, 400, "BadMessageId", id="apns-id has capitals",
    ),
    pytest.param({"method": "PUT"}, BODY, 405, "MethodNotAllowed", id="PUT"),
    pytest.param({"apns_topic": None}, BODY, 400, "MissingTopic", id="no topic"),
    pytest.param({"apns_topic": "no topic"}, BODY, 400, "BadTopic", id="malformed topic"),
    pytest.param({"apns_topic": "com.other"}, BODY, 400, "TopicDisallowed", id="unknown topic"),
    pytest.param({"apns_collapse_id": "x" * 65}, BODY, 400, "BadCollapseId", id="collapse id"),
    pytest.param({"apns_priority": "7"}, BODY, 400, "BadPriority", id="priority 7"),
    pytest.param(
        {"apns_push_type": "background"}, BODY, 400, "BadPriority", id="background at default 10"
    ),
    pytest.param({"apns_push_type": None}, BODY, 400, "InvalidPushType", id="no push type"),
    pytest.param({"apns_push_type": "sms"}, BODY, 400, "InvalidPushType", id="unknown push type"),
    pytest.param({"apns_push_type": "voip"}, BODY, 400, "BadTopic", id="voip without suffix"),
    pytest.param(
        {"apns_topic": "com.example.app.voip"}, BODY, 400, "BadTopic", id="alert with voip suffix"
    ),
    pytest.param({"apns_expiration": "soon"}, BODY, 400, "BadExpirationDate", id="expiration"),
    pytest.param({"path": "/3/devices/ab"}, BODY, 404, "BadPath", id="wrong path"),
    pytest.param({"path": "/3/device/"}, BODY, 400, "MissingDeviceToken", id="no token"),
    pytest.param({"path": "/3/device/xyz0"}, BODY, 400, "BadDeviceToken", id="token is not hex"),
    pytest.param({"path": "/3/device/abc"}, BODY, 400, "BadDeviceToken", id="half a byte"),
    pytest.param(
        {"path": "/3/device/" + "ab" * 101}, BODY, 400, "BadDeviceToken", id="token too long"
    ),
    pytest.param({"authorization": None}, BODY, 403, "MissingProviderToken", id="no JWT"),
    pytest.param({"authorization": "bearer a.b"}, BODY, 403, "InvalidProviderToken", id="no JWT 2"),
    pytest.param({"authorization": "basic YTpi"}, BODY, 403, "InvalidProviderToken", id="basic"),
    pytest.param({}, b"", 400, "PayloadEmpty", id="no payload"),
    pytest.param({}, b"x" * 4097, 413, "PayloadTooLarge", id="4097 bytes"),
    pytest.param({}, b"x" * 200_000, 413, "PayloadTooLarge", id="more than all windows"),
    pytest.param(
        {"apns_topic": "com.example.app.voip", "apns_push_type": "voip"},
        b"x" * 5121, 413, "PayloadTooLarge", id="5121 bytes of voip",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "body", "status", "reason"), REFUSALS)
async def test_refusals(
    simulators: Simulators, changes: dict[str, Any], body: bytes, status: int, reason: str
) -> None:
    """A request with one defect is refused with its reason, and so the ledger says."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(apns_fields(endpoints, **changes), body)

    assert (status, {"reason": reason}) == (reply.status, orjson.loads(reply.body))
    (entry,), _ = simulators.ledger.page(gateway="apns", token=None, after=0, limit=10)
    assert (status, reason, False, True) == (
        entry.status, entry.reason, entry.delivered, entry.answered,
    )  # fmt: skip


ACCEPTED = [
    pytest.param({}, BODY, id="plain"),
    pytest.param({"apns_id": None}, BODY, id="without apns-id"),
    pytest.param({"apns_expiration": "0", "apns_priority": "1"}, BODY, id="expiration 0"),
    pytest.param({"apns_collapse_id": "x" * 64}, BODY, id="collapse id of 64 bytes"),
    pytest.param({"path": f"/3/device/{TOKEN.upper()}"}, BODY, id="token in capitals"),
    pytest.param({}, b"x" * 4096, id="4096 bytes"),
    pytest.param({"apns_push_type": "background", "apns_priority": "5"}, BODY, id="background"),
    *(
        pytest.param(
            {"apns_push_type": kind, "apns_topic": f"com.example.app.{suffix}"}, BODY, id=kind
        )
        for kind, suffix in {
            "voip": "voip",
            "complication": "complication",
            "fileprovider": "pushkit.fileprovider",
            "location": "location-query",
            "liveactivity": "push-type.liveactivity",
            "pushtotalk": "voip-ptt",
            "widgets": "push-type.widgets",
            "controls": "push-type.controls",
        }.items()
    ),
]


@pytest.mark.parametrize(("changes", "body"), ACCEPTED)
async def test_accepted(simulators: Simulators, changes: dict[str, Any], body: bytes) -> None:
    """A good request is answered 200 with its apns-id, and is delivered to the lower-case token."""
    endpoints = simulators.endpoints
    fields = apns_fields(endpoints, **changes)
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(fields, body)

    (entry,), _ = simulators.ledger.page(gateway="apns", token=TOKEN, after=0, limit=10)
    assert (reply.status, reply.body) == (200, b"")
    assert fields.get("apns-id", entry.message_id) == reply.fields["apns-id"]
    assert (True, True, fields["apns-topic"], len(body)) == (
        entry.delivered, entry.answered, entry.topic, entry.payload_bytes,
    )  # fmt: skip


async def test_first_defect_wins(simulators: Simulators) -> None:
    """Checks run in a fixed order: message id, topic, push type, path, token, payload."""
    endpoints = simulators.endpoints
    defects: dict[str, Any] = {
        "apns_id": "x", "apns_topic": None, "apns_push_type": None,
        "path": "/", "authorization": None,
    }  # fmt: skip
    cured = {"apns_id": None, "apns_topic": "com.example.app", "apns_push_type": "alert"}
    cured |= {"path": f"/3/device/{TOKEN}", "authorization": f"bearer {provider_token(endpoints)}"}
    reasons = []
    async with connect(endpoints.apns_url, endpoints) as sender:
        for name, cure in cured.items():
            reply = await sender.ask(apns_fields(endpoints, **defects))
            reasons.append(orjson.loads(reply.body)["reason"])
            defects[name] = cure
        reply = await sender.ask(apns_fields(endpoints, **defects))

    assert reasons == [
        "BadMessageId",
        "MissingTopic",
        "InvalidPushType",
        "BadPath",
        "MissingProviderToken",
    ]
    assert orjson.loads(reply.body) == {"reason": "PayloadEmpty"}


async def test_duplicate_field(simulators: Simulators) -> None:
    """A field that comes twice is DuplicateHeaders."""
    endpoints = simulators.endpoints
    fields = [*apns_fields(endpoints).items(), ("apns-priority", "5"), ("apns-priority", "5")]
    async with connect(endpoints.apns_url, endpoints) as sender:
        sender.h2.send_headers(1, fields, end_stream=True)
        sender.expect(1)
        sender.flush()
        reply = await sender.reply(1)

    assert (reply.status, orjson.loads(reply.body)) == (400, {"reason": "DuplicateHeaders"})


TOKENS = [
    pytest.param({"header_kid": "UNKNOWN000"}, "InvalidProviderToken", id="unknown key"),
    pytest.param({"iss": "OTHERTEAM0"}, "InvalidProviderToken", id="not the key's team"),
    pytest.param({"iat": "now"}, "InvalidProviderToken", id="iat is no number"),
    pytest.param(
        {"key": ec.generate_private_key(ec.SECP256R1())}, "InvalidProviderToken", id="forged"
    ),
    pytest.param({"key": "s" * 32, "algorithm": "HS256"}, "InvalidProviderToken", id="HS256"),
    pytest.param({"iat": int(time.time()) - HOUR - 60}, "ExpiredProviderToken", id="too old"),
    pytest.param({"iat": int(time.time()) + HOUR}, "ExpiredProviderToken", id="from the future"),
]


@pytest.mark.parametrize(("changes", "reason"), TOKENS)
async def test_provider_token(simulators: Simulators, changes: dict[str, Any], reason: str) -> None:
    """A provider token must be signed by a registered key of its team within the last hour."""
    endpoints = simulators.endpoints
    bearer = f"bearer {provider_token(endpoints, **changes)}"
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(apns_fields(endpoints, authorization=bearer), BODY)

    assert (403, {"reason": reason}) == (reply.status, orjson.loads(reply.body))


class TestMinting:
    """Apple: a new token no more than once every 20 minutes."""

    @pytest.fixture
    def knobs(self) -> Knobs:
        """The rule as it is by default."""
        return Knobs()

    async def test_second_new_token_is_too_many(self, simulators: Simulators) -> None:
        """A second `iat` within 20 minutes is 429; the first token goes on being good."""
        endpoints = simulators.endpoints
        now = int(time.time())
        first, second = (f"bearer {provider_token(endpoints, iat=iat)}" for iat in (now - 60, now))
        reasons = []
        async with connect(endpoints.apns_url, endpoints) as sender:
            for bearer in (first, second, first):
                reply = await sender.ask(apns_fields(endpoints, authorization=bearer), BODY)
                reasons.append((reply.status, reply.body))

        refused = b'{"reason":"TooManyProviderTokenUpdates"}'
        assert [(200, b""), (429, refused), (200, b"")] == reasons

    async def test_same_iat_is_one_token(self, simulators: Simulators) -> None:
        """Two signatures over the same `iat` count as one update, but are two distinct tokens."""
        endpoints = simulators.endpoints
        iat = int(time.time())
        statuses = []
        async with connect(endpoints.apns_url, endpoints) as sender:
            for _ in range(2):
                bearer = f"bearer {provider_token(endpoints, iat=iat)}"
                reply = await sender.ask(apns_fields(endpoints, authorization=bearer), BODY)
                statuses.append(reply.status)

        assert statuses == [200, 200]
        assert simulators.control.stats()["provider_tokens"] == 2


async def test_one_team_per_connection(simulators: Simulators) -> None:
    """A connection that has served one team refuses another team's token."""
    endpoints = simulators.endpoints
    key = ec.generate_private_key(ec.SECP256R1())
    simulators.registry.register({"apns": [other_key(key)]})
    other = jwt.encode(
        {"iss": "OTHERTEAM0", "iat": int(time.time())}, key, "ES256", headers={"kid": "OTHERKEY00"}
    )
    fields = apns_fields(endpoints, authorization=f"bearer {other}")
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        mixed = await sender.ask(fields, BODY)
    async with connect(endpoints.apns_url, endpoints) as sender:
        alone = await sender.ask(fields, BODY)

    assert orjson.loads(mixed.body) == {"reason": "InvalidProviderToken"}
    assert alone.status == 200


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        pytest.param({"environment": "sandbox"}, "BadEnvironmentKeyIdInToken", id="environment"),
        pytest.param({"topics": ["com.elsewhere"]}, "TopicDisallowed", id="topic"),
        pytest.param({"topics": ["*"], "environment": "production"}, None, id="any topic"),
    ],
)
async def test_key_scope(simulators: Simulators, scope: dict[str, Any], reason: str | None) -> None:
    """A key may be limited to an environment and to topics."""
    endpoints = simulators.endpoints
    key = ec.generate_private_key(ec.SECP256R1())
    simulators.registry.register({"apns": [other_key(key) | scope]})
    bearer = jwt.encode(
        {"iss": "OTHERTEAM0", "iat": int(time.time())}, key, "ES256", headers={"kid": "OTHERKEY00"}
    )
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(apns_fields(endpoints, authorization=f"bearer {bearer}"), BODY)

    assert reason == (orjson.loads(reply.body)["reason"] if reply.body else None)


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        pytest.param(b"not json", "the payload is not JSON", id="not JSON"),
        pytest.param(b'{"alert":"x"}', "the payload has no aps dictionary", id="no aps"),
        pytest.param(b"[]", "the payload has no aps dictionary", id="a list"),
    ],
)
async def test_payload_warnings(simulators: Simulators, body: bytes, warning: str) -> None:
    """APNs takes any bytes, but the ledger notes what no device would show."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        reply = await sender.ask(apns_fields(endpoints), body)

    (entry,), _ = simulators.ledger.page(gateway="apns", token=TOKEN, after=0, limit=1)
    assert (200, True, (warning,)) == (reply.status, entry.delivered, entry.warnings[-1:])


class TestSandbox:
    """What the sandbox does otherwise."""

    @pytest.fixture
    def knobs(self) -> Knobs:
        """The sandbox."""
        return Knobs(apns_sandbox=True)

    async def test_unique_id(self, simulators: Simulators) -> None:
        """The sandbox answers with an apns-unique-id."""
        endpoints = simulators.endpoints
        async with connect(endpoints.apns_url, endpoints) as sender:
            reply = await sender.ask(apns_fields(endpoints), BODY)

        assert "apns-unique-id" in reply.fields


def other_key(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """A registration of another team's key."""
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "key_id": "OTHERKEY00",
        "team_id": "OTHERTEAM0",
        "topics": ["com.example.app"],
        "key": pem.decode(),
    }
