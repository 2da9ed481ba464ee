"""`pushsvc push report`: what came of a push, as tables, JSON, CSV or a page."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
import typer
from rich.console import Console, RenderableType

from pushsvc.api.v1.report_page import page_of
from pushsvc.api.v1.report_table import COUNTS, DIMENSIONS, NO_REASON, csv_of, label
from pushsvc.api.v1.report_views import push_document
from pushsvc.cli import output, session, watching
from pushsvc.cli.display import result, table
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.lines import opened
from pushsvc.cli.options import Json, PushId
from pushsvc.resources import Resources
from pushsvc.review import reports

ReportForm = Literal["table", "json", "csv", "html"]
Form = Annotated[ReportForm, typer.Option("--format", help="What to make of it.")]
Output = Annotated[Path | None, typer.Option("--output", help="A file that takes it; - is stdout.")]
Document = Mapping[str, Any]

#: Columns that a table always has; the others where there is something to count.
_ALWAYS: Final = frozenset({"audience", "sent", "failed"})
#: Width of the tables in a file.
_FILE_COLUMNS: Final = 160


def report(
    push_id: PushId, *, form: Form = "table", output_file: Output = None, as_json: Json = False
) -> None:
    """Report what came of a push: in all, and by variant, platform, time zone and hour."""

    async def work(resources: Resources) -> Document:
        async with resources.engine.connect() as connection:
            push = await watching.find_push(connection, push_id)
        return push_document(await reports.of_push(resources, push))

    refuse_two_forms(form, output_file, as_json=as_json)
    show(session.run(work), form, output_file, as_json=as_json)


def refuse_two_forms(form: ReportForm, to: Path | None, *, as_json: bool) -> None:
    """Refuse what would print JSON and something else.

    Raises:
        CommandError: says which option to leave out.
    """
    if as_json and form in {"csv", "html"} and (to is None or str(to) == "-"):
        message = f"--json: With `--format {form}` stdout has that alone. Name an --output file."
        raise CommandError(message, code="usage", status=MISTAKE, field="--json")


def show(document: Document, form: ReportForm, to: Path | None, *, as_json: bool) -> None:
    """Print a report in the form that was asked for, or write it to a file and say so."""
    if to is not None and str(to) != "-":
        with opened(to, "wb", field="--output") as file:
            file.write(_TEXTS[form](document).encode())
        told = f"The report is in {to}."
        result({"file": str(to), "format": form}, told, as_json=as_json)
    elif as_json:
        output.json_line({"report": document})
    elif form == "table":
        result({}, *tables(document), as_json=False)
    else:
        output.plain(_TEXTS[form](document).rstrip("\r\n"))


def tables(document: Document) -> list[RenderableType]:
    """Return a report as people read it at a terminal."""
    shown: list[RenderableType] = [_heading(document)]
    if document["ledger_dropped"]:
        shown.append(
            "The outcomes of single devices are older than what is kept: "
            "totals and platforms are whole, the rest lacks them."
        )
    columns = [name for name in COUNTS if name in _ALWAYS or document["total"][name]]
    rows = [_row(_heading(document), document["total"], columns)]
    shown.append(table(("", *columns, "opens", "open rate"), rows))
    if "runs" in document:
        shown.append(_runs(document, columns))
    for key, dimension in DIMENSIONS.items():
        if lines := document[key]:
            rows = [_row(label(dimension, line["value"]), line, columns) for line in lines]
            shown.append(table((dimension.value, *columns, "opens", "open rate"), rows))
    excluded = document["total"]["excluded_by"]
    if excluded:
        shown.append(table(("excluded by", "devices"), list(excluded.items())))
    if document["failures"]:
        failures = [
            (one["reason"] or NO_REASON, one["class"], one["devices"])
            for one in document["failures"]
        ]
        shown.append(table(("failed for", "class", "devices"), failures))
    return shown


def _heading(document: Document) -> str:
    if "campaign" in document:
        campaign = document["campaign"]
        older = ", the newest runs" if document["next_cursor"] else ""
        return f"campaign {campaign['name']} ({campaign['state']}{older})"
    push = document["push"]
    return f"push {push['id']} ({push['state']})"


def _runs(document: Document, columns: list[str]) -> RenderableType:
    nothing = dict.fromkeys((*COUNTS, "opens", "open_rate"))
    rows = [
        [
            one["number"],
            one["push_time"],
            one["push_id"],
            one["push_state"] or one["reason"] or one["state"],
            *_row("", one["figures"] or nothing, columns)[1:],
        ]
        for one in document["runs"]
    ]
    return table(("run", "time", "push", "state", *columns, "opens", "open rate"), rows)


def _row(name: str, figures: Mapping[str, Any], columns: list[str]) -> list[object]:
    rate = figures["open_rate"]
    counts = [figures[column] for column in columns]
    return [name, *counts, figures["opens"], None if rate is None else f"{rate:.1%}"]


def _text_of(document: Document) -> str:
    console = Console(width=_FILE_COLUMNS, color_system=None, highlight=False)
    with console.capture() as captured:
        for one in tables(document):
            console.print(one, markup=False)
    return captured.get()


def _json_of(document: Document) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


_TEXTS: Final[Mapping[ReportForm, Callable[[Document], str]]] = {
    "table": _text_of,
    "json": _json_of,
    "csv": csv_of,
    "html": page_of,
}
