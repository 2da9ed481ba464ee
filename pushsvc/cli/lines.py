"""Files that are read or written line by line, whatever is in them."""

import codecs
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from pushsvc.cli.failures import MISTAKE, CommandError

#: Parse's limit for an object is 128 KB; what is longer is no installation.
LINE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file that is not empty."""

    number: int
    content: bytes
    #: in the file, the newline and what was skipped too
    size: int


@contextlib.contextmanager
def opened(path: Path | None, mode: str, *, field: str = "FILE") -> Iterator[Any]:
    """Open a file, stdin or stdout for -, nothing for None.

    Raises:
        CommandError: it cannot be opened.
    """
    if path is None:
        yield None
    elif str(path) == "-":
        yield sys.stdin.buffer if "r" in mode else sys.stdout.buffer
    else:
        try:
            file = path.open(mode)
        except OSError as error:
            message = f"{path} cannot be opened: {error.strerror}."
            raise CommandError(message, code="file", status=MISTAKE, field=field) from error
        with file:
            yield file


def lines_of(file: IO[bytes]) -> Iterator[Line]:
    """Yield the lines that are not empty; of one that is too long, the beginning."""
    number = skipped = 0
    while content := file.readline(LINE_BYTES + 1):
        number += 1
        size = len(content)
        if number == 1:
            # Some editors begin a file with it; it is no part of the line.
            content = content.removeprefix(codecs.BOM_UTF8)
        while not content.endswith(b"\n") and (rest := file.readline(LINE_BYTES)):
            size += len(rest)
            if rest.endswith(b"\n"):
                break
        if content.strip():
            yield Line(number, content.rstrip(b"\r\n"), size + skipped)
            skipped = 0
        else:
            skipped += size
