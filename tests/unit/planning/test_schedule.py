"""When a push is due, and until when."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from pushsvc.model import Late, Schedule, Source, Submission
from pushsvc.planning import schedule
from pushsvc.planning.schedule import ScheduleError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def resolve(now: datetime = NOW, /, **times: object) -> Schedule:
    submission = Submission(
        source=Source.V1,
        audience={},
        content={},
        **times,  # type: ignore[arg-type]  # bad ones, too
    )
    return schedule.resolve(submission, now=now, zoneless="UTC")


def test_without_times_a_push_is_due_now_and_never_expires() -> None:
    """What is not scheduled goes at once."""
    found = resolve()

    assert found.due_at == NOW
    assert found.expires_at is None
    assert found.push_time == "2026-03-01T12:00:00.000Z"


@pytest.mark.parametrize(
    "push_time",
    [
        pytest.param(int((NOW + HOUR).timestamp()), id="epoch seconds"),
        pytest.param((NOW + HOUR).timestamp(), id="float"),
        pytest.param("2026-03-01T13:00:00Z", id="Z"),
        pytest.param("2026-03-01T13:00:00.000Z", id="milliseconds"),
        pytest.param("2026-03-01T15:00:00+02:00", id="offset"),
        pytest.param("2026-03-01T15:00:00+0200", id="offset without a colon"),
        pytest.param("2026-03-01t13:00:00z", id="in lower case, as RFC 3339 lets it be"),
    ],
)
def test_absolute_times_are_understood_in_every_form(push_time: object) -> None:
    """Numbers count in seconds of UTC, strings carry their zone."""
    assert resolve(push_time=push_time).due_at == NOW + HOUR


@pytest.mark.parametrize(
    ("times", "field", "parse_code"),
    [
        pytest.param({"push_time": "soon"}, "push_time", 115, id="words"),
        pytest.param({"push_time": "2026-03-01-13:00"}, "push_time", 115, id="no zone, but a sign"),
        pytest.param({"push_time": "2026-W09-7"}, "push_time", 115, id="a week's day"),
        pytest.param({"push_time": "2026-W09-7T13:00Z"}, "push_time", 115, id="that with a zone"),
        pytest.param({"push_time": "2026-03-01?13:00Z"}, "push_time", 115, id="any separator"),
        pytest.param({"push_time": ""}, "push_time", 115, id="empty"),
        pytest.param(
            {"expiration_time": "2026-03-02T13:00:00"}, "expiration_time", 115, id="local expiry"
        ),
        pytest.param(
            {"push_time": "9999-12-31T23:59:59-14:00"}, "push_time", 115, id="after the calendar"
        ),
        pytest.param(
            {"expiration_time": "0001-01-01T00:00:00+14:00"},
            "expiration_time",
            115,
            id="before the calendar",
        ),
        pytest.param({"push_time": True}, "push_time", 115, id="bool"),
        pytest.param({"push_time": float("nan")}, "push_time", 115, id="NaN"),
        pytest.param({"push_time": 1e30}, "push_time", 115, id="beyond the calendar"),
        pytest.param({"push_time": ["now"]}, "push_time", 115, id="list"),
        pytest.param({"push_time": "2026-02-28T12:00:00Z"}, "push_time", 152, id="past"),
        pytest.param({"push_time": "2026-03-16T12:00:00Z"}, "push_time", 152, id="too far"),
        pytest.param({"expiration_time": "later"}, "expiration_time", 115, id="bad expiry"),
        pytest.param(
            {"expiration_time": "2026-03-01T11:59:59Z"}, "expiration_time", 138, id="over"
        ),
        pytest.param(
            {"push_time": "2026-03-01T13:00:00Z", "expiration_time": "2026-03-01T12:30:00Z"},
            "expiration_time",
            138,
            id="expires before it is due",
        ),
        pytest.param({"expiration_interval": 0}, "expiration_interval", 115, id="zero"),
        pytest.param({"expiration_interval": "60"}, "expiration_interval", 115, id="string"),
        pytest.param({"expiration_interval": False}, "expiration_interval", 115, id="false"),
        pytest.param({"expiration_interval": float("inf")}, "expiration_interval", 138, id="inf"),
        pytest.param(
            {"expiration_interval": 1_440_226_800_000},
            "expiration_interval",
            138,
            id="a moment for an interval, as in the guide's sample",
        ),
        pytest.param(
            {"expiration_interval": 0, "push_time": "soon"},
            "expiration_interval",
            115,
            id="the expiry is looked at first",
        ),
        pytest.param(
            {"expiration_time": "2026-03-01T11:00:00Z", "push_time": "soon"},
            "push_time",
            115,
            id="malformed comes before impossible",
        ),
        pytest.param(
            {"expiration_interval": 60, "expiration_time": "2026-03-01T13:00:00Z"},
            "expiration_interval",
            115,
            id="both",
        ),
    ],
)
def test_bad_times_name_their_field_and_parse_code(
    times: dict[str, object], field: str, parse_code: int
) -> None:
    """Malformed is 115, an impossible expiry 138, out of the window 152 (parse.com errors)."""
    with pytest.raises(ScheduleError) as caught:
        resolve(**times)

    assert caught.value.field == f"/{field}"
    assert caught.value.parse_code == parse_code


def test_an_interval_counts_from_the_moment_the_push_is_due() -> None:
    """Also where that lies ahead (parse.com push guide)."""
    found = resolve(push_time="2026-03-01T13:00:00Z", expiration_interval=90)

    assert found.expires_at == NOW + HOUR + timedelta(seconds=90)
    assert found.expiration_interval == 90
    assert resolve(expiration_interval=10 * 365 * 86_400).expires_at is not None


def test_the_window_is_a_setting() -> None:
    """Two weeks is only what the guide says."""
    submission = Submission(
        source=Source.V1, audience={}, content={}, push_time="2026-03-05T12:00:00Z"
    )

    assert schedule.resolve(submission, now=NOW, window=timedelta(days=4)).due_at > NOW
    with pytest.raises(ScheduleError, match="more than 3 days ahead") as caught:
        schedule.resolve(submission, now=NOW, window=timedelta(days=3))
    assert caught.value.parse_code == 152


# ---------------------------------------------------------------- local time


@pytest.mark.parametrize(
    ("push_time", "shown"),
    [
        ("2026-03-03T18:00:00", "2026-03-03T18:00:00.000"),
        ("2026-03-03T18:00", "2026-03-03T18:00:00.000"),
        ("2026-03-03 18:00:00.25", "2026-03-03T18:00:00.250"),
        ("2026-03-03", "2026-03-03T00:00:00.000"),
    ],
)
def test_without_a_zone_it_is_the_time_of_each_device(push_time: str, shown: str) -> None:
    """Due when the first zone's clocks show it; as Parse shows it, without a Z."""
    found = resolve(push_time=push_time)

    local_time = datetime.fromisoformat(push_time)
    assert found.local_time == local_time
    assert found.due_at == local_time.replace(tzinfo=UTC) - 14 * HOUR
    assert found.push_time == shown
    assert found.zoneless == "UTC"


def test_who_has_no_zone_matters_in_local_time_alone() -> None:
    """A moment is the same for all."""
    assert resolve(push_time="2026-03-03T18:00:00Z").zoneless is None


def test_a_local_time_is_past_when_its_last_zone_has_seen_it() -> None:
    """Twelve hours behind UTC; not when it is past at the caller's, or in UTC."""
    last = datetime(2026, 3, 1, 9, tzinfo=UTC) + 12 * HOUR

    found = resolve(last, push_time="2026-03-01T09:00:00")

    assert found.due_at == last - 26 * HOUR
    with pytest.raises(ScheduleError, match="lies in the past") as caught:
        resolve(last + 2 * schedule.PAST_TOLERANCE, push_time="2026-03-01T09:00:00")
    assert caught.value.parse_code == 152


def test_a_local_time_is_too_far_ahead_when_no_zone_is_in_the_window() -> None:
    """Two weeks from now by any clock are let in."""
    assert resolve(push_time="2026-03-16T02:00:00").due_at == NOW + timedelta(days=14)
    for push_time in ("2026-03-16T02:00:01", "2026-05-01", "0001-01-01", "9999-12-31T23:59"):
        with pytest.raises(ScheduleError) as caught:
            resolve(push_time=push_time)
        assert caught.value.parse_code == 152


def test_an_interval_counts_from_each_wave() -> None:
    """The push is over when that of its last zone is."""
    found = resolve(push_time="2026-03-03T18:00:00", expiration_interval=90)

    last = datetime(2026, 3, 3, 18, tzinfo=UTC) + 12 * HOUR
    assert found.expires_at == schedule.of_wave(found, last) == last + timedelta(seconds=90)
    assert schedule.of_wave(found, found.due_at) == found.due_at + timedelta(seconds=90)


def test_a_moment_of_expiry_is_the_same_for_all_waves() -> None:
    """Those that come after it expire unsent."""
    found = resolve(push_time="2026-03-03T18:00:00", expiration_time="2026-03-03T20:00:00Z")

    end = datetime(2026, 3, 3, 20, tzinfo=UTC)
    assert found.expires_at == end
    assert schedule.of_wave(found, found.due_at) == schedule.of_wave(found, end + HOUR) == end


def test_a_push_of_one_moment_has_one_expiry() -> None:
    """Whatever is asked for."""
    found = resolve(push_time="2026-03-03T18:00:00Z", expiration_interval=90)

    assert schedule.of_wave(found, NOW) == found.expires_at
    assert schedule.of_wave(resolve(), NOW) is None


@pytest.mark.parametrize(
    ("late", "expires_at"),
    [
        pytest.param(Late.SEND, "2026-03-03T04:00:00Z", id="before the first"),
        pytest.param(Late.SKIP, "2026-03-03T04:00:00Z", id="before the first, skipping"),
        pytest.param(Late.SEND, "2026-03-01T12:00:00Z", id="past"),
    ],
)
def test_an_expiry_before_every_wave_is_refused(late: Late, expires_at: str) -> None:
    """Nothing could ever be sent."""
    with pytest.raises(ScheduleError, match="expiration_time") as caught:
        resolve(push_time="2026-03-03T18:00:00", expiration_time=expires_at, late=late)
    assert caught.value.parse_code == 138


def test_an_expiry_before_the_next_wave_suits_those_that_are_late() -> None:
    """What is past goes out at once, unless it is to be skipped: for it is late by then."""
    now = datetime(2026, 3, 1, 9, 20, tzinfo=UTC)
    times = {"push_time": "2026-03-01T09:00:00", "expiration_time": "2026-03-01T09:40:00Z"}

    assert resolve(now, **times).expires_at == now + timedelta(minutes=20)
    with pytest.raises(ScheduleError) as caught:
        resolve(now, late=Late.SKIP, **times)
    assert caught.value.parse_code == 138
    skipping = Submission(
        source=Source.V1,
        audience={},
        content={},
        push_time=times["push_time"],
        expiration_time=times["expiration_time"],
        late=Late.SKIP,
    )
    assert schedule.resolve(skipping, now=now, late_after=HOUR / 2).expires_at is not None


@pytest.mark.parametrize("push_time", ["2026-02-27T12:00:00Z", "2026-02-27T12:00:00"])
def test_a_time_that_stands_is_not_judged_again(push_time: str) -> None:
    """It is past, or too far ahead by now; an expiry with it is told by itself."""
    submission = Submission(
        source=Source.V1,
        audience={},
        content={},
        push_time=push_time,
        expiration_time="2026-03-01T13:00:00Z",
        late=Late.SKIP,
    )

    assert schedule.resolve(submission, now=NOW, window=None).expires_at == NOW + HOUR
    with pytest.raises(ScheduleError, match="expiration_time"):
        schedule.resolve(submission, now=NOW + HOUR, window=None)


offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=offsets | st.none() | st.timezones()).map(datetime.isoformat)
edges = st.builds(
    lambda moment, offset: moment.replace(tzinfo=offset).isoformat(),
    st.sampled_from([datetime.min, datetime.max]),  # noqa: DTZ901 - the zone comes with the offset
    offsets,
)


@given(
    st.floats() | st.integers() | st.text(max_size=30) | st.booleans() | st.none() | moments | edges
)
def test_any_time_resolves_or_is_refused_by_name(value: object) -> None:
    """No value of any type gets through as anything else."""
    for field in ("push_time", "expiration_time", "expiration_interval"):
        found, refused = None, None
        try:
            found = resolve(**{field: value})
        except ScheduleError as error:
            refused = error.field
        if found is None:
            assert refused == f"/{field}"
        else:
            assert found.expires_at is None or found.expires_at >= found.due_at
