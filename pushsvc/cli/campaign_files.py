"""Campaign files: read, told what is wrong with them by line, and `pushsvc campaign validate`."""

import codecs
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from pushsvc.api.v1.campaign_views import next_times
from pushsvc.campaigns import desk, unaided
from pushsvc.campaigns.definition import Definition, parse_definition
from pushsvc.campaigns.file import FILE_BYTES, FileError, FileFault, Source, read
from pushsvc.cli.campaign_words import schedule_words, times_table
from pushsvc.cli.display import result
from pushsvc.cli.failures import FAILURE, MISTAKE, CommandError
from pushsvc.cli.lines import opened
from pushsvc.cli.options import Json
from pushsvc.errors import CallerError, ConfirmationRequiredError, Fault, InvalidRequestError

File = Annotated[
    Path, typer.Argument(help="A file with the campaign, in YAML or JSON; - is stdin.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file that defines a campaign."""

    name: str
    source: Source
    definition: Definition


def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Files with campaigns; - is stdin.")
    ],
    *,
    as_json: Json = False,
) -> int:
    """Tell what is wrong with campaign files, or when they would run. Needs no server.

    Exits with 1 if anything is.
    """
    checked = [_checked(path) for path in files]
    shown = [one for found in checked for one in _told(found)]
    result({"files": checked}, *shown, as_json=as_json)
    return 0 if all(found["valid"] for found in checked) else FAILURE


def _checked(path: Path) -> dict[str, Any]:
    """Return a file's campaign in short, or its faults."""
    name = _name(path)
    try:
        document = _parsed(path)
        times = _next_times(document)
        _check_alone(document)
    except FileError as error:
        faults = sorted(map(_fault_shown, error.faults), key=itemgetter("line", "column"))
        return {"file": name, "valid": False, "faults": faults}
    schedule = document.definition.schedule.model_dump(exclude_none=True)
    return {
        "file": name,
        "valid": True,
        "name": document.definition.name,
        "schedule": schedule_words(schedule),
        "zone": schedule.get("zone"),
        "next_runs": times,
        "faults": [],
    }


def _next_times(document: Document) -> list[str]:
    """Return the next times.

    Raises:
        FileError: there are none.
    """
    now = datetime.now(UTC)
    with _by_line(document.source):
        first = desk.first_time(document.definition, now=now, anchor=now)
    return next_times(document.definition, first, now=now, anchor=now)


def _check_alone(document: Document) -> None:
    """Check what a server would, as far as that goes without one.

    Raises:
        FileError: what it would refuse.
    """
    if faults := unaided.faults_of(document.definition):
        raise FileError([document.source.placed(one) for one in faults])


def _told(checked: dict[str, Any]) -> Iterator[RenderableType]:
    if not checked["valid"]:
        yield from (_line(checked["file"], one) for one in checked["faults"])
        return
    yield f"{checked['file']}: campaign {checked['name']}, {checked['schedule']}."
    yield times_table(checked["next_runs"], checked["zone"])


# ---------------------------------------------------------------- read


def document_in(path: Path) -> Document:
    """Return the campaign in a file.

    Raises:
        CommandError: the file cannot be read, or says what is wrong in it, by line.
    """
    try:
        return _parsed(path)
    except FileError as error:
        raise _refused(_name(path), error.faults) from error


@contextmanager
def by_line(document: Document) -> Iterator[None]:
    """Have what a server says of a campaign name the line of its file.

    Raises:
        CommandError: in place of an error that names a field of the file.
    """
    try:
        yield
    except ConfirmationRequiredError:
        # It is a question to people, and nothing that the file could say better.
        raise
    except InvalidRequestError as error:
        raise _refused(document.name, document.source.faults(error)) from error
    except CallerError as error:
        if not (error.field or "").startswith("/"):
            raise
        fault = document.source.placed(Fault(error.field or "", error.code, error.detail))
        raise _refused(document.name, [fault]) from error


@contextmanager
def _by_line(source: Source) -> Iterator[None]:
    try:
        yield
    except InvalidRequestError as error:
        raise FileError(source.faults(error)) from error


def _parsed(path: Path) -> Document:
    """Return the campaign in a file.

    Raises:
        CommandError: it cannot be read.
        FileError: what is wrong in it.
    """
    source = read(_text(path))
    with _by_line(source):
        definition = parse_definition(source.body)
    return Document(name=_name(path), source=source, definition=definition)


def _text(path: Path) -> str:
    name = _name(path)
    try:
        with opened(path, "rb") as file:
            raw: bytes = file.read(FILE_BYTES + 1)
    except OSError as error:
        message = f"{name} cannot be read: {error.strerror}."
        raise CommandError(message, code="file", status=MISTAKE, field="FILE") from error
    if len(raw) > FILE_BYTES:
        message = f"{name} is larger than {FILE_BYTES:,} bytes."
        raise CommandError(message, code="file", status=MISTAKE, field="FILE")
    try:
        return raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"{name} line {line}: no UTF-8. Save the file in UTF-8."
        raise CommandError(message, code="file", status=MISTAKE, field="FILE") from error


def _name(path: Path) -> str:
    return "stdin" if str(path) == "-" else str(path)


# ---------------------------------------------------------------- told


def _fault_shown(fault: FileFault) -> dict[str, Any]:
    return {
        "line": fault.line,
        "column": fault.column,
        "pointer": fault.pointer,
        "code": fault.code,
        "detail": fault.detail,
    }


def _line(name: str, fault: dict[str, Any]) -> str:
    """Return a fault as editors and compilers have it, with its field once."""
    pointer, detail = fault["pointer"], fault["detail"]
    field = "" if not pointer or detail.startswith(pointer) else f"{pointer}: "
    return f"{name}:{fault['line']}:{fault['column']}: {field}{detail}"


def _refused(name: str, faults: Iterable[FileFault]) -> CommandError:
    shown = [_fault_shown(one) for one in faults]
    message = " ".join(_line(name, one) for one in shown)
    field, code = shown[0]["pointer"] or "FILE", shown[0]["code"]
    return CommandError(message, code=code, status=MISTAKE, field=field)
