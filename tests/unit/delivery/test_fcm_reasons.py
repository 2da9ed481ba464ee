"""Every row of FCM's errors, and which answers must never touch a token."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.answers import Row
from pushsvc.delivery.fcm import reasons
from pushsvc.delivery.fcm.reasons import FCM_ERRORS, STATUSES, classify
from pushsvc.model import ACCEPTED, Answer, OutcomeClass

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TYPES = "type.googleapis.com/google."
TOKEN_CLASSES = {OutcomeClass.TOKEN_DEAD, OutcomeClass.TOKEN_SUSPECT}


def fcm_error(code: str) -> dict[str, Any]:
    return {"@type": f"{TYPES}firebase.fcm.v1.FcmError", "errorCode": code}


def violation(field: str) -> dict[str, Any]:
    return {"@type": f"{TYPES}rpc.BadRequest", "fieldViolations": [{"field": field}]}


def quota(description: str) -> dict[str, Any]:
    violations = [{"subject": "project:1", "description": description}]
    return {"@type": f"{TYPES}rpc.QuotaFailure", "violations": violations}


def error(status: str, *details: Any, message: str = "...") -> bytes:
    return orjson.dumps({"error": {"status": status, "message": message, "details": details}})


@pytest.mark.parametrize("row", FCM_ERRORS, ids=lambda row: f"{row.status} {row.reason}")
def test_an_fcm_error_gives_its_class(row: Row) -> None:
    """Status and errorCode decide, whatever google.rpc's status says beside them."""
    answer = classify(row.status, {}, error("WHATEVER", fcm_error(row.reason)), now=NOW)

    assert (row.outcome, row.reason) == (answer.outcome, answer.reason)
    assert row.page.startswith("https://")


@pytest.mark.parametrize("row", STATUSES, ids=lambda row: f"{row.status} {row.reason}")
def test_a_status_alone_gives_its_class_and_no_token_class(row: Row) -> None:
    """Without an FcmError the answer may speak of project, API or path."""
    answer = classify(row.status, {}, error(row.reason), now=NOW)

    assert (row.outcome, row.reason) == (answer.outcome, answer.reason)
    assert row.outcome not in TOKEN_CLASSES


def test_success_is_one_shared_answer() -> None:
    """A million accepted messages make no million objects."""
    assert classify(200, {}, b'{"name":"projects/p/messages/1"}', now=NOW) is ACCEPTED


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(error("INVALID_ARGUMENT", violation("message.token")), id="violation"),
        pytest.param(
            error("INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), violation("message.token")),
            id="violation and FcmError",
        ),
        pytest.param(
            error(
                "INVALID_ARGUMENT",
                fcm_error("INVALID_ARGUMENT"),
                message="The registration token is not a valid FCM registration token",
            ),
            id="only the message",
        ),
    ],
)
def test_a_malformed_token_is_dead(body: bytes) -> None:
    """400 on message.token: it never was a token."""
    dead = Answer(OutcomeClass.TOKEN_DEAD, "INVALID_ARGUMENT message.token")

    assert dead == classify(400, {}, body, now=NOW)


@pytest.mark.parametrize(
    "field", ["message.data[0].value", "message.token_count", "message.android.ttl"]
)
def test_another_bad_field_is_our_message(field: str) -> None:
    """400 on anything else says nothing about the token."""
    body = error("INVALID_ARGUMENT", fcm_error("INVALID_ARGUMENT"), violation(field))

    assert classify(400, {}, body, now=NOW).outcome is OutcomeClass.REQUEST_BAD


@pytest.mark.parametrize(
    ("body", "fields", "outcome", "wait"),
    [
        pytest.param(
            error("RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"), quota("Message rate")),
            {},
            OutcomeClass.THROTTLED_SENDER,
            60.0,
            id="project, no header: a minute",
        ),
        pytest.param(
            error("RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"), quota("Message rate")),
            {"retry-after": "5"},
            OutcomeClass.THROTTLED_SENDER,
            5.0,
            id="project, header",
        ),
        pytest.param(
            error("RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"), quota("Device message rate")),
            {},
            OutcomeClass.THROTTLED_DEVICE,
            None,
            id="device: backoff",
        ),
        pytest.param(b"", {}, OutcomeClass.THROTTLED_SENDER, 60.0, id="bare"),
        pytest.param(
            b"<html>",
            {"retry-after": "Sun, 01 Mar 2026 00:00:09 GMT"},
            OutcomeClass.THROTTLED_SENDER,
            9.0,
            id="HTML, date",
        ),
    ],
)
def test_a_quota_is_a_device_s_or_the_sender_s(
    *, body: bytes, fields: dict[str, str], outcome: OutcomeClass, wait: float | None
) -> None:
    """QuotaFailure says whose quota it is; Retry-After says how long, else a minute."""
    answer = classify(429, fields, body, now=NOW)

    assert (outcome, wait) == (answer.outcome, answer.retry_after)


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        pytest.param(404, b"<html>Not Found</html>", OutcomeClass.CREDENTIAL, id="404 HTML"),
        pytest.param(403, b"", OutcomeClass.CREDENTIAL, id="403 bare"),
        pytest.param(401, b"", OutcomeClass.CREDENTIAL, id="401 bare"),
        pytest.param(502, b"<html>", OutcomeClass.RETRY_BACKOFF, id="502 HTML"),
        pytest.param(504, b"", OutcomeClass.RETRY_BACKOFF, id="504"),
        pytest.param(400, b"", OutcomeClass.REQUEST_BAD, id="400 bare"),
        pytest.param(400, b'{"error":[]}', OutcomeClass.REQUEST_BAD, id="error is a list"),
        pytest.param(
            404,
            b'{"error":{"status":"UNREGISTERED","details":[7,{"@type":9}]}}',
            OutcomeClass.CREDENTIAL,
            id="UNREGISTERED that is no FcmError",
        ),
        pytest.param(
            404, error("NOT_FOUND", fcm_error("NEW_CODE")), OutcomeClass.CREDENTIAL, id="new code"
        ),
    ],
)
def test_what_is_in_no_row_goes_by_its_status(
    status: int, body: bytes, outcome: OutcomeClass
) -> None:
    """Front ends answer in HTML; a wrong project must not empty the token table."""
    assert outcome is classify(status, {}, body, now=NOW).outcome


def test_a_missing_apns_key_is_no_reason_to_stop_the_project() -> None:
    """THIRD_PARTY_AUTH_ERROR holds for this message; a missing permission for all."""
    one = Answer(OutcomeClass.CREDENTIAL, "THIRD_PARTY_AUTH_ERROR")
    every = Answer(OutcomeClass.CREDENTIAL, "PERMISSION_DENIED")

    assert [reasons.scope(one), reasons.scope(every)] == [None, ""]


@given(status=st.integers(100, 999), body=st.binary())
def test_nothing_a_peer_says_can_raise(status: int, body: bytes) -> None:
    """Any answer has a class; without FCM's word no token is dead or suspect."""
    assert classify(status, {}, body, now=NOW).outcome not in TOKEN_CLASSES


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "details", "@type", "errorCode", "status", "message", "violations"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(status=st.sampled_from([400, 401, 403, 404, 429, 500]), value=json_values)
def test_no_shape_of_json_can_raise(status: int, value: object) -> None:
    """Every field may have the wrong type."""
    assert classify(status, {}, orjson.dumps(value), now=NOW).reason
