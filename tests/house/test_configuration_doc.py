"""docs/configuration.md names every setting, with its default and its description."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from pushsvc.config import DEFAULT_FILE, FILE_VARIABLE, PREFIX, Settings

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
ROWS = {
    match[1]: match[0] for match in re.finditer(r"^\| `([a-z_]+)` \|.*$", PAGE, flags=re.MULTILINE)
}


def expected(name: str, field: FieldInfo) -> str:
    """The line of the table, as the model has it."""
    default = field.default
    shown = "unset" if default is None else f"`{default}`"
    described = (field.description or "").replace("|", "\\|")
    return f"| `{name}` | `{PREFIX}{name.upper()}` | {shown} | {described} |"


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_has_its_line(name: str) -> None:
    """A setting that is added or changed is added or changed in the table."""
    assert ROWS.get(name) == expected(name, Settings.model_fields[name])


def test_no_line_is_of_a_setting_that_is_gone() -> None:
    """The table names nothing that the service would refuse."""
    assert sorted(ROWS.keys() - Settings.model_fields.keys()) == []


def test_the_table_is_in_the_order_of_the_model() -> None:
    """Settings that belong together stand together."""
    assert list(ROWS) == list(Settings.model_fields)


def test_the_settings_file_is_named() -> None:
    """The page says where the file is looked for."""
    assert FILE_VARIABLE in PAGE
    assert str(DEFAULT_FILE) in PAGE


def test_no_secret_has_a_default() -> None:
    """A default secret would be everybody's."""
    secrets = [f for f in Settings.model_fields.values() if isinstance(f.default, SecretStr)]
    assert secrets == []
