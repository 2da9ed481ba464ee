"""What FCM v1 refuses, in Google's words, and what it takes."""

from typing import Any

import orjson
import pytest
from hyperframe.frame import PingFrame

from pushsvc.simulators import Knobs, Simulators
from pushsvc.simulators.registry import AccessToken
from tests.integration.simulators.client import Reply
from tests.integration.simulators.fcm_sender import fcm, fields, http1, message

pytestmark = pytest.mark.integration

TOO_LONG = "2419200.1s"


def error_of(reply: Reply) -> dict[str, Any]:
    error: dict[str, Any] = orjson.loads(reply.body)["error"]
    return error


def without_target(**members: Any) -> dict[str, Any]:
    return {"message": members}


BAD_BODIES = [
    pytest.param(b"{", "Invalid JSON payload received. Unexpected token.", id="not JSON"),
    pytest.param({}, "Recipient of the message is not set.", id="empty"),
    pytest.param(without_target(data={}), "Recipient of the message is not set.", id="no target"),
    pytest.param(
        message(topic="news"),
        "Invalid value at 'message' (oneof), oneof field 'target' is already set. "
        "Cannot set 'topic'",
        id="two targets",
    ),
    pytest.param(
        message(token=""),
        "The registration token is not a valid FCM registration token",
        id="empty token",
    ),
    pytest.param(
        message(token="a b"),
        "The registration token is not a valid FCM registration token",
        id="token with a space",
    ),
    pytest.param(without_target(topic="no topic"), "Invalid topic name", id="bad topic"),
    pytest.param(
        message(data={"n": 12}),
        "Invalid value at 'message.data[0].value' (TYPE_STRING), 12",
        id="number in data",
    ),
    pytest.param(
        message(android={"data": {"a": "b", "flag": True}}),
        "Invalid value at 'message.android.data[1].value' (TYPE_STRING), true",
        id="bool in android.data",
    ),
    pytest.param(message(data={"from": "x"}), "Invalid data payload key: from", id="from"),
    pytest.param(
        message(data={"google.x": "x"}), "Invalid data payload key: google.x", id="google."
    ),
    pytest.param(
        message(android={"data": {"gcm.n": ""}}), "Invalid data payload key: gcm.n", id="gcm."
    ),
    pytest.param(
        message(android={"ttl": "60"}),
        "Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), "
        '"60"',
        id="ttl without s",
    ),
    pytest.param(
        message(android={"ttl": TOO_LONG}),
        "Invalid ttl: must be 0 to 2419200 seconds",
        id="ttl of more than four weeks",
    ),
    pytest.param(
        message(android={"priority": "URGENT"}),
        "Invalid value at 'message.android.priority' "
        '(type.googleapis.com/google.firebase.fcm.v1.AndroidMessagePriority), "URGENT"',
        id="priority",
    ),
    pytest.param(
        message(alert="x"),
        "Invalid JSON payload received. Unknown name \"alert\" at 'message': Cannot find field.",
        id="unknown name",
    ),
    pytest.param(
        message(android={"notification": {"colour": "x"}}),
        'Invalid JSON payload received. Unknown name "colour" at '
        "'message.android.notification': Cannot find field.",
        id="unknown name deep down",
    ),
    pytest.param(message(data={"k": "x" * 4086}), "Message too big", id="4097 bytes"),
    pytest.param(
        without_target(topic="news", data={"k": "x" * 2048}),
        "Message too big",
        id="2049 bytes to a topic",
    ),
    pytest.param(
        message(apns={"payload": {"aps": {"alert": "x" * 4090}}}),
        "Message too big",
        id="too big for Apple",
    ),
    pytest.param(
        message(webpush={"data": {"k": "x" * 2047}, "notification": {"body": "x" * 2046}}),
        "Message too big",
        id="too big for a browser",
    ),
    pytest.param(
        message(webpush={"data": {"gcm": ""}}), "Invalid data payload key: gcm", id="gcm in webpush"
    ),
    pytest.param(
        message(webpush={"fcm_options": {"link": "http://example.com"}}),
        "Invalid link: must be an HTTPS URL",
        id="link",
    ),
    pytest.param([], "Invalid value at '' (MESSAGE), []", id="a list"),
]


@pytest.mark.parametrize(("body", "sentence"), BAD_BODIES)
async def test_bad_bodies(simulators: Simulators, body: Any, sentence: str) -> None:
    """A body with one defect is 400 INVALID_ARGUMENT with Google's sentence, and not delivered."""
    async with fcm(simulators.endpoints) as sender:
        reply = await sender.ask(body)

    error = error_of(reply)
    assert (400, "INVALID_ARGUMENT", sentence) == (
        reply.status, error["status"], error["message"],
    )  # fmt: skip
    assert simulators.control.stats()["gateways"]["fcm"]["delivered"] == 0


async def test_violations_name_their_fields(simulators: Simulators) -> None:
    """All schema violations are told at once, each with its field."""
    body = message(data={"a": 1}, android={"ttl": 5, "notification": {"sticky": "yes"}})
    async with fcm(simulators.endpoints) as sender:
        reply = await sender.ask(body)

    (detail,) = error_of(reply)["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert [violation["field"] for violation in detail["fieldViolations"]] == [
        "message.data[0].value",
        "message.android.ttl",
        "message.android.notification.sticky",
    ]


GOOD_MESSAGES = [
    pytest.param(message(), "device:1", id="notification"),
    pytest.param(without_target(topic="news", data={"a": "b"}), "/topics/news", id="topic"),
    pytest.param(without_target(condition="'a' in topics"), "'a' in topics", id="condition"),
    pytest.param(
        message(
            android={
                "priority": "high",
                "ttl": "3.5s",
                "collapseKey": "k",
                "notification": {"channel_id": "c", "vibrateTimings": ["0.5s"]},
            }
        ),
        "device:1",
        id="camel and snake, lower-case enum, fraction",
    ),
    pytest.param(
        message(apns={"headers": {"apns-priority": "5"}, "payload": {"aps": {"badge": 1}}}),
        "device:1",
        id="apns part",
    ),
    pytest.param(message(data={"k": "x" * 4085}), "device:1", id="4096 bytes"),
]


@pytest.mark.parametrize(("body", "token"), GOOD_MESSAGES)
async def test_good_messages(simulators: Simulators, body: dict[str, Any], token: str) -> None:
    """A good message is answered with its name, under which the ledger has it."""
    async with fcm(simulators.endpoints) as sender:
        reply = await sender.ask(body)

    (entry,), _ = simulators.ledger.page(gateway="fcm", token=token, after=0, limit=10)
    assert (200, {"name": entry.message_id}) == (reply.status, orjson.loads(reply.body))
    assert entry.delivered


async def test_ledger_reads_android_options(simulators: Simulators) -> None:
    """Priority, lifetime and collapse key are in the ledger, whichever way they were spelt."""
    body = message(android={"priority": "high", "ttl": "60s", "collapseKey": "k"})
    async with fcm(simulators.endpoints) as sender:
        await sender.ask(body)

    (entry,), _ = simulators.ledger.page(gateway="fcm", token=None, after=0, limit=10)
    assert (
        entry.priority, entry.expiration, entry.collapse_id, entry.push_type, entry.topic,
    ) == ("HIGH", "60s", "k", "notification", "pushsvc-simulator")  # fmt: skip


async def test_validate_only_sends_nothing(simulators: Simulators) -> None:
    """`validate_only` is answered with a fake id, and nothing is delivered."""
    async with fcm(simulators.endpoints) as sender:
        reply = await sender.ask(message() | {"validate_only": True})

    stats = simulators.control.stats()["gateways"]["fcm"]
    name = f"projects/{simulators.endpoints.credentials.fcm.project_id}/messages/fake_message_id"
    assert (200, {"name": name}) == (reply.status, orjson.loads(reply.body))
    assert (stats["answered"], stats["delivered"]) == (1, 0)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"path": "/v1/projects/x"}, id="no such path"),
        pytest.param({"path": "/fcm/send"}, id="the legacy path"),
        pytest.param({"method": "PUT"}, id="not POST"),
    ],
)
async def test_unknown_paths_are_html(simulators: Simulators, changes: dict[str, str]) -> None:
    """Google's front end answers unknown paths with a 404 page."""
    async with fcm(simulators.endpoints) as sender:
        reply = await sender.ask(message(), **changes)

    assert (reply.status, reply.fields["content-type"]) == (404, "text/html; charset=UTF-8")


async def test_projects(simulators: Simulators) -> None:
    """An unknown project is 404 without FcmError; another's project is 403 without one."""
    account = dict(simulators.endpoints.credentials.fcm.service_account)
    other = account | {"project_id": "other", "client_email": "other@example.com"}
    simulators.registry.register({"fcm": [other]})
    async with fcm(simulators.endpoints) as sender:
        replies = [
            await sender.ask(message(), path=f"/v1/projects/{project}/messages:send")
            for project in ("unknown", "other")
        ]

    errors = [error_of(reply) for reply in replies]
    assert [reply.status for reply in replies] == [404, 403]
    assert [error["status"] for error in errors] == ["NOT_FOUND", "PERMISSION_DENIED"]
    assert not any("details" in error for error in errors)


async def test_credentials(simulators: Simulators) -> None:
    """No token, an unknown one, a revoked one and an expired one are 401, each with its reason."""
    tokens = simulators.registry.fcm_tokens
    project = simulators.endpoints.credentials.fcm.project_id
    revoked = tokens.issue(AccessToken(subject=project, expires_at=2**40, revoked=True))
    expired = tokens.issue(AccessToken(subject=project, expires_at=1))
    bearers = [None, "Bearer unknown", f"Bearer {revoked}", f"Bearer {expired}", "Basic YTpi"]
    async with fcm(simulators.endpoints) as sender:
        replies = [await sender.ask(message(), authorization=bearer) for bearer in bearers]

    assert {401} == {reply.status for reply in replies}
    assert [error_of(reply)["details"][0]["reason"] for reply in replies] == [
        "CREDENTIALS_MISSING",
        "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        "ACCESS_TOKEN_EXPIRED",
        "ACCESS_TOKEN_TYPE_UNSUPPORTED",
    ]


async def test_http_1_1_is_served_too(simulators: Simulators) -> None:
    """Google's front end speaks HTTP/1.1 as well: same checks, same ledger, same faults."""
    async with fcm(simulators.endpoints) as sender, http1(simulators.endpoints) as session:
        headers = {
            name: value
            for name, value in fields(simulators.endpoints, sender.token).items()
            if not name.startswith(":")
        }
        project = simulators.endpoints.credentials.fcm.project_id
        url = f"{simulators.endpoints.fcm_url}/v1/projects/{project}/messages:send"
        statuses = []
        for token in ("device:1", "device:1~unregistered", "device:1~slow_body-01"):
            async with session.post(url, json=message(token), headers=headers) as reply:
                statuses.append((reply.status, list(await reply.json())))

    assert statuses == [(200, ["name"]), (404, ["error"]), (404, ["error"])]


async def test_pings_without_requests_are_too_many(simulators: Simulators) -> None:
    """The third PING in a row is answered with GOAWAY ENHANCE_YOUR_CALM and the end."""
    async with fcm(simulators.endpoints) as sender:
        wire = sender.sender
        for _ in range(2):
            wire.write(PingFrame(0, opaque_data=b"12345678").serialize())
        await sender.ask(message())
        for _ in range(3):
            wire.write(PingFrame(0, opaque_data=b"12345678").serialize())
        await wire.until_end()

    (goaway,) = wire.goaways
    assert (goaway.code, goaway.debug) == (11, b"too_many_pings")


async def test_limit_is_100_from_the_start(simulators: Simulators) -> None:
    """FCM advertises 100 streams."""
    async with fcm(simulators.endpoints) as sender:
        assert sender.sender.limits == [100]


class TestQuota:
    """The project's message rate."""

    @pytest.fixture
    def knobs(self) -> Knobs:
        """Two messages a minute."""
        return Knobs(fcm_messages_per_minute=2)

    async def test_messages_beyond_the_rate(self, simulators: Simulators) -> None:
        """Messages beyond the rate are 429 QUOTA_EXCEEDED with the seconds to wait."""
        async with fcm(simulators.endpoints) as sender:
            replies = [await sender.ask(message()) for _ in range(3)]

        assert [reply.status for reply in replies] == [200, 200, 429]
        assert 1 <= int(replies[-1].fields["retry-after"]) <= 31
        assert error_of(replies[-1])["details"][0]["errorCode"] == "QUOTA_EXCEEDED"
