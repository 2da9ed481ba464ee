"""The judge of campaigns finds what must not be: one that never blames would prove nothing."""

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pushsvc.model import OUTCOME_OF, Outcome, OutcomeClass
from tests.campaigns import acts
from tests.campaigns.acts import Act, text_of
from tests.campaigns.judge import After, Before, Ended, Verdict, judge
from tests.campaigns.world import Device
from tests.chaos.ledgers import Receipt

#: Minutes past a quarter do not matter.
NOW = datetime(2026, 11, 26, 12, 3, tzinfo=UTC)
ACT = replace(acts.sale(NOW), weights={"a": 1, "holdout": 1})
#: Here it is noon, and there it is night by the quiet hours of the act: from 13:10 to 21:10.
HERE, THERE = "Europe/London", "Asia/Tokyo"


def device(rank: int, **fields: Any) -> Device:
    """A sound device."""
    given: dict[str, Any] = {
        "device_type": "ios",
        "token": f"token-{rank}",
        "zone": HERE,
        "answer": OutcomeClass.OK,
        "early": False,
    }
    return Device(rank=rank, **given | fields)


GOT, HELD, NIGHT, NOWHERE, HAD, DEAD = DEVICES = (
    device(0),
    device(1),
    device(2, zone=THERE),
    device(3, zone=None),
    device(4, early=True),
    device(5, answer=OutcomeClass.TOKEN_DEAD),
)
ENDS = {
    GOT.token: Ended(OutcomeClass.OK, "", "a", HERE),
    HELD.token: Ended(OutcomeClass.HOLDOUT, "", "holdout", HERE),
    NIGHT.token: Ended(OutcomeClass.QUIET_HOURS, "", "a", THERE),
    NOWHERE.token: Ended(OutcomeClass.NO_TIME_ZONE, "", "holdout", ""),
    HAD.token: Ended(OutcomeClass.CAPPED, "", "a", HERE),
    DEAD.token: Ended(OutcomeClass.TOKEN_DEAD, "Unregistered", "a", HERE),
}
BEFORE = Before(retired=frozenset(), contacts={HAD.token: 1})


def line(tokens: list[str], value: str | None = None) -> dict[str, Any]:
    """A line of a report, about some devices."""
    ends = [ENDS[token] for token in tokens]
    words = Counter(OUTCOME_OF[end.outcome] for end in ends)

    def classes(word: Outcome) -> Counter[str]:
        return Counter(e.outcome.name.lower() for e in ends if OUTCOME_OF[e.outcome] is word)

    return {
        "value": value,
        "audience": len(ends),
        "open": 0,
        "possible_duplicates": 0,
        **{word.value: words[word] for word in Outcome},
        "excluded_by": classes(Outcome.EXCLUDED),
        "failed_by_class": classes(Outcome.FAILED),
        "failed_by_reason": Counter(e.reason for e in ends if e.reason),
    }


def lines(value_of: Any) -> list[dict[str, Any]]:
    """The lines of a report by one thing."""
    by: dict[str, list[str]] = {}
    for one in DEVICES:
        by.setdefault(value_of(one), []).append(one.token)
    return [line(tokens, value) for value, tokens in by.items()]


REPORT: dict[str, Any] = {
    "total": line([one.token for one in DEVICES]),
    "by_variant": lines(lambda one: ENDS[one.token].variant),
    "by_platform": lines(lambda one: one.device_type),
    "by_zone": lines(lambda one: one.zone or ""),
    "by_hour": [line([one.token for one in DEVICES], "2026-11-26T12:00:00.000Z")],
}
AFTER = After(
    ledger={token: [end] for token, end in ENDS.items()},
    receipts={(GOT.token, "salea"): Receipt(1, NOW.timestamp())},
    texts={GOT.token: [text_of("salea")]},
    report=REPORT,
    begun=NOW,
    closed=NOW + timedelta(minutes=3),
)


def judged(act: Act = ACT, before: Before = BEFORE, **changes: Any) -> Verdict:
    """The verdict where something is changed."""
    return judge(act, DEVICES, before, replace(AFTER, **changes))


def reported(key: str, **figures: int) -> dict[str, Any]:
    """A report of which the first line by something is changed."""
    found = deepcopy(REPORT)
    shown = found[key] if key == "total" else found[key][0]
    shown.update(figures)
    return found


def test_nothing_differs_where_all_is_as_it_should_be() -> None:
    """Each kind of end is there once."""
    found = judged()

    assert found.examples == []
    assert found.outcomes.total() == len(DEVICES)


@pytest.mark.parametrize(
    "changes",
    [
        {"ledger": {**AFTER.ledger, GOT.token: []}},
        {"ledger": {**AFTER.ledger, GOT.token: [ENDS[GOT.token]] * 2}},
        {"ledger": {**AFTER.ledger, HELD.token: [replace(ENDS[HELD.token], variant="a")]}},
        {"ledger": {**AFTER.ledger, "stranger": [ENDS[GOT.token]]}},
        {"receipts": {}},
        {"receipts": {(GOT.token, "salea"): Receipt(2, 1.0)}},
        {"receipts": {**AFTER.receipts, (HELD.token, "salea"): Receipt(1, 1.0)}},
        {"texts": {}},
        {"texts": {GOT.token: [text_of("saleb")]}},
        {"report": reported("total", sent=2)},
        {"report": reported("total", possible_duplicates=1)},
        {"report": reported("by_variant", failed=2)},
        {"report": reported("by_platform", audience=5)},
        {"report": reported("by_zone", excluded=1)},
        {"report": reported("by_hour", sent=0)},
        {"report": {**REPORT, "by_zone": REPORT["by_zone"][1:]}},
        {"closed": NOW + timedelta(minutes=9)},
        {"before": replace(BEFORE, contacts={})},
        {"before": replace(BEFORE, retired=frozenset({DEAD.token}))},
        {"act": replace(ACT, quiet=None)},
    ],
    ids=str,
)
def test_each_thing_that_differs_is_found(changes: dict[str, Any]) -> None:
    """In the ledger, at the gateways, in a line of the report, or by the clock."""
    assert judged(**changes).differences


def test_what_was_sent_again_in_doubt_may_come_twice() -> None:
    """The ledger says so, and the report."""
    doubtful = replace(ENDS[GOT.token], resent=1)
    found = judged(
        ledger={**AFTER.ledger, GOT.token: [doubtful]},
        receipts={(GOT.token, "salea"): Receipt(2, 1.0)},
    )

    assert all("possible_duplicates" in example for example in found.examples)
    assert found.differences


def test_a_variant_of_another_size_than_its_weight_says_is_found() -> None:
    """A hash that favours one is no fair draw."""
    many = [device(rank) for rank in range(1_000)]
    ledger = {one.token: [Ended(OutcomeClass.HOLDOUT, "", "holdout", HERE)] for one in many}

    found = judge(ACT, many, BEFORE, replace(AFTER, ledger=ledger))

    assert any("1000 of 1000 devices in holdout" in example for example in found.examples)


def test_what_comes_before_quiet_hours_end_is_found() -> None:
    """A device whose quiet hours are waited for gets its message then, and not before."""
    act = replace(acts.rest(NOW, waits=True), name="sale", weights={"a": 1})
    assert act.deferred_until is not None
    one = device(0, zone=acts.DEFERRED_ZONE)
    end = Ended(OutcomeClass.OK, "", "a", acts.DEFERRED_ZONE)

    def examples(at: datetime) -> list[str]:
        receipts = {(one.token, "salea"): Receipt(1, at.timestamp())}
        after = replace(AFTER, ledger={one.token: [end]}, receipts=receipts)
        return [
            found for found in judge(act, [one], BEFORE, after).examples if "quiet hours" in found
        ]

    assert examples(act.deferred_until) == []
    assert len(examples(act.deferred_until - timedelta(seconds=1))) == 1
