"""The forms of a report: which one is meant, what its curves draw, what its table adds up to."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from pushsvc.api.replies import moment
from pushsvc.api.v1.report_charts import MOST_BARS, bars, curve
from pushsvc.api.v1.report_table import DIMENSIONS, csv_of
from pushsvc.api.v1.reports import accepted
from pushsvc.model import Dimension, Json, Outcome

START = datetime(2026, 11, 22, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "html"),
        ("application/json;q=0.5, text/csv", "csv"),
        ("text/csv;q=0, image/png", "json"),
        ("text/html;q=x", "html"),
    ],
)
def test_the_accept_header_says_the_form(header: str, form: str) -> None:
    """By its weights; what says nothing of ours means JSON."""
    assert accepted(header) == form


def line(value: str | None, **figures: float | None) -> Json:
    nothing = dict.fromkeys((*(one.value for one in Outcome), "audience", "open", "opens"), 0)
    return {"value": value, **nothing, "open_rate": None, **figures}


def at(hours: int) -> str:
    return moment(START + timedelta(hours=hours))


def test_a_curve_has_every_hour_and_many_hours_are_days() -> None:
    """Hours without a line are nought; one hour alone is a point."""
    found = curve([line(at(0), sent=4), line(at(3), sent=2), line(None, sent=9)], "sent")
    assert found is not None
    assert [dot.n for dot in found.dots] == [4, 0, 0, 2]
    assert (found.unit, found.most, found.dots[0].y) == ("hour", 4, 0)

    found = curve([line(at(0), sent=4), line(at(1), sent=1), line(at(24 * 9), sent=2)], "sent")
    assert found is not None
    assert (found.unit, [dot.n for dot in found.dots]) == ("day", [5, *[0] * 8, 2])

    alone = curve([line(at(0), sent=4)], "sent")
    assert alone is not None
    assert len(alone.dots) == 1
    assert curve([line(at(0))], "sent") is None


def test_bars_are_the_largest_and_their_parts_are_the_audience() -> None:
    """A name that is too long is cut, and stays whole beside it."""
    lines = [line(f"zone-{n}" * 9, sent=n, failed=1, audience=n + 1) for n in range(MOST_BARS + 5)]

    found = bars(Dimension.ZONE, lines)

    assert (len(found.bars), found.left_out) == (MOST_BARS, 5)
    assert found.kinds == ["sent", "failed"]
    for bar in found.bars:
        assert sum(part.devices for part in bar.parts) == bar.audience
        assert bar.short.endswith("…")
        assert len(bar.short) < len(bar.name)


def test_a_line_of_a_reason_has_one() -> None:
    """One of failures without a reason, too: a sum over lines without one is that of devices."""
    reasons = {"": 2, "\nodd": 1}
    total = {**line(None, failed=3, audience=3), "failed_by_reason": reasons}
    total |= {"excluded_by": {}, "possible_duplicates": 0}

    found = csv_of({"total": total, **{key: [] for key in DIMENSIONS}})

    rows = list(csv.DictReader(io.StringIO(found, newline="")))
    assert [(row["reason"], row["failed"]) for row in rows] == [
        ("", "3"),
        ("(no reason)", "2"),
        ("'\nodd", "1"),
    ]
