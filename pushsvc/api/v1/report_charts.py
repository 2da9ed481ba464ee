"""Charts of a report: figures as places on a drawing, which the page draws as SVG. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pushsvc.api.v1.report_table import label
from pushsvc.model import Dimension, Json

#: Of a drawing, in its own units; the page scales it.
WIDTH: Final = 760
ROW: Final = 28
#: Where the bars of devices begin, and how long the longest is.
BARS_AT: Final = 185
BARS_LONG: Final = 290
#: The same of the bars of open rates.
RATES_AT: Final = 570
RATES_LONG: Final = 120
#: What fits before the bars.
LABEL_CHARACTERS: Final = 22
#: A chart has no more bars; its table has all lines.
MOST_BARS: Final = 20

HOURS_HIGH: Final = 110
HOURS_AT: Final = 60
HOURS_LONG: Final = WIDTH - HOURS_AT - 20
#: Beyond it a chart has days in place of hours.
MOST_HOURS: Final = 24 * 7
#: Each of so few points is marked.
MOST_DOTS: Final = 48
TICKS: Final = 6

#: kind of a bar's part -> what of a line it shows; all of them are the audience
KINDS: Final = {
    "sent": ("sent", "validated"),
    "failed": ("failed",),
    "excluded": ("excluded",),
    "other": ("unknown", "expired", "deduplicated", "cancelled"),
    "open": ("open",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a bar."""

    kind: str
    x: float
    width: float
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A line of the report as a bar."""

    name: str
    #: as far as there is room
    short: str
    y: int
    parts: Sequence[Part]
    #: the end of the last one
    end: float
    audience: int
    #: None where there is none to show
    rate: float | None
    rate_width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars below each other."""

    height: int
    bars: Sequence[Bar]
    #: kinds that some bar has
    kinds: Sequence[str]
    has_rates: bool
    #: lines for which there was no room
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A point of a curve."""

    x: float
    y: float
    at: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Figures over time."""

    unit: str
    most: int
    line: str
    area: str
    dots: Sequence[Dot]
    ticks: Sequence[Dot]


def bars(dimension: Dimension, lines: Sequence[Json]) -> Bars:
    """Return lines as bars: in their order, or the largest where there is no room for all."""
    chosen = lines
    if len(lines) > MOST_BARS:
        chosen = sorted(lines, key=lambda line: -line["audience"])[:MOST_BARS]
    most = max((line["audience"] for line in chosen), default=0)
    highest = max((line["open_rate"] or 0 for line in chosen), default=0)
    drawn = [
        _bar(label(dimension, line["value"]), line, y=place * ROW, scale=(most, highest))
        for place, line in enumerate(chosen)
    ]
    present = {part.kind for bar in drawn for part in bar.parts}
    return Bars(
        height=len(drawn) * ROW,
        bars=drawn,
        kinds=[kind for kind in KINDS if kind in present],
        has_rates=any(bar.rate is not None for bar in drawn),
        left_out=len(lines) - len(chosen),
    )


def _bar(name: str, line: Json, *, y: int, scale: tuple[int, float]) -> Bar:
    most, highest = scale
    parts, x = [], float(BARS_AT)
    for kind, words in KINDS.items():
        devices = sum(line[word] for word in words)
        width = _share(devices, most) * BARS_LONG
        if devices:
            parts.append(Part(kind=kind, x=round(x, 1), width=round(width, 1), devices=devices))
        x += width
    rate = line["open_rate"]
    return Bar(
        name=name,
        short=name if len(name) <= LABEL_CHARACTERS else f"{name[: LABEL_CHARACTERS - 1]}…",
        y=y,
        parts=parts,
        end=round(x, 1),
        audience=line["audience"],
        rate=rate,
        rate_width=round(_share(rate or 0, highest) * RATES_LONG, 1),
    )


def _share(n: float, of: float) -> float:
    return n / of if of else 0.0


def curve(lines: Sequence[Json], name: str) -> Curve | None:
    """Return one figure of the lines of hours, over time; None where there is nothing to draw."""
    counted = {
        datetime.fromisoformat(line["value"]): line[name] or 0
        for line in lines
        if line["value"] is not None
    }
    if not any(counted.values()):
        return None
    step, points = _evened(counted)
    most = max(n for _, n in points)
    dots = [
        Dot(
            x=round(HOURS_AT + _share(place, len(points) - 1) * HOURS_LONG, 1),
            y=round(HOURS_HIGH * (1 - n / most), 1),
            at=f"{at:%Y-%m-%d}" if step.days else f"{at:%Y-%m-%d %H:%M}",
            n=n,
        )
        for place, (at, n) in enumerate(points)
    ]
    path = " L".join(f"{dot.x} {dot.y}" for dot in dots)
    every = max(1, -(-len(dots) // TICKS))
    return Curve(
        unit="day" if step.days else "hour",
        most=most,
        line=f"M{path}",
        area=f"M{dots[0].x} {HOURS_HIGH} L{path} L{dots[-1].x} {HOURS_HIGH} Z",
        dots=dots if len(dots) <= MOST_DOTS else (),
        ticks=dots[::every],
    )


def _evened(
    counted: dict[datetime, int],
) -> tuple[timedelta, Sequence[tuple[datetime, int]]]:
    """Return a point for each hour in between, or for each day where they are many."""
    first, last, step = min(counted), max(counted), timedelta(hours=1)
    if last - first > timedelta(hours=MOST_HOURS):
        step = timedelta(days=1)
        days: dict[datetime, int] = {}
        for at, n in counted.items():
            day = at.replace(hour=0)
            days[day] = days.get(day, 0) + n
        counted, first = days, first.replace(hour=0)
    points, at = [], first
    while at <= last:
        points.append((at, counted.get(at, 0)))
        at += step
    return step, points
