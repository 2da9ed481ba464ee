"""docs/cli.md names every command and every option, and none that is not there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pushsvc.cli import root

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
#: heading of a command -> the text below it
SECTIONS = dict(
    re.findall(r"^### `([^`]+)`\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
)
HELP = {"--help"}


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that can be run, by its words."""
    for name in root.COMMANDS:
        yield from leaves(f"pushsvc {name}", root.load_command(name))


def leaves(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if not below:
        yield words, command
        return
    for name, one in below.items():
        yield from leaves(f"{words} {name}", one)


COMMANDS = dict(commands())


def options_of(command: Any) -> set[str]:
    """The options that people may give."""
    return {
        name
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.hidden
        for name in parameter.opts
    } - HELP


def documented_options(section: str) -> set[str]:
    """The options in the list below a heading: those before the colon of each item."""
    items = re.findall(r"^- (.*?):", section, flags=re.MULTILINE)
    return {option for item in items for option in re.findall(r"`(--[a-z0-9-]+)`", item)}


def test_every_command_has_a_heading_and_none_is_made_up() -> None:
    """The page has one section for each command, in the words one types."""
    assert sorted(SECTIONS) == sorted(COMMANDS)


@pytest.mark.parametrize("words", list(COMMANDS))
def test_every_option_is_in_the_list_and_none_is_made_up(words: str) -> None:
    """An option that is added or dropped is added to or dropped from the page."""
    assert documented_options(SECTIONS[words]) == options_of(COMMANDS[words])


@pytest.mark.parametrize("words", list(COMMANDS))
def test_every_command_and_option_has_a_help_text(words: str) -> None:
    """`--help` is no bare list of names."""
    command = COMMANDS[words]
    silent = [p.name for p in command.params if not getattr(p, "hidden", False) and not p.help]

    assert command.help
    assert silent == []
