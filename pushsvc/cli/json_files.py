"""Files that hold one JSON object or several: as they are, in an array, or a line each."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import orjson

from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.lines import LINE_BYTES, lines_of, opened
from pushsvc.model import Json

#: Of a file that must be read as a whole; of JSON lines only one at a time is in memory.
WHOLE_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An object of a file."""

    value: Json
    #: counts from 1
    number: int
    #: the file and where in it, for people
    place: str


def documents(path: Path, *, field: str) -> Generator[Document]:
    """Yield the objects of a file, or of stdin for -.

    Args:
        path: the file.
        field: the option that names it.

    Raises:
        CommandError: it cannot be read, holds nothing, or something else.
    """
    name = "stdin" if str(path) == "-" else str(path)
    with opened(path, "rb", field=field) as file:
        try:
            for number, (place, value) in enumerate(_places(file), start=1):
                yield Document(value=_object(value, place), number=number, place=name + place)
        except _FormError as error:
            message = f"{name}{error.place}: {error}."
            raise CommandError(message, code="file", status=MISTAKE, field=field) from error
        except OSError as error:
            message = f"{name} cannot be read: {error.strerror}."
            raise CommandError(message, code="file", status=MISTAKE, field=field) from error


class _FormError(Exception):
    """What the file holds is not JSON objects."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place


def _places(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield the values of the file, each with its place in it."""
    number, first = _first_line(file)
    if _is_object(first):
        yield f" line {number}", orjson.loads(first)
        for line in lines_of(file):
            place = f" line {number + line.number}"
            if len(line.content) > LINE_BYTES:
                raise _FormError(place, f"longer than {LINE_BYTES:,} bytes")
            yield place, _parsed(line.content, place)
    else:
        yield from _values(_whole(file, number, first))


def _first_line(file: IO[bytes]) -> tuple[int, bytes]:
    """Return the first line that is not empty, and its number."""
    number = 0
    while line := file.readline(WHOLE_BYTES + 1):
        number += 1
        # Some editors begin a file with it.
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if line.strip():
            return number, line
    raise _FormError("", "empty; it must hold JSON objects")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _whole(file: IO[bytes], number: int, first: bytes) -> bytes:
    content = b"\n" * (number - 1) + first + file.read(WHOLE_BYTES + 1 - len(first))
    if len(content) > WHOLE_BYTES:
        text = f"larger than {WHOLE_BYTES >> 20} MB; write each object on a line of its own"
        raise _FormError("", text)
    return content


def _values(content: bytes) -> Iterator[tuple[str, Any]]:
    value = _parsed(content, "")
    if isinstance(value, list):
        if not value:
            raise _FormError("", "an empty array; it must hold JSON objects")
        yield from ((f" item {place}", one) for place, one in enumerate(value, start=1))
    else:
        yield "", value


def _parsed(content: bytes, place: str) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        place = place or f" line {error.lineno}"
        raise _FormError(place, f"not JSON: {error.msg} (column {error.colno})") from error


def _object(value: Any, place: str) -> Json:
    if not isinstance(value, dict):
        raise _FormError(place, f"not a JSON object, but {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    kinds = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
