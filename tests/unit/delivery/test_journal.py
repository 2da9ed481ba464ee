"""What a page of the journal says, and what is read from it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from pushsvc.delivery.dispatch import Sheet
from pushsvc.delivery.journal import settled, written
from pushsvc.model import ACCEPTED, AGAINST_TOKENS, OUTCOME_OF, Answer, Deferral, OutcomeClass

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp()) * 1000

answers = st.builds(
    Answer,
    st.sampled_from(list(OUTCOME_OF)),
    st.text(),
    st.none() | st.floats(1, 3600),
    st.none(),
    st.sampled_from([None, *Deferral]),
)


def dated(answer: Answer) -> Answer:
    """Return it as one that says since when the token is invalid."""
    return replace(answer, invalid_since_ms=5)


@given(st.lists(st.none() | st.just(ACCEPTED) | answers, max_size=30))
def test_what_was_settled_is_read_as_it_was(found: list[Answer | None]) -> None:
    """Every answer with all that follows from it; and nothing of what is still open."""
    found = [a if a is None or a.outcome not in AGAINST_TOKENS else dated(a) for a in found]
    sheet = Sheet(bytes(len(found)))
    for place, answer in enumerate(found):
        if answer is not None:
            sheet.settle(place, answer)

    page = written(sheet, leased_at=NOW)

    assert settled(page, size=len(found)) == {p: a for p, a in enumerate(found) if a is not None}


def test_what_the_plan_settled_is_nobody_s_answer() -> None:
    """A double has its outcome from the plan, which the batch brings along."""
    sheet = Sheet(bytes([OutcomeClass.DEDUPLICATED, OutcomeClass.OPEN]))
    sheet.settle(1, ACCEPTED)

    assert settled(written(sheet, leased_at=NOW), size=2) == {1: ACCEPTED}


@pytest.mark.parametrize(
    ("answer", "since"),
    [
        pytest.param(Answer(OutcomeClass.TOKEN_DEAD, "UNREGISTERED"), NOW_MS, id="none of its own"),
        pytest.param(Answer(OutcomeClass.TOKEN_DEAD, "Unregistered", None, 5), 5, id="its own"),
        pytest.param(
            Answer(OutcomeClass.TOKEN_DEAD, "Unregistered", None, NOW_MS + 5),
            NOW_MS,
            id="later than the token was read",
        ),
        pytest.param(Answer(OutcomeClass.TOKEN_SUSPECT, "BadDeviceToken"), NOW_MS, id="suspected"),
        pytest.param(Answer(OutcomeClass.REQUEST_BAD, "PayloadEmpty"), None, id="not dead"),
    ],
)
def test_evidence_keeps_its_time(answer: Answer, since: int | None) -> None:
    """A token that was registered between two leases is not retired on an answer to the first."""
    sheet = Sheet(bytes(1))
    sheet.settle(0, answer)

    assert settled(written(sheet, leased_at=NOW), size=1)[0].invalid_since_ms == since


@pytest.mark.parametrize(
    "page",
    [b"", b"\x01", b"\x01\xff", b"\x011", b"\x01[1]", b"\x01[[0,99,0,0,0,0]]", b"\x01[[0,1]]"],
)
def test_what_is_no_page_settles_nothing(page: bytes) -> None:
    """What it does not say for sure is in doubt."""
    assert settled(page, size=1) == {}


def test_a_place_beyond_the_batch_is_nobody_s() -> None:
    """A page of another size than its batch settles none but the batch's own."""
    assert settled(b"\x00" + b'[[1,2,"Gone",null,null,null]]', size=1) == {}
