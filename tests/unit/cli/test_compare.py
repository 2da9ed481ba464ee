"""What we say of a device is held against what its gateway saw."""

from typing import Any

import pytest

from pushsvc.cli.demo.compare import SHOWN, Comparison, Seen, difference
from pushsvc.cli.demo.fleet import REFUSED_ONCE
from pushsvc.model import OutcomeClass
from pushsvc.storage.ledger import Line

SENT = Line("t", "ios", OutcomeClass.OK, "", 1)
DEAD = Line("t", "ios", OutcomeClass.TOKEN_DEAD, "Unregistered", 1)
UNKNOWN = Line("t", "ios", OutcomeClass.UNKNOWN, "reset", 1)
LOOKED_AT = Line("t", "android", OutcomeClass.VALIDATED, "", 1)
EXPIRED = Line("t", "ios", OutcomeClass.EXPIRED, "Expired", 1)
REFUSED = Line(f"aa{REFUSED_ONCE}", "ios", OutcomeClass.OK, "", 1)
RETRIED = Line("t", "ios", OutcomeClass.OK, "", 3)
MALFORMED = Line("t", "android", OutcomeClass.TOKEN_DEAD, "INVALID_ARGUMENT message.token", 1)


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        pytest.param(SENT, Seen(1, 1, 200, ""), id="accepted once"),
        pytest.param(DEAD, Seen(1, 0, 410, "Unregistered"), id="refused for the same reason"),
        pytest.param(MALFORMED, Seen(1, 0, 400, "INVALID_ARGUMENT"), id="our word is finer"),
        pytest.param(UNKNOWN, Seen(1, 1, 0, ""), id="taken and never answered"),
        pytest.param(UNKNOWN, Seen(1, 0, 0, ""), id="not taken and never answered"),
        pytest.param(EXPIRED, None, id="never sent, never seen"),
        pytest.param(LOOKED_AT, None, id="looked at by us alone"),
        pytest.param(LOOKED_AT, Seen(1, 0, 200, ""), id="looked at, and not delivered"),
        pytest.param(REFUSED, Seen(2, 1, 200, ""), id="refused unprocessed, sent again at once"),
        pytest.param(RETRIED, Seen(3, 1, 200, ""), id="accepted at the third attempt"),
    ],
)
def test_equal_ledgers_agree(line: Line, seen: Seen | None) -> None:
    """Where both ledgers tell the same there is nothing to report."""
    assert difference(line, seen) is None


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        pytest.param(SENT, None, id="we say sent, nothing came"),
        pytest.param(SENT, Seen(1, 0, 410, "Unregistered"), id="we say sent, it was refused"),
        pytest.param(SENT, Seen(1, 1, 0, ""), id="we say sent, it was never answered"),
        pytest.param(SENT, Seen(1, 2, 200, ""), id="delivered twice"),
        pytest.param(SENT, Seen(2, 1, 200, ""), id="one request more than attempts"),
        pytest.param(DEAD, Seen(1, 0, 400, "BadDeviceToken"), id="another reason"),
        pytest.param(DEAD, Seen(1, 1, 410, "Unregistered"), id="failed, and yet delivered"),
        pytest.param(DEAD, Seen(1, 1, 200, ""), id="we say failed, it was accepted"),
        pytest.param(DEAD, None, id="we say refused, nobody was asked"),
        pytest.param(UNKNOWN, Seen(1, 1, 200, ""), id="we do not know, and it was answered"),
        pytest.param(EXPIRED, Seen(1, 1, 200, ""), id="we say never sent, it was"),
        pytest.param(
            Line("t", "ios", OutcomeClass.OPEN, "", 1), Seen(1, 1, 200, ""), id="no outcome"
        ),
        pytest.param(REFUSED, Seen(1, 1, 200, ""), id="the refusal was never seen"),
        pytest.param(LOOKED_AT, Seen(1, 1, 200, ""), id="looked at, and yet delivered"),
    ],
)
def test_every_difference_is_found(line: Line, seen: Seen | None) -> None:
    """A ledger that says more, less or other than the gateway saw is a mismatch."""
    assert difference(line, seen) is not None


def told(**ios: int) -> dict[str, Any]:
    """The push, as the API tells it."""
    return {"devices": sum(ios.values()), "by_device_type": {"ios": ios}}


def comparison(**theirs: Seen) -> Comparison:
    return Comparison(theirs=theirs)


def test_a_whole_push_matches() -> None:
    """Every device, every token and the counts agree."""
    compared = comparison(t=Seen(1, 1, 200, ""))
    compared.take([SENT])

    assert compared.finish(told(sent=1, failed=0), wished=1)


def test_a_device_with_two_ends_is_found() -> None:
    """Exactly one outcome per device: a second one is a mismatch even where both are right."""
    compared = comparison(t=Seen(1, 1, 200, ""))
    compared.take([SENT, SENT])

    assert not compared.finish(told(sent=2), wished=2)


def test_a_token_that_is_not_ours_is_found() -> None:
    """What a gateway saw and we do not know of was sent by mistake."""
    compared = comparison(t=Seen(1, 1, 200, ""), other=Seen(1, 1, 200, ""))
    compared.take([SENT])

    assert not compared.finish(told(sent=1), wished=1)
    assert compared.mismatches == ["other: was sent to, and is not in our ledger"]


def test_counts_that_are_not_the_ledger_are_found() -> None:
    """The API's counts are held against the ledger, too."""
    compared = comparison(t=Seen(1, 1, 200, ""))
    compared.take([SENT])

    assert not compared.finish(told(sent=2), wished=2)


def test_mismatches_are_counted_beyond_those_that_are_told() -> None:
    """The list is bounded; its number is not."""
    compared = comparison()
    compared.take(Line(str(n), "ios", OutcomeClass.OK, "", 1) for n in range(3 * SHOWN))

    assert not compared.finish(told(sent=3 * SHOWN), wished=3 * SHOWN)
    assert (len(compared.mismatches), compared.mismatched) == (SHOWN, 3 * SHOWN)


def test_a_push_for_fewer_devices_than_were_wished_is_found() -> None:
    """Ledgers that agree on too little are no success."""
    compared = comparison(t=Seen(1, 1, 200, ""))
    compared.take([SENT])

    assert not compared.finish(told(sent=1), wished=2)


def test_a_push_for_nobody_is_found() -> None:
    """Two empty ledgers agree."""
    compared = comparison()

    assert not compared.finish({"devices": 0, "by_device_type": {}}, wished=10)


def test_a_push_that_reached_nobody_is_found() -> None:
    """Where nothing is accepted, nothing is shown to work."""
    compared = comparison(t=Seen(1, 0, 410, "Unregistered"))
    compared.take([DEAD])

    assert not compared.finish(told(failed=1), wished=1)
    assert compared.mismatches == ["counts: no device was sent to"]
