"""Results for people: rich tables and progress bars, or the same as one JSON line."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from rich import box
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from pushsvc.cli import output

#: How times are shown: UTC, to the second.
TIME_FORMAT = "%Y-%m-%d %H:%M:%SZ"
PIPED_COLUMNS: Final = 240


def result(value: Mapping[str, Any], *shown: RenderableType, as_json: bool) -> None:
    """Print what came of a command: `value` as JSON, or else what is shown to people."""
    if as_json:
        output.json_line(value)
        return
    # Soft wrap: a key or a URL must survive a narrow terminal in one piece.
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        # What is searched for in a pipe is not broken at the columns of no terminal.
        console.width = max(console.width, PIPED_COLUMNS)
    for renderable in shown:
        console.print(Text(renderable) if isinstance(renderable, str) else renderable)


#: Columns of ids, which are copied: in a narrow terminal the others are wrapped first.
_IDS: Final = frozenset({"id", "push"})


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> Table:
    """Return a table whose cells are shown as they are; numbers to the right."""
    shown = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left")
    kept = [list(row) for row in rows]
    for place, heading in enumerate(headings):
        numbers = bool(kept) and all(isinstance(row[place], int | float) for row in kept)
        side: Literal["left", "right"] = "right" if numbers else "left"
        whole = heading in _IDS
        shown.add_column(heading, justify=side, overflow="fold", no_wrap=whole)
    for row in kept:
        shown.add_row(*(Text(cell(value)) for value in row))
    return shown


def cell(value: object) -> str:
    """Return a value as people read it in a table."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime(TIME_FORMAT)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def progress(*, as_json: bool) -> Progress:
    """Return a progress bar that counts; see `_progress` for where it shows."""
    return _progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), as_json=as_json)


def byte_progress(*, as_json: bool) -> Progress:
    """Return a progress bar for a file that is read."""
    return _progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), as_json=as_json)


def _progress(*columns: ProgressColumn, as_json: bool) -> Progress:
    """Return a progress bar: on stderr where stdout is for JSON, and none without a terminal."""
    console = Console(stderr=as_json)
    return Progress(
        TextColumn("{task.description}", markup=False),
        *columns,
        console=console,
        disable=not console.is_terminal,
    )
