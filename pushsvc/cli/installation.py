"""`pushsvc installation`: many installations at once, from a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any, Final

import orjson
import typer
from rich.progress import Progress

from pushsvc.cli import output, session
from pushsvc.cli.display import byte_progress, result
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.lines import LINE_BYTES, Line, lines_of, opened
from pushsvc.cli.options import AppName, Json
from pushsvc.errors import CallerError
from pushsvc.model import App
from pushsvc.resources import Resources
from pushsvc.storage.fields import RULES, Fields, parse_installation_row
from pushsvc.storage.installation_import import import_installations

#: Installations in one transaction; with the longest line this bounds the memory.
ROWS: Final = 1_000
#: Bad lines that are told; the file of `--rejects` has them all.
TOLD: Final = 20

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def installation() -> None:
    """Import installations."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the lines so far; `told` are the first of the rejected ones."""

    lines: int = 0
    inserted: int = 0
    updated: int = 0
    rejected: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)


@app.command(name="import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="One installation in JSON on each line; - for stdin.")
    ],
    *,
    app_name: AppName,
    rejects: Annotated[
        Path | None, typer.Option(help="Write the lines that are refused to this file.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Import installations from a file. Bad lines are reported, the others are kept.

    Fields have Parse's names; what is there already is updated. Exits with 1 if a line was bad.
    """
    if rejects is not None and rejects.exists() and file.exists() and rejects.samefile(file):
        message = "--rejects names the file that is imported, and would empty it. Name another."
        raise CommandError(message, code="same_file", status=MISTAKE, field="--rejects")

    async def work(resources: Resources) -> Tally:
        async with resources.engine.connect() as connection:
            owner = await session.app(connection, app_name)
        with opened(file, "rb") as lines, opened(rejects, "wb") as refused:
            bar = byte_progress(as_json=as_json)
            return await Import(resources=resources, app=owner, refused=refused, bar=bar).read(
                lines, size=_size(file)
            )

    tally = session.run(work)
    value = {
        "lines": tally.lines,
        "inserted": tally.inserted,
        "updated": tally.updated,
        "rejected": tally.rejected,
        "errors": tally.told,
    }
    told = (
        f"{tally.lines:,} lines: {tally.inserted:,} installations new, {tally.updated:,} updated, "
        f"{tally.rejected:,} lines refused."
    )
    result(value, told, as_json=as_json)
    return int(tally.rejected > 0)


@dataclass(slots=True, kw_only=True)
class Import:
    """Reads a file and stores what is good in it, piece by piece."""

    resources: Resources
    app: App
    #: where refused lines go
    refused: IO[bytes] | None
    bar: Progress
    tally: Tally = field(default_factory=Tally)
    _rows: list[Fields] = field(default_factory=list)

    async def read(self, file: IO[bytes], *, size: int | None) -> Tally:
        """Read the file to its end; return what became of its lines."""
        with self.bar:
            task = self.bar.add_task("installations", total=size)
            for line in lines_of(file):
                await self._take(line)
                self.bar.advance(task, line.size)
                if len(self._rows) == ROWS:
                    await self._store()
            await self._store()
            self.bar.update(task, completed=size)
        return self.tally

    async def _take(self, line: Line) -> None:
        self.tally.lines += 1
        try:
            row = parse_line(line.content)
            await self.resources.schemas.settle(self.app.id, RULES, row)
        except ValueError as error:
            self._reject(line, str(error))
        except CallerError as error:
            self._reject(line, error.detail)
        else:
            self._rows.append(row)

    def _reject(self, line: Line, reason: str) -> None:
        self.tally.rejected += 1
        if self.refused is not None:
            self.refused.write(line.content + b"\n")
        if len(self.tally.told) < TOLD:
            self.tally.told.append({"line": line.number, "reason": reason})
            told = f"line {line.number}: {reason}"
            self.bar.console.print(told, markup=False, highlight=False, soft_wrap=True)
        elif self.tally.rejected == TOLD + 1:
            output.complain("More lines are refused; --rejects FILE collects them all.")

    async def _store(self) -> None:
        if not self._rows:
            return
        async with self.resources.engine.begin() as connection:
            stored = await import_installations(connection, self.app.id, self._rows)
        self.tally.inserted += stored.inserted
        self.tally.updated += stored.updated
        self._rows = []


def parse_line(content: bytes) -> Fields:
    """Read an installation.

    Raises:
        ValueError: says what is wrong with it.
    """
    if len(content) > LINE_BYTES:
        message = f"longer than {LINE_BYTES:,} bytes"
        raise ValueError(message)
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        message = f"not JSON: {error}"
        raise ValueError(message) from error
    if not isinstance(body, Mapping):
        message = "not a JSON object"
        raise ValueError(message)  # noqa: TRY004 - one kind of error for every bad line
    try:
        return parse_installation_row(body)
    except CallerError as error:
        raise ValueError(error.detail) from error


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
