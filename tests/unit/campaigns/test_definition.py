"""What a campaign may say, and what is told where it is wrong: the place, and the remedy."""

from collections.abc import Mapping
from typing import Any

import pytest

from pushsvc.campaigns.definition import parse_definition
from pushsvc.errors import Fault, InvalidRequestError

GOOD: Mapping[str, Any] = {
    "name": "autumn-sale",
    "audience": {"channels": ["news"], "exclude": {"where": {"plan": "free"}}},
    "content": {"data": {"alert": "Sale", "badge": None}, "collapse_id": "sale"},
    "variants": [
        {"name": "a", "weight": 45, "content": {"data": {"alert": "Sale!"}}},
        {"name": "b", "weight": 45, "content": {"template": "sale-b"}},
    ],
    "holdout": 10,
    "schedule": {"cron": "0 9 * * MON", "zone": "Europe/Berlin", "end": "2027-01-01T00:00:00Z"},
    "expiration_interval": 3600,
    "priority": "normal",
    "on_unknown": "drop",
    "rate_per_minute": 60_000,
    "quiet_hours": {"start": "22:00", "end": "07:00", "then": "defer"},
    "cap": {"count": 2, "per": "7d"},
    "max_recipients": 100_000,
    "pause_when": {"failed_share": 0.2, "invalid_share": 0.1, "after_devices": 1_000},
    "late": "skip",
    "overlap": "skip",
}


def faults(**changes: Any) -> list[Fault]:
    """What is wrong with the good one after these changes."""
    try:
        parse_definition({**GOOD, **changes})
    except InvalidRequestError as error:
        return list(error.faults)
    return []


def schedule(**keys: Any) -> dict[str, Any]:
    """A change of the schedule."""
    return {"schedule": keys}


def test_it_is_stored_as_it_was_asked_for() -> None:
    """No key more, no null less: a null within `data` takes away what a template says."""
    assert parse_definition(GOOD).as_stored() == GOOD


ZONED = "2026-12-01T09:00:00+01:00"
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "a b"}, "/name", "A-Z, a-z"),
    ({"name": 7}, "/name", "must be a string"),
    ({"audince": {}}, "/audince", 'Did you mean "audience"?'),
    ({"audience": {"channels": ["a"], "where": {}}}, "/audience", "channels and where exclude"),
    ({"audience": {}}, "/audience", "there is none"),
    ({"audience": {"chanels": []}}, "/audience/chanels", 'Did you mean "channels"?'),
    ({"audience": {"channels": ["1x"]}}, "/audience/channels", "Invalid channel name: 1x"),
    ({"audience": {"where": {}, "exclude": {"where": {}}}}, "/audience/exclude/where", "everyone"),
    ({"content": None, "variants": []}, "/content", "a campaign has content"),
    ({"content": {"dat": {}}}, "/content/dat", 'Did you mean "data"?'),
    ({"variants": [{"name": "holdout", "weight": 1}]}, "/variants/0/name", "choose another"),
    ({"variants": [{"name": "a", "weight": 0}]}, "/variants/0/weight", "greater than or equal"),
    ({"variants": [{"name": "a", "weight": 1}] * 2}, "/variants/1/name", "two variants"),
    ({"variants": [], "holdout": 100}, "/holdout", "must leave somebody"),
    ({"variants": [{"name": "a", "weight": 1, "x": 1}]}, "/variants/0/x", "Unknown key"),
    (schedule(), "/schedule", "there is none"),
    (schedule(at=ZONED, every="1d"), "/schedule", "at and every exclude each other"),
    (schedule(at="2026-12-01"), "/schedule", "is no time"),
    (schedule(at="9999-12-01T00:00:00Z"), "/schedule", "the year must be"),
    (schedule(at="2026-12-01T09:00:00"), "/schedule", "needs a zone"),
    (schedule(at=ZONED, local_time=True), "/schedule", "which excludes local_time"),
    (schedule(at=ZONED, zone="Europe/Berlin"), "/schedule", "which excludes zone"),
    (schedule(at=ZONED, end=ZONED), "/schedule", "mean nothing beside at"),
    (schedule(cron="0 9 * *"), "/schedule/cron", "five fields"),
    (schedule(cron="0 25 * * *"), "/schedule/cron", "bad hour"),
    (schedule(cron="0 0 31 2 *"), "/schedule/cron", "bad day-of-month"),
    (schedule(cron="0 9 * * *", zone="Berlin"), "/schedule/zone", "IANA"),
    (schedule(cron="0 9 * * *", zone="UTC", local_time=True), "/schedule", "exclude each other"),
    (schedule(cron="0 9 * * *", start="2026-01-01T00:00:00"), "/schedule/start", "needs a zone"),
    (schedule(cron="0 9 * * *", start=ZONED, end=ZONED), "/schedule", "start must lie before end"),
    (schedule(every="1 day"), "/schedule/every", '"90s" or "1d"'),
    (schedule(every="9999w"), "/schedule/every", "ten years"),
    (schedule(every="1d", local_time=True), "/schedule", "use at or cron"),
    (schedule(every="1d", zone="UTC"), "/schedule", "goes with at and cron"),
    ({"quiet_hours": {"start": 1320, "end": "07:00"}}, "/quiet_hours/start", "must be a string"),
    ({"quiet_hours": {"start": "24:00", "end": "07:00"}}, "/quiet_hours/start", "in quotes"),
    ({"quiet_hours": {"start": "07:00", "end": "07:00"}}, "/quiet_hours", "must differ"),
    ({"cap": {"count": 0, "per": "1d"}}, "/cap/count", "greater than or equal to 1"),
    ({"pause_when": {}}, "/pause_when", "failed_share or invalid_share"),
    ({"pause_when": {"failed_share": 1.5}}, "/pause_when/failed_share", "less than or equal"),
    ({"late": "later"}, "/late", "'send' or 'skip'"),
    ({"holdout": "10"}, "/holdout", "must be an integer"),
]


@pytest.mark.parametrize(("changes", "pointer", "said"), WRONG)
def test_what_is_wrong_is_told(changes: dict[str, Any], pointer: str, said: str) -> None:
    """By a JSON pointer, and a sentence with the remedy."""
    found = faults(**changes)
    assert [fault.pointer for fault in found] == [pointer]
    assert said in found[0].detail


def test_all_of_it_is_told_at_once() -> None:
    """Not one fault after the other."""
    found = faults(name="a b", holdout=-1, schedule={"every": "x"})
    assert [fault.pointer for fault in found] == ["/name", "/holdout", "/schedule/every"]
