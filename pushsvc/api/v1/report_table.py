"""A report as one tidy table: a line for each value of each thing it is by. Pure."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pushsvc.model import OUTCOME_OF, Dimension, Json, Outcome

#: What stands for a value that is not there, and for the zone of devices without one.
NOT_KNOWN: Final = "(not known)"
NO_ZONE: Final = "(no time zone)"
#: And for that of failures without one: a line with none counts all of them.
NO_REASON: Final = "(no reason)"
#: Key of a report's document -> what its lines are by.
DIMENSIONS: Final[Mapping[str, Dimension]] = {
    f"by_{one.value}": one for one in Dimension if one is not Dimension.RUN
}
#: Rules that leave devices out.
RULES: Final[Sequence[str]] = [
    one.name.lower() for one, word in OUTCOME_OF.items() if word is Outcome.EXCLUDED
]
#: Of a line; failures have them by reason.
COUNTS: Final = ("audience", "open", *(outcome.value for outcome in Outcome))
_HEADINGS: Final = (
    "dimension",
    "value",
    "reason",
    *COUNTS,
    *(f"excluded_{rule}" for rule in RULES),
    "possible_duplicates",
    "opens",
    "open_rate",
)
#: A spreadsheet takes a cell that begins so for a formula, and names come from callers and gateways
#: (OWASP, CSV injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_of(document: Json) -> str:
    """Return a report as CSV.

    Lines without a reason add up to the total within each dimension; those with one say how many
    of the failures of the same value have it.
    """
    out = io.StringIO()
    # The line ends of RFC 4180.
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_HEADINGS)
    for dimension, value, figures in _lines(document):
        writer.writerow([_guarded(dimension), _guarded(value), "", *_cells(figures)])
        for reason, n in (figures["failed_by_reason"] or {}).items():
            counted = [n if heading == "failed" else "" for heading in _HEADINGS[3:]]
            writer.writerow(
                [_guarded(dimension), _guarded(value), _guarded(reason or NO_REASON), *counted]
            )
    return out.getvalue()


def label(dimension: Dimension, value: str | None) -> str:
    """Return what people read in place of a value."""
    if value is None:
        return NOT_KNOWN
    if dimension is Dimension.HOUR:
        # 2026-11-22T10:00:00.000Z
        return f"{value[:10]} {value[11:16]}"
    return value or NO_ZONE


def _lines(document: Json) -> Iterator[tuple[str, str, Json]]:
    yield "total", "", document["total"]
    for run in document.get("runs", ()):
        if run["figures"] is not None:
            yield Dimension.RUN.value, str(run["number"]), run["figures"]
    for key, dimension in DIMENSIONS.items():
        for line in document[key]:
            # A program reads the hours.
            is_hour = dimension is Dimension.HOUR and line["value"] is not None
            value = line["value"] if is_hour else label(dimension, line["value"])
            yield dimension.value, value, line


def _cells(figures: Json) -> list[Any]:
    # None is an empty cell.
    return [
        *(figures[name] for name in COUNTS),
        *(figures["excluded_by"].get(rule, 0) for rule in RULES),
        figures["possible_duplicates"],
        figures["opens"],
        figures["open_rate"],
    ]


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
