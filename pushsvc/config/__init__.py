"""Settings: the one reader of the environment and of the settings file."""

import os
from typing import Any

from pydantic import ValidationError

from pushsvc.config.file import DEFAULT_FILE, FILE_VARIABLE, PREFIX, SettingsError, refuse_unknown
from pushsvc.config.settings import SECRET_SETTINGS, Settings

__all__ = [
    "DEFAULT_FILE",
    "FILE_VARIABLE",
    "PREFIX",
    "SECRET_SETTINGS",
    "Settings",
    "SettingsError",
    "load",
]


def load(**overrides: Any) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: a name nobody knows, with the nearest one, or a value that cannot be.
    """
    refuse_unknown(
        (name.removeprefix(PREFIX).lower() for name in os.environ if name.startswith(PREFIX)),
        Settings.model_fields,
        shown=lambda name: f"{PREFIX}{name.upper()}",
    )
    try:
        return Settings(**{k: v for k, v in overrides.items() if v is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "?"
        got = "" if name in SECRET_SETTINGS else f", got {first['input']!r}"
        message = f"Setting {name} ({PREFIX}{name.upper()}): {first['msg']}{got}."
        raise SettingsError(message) from None
