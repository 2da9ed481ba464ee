"""The settings file, and names that nobody knows."""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PREFIX = "PUSHSVC_"
#: Names the settings file; without it `pushsvc.toml` in the working directory, if there is one.
FILE_VARIABLE = "PUSHSVC_CONFIG"
DEFAULT_FILE = Path("pushsvc.toml")


class SettingsError(Exception):
    """A setting is unknown or has a value it cannot have; the message names it and the remedy."""


def read_file(known: Iterable[str]) -> dict[str, Any]:
    """Return what the settings file says; nothing where there is none.

    Raises:
        SettingsError: it cannot be read, or has a name that is not `known`.
    """
    named = os.environ.get(FILE_VARIABLE)
    path = Path(named) if named else DEFAULT_FILE
    if not named and not path.exists():
        return {}
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        message = f"The settings file {path} ({FILE_VARIABLE}) cannot be read: {error.strerror}."
        raise SettingsError(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"The settings file {path} is not TOML: {error}."
        raise SettingsError(message) from error
    refuse_unknown(content, known, shown=lambda name: f"{name} in {path}")
    return content


def refuse_unknown(
    names: Iterable[str], known: Iterable[str], *, shown: Callable[[str], str]
) -> None:
    """Raise SettingsError for a name nobody knows, with the nearest one."""
    known = [*known, FILE_VARIABLE.removeprefix(PREFIX).lower()]
    for name in names:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = (
            f" Did you mean {shown(near[0])}?" if near else " docs/configuration.md lists them all."
        )
        message = f"Unknown setting {shown(name)}.{hint}"
        raise SettingsError(message)
