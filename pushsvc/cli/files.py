"""JSON files that commands read, with the checks that a body of the API has."""

import codecs
import contextlib
import sys
from pathlib import Path
from typing import Any

from pushsvc.api.body import as_object, parse
from pushsvc.cli.failures import MISTAKE, CommandError


def object_in(file: Path, *, field: str, most_megabytes: int) -> dict[str, Any]:
    """Return the JSON object in a file; `-` is stdin.

    Raises:
        CommandError: the file cannot be read, or is too large.
        CallerError: what the API would answer.
    """
    most = most_megabytes * 1_048_576
    try:
        with contextlib.ExitStack() as stack:
            is_stdin = str(file) == "-"
            stream = sys.stdin.buffer if is_stdin else stack.enter_context(file.open("rb"))
            raw = stream.read(most + 1)
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}."
        raise CommandError(message, code="file", status=MISTAKE, field=field) from error
    if len(raw) > most:
        message = f"{file} is larger than {most_megabytes} MB."
        raise CommandError(message, code="file", status=MISTAKE, field=field)
    return as_object(parse(raw.removeprefix(codecs.BOM_UTF8)))
