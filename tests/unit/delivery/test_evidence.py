"""What is evidence against a token, and when it is believed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pushsvc.delivery import evidence
from pushsvc.delivery.answers import Row
from pushsvc.delivery.apns import reasons as apns
from pushsvc.delivery.evidence import LEAST_BLAMED, Routes
from pushsvc.delivery.fcm import reasons as fcm
from pushsvc.delivery.wns import reasons as wns
from pushsvc.model import Answer, Batch, Device, Evidence, OutcomeClass, Recipient, Weight
from pushsvc.shaping.forms import gateway_of, parties_of
from tests.unit.delivery.test_conclusion import NOW, PUSH

ROUTES = Routes(parties_of=parties_of, gateway_of=gateway_of)
DEAD = Answer(OutcomeClass.TOKEN_DEAD, "Unregistered", invalid_since_ms=1_700_000_000_000)
SUSPECT = Answer(OutcomeClass.TOKEN_SUSPECT, "BadDeviceToken")
#: Every row of every gateway's table, by what it is known by.
ROWS = [
    pytest.param(row, id=f"{name} {row.status} {row.reason}")
    for name, table in (
        ("apns", apns.TABLE),
        ("fcm error", fcm.FCM_ERRORS),
        ("fcm status", fcm.STATUSES),
        ("wns 200", wns.NOTIFICATION_STATUSES),
        ("wns", wns.STATUSES),
    )
    for row in table
]
#: All that may touch a token, and by what class.
TOUCHES = {
    ("BadDeviceToken", OutcomeClass.TOKEN_SUSPECT),
    ("DeviceTokenNotForTopic", OutcomeClass.TOKEN_SUSPECT),
    ("Unregistered", OutcomeClass.TOKEN_DEAD),
    ("ExpiredToken", OutcomeClass.TOKEN_DEAD),
    ("SENDER_ID_MISMATCH", OutcomeClass.TOKEN_SUSPECT),
    ("UNREGISTERED", OutcomeClass.TOKEN_DEAD),
    ("http_403", OutcomeClass.TOKEN_SUSPECT),
    ("http_404", OutcomeClass.TOKEN_DEAD),
    ("http_410", OutcomeClass.TOKEN_DEAD),
}


def device(index: int, device_type: str = "ios", app: str | None = "a.b") -> Device:
    return Device(index, device_type, f"token{index}", app, None, None)


def batch_of(devices: Sequence[Device]) -> Batch:
    return Batch(
        push_id=1,
        seq=0,
        installation_ids=tuple(range(100, 100 + len(devices))),
        recipients=(),
        attempt=1,
        leases=1,
        leased_at=NOW,
        seconds_left=None,
        outcomes=bytes(len(devices)),
        badges={},
    )


def gathered(answers: dict[int, Answer], devices: list[Device]) -> list[Evidence]:
    return evidence.gather(PUSH, batch_of(devices), devices, answers=answers, routes=ROUTES)


@pytest.mark.parametrize("row", ROWS)
def test_no_answer_but_these_touches_a_token(row: Row) -> None:
    """In no row of any table, whatever the status: a 403 or 404 of FCM's front end does not."""
    found = gathered({0: Answer(row.outcome, row.reason)}, [device(0)])

    assert {(one.reason, one.outcome) for one in found} <= TOUCHES
    assert bool(found) is ((row.reason, row.outcome) in TOUCHES)
    if row in fcm.STATUSES:
        assert not found


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 429, 500])
def test_an_answer_of_fcm_without_its_own_error_touches_none(status: int) -> None:
    """HTML of a front end, or a Google status that speaks of the project."""
    for body in (b"<html>", b"", b'{"error": {"status": "NOT_FOUND", "message": "x"}}'):
        answer = fcm.classify(status, {}, body, now=NOW)
        assert gathered({0: answer}, [device(0, "android")]) == []


def test_evidence_names_the_moment_that_the_gateway_does() -> None:
    """And what would have to be proven: of APNs the app, of others the gateway."""
    devices = [device(0), device(1), device(2, "android")]
    mismatch = Answer(OutcomeClass.TOKEN_SUSPECT, "SENDER_ID_MISMATCH")

    dead, suspect, foreign = gathered({0: DEAD, 1: SUSPECT, 2: mismatch}, devices)

    assert (dead.installation_id, dead.token) == (100, "token0")
    assert dead.since == datetime.fromtimestamp(1_700_000_000, UTC)
    assert (suspect.scope, suspect.since) == ("apns:a.b", None)
    assert (foreign.scope, foreign.gateway) == ("fcm", "fcm")


def test_what_has_no_installation_or_no_token_is_no_evidence() -> None:
    """An explicit recipient, a device without a token, an installation that is gone."""
    batch = replace(
        batch_of([device(0)]),
        installation_ids=(),
        recipients=(Recipient(device_type="ios", token="t"),),
    )
    found = evidence.gather(PUSH, batch, [device(0)], answers={0: DEAD}, routes=ROUTES)

    assert found == []
    assert gathered({0: DEAD, 1: DEAD}, [device(0)._replace(token="")]) == []


def test_looking_is_evidence_for_what_fcm_calls_gone_and_nothing_else() -> None:
    """Of a push that delivers nothing, no other answer is evidence enough."""
    looking = replace(PUSH, content={"data": {"alert": "hi"}, "validate_only": True})
    devices = [device(n, "android") for n in range(2)]
    answers = {
        0: Answer(OutcomeClass.TOKEN_DEAD, fcm.MALFORMED_TARGET),
        1: Answer(OutcomeClass.TOKEN_DEAD, "UNREGISTERED"),
    }

    found = evidence.gather(looking, batch_of(devices), devices, answers=answers, routes=ROUTES)

    assert [one.installation_id for one in found] == [101]


def test_answers_are_weighed_by_scope() -> None:
    """Those accepted, and those spoken against; what says nothing of a token does not count."""
    devices = [device(0), device(1), device(2, app="c.d"), device(3, "android"), device(4)]
    outcomes = bytes([OutcomeClass.OK, OutcomeClass.OK, 2, OutcomeClass.OK, OutcomeClass.UNKNOWN])
    found = gathered({2: DEAD}, devices)

    answered = evidence.weigh(devices, outcomes=outcomes, evidence=found, routes=ROUTES)

    assert answered == {"apns:a.b": (2, 0), "apns:c.d": (0, 1), "fcm": (1, 0)}


@pytest.mark.parametrize(
    ("accepted", "blamed", "held"),
    [
        (0, LEAST_BLAMED - 1, []),
        (0, LEAST_BLAMED, ["apns"]),
        (117, LEAST_BLAMED, []),
        (116, LEAST_BLAMED, ["apns"]),
    ],
)
def test_a_gateway_that_blames_too_many_is_not_believed(
    accepted: int, blamed: int, held: list[str]
) -> None:
    """More than the share, and fifty at least; the apps of one gateway together."""
    answered = {
        "apns:a.b": Weight(accepted, blamed - 10),
        "apns:c.d": Weight(0, 10),
        "fcm": Weight(1_000, 3),
    }

    verdict = evidence.judge(answered, share_limit=0.3)

    assert verdict.held == held
    assert verdict.proven == [*(["apns:a.b"] if accepted else []), "fcm"]
