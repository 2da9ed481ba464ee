"""A campaign's run as a push: who, what, and by which rules."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from pushsvc.campaigns import composing
from pushsvc.campaigns.calendar import time_of
from pushsvc.campaigns.composing import Stock
from pushsvc.campaigns.definition import Definition, parse_definition
from pushsvc.errors import InvalidPushError
from pushsvc.model import (
    FrequencyCap,
    Lane,
    Late,
    OnUnknown,
    PauseWhen,
    QuietHours,
    QuietThen,
    rules_json,
    rules_of,
)
from pushsvc.shaping.body import push_hash
from pushsvc.targeting.where import mentions_device_token

STOCK = Stock(
    templates={"t": {"data": {"alert": "T", "sound": "t"}, "push_type": "alert"}},
    audiences={"vips": {"vip": True, "$nor": [{"plan": "free"}]}},
)


def campaign(**changes: Any) -> Definition:
    """A campaign."""
    body = {
        "name": "c",
        "audience": {"channels": ["news"]},
        "content": {"data": {"alert": "A"}, "collapse_id": "c"},
        "schedule": {"every": "1d"},
    } | changes
    return parse_definition(body)


@pytest.mark.parametrize(
    ("audience", "expected"),
    [
        ({"channels": ["a"]}, {"channels": ["a"]}),
        ({"where": {"x": 1}}, {"where": {"x": 1}}),
        ({"audience": "vips"}, {"where": {"vip": True, "$nor": [{"plan": "free"}]}}),
        (
            {"channels": ["a"], "exclude": {"channels": ["b", "c"]}},
            {"where": {"channels": {"$in": ["a"]}, "$nor": [{"channels": {"$in": ["b", "c"]}}]}},
        ),
        (
            {"audience": "vips", "exclude": {"where": {"x": 1}}},
            {"where": {"vip": True, "$nor": [{"plan": "free"}, {"x": 1}]}},
        ),
        (
            {"where": {"x": 1}, "exclude": {"audience": "vips"}},
            {"where": {"x": 1, "$nor": [{"vip": True, "$nor": [{"plan": "free"}]}]}},
        ),
    ],
)
def test_the_audience_is_one_clause(audience: dict[str, Any], expected: dict[str, Any]) -> None:
    """What is excluded is a `$nor` beside the other keys."""
    assert composing.audience_of(campaign(audience=audience), STOCK) == expected


def test_a_clause_of_tokens_stays_one() -> None:
    """A key `deviceToken` counts at the top alone, and an exclusion leaves it there."""
    audience = {"where": {"deviceToken": {"$exists": False}}, "exclude": {"channels": ["a"]}}
    found = composing.audience_of(campaign(audience=audience), STOCK)
    assert mentions_device_token(found["where"])


def test_contents_in_full() -> None:
    """A variant's keys replace the campaign's; its template is seen, and filled in."""
    found = composing.variants_of(
        campaign(
            variants=[
                {"name": "a", "weight": 1},
                {"name": "b", "weight": 2, "content": {"data": {"badge": 1}}},
                {"name": "t", "weight": 3, "content": {"template": "t"}},
                {
                    "name": "u",
                    "weight": 4,
                    "content": {"template": "t", "data": {"alert": "U"}},
                },
            ]
        ),
        STOCK,
    )
    of_template = {"template": "t", "collapse_id": "c", "push_type": "alert"}
    assert [one.content for one in found] == [
        {"data": {"alert": "A"}, "collapse_id": "c"},
        {"data": {"badge": 1}, "collapse_id": "c"},
        {**of_template, "data": {"alert": "T", "sound": "t"}},
        {**of_template, "data": {"alert": "U", "sound": "t"}},
    ]
    assert [one.push_hash for one in found] == [push_hash(one.content) for one in found]
    assert [one.weight for one in found] == [1, 2, 3, 4]


def test_a_holdout_without_variants() -> None:
    """Is of a hundred: the others get the one content."""
    (found,) = composing.variants_of(campaign(holdout=10), STOCK)
    assert (found.name, found.weight) == ("all", 90)
    assert composing.variants_of(campaign(), STOCK) == ()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"content": {"data": {}}}, "/content/data"),
        ({"content": {"data": {"badge": "x"}}}, "/content/data/badge"),
        (
            {"variants": [{"name": "a", "weight": 1, "content": {"data": {"alert": 1}}}]},
            "/variants/0/content/data/alert",
        ),
    ],
)
def test_each_content_is_checked(changes: dict[str, Any], field: str) -> None:
    """By its place in the definition."""
    with pytest.raises(InvalidPushError) as caught:
        composing.submission_of(campaign(**changes), STOCK, salt=1)
    assert caught.value.field == field


def test_the_rules() -> None:
    """All that a definition limits, as the table keeps it; who says yes to more raises a limit."""
    found = composing.submission_of(
        campaign(
            quiet_hours={"start": "22:00", "end": "07:30", "then": "drop"},
            cap={"count": 2, "per": "1w"},
            max_recipients=10,
            pause_when={"failed_share": 0.5},
            priority="urgent",
            on_unknown="drop",
            late="send",
        ),
        STOCK,
        salt=7,
    )
    rules = found.rules
    assert rules
    assert rules.quiet_hours == QuietHours(start=time(22), end=time(7, 30), then=QuietThen.DROP)
    assert rules.cap == FrequencyCap(count=2, seconds=604_800)
    assert rules.pause_when == PauseWhen(failed_share=0.5, invalid_share=None, after_devices=1_000)
    assert (found.lane, found.on_unknown, found.late) == (Lane.URGENT, OnUnknown.DROP, Late.SEND)
    assert rules_of(rules_json(rules)) == rules
    assert composing.confirmed(rules, 5).max_recipients == 10
    assert composing.confirmed(rules, 50).max_recipients == 50
    assert composing.confirmed(rules, None) == rules


def test_the_salt_is_the_campaigns_own() -> None:
    """The same for all of its runs, and a bigint."""
    salts = {composing.salt_of(one) for one in ("aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaab")}
    assert len(salts) == 2
    assert all(0 <= salt < 2**63 for salt in salts)


def test_the_times_of_a_run() -> None:
    """An expiry counts from each zone's time, and the run's from the last of them."""
    due_at = datetime(2026, 6, 1, tzinfo=UTC)
    found = composing.schedule_of(
        time_of("2026-06-01T09:00:00.000"), due_at=due_at, expiration_interval=60, zoneless="UTC"
    )
    # It is nine o'clock last where nobody lives: twelve hours behind.
    assert found.expires_at == datetime(2026, 6, 1, 21, 1, tzinfo=UTC)
    assert found.zoneless == "UTC"
    assert found.local_time == datetime.fromisoformat("2026-06-01T09:00")
    plain = composing.schedule_of(
        time_of("2026-06-01T00:00:00.000Z"), due_at=due_at, expiration_interval=60, zoneless=None
    )
    assert plain.expires_at == due_at + timedelta(minutes=1)
