"""A report as one page that needs nothing else: styles, charts, tables in one text. Pure."""

from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, StrictUndefined, Template

from pushsvc.api.v1 import report_charts as charts
from pushsvc.api.v1.report_table import COUNTS, DIMENSIONS, NO_REASON, label
from pushsvc.model import Dimension, Json, Outcome

#: Of a figure.
NONE: Final = "-"
_SOURCE: Final = "report.html"
_TITLES: Final = {
    Dimension.VARIANT: "Variants",
    Dimension.PLATFORM: "Platforms",
    Dimension.ZONE: "Time zones",
    Dimension.HOUR: "Hours",
}
#: What the figures of hours are called in the two curves.
_CURVES: Final = (("Sent", "sent"), ("Opens", "opens"))


def page_of(document: Json) -> str:
    """Return a report as HTML. Names come from callers and gateways: all of them are escaped."""
    total = document["total"]
    return (
        _template()
        .render(
            document=document,
            total=total,
            columns=[name for name in COUNTS if name == "audience" or _has(document, name)],
            sections=[_section(key, dimension, document) for key, dimension in DIMENSIONS.items()],
            runs=_runs(document),
            curves=[
                (title, found)
                for title, name in _CURVES
                if (found := charts.curve(document["by_hour"], name))
            ],
            kinds=[*charts.KINDS, "rate"],
            charts=charts,
            no_reason=NO_REASON,
        )
        .lstrip()
    )


def _has(document: Json, name: str) -> bool:
    return bool(document["total"][name]) or name in {Outcome.SENT, Outcome.FAILED}


def _section(key: str, dimension: Dimension, document: Json) -> dict[str, Any]:
    lines = document[key]
    return {
        "title": _TITLES[dimension],
        "dimension": dimension.value,
        "lines": [{**line, "name": label(dimension, line["value"])} for line in lines],
        # Hours have curves.
        "chart": None
        if dimension is Dimension.HOUR or not lines
        else charts.bars(dimension, lines),
    }


def _runs(document: Json) -> dict[str, Any] | None:
    """Return the runs of a campaign with their figures, those that were skipped without."""
    if "runs" not in document:
        return None
    lines = [
        {"value": f"#{run['number']}  {run['push_time'][:16]}", **run["figures"]}
        for run in document["runs"]
        if run["figures"] is not None
    ]
    return {
        "lines": document["runs"],
        "chart": charts.bars(Dimension.RUN, lines) if lines else None,
        "has_older": document["next_cursor"] is not None,
    }


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    environment.filters["share"] = _share
    source = files("pushsvc.api.v1").joinpath(_SOURCE).read_text(encoding="utf-8")
    return environment.from_string(source)


def _number(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.1%}"
