"""What the clocks of a zone show, and when."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings, strategies as st

from pushsvc.model import QuietHours, QuietThen
from pushsvc.planning import localtime

MINUTE = timedelta(minutes=1)
#: So far apart two clocks may be, with a day that one of them leaves out.
FAR = timedelta(hours=44)
SATURDAY = 5
#: Zones with rules of their own: half hours, two hours, a day left out, summer time that is winter.
ODD: Final = (
    *("Africa/Casablanca", "America/Caracas", "America/Havana", "America/Sao_Paulo"),
    *("Antarctica/Troll", "Asia/Tehran", "Australia/Lord_Howe", "Europe/Dublin"),
    *("Asia/Pyongyang", "Europe/Berlin", "Pacific/Apia", "Pacific/Chatham", "Pacific/Kiritimati"),
)


def at(wall: str) -> datetime:
    """A wall time."""
    return datetime.fromisoformat(wall)


zones = st.sampled_from(sorted(localtime.known_zones())) | st.sampled_from(ODD)
wall_times = st.datetimes(at("1980-01-03"), at("2037-12-28")).map(
    lambda moment: moment.replace(second=0, microsecond=0)
)
WEEKENDS: Final = [
    day
    for year in (1996, 2011, 2016, 2025, 2026, 2030)
    for number in range(366)
    if (day := at(f"{year}-01-01") + timedelta(days=number)).weekday() >= SATURDAY
    and day.month in {3, 4, 9, 10, 11}
]
#: Where clocks change, mostly: in the night to a Sunday, or at its midnight.
nights = st.builds(
    lambda day, minutes: day + minutes * MINUTE, st.sampled_from(WEEKENDS), st.integers(-90, 270)
)


def shown(zone: str, moment: datetime) -> datetime:
    """What the zone's clocks show: from UTC to the wall, which knows neither gaps nor folds."""
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def offset(zone: str, moment: datetime) -> timedelta:
    return shown(zone, moment) - moment.replace(tzinfo=None)


def stretches(zone: str, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield from when to when the zone's clocks run on without a change."""
    step, begun, now = timedelta(hours=1), start, start
    while now < end:
        if offset(zone, now) != offset(zone, now + step):
            low, high = now, now + step
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                is_before = offset(zone, middle) == offset(zone, now)
                low, high = (middle, high) if is_before else (low, middle)
            yield begun, high
            begun = high
        now += step
    yield begun, end


def oracle(zone: str, wall: datetime) -> datetime:
    """When the clocks show it first; or what the clocks before a jump over it would have said."""
    around = wall.replace(tzinfo=UTC)
    before = None
    for begun, end in stretches(zone, around - FAR, around + FAR):
        found = around - offset(zone, begun)
        if begun <= found < end:
            return found
        if found >= end:
            before = found
    assert before is not None
    return before


@settings(max_examples=2_000, deadline=None)
@given(zones, wall_times | nights)
@example("Pacific/Apia", at("2011-12-30T10:00"))
@example("Asia/Pyongyang", at("2018-05-04T23:45"))
def test_a_moment_is_when_the_clocks_first_show_it(zone: str, wall: datetime) -> None:
    """In every zone, whatever its clocks do that day, as one finds by watching them from UTC."""
    assert localtime.moment_of(wall, zone) == oracle(zone, wall)


@pytest.mark.parametrize(
    ("zone", "wall", "moment", "then"),
    [
        pytest.param("Europe/Berlin", "2026-07-01T09:00", "07-01T07:00", "09:00", id="summer"),
        pytest.param("Europe/Berlin", "2026-03-29T02:30", "03-29T01:30", "03:30", id="gap"),
        pytest.param("Europe/Berlin", "2026-03-29T02:00", "03-29T01:00", "03:00", id="gap, start"),
        pytest.param("Europe/Berlin", "2026-03-29T03:00", "03-29T01:00", "03:00", id="gap, end"),
        pytest.param("Europe/Berlin", "2026-10-25T02:30", "10-25T00:30", "02:30", id="fold"),
        pytest.param("Europe/Berlin", "2026-10-25T03:00", "10-25T02:00", "03:00", id="after it"),
        pytest.param("America/New_York", "2026-03-08T02:15", "03-08T07:15", "03:15", id="NY gap"),
        pytest.param("America/New_York", "2026-11-01T01:15", "11-01T05:15", "01:15", id="NY fold"),
        pytest.param(
            "Australia/Lord_Howe", "2026-10-04T02:15", "10-03T15:45", "02:45", id="half an hour"
        ),
        pytest.param(
            "Australia/Lord_Howe", "2026-04-05T01:45", "04-04T14:45", "01:45", id="and back"
        ),
        pytest.param(
            "Antarctica/Troll", "2026-03-29T02:30", "03-29T02:30", "04:30", id="two hours"
        ),
        pytest.param("Africa/Casablanca", "2026-03-22T02:30", "03-22T02:30", "03:30", id="Ramadan"),
        pytest.param("Pacific/Apia", "2011-12-30T10:00", "12-30T20:00", "10:00", id="no such day"),
        pytest.param("Pacific/Kiritimati", "2026-01-01T00:00", "12-31T10:00", "00:00", id="first"),
        pytest.param("Etc/GMT+12", "2026-01-01T00:00", "01-01T12:00", "00:00", id="last"),
    ],
)
def test_changes_of_the_clocks_by_name(zone: str, wall: str, moment: str, then: str) -> None:
    """What a gap swallows comes so much later, and of what comes twice the first counts."""
    found = localtime.moment_of(at(wall), zone)

    assert found.strftime("%m-%dT%H:%M") == moment
    assert shown(zone, found).strftime("%H:%M") == then


@settings(max_examples=20, deadline=None)
@given(wall_times | nights)
def test_the_moments_of_the_world_have_every_zone_once(wall: datetime) -> None:
    """In the order in which they come, and no two at one time."""
    found = localtime.moments(wall)

    assert sorted(zone for one in found for zone in one.zones) == sorted(localtime.known_zones())
    assert [one.at for one in found] == sorted({one.at for one in found})
    for one in found:
        assert all(localtime.moment_of(wall, zone) == one.at for zone in one.zones)


@settings(max_examples=20, deadline=None)
@given(wall_times | nights)
@example(at("2011-12-30T10:00"))
@example(at("2011-12-31T00:00"))
def test_the_first_moment_is_found_alone(wall: datetime) -> None:
    """The same as among all of them."""
    assert localtime.first_moment(wall) == localtime.moments(wall)[0].at


def test_an_offset_is_the_one_at_the_moment() -> None:
    """After a gap the new one, as the clocks show by then."""
    wall = at("2026-03-29T02:30")

    assert localtime.utc_offset(wall, "Europe/Berlin") == timedelta(hours=2)
    assert localtime.utc_offset(wall, "Asia/Kathmandu") == timedelta(hours=5, minutes=45)
    assert localtime.utc_offset(wall, "America/New_York") == timedelta(hours=-4)


# ---------------------------------------------------------------- zones


@pytest.mark.parametrize(
    ("given", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("Asia/Calcutta", "Asia/Calcutta"),
        ("US/Pacific", "US/Pacific"),
        ("UTC", "UTC"),
        ("europe/berlin", None),
        ("GMT+0200", None),
        ("localtime", None),
        ("../etc/passwd", None),
        ("", None),
        (None, None),
        (120, None),
    ],
)
def test_a_device_has_the_zone_whose_name_it_sends(given: object, zone: str | None) -> None:
    """Older names, too; whatever is no name of the database is none."""
    assert localtime.zone_of(given) == zone


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("GMT+0200", None),
        ("x" * 1_000_000, None),
    ],
)
def test_the_zone_that_was_meant_is_found(text: str, zone: str | None) -> None:
    """By its place alone, in any case, misspelt; and nothing is made up."""
    assert localtime.nearest_zone(text) == zone


def test_devices_without_a_zone_go_by_the_setting() -> None:
    """Left out, as if in UTC, or in the app's zone, where it has one that is known."""
    assert localtime.zone_for_zoneless("skip", app_zone="Europe/Berlin") is None
    assert localtime.zone_for_zoneless("utc", app_zone="Europe/Berlin") == "UTC"
    assert localtime.zone_for_zoneless("app", app_zone="Europe/Berlin") == "Europe/Berlin"
    assert localtime.zone_for_zoneless("app", app_zone=None) == "UTC"
    assert localtime.zone_for_zoneless("app", app_zone="Europe/Atlantis") == "UTC"


# ---------------------------------------------------------------- quiet hours


def hours(start: str, end: str) -> QuietHours:
    return QuietHours(
        start=time.fromisoformat(start), end=time.fromisoformat(end), then=QuietThen.DEFER
    )


def is_quiet(quiet: QuietHours, zone: str, now: datetime) -> bool:
    """Whether somebody who looks at the clock finds it quiet."""
    clock = shown(zone, now).time()
    if quiet.start <= quiet.end:
        return quiet.start <= clock < quiet.end
    return clock >= quiet.start or clock < quiet.end


times = st.times().map(lambda one: one.replace(second=0, microsecond=0))
quiet_hours = st.builds(QuietHours, start=times, end=times, then=st.just(QuietThen.DEFER))
short = st.integers(0, 12).flatmap(
    lambda half_hours: st.sampled_from(
        [hours("22:00", f"{half_hours // 2:02}:{half_hours % 2 * 30:02}")]
    )
)


@settings(max_examples=300, deadline=None)
@given(zones, wall_times | nights, quiet_hours | short)
@example("Europe/Berlin", at("2026-10-25T01:10"), hours("22:00", "02:30"))
@example("Europe/Berlin", at("2026-03-28T23:00"), hours("22:00", "02:30"))
@example("Pacific/Apia", at("2011-12-30T09:00"), hours("22:00", "07:00"))
@example("America/Havana", at("2026-11-01T04:30"), hours("23:00", "00:00"))
def test_quiet_hours_end_when_the_clock_first_says_so(
    zone: str, now: datetime, quiet: QuietHours
) -> None:
    """As one finds by looking at it every minute: later than now, and never quiet again at once."""
    begun = now.replace(tzinfo=UTC)
    found = localtime.quiet_until(quiet, zone, now=begun)

    watched = begun
    while is_quiet(quiet, zone, watched):
        watched += MINUTE
    assert (found or begun) == watched
    if found is not None and offset(zone, found) == offset(zone, found - MINUTE):
        assert shown(zone, found).time() == quiet.end


@pytest.mark.parametrize(
    ("now", "end"),
    [
        pytest.param("2026-10-24T23:59", "2026-10-25T00:30", id="before both"),
        pytest.param("2026-10-25T01:10", "2026-10-25T01:30", id="the second time"),
        pytest.param("2026-03-28T21:00", "2026-03-29T01:00", id="jumped over"),
        pytest.param("2026-03-29T01:00", None, id="after the jump"),
        pytest.param("2026-03-28T20:59", None, id="before the evening"),
    ],
)
def test_quiet_hours_end_within_a_change_of_the_clocks(now: str, end: str | None) -> None:
    """Berlin, to half past two: of two of them the next one counts, and none is the jump."""
    found = localtime.quiet_until(hours("22:00", "02:30"), "Europe/Berlin", now=at(f"{now}+00:00"))

    assert found == (None if end is None else at(f"{end}+00:00"))


def test_quiet_hours_of_no_length_are_none() -> None:
    """They begin and end at once."""
    midnight = datetime(2026, 3, 1, tzinfo=UTC)

    assert localtime.quiet_until(hours("00:00", "00:00"), "UTC", now=midnight) is None
