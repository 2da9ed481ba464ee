"""Watching a campaign: which run is watched, how fast it is, and when it is over."""

import json
from typing import Any

import pytest
from rich.console import Console

from pushsvc.cli.campaign_watching import (
    Drawn,
    Lines,
    Rate,
    Seen,
    follow,
    heading,
    line_of,
    run_to_watch,
)

CAMPAIGN = {"name": "sale", "state": "active", "next_runs": ["2030-01-07T08:00:00Z"]}

COUNTS = {"sent": 1, "failed": 1, "excluded": 1, "open": 0}


def run(number: int, push_state: str | None) -> dict[str, Any]:
    push_id = None if push_state is None else f"p{number}"
    return {"number": number, "push_id": push_id, "push_state": push_state}


def push(state: str, *, sent: int, to_go: int, halt: str | None = None) -> dict[str, Any]:
    return {
        "id": "p1",
        "state": state,
        "halt": halt,
        "halt_reason": "[b] by hand",
        "devices": sent + to_go,
        "counts": {"sent": sent, "failed": 0, "open": to_go},
    }


def seen(state: str, *, sent: int = 0, to_go: int = 0, halt: str | None = None) -> Seen:
    return Seen(
        campaign=CAMPAIGN,
        run=run(1, state),
        push=push(state, sent=sent, to_go=to_go, halt=halt),
        waves=[{"zone": "UTC", "due_at": "2030-01-07T08:00:00Z", "devices": 3, "counts": COUNTS}],
    )


@pytest.mark.parametrize(
    ("runs", "after", "number"),
    [
        ([], 0, None),
        ([run(2, "done"), run(1, "done")], 2, None),
        ([run(3, "waiting"), run(2, "sending"), run(1, "done")], 3, 2),
        ([run(3, "done"), run(2, "done")], 2, 3),
        ([run(3, None)], 2, None),
    ],
    ids=["none yet", "all over", "the oldest under way", "one that was quick", "skipped"],
)
def test_the_run_under_way_is_watched_or_else_the_next(
    runs: list[dict[str, Any]], after: int, number: int | None
) -> None:
    """A run that ended before it was seen is the one that was waited for, too."""
    found = run_to_watch(runs, after=after)

    assert (found and found["number"]) == number


@pytest.mark.parametrize(
    ("now", "over"),
    [
        (Seen(campaign=CAMPAIGN), False),
        (Seen(campaign=CAMPAIGN | {"next_runs": []}), True),
        (Seen(campaign=CAMPAIGN | {"state": "paused"}), True),
        (seen("sending", to_go=1), False),
        (seen("sending", to_go=1, halt="pause"), False),
        (seen("done", sent=1), True),
        (seen("cancelled"), True),
    ],
)
def test_it_is_over_when_the_run_is_closed_or_none_will_come(now: Seen, *, over: bool) -> None:
    """A run that is paused is not over: it may be resumed."""
    assert now.is_over is over


def test_a_rate_is_that_of_the_last_looks() -> None:
    """It forgets how fast it was at first."""
    rate = Rate()

    assert rate.after(0, at=10.0) == 0
    assert rate.after(500, at=11.0) == 500
    assert [rate.after(500, at=11.0 + n) for n in range(1, 30)][-1] == 0


async def test_each_look_is_shown_until_the_run_is_closed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The moment that comes last is what it returns."""
    looks = iter([seen("sending", sent=1, to_go=2), seen("done", sent=3)])

    async def look() -> Seen:
        return next(looks)

    last = await follow(look, Lines())

    assert last.is_over
    assert json.loads(capsys.readouterr().out) == line_of(seen("sending", sent=1, to_go=2))


def test_lines_say_what_a_program_asks() -> None:
    """How many there are, how many are through, how fast, and in how many zones."""
    assert line_of(Seen(campaign=CAMPAIGN)) == {
        "event": "waiting",
        "state": "active",
        "next_run": "2030-01-07T08:00:00Z",
    }
    line = line_of(seen("sending", sent=1, to_go=2))
    assert {name: line[name] for name in ("event", "run", "devices", "settled", "waves")} == {
        "event": "progress",
        "run": 1,
        "devices": 3,
        "settled": 1,
        "waves": {"all": 1, "begun": 1},
    }


def test_the_heading_says_what_is_waited_for() -> None:
    """The next time, the run, or that it is paused."""
    assert heading(Seen(campaign=CAMPAIGN)) == "sale waits until 2030-01-07 08:00:00Z"
    assert heading(seen("sending")) == "sale run 1 sending"
    assert heading(seen("sending", halt="pause")) == "sale run 1 paused"


def test_a_terminal_has_the_bar_the_outcomes_and_the_zones() -> None:
    """And the reason of a pause, as it was written."""
    console = Console(width=100, height=40, force_terminal=True, no_color=True, record=True)

    with console.capture() as capture, Drawn(console) as screen:
        screen.show(Seen(campaign=CAMPAIGN))
        screen.show(seen("sending", sent=1, to_go=2, halt="pause"))

    shown = capture.get()
    for told in ("sale run 1 paused", "1/3", "pause: [b] by hand", "sent", "UTC"):
        assert told in shown
