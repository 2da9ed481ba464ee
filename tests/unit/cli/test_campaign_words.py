"""A campaign in words: schedules, times, runs and zones as people read them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from pushsvc.cli import campaign_words as words

COUNTS = {"sent": 5, "failed": 2, "excluded": 3, "expired": 0, "open": 0}
RUN: dict[str, Any] = {
    "number": 1,
    "push_time": "2030-01-07T08:00:00Z",
    "state": "started",
    "reason": None,
    "push_id": "abc",
    "push_state": "done",
    "counts": COUNTS,
}
SKIPPED = RUN | {
    "number": 2,
    "state": "skipped",
    "reason": "overlap",
    "push_id": None,
    "push_state": None,
    "counts": None,
}
CAMPAIGN: dict[str, Any] = {
    "id": "c1",
    "name": "spring",
    "state": "paused",
    "state_reason": "[red] 20 % failed",
    "definition": {
        "schedule": {"zone": "Europe/Berlin", "cron": "0 9 * * MON"},
        "content": {"data": {"alert": "Grüße 春"}},
        "audience": {"where": {}},
        "name": "spring",
    },
    "next_runs": ["2030-01-07T08:00:00Z"],
    "last_run": RUN,
    "runs": 2,
    "created_at": "2029-12-01T00:00:00Z",
    "updated_at": "2029-12-01T00:00:00Z",
}


def drawn(*shown: RenderableType, width: int = 200) -> str:
    """What a terminal without colours shows, its spaces folded."""
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        for one in shown:
            console.print(one)
    return " ".join(capture.get().split())


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ({"at": "2030-03-30T09:00:00+01:00"}, "once, at 2030-03-30 08:00:00Z"),
        (
            {"at": "2030-03-30T09:00:00", "local_time": True},
            "once, at 2030-03-30 09:00:00 local, by each device's own clock",
        ),
        ({"cron": "0 9 * * MON"}, "at 09:00 on Monday, by the clock of UTC"),
        (
            {"cron": "*/15 8-18 * * *", "zone": "Asia/Tokyo"},
            "every 15th minute from 08:00 through 18:59, by the clock of Asia/Tokyo",
        ),
        (
            {"every": "1d", "start": "2030-01-01T00:00:00Z", "end": "2030-02-01T00:00:00Z"},
            "every 1d, from 2030-01-01 00:00:00Z, until 2030-02-01 00:00:00Z",
        ),
    ],
)
def test_a_schedule_is_said_in_words(schedule: dict[str, Any], told: str) -> None:
    """Each of the three kinds, with the clock that it goes by."""
    assert words.schedule_words(schedule) == told


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (None, "-"),
        ("2030-03-30T09:00:00+01:00", "2030-03-30 08:00:00Z"),
        ("2030-03-30T09:00:00.000", "2030-03-30 09:00:00 local"),
        (datetime(2030, 3, 30, tzinfo=UTC), "2030-03-30 00:00:00Z"),
    ],
)
def test_times_are_utc_or_said_to_be_local(at: str | datetime | None, told: str) -> None:
    """No time is shown without saying whose it is."""
    assert words.time_cell(at) == told


def test_next_times_stand_in_the_zone_and_in_utc() -> None:
    """On both sides of a change to summer time."""
    times = ["2030-03-25T08:00:00Z", "2030-04-01T07:00:00Z"]

    shown = drawn(words.times_table(times, "Europe/Berlin"))

    assert "Mon 2030-03-25 09:00:00 +0100 2030-03-25 08:00:00Z" in shown
    assert "Mon 2030-04-01 09:00:00 +0200 2030-04-01 07:00:00Z" in shown


def test_next_times_of_each_device_s_clock_have_no_zone() -> None:
    """And where there are none, that is said."""
    assert "Mon 2030-03-25 09:00:00" in drawn(words.times_table(["2030-03-25T09:00:00"], None))
    assert words.times_table([], "UTC") == "There are no more times."


def test_a_campaign_is_shown_with_all_that_it_does() -> None:
    """Names and reasons as they are written, whatever a terminal would take them for."""
    shown = drawn(
        words.campaigns_table([CAMPAIGN]), *words.campaign_shown(CAMPAIGN, [RUN, SKIPPED])[1:]
    )

    assert "spring paused 2030-01-07 08:00:00Z 2" in shown
    assert "[red] 20 % failed" in shown
    assert "1 2030-01-07 08:00:00Z done abc 10 5 2 3" in shown
    assert "2 2030-01-07 08:00:00Z skipped: overlap -" in shown
    assert "Mon 2030-01-07 09:00:00 +0100" in shown


def test_the_ids_of_pushes_stay_whole_in_a_narrow_terminal() -> None:
    """They are copied; what stands beside them is wrapped first."""
    run = RUN | {"push_id": "sCzX9OvU5v"}
    assert "sCzX9OvU5v" in drawn(words.runs_table([run]), width=60)


def test_a_paused_campaign_has_times_when_it_is_resumed() -> None:
    """One that has ended has none."""
    for state, told in (("paused", "before it is resumed"), ("ended", "no more times")):
        now = CAMPAIGN | {"state": state, "next_runs": []}
        assert told in drawn(*words.campaign_shown(now, []))


def test_a_definition_is_shown_as_one_writes_it() -> None:
    """In the order of the guide, which a database does not keep, and in its own letters."""
    written = words.yaml_text(CAMPAIGN["definition"])

    assert [line for line in written.splitlines() if line[0] != " "] == [
        "name: spring",
        "audience:",
        "content:",
        "schedule:",
    ]
    assert "alert: Grüße 春" in written


def test_what_got_out_is_said_by_outcome() -> None:
    """Outcomes that did not occur are left out."""
    assert words.got_out(COUNTS) == "Of 10 devices: 5 sent, 2 failed, 3 excluded."
    assert words.got_out(dict.fromkeys(COUNTS, 0)) == "Nothing of it was sent."


def test_of_many_zones_those_around_the_next_are_shown() -> None:
    """So that a terminal shows where the run is."""
    waves = [
        {
            "zone": f"Zone/{n}",
            "due_at": "2030-01-07T08:00:00Z",
            "devices": 5 if n < 30 else 0,
            "counts": COUNTS,
        }
        for n in range(40)
    ]

    few, full = drawn(words.waves_table(waves, most=4)), drawn(words.waves_table(waves, most=None))

    assert "4 of 40 zones" in few
    assert [f"Zone/{n} " in few for n in (27, 28, 31, 32)] == [False, True, True, False]
    assert "Zone/0 " in full
    assert "Zone/39 " in full
