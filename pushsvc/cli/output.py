"""What commands print: plain lines and JSON to stdout, the one line of an error to stderr."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def plain(line: str) -> None:
    """Print a line to stdout as it is."""
    print(line, flush=True)  # noqa: T201 - stdout is what a command line is for


def json_line(value: Mapping[str, Any]) -> None:
    """Print an object as one line; times in ISO 8601, what else JSON does not know as text."""
    plain(json.dumps(value, default=_text, separators=(",", ":")))


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def complain(message: str) -> None:
    """Print an error to stderr, as one line."""
    line = " ".join(message.split())
    print(f"pushsvc: {line}", file=sys.stderr, flush=True)  # noqa: T201 - as in plain()
