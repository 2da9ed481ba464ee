"""JSON that commands read from files and options, with the checks that a body of the API has."""

import codecs
import contextlib
import sys
from pathlib import Path
from typing import Any

from pushsvc.api.body import parse
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.errors import CallerError


def object_in(file: Path, *, field: str, most_megabytes: int) -> dict[str, Any]:
    """Return the JSON object in a file; `-` is stdin.

    Raises:
        CommandError: the file cannot be read, or is too large, or holds something else.
    """
    is_stdin = str(file) == "-"
    name = "stdin" if is_stdin else str(file)
    most = most_megabytes * 1_048_576
    try:
        with contextlib.ExitStack() as stack:
            stream = sys.stdin.buffer if is_stdin else stack.enter_context(file.open("rb"))
            raw = stream.read(most + 1)
    except OSError as error:
        message = f"{name} cannot be read: {error.strerror}."
        raise CommandError(message, code="file", status=MISTAKE, field=field) from error
    if len(raw) > most:
        message = f"{name} is larger than {most_megabytes} MB."
        raise CommandError(message, code="file", status=MISTAKE, field=field)
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if not raw.strip():
        message = f"{name}: empty; it must hold a JSON object."
        raise CommandError(message, code="file", status=MISTAKE, field=field)
    return object_of(raw, place=name, field=field)


def object_of(raw: bytes, *, place: str, field: str) -> dict[str, Any]:
    """Return the JSON object that is written in a file or an option.

    Raises:
        CommandError: it is not JSON, or no object, or holds what cannot be stored.
    """
    try:
        value = parse(raw)
    except CallerError as error:
        said = error.detail.removeprefix("The body ").removeprefix("is ")
        message = f"{place}: {said}"
        raise CommandError(message, code=error.code, status=MISTAKE, field=field) from error
    if not isinstance(value, dict):
        message = f'{place}: must be a JSON object, such as {{"key": "value"}}.'
        raise CommandError(message, code="invalid_request", status=MISTAKE, field=field)
    return value


def as_typed(text: str) -> bytes:
    """Return an argument as UTF-8, whatever the locale is; octets that were no text stay such."""
    return text.encode(errors="surrogateescape")
