"""The legs of a push that is planned by zone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings, strategies as st

from pushsvc.model import Late, OutcomeClass, Push, QuietHours, QuietThen, Rules
from pushsvc.planning import legs, localtime
from tests.unit.stats.test_story import PUSH as PLAIN

LATE_AFTER = timedelta(minutes=10)
WALL = datetime.fromisoformat("2026-11-26T09:00")
FIRST = localtime.moments(WALL)[0].at
PUSH: Push = replace(PLAIN, local_time=WALL, due_at=FIRST, started_at=None)
WALLS = st.integers(0, 6 * 366 * 24 * 60).map(lambda n: WALL + timedelta(minutes=n))


def walked(push: Push, begun: datetime) -> list[legs.Leg]:
    """Return all legs of a push whose plan began then."""
    found, due_at = [], push.due_at
    while True:
        leg = legs.leg_of(replace(push, due_at=due_at, started_at=begun))
        found.append(leg)
        if leg.next_at is None:
            return found
        assert leg.next_at > due_at
        due_at = leg.next_at


@settings(max_examples=25)
@given(WALLS, st.integers(0, 30 * 3600), st.sampled_from([None, "Europe/Berlin", "Asia/Tokyo"]))
def test_every_zone_is_of_one_leg_and_none_before_its_moment(
    wall: datetime, seconds: int, zoneless: str | None
) -> None:
    """What was past when the plan began is of the first; and so are, once, those without a zone."""
    moments = localtime.moments(wall)
    begun = moments[0].at + timedelta(seconds=seconds)
    push = replace(PUSH, local_time=wall, due_at=moments[0].at, zoneless=zoneless)

    found = walked(push, begun)

    zones = [zone for leg in found for zone in leg.moments or ()]
    assert sorted(zones) == sorted(localtime.known_zones())
    assert [leg.has_zoneless for leg in found].count(True) == 1
    assert [leg.is_later for leg in found] == [False, *[True] * (len(found) - 1)]
    assert all(at <= begun for at in (found[0].moments or {}).values())
    for before, leg in pairwise(found):
        assert set((leg.moments or {}).values()) == {before.next_at}
        assert before.next_at is not None
        assert before.next_at > begun


def test_a_push_that_is_not_in_local_time_has_one_leg_of_all() -> None:
    """Of every zone, known or not."""
    leg = legs.leg_of(replace(PLAIN, rules=Rules(salt=1)))
    assert (leg.moments, leg.has_zoneless, leg.next_at) == (None, True, None)


def test_who_is_left_out() -> None:
    """For being late, where the push says so, and for having no clock that it could go by."""
    skips = replace(PUSH, late=Late.SKIP)
    due_at = localtime.moment_of(WALL, "Europe/Berlin")

    def left_out(push: Push, zone: str, minutes: int) -> OutcomeClass | None:
        now = due_at + timedelta(minutes=minutes)
        return legs.zone_of(push, zone, now=now, late_after=LATE_AFTER).left_out

    assert left_out(skips, "Europe/Berlin", 10) is None
    assert left_out(skips, "Europe/Berlin", 11) is OutcomeClass.LATE
    assert left_out(PUSH, "Europe/Berlin", 1000) is None
    assert left_out(PUSH, legs.ZONELESS, 0) is OutcomeClass.NO_TIME_ZONE
    assert left_out(replace(PUSH, zoneless="Europe/Berlin"), legs.ZONELESS, 0) is None
    run = replace(PLAIN, rules=Rules(salt=1))
    assert left_out(run, legs.ZONELESS, 0) is None
    hours = QuietHours(start=WALL.time(), end=WALL.time(), then=QuietThen.DROP)
    quiet = replace(PLAIN, rules=Rules(salt=1, quiet_hours=hours))
    assert left_out(quiet, legs.ZONELESS, 0) is OutcomeClass.NO_TIME_ZONE


def test_an_interval_counts_from_the_zone_s_own_moment() -> None:
    """Of a push that has none, or is not in local time, the expiry is the push's."""
    push = replace(PUSH, expiration_interval=60)
    zone = legs.zone_of(push, "Asia/Tokyo", now=FIRST, late_after=LATE_AFTER)
    assert zone.due_at == datetime(2026, 11, 26, 0, tzinfo=UTC)
    assert zone.expires_at == zone.due_at + timedelta(minutes=1)
    plain = replace(PLAIN, rules=Rules(salt=1), expiration_interval=60)
    for other in (PUSH, plain):
        found = legs.zone_of(other, "Asia/Tokyo", now=FIRST, late_after=LATE_AFTER)
        assert found.expires_at is None
