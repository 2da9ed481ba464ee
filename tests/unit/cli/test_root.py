"""The table of commands, and how a command's end becomes an exit status."""

import importlib
import json
from pathlib import Path

import pytest

from pushsvc.cli import failures, root
from pushsvc.cli.failures import CommandError
from pushsvc.config import SettingsError
from pushsvc.errors import InvalidPushError, UnavailableError
from pushsvc.storage.apps import AppExistsError

COMMANDS = list(root.COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_loads_and_says_what_it_does(name: str) -> None:
    """A command that the table lists can be imported and has a help text."""
    command = root.load_command(name)

    assert command.name == name
    assert command.help


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`pushsvc --help` shows each command and exits with 0."""
    assert root.run(["--help"]) == 0

    shown = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in shown] == []


def test_help_does_not_import_the_commands() -> None:
    """`pushsvc --help` is quick because the table stands for the commands."""
    root_command = root.root()

    assert all(command.callback is None for command in root_command.commands.values())


def test_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """`pushsvc --version` prints the version and exits with 0."""
    assert root.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pushsvc ")


SEND = ["send", "--app", "a", "--alert", "x"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["snd"], "'send'", id="a typing error is answered with the nearest command"),
        pytest.param(["app", "create"], "'name'", id="a missing argument is named"),
        pytest.param(["worker", "--proceses", "2"], "--processes", id="an unknown option"),
        pytest.param(["demo", "--devices", "0"], "--devices", id="a number out of range"),
        pytest.param(["send", "--app", "a", "--alert", "x"], "--channel", id="no audience"),
        pytest.param(
            ["send", "--app", "a", "--channel", "c", "--where", "{}"], "--where", id="two audiences"
        ),
        pytest.param(
            ["send", "--app", "a", "--where", "{", "--alert", "x"], "--where: not JSON", id="JSON"
        ),
        pytest.param(
            ["send", "--app", "a", "--channel", "c", "--data", "[1]"], "--data: must", id="object"
        ),
        *(
            pytest.param([*SEND, "--where", text], f"--where: {told}", id=f"--where, {told}")
            for text, told in (
                ('{"a":' * 5_000, "not JSON"),
                ('{"a":' * 500 + "1" + "}" * 500, "nested too deeply"),
                ('{"a": NaN}', "not JSON"),
                (r'{"a": "\ud800"}', "not JSON"),
                ('{"a": "\udcff"}', "not JSON: str is not valid UTF-8"),
            )
        ),
        pytest.param(
            ["app", "create", "x", "--master-key", "two words"], "--master-key", id="key with space"
        ),
        pytest.param(["app", "create", " "], "NAME: must not be empty", id="an empty name"),
        pytest.param(["key", "create", "--app", "a"], "--scope", id="an api key needs a scope"),
        pytest.param(
            ["key", "create", "--app", "a", "--scope", "sned"], "'sned'", id="unknown scope"
        ),
        pytest.param(
            ["key", "create", "--app", "a", "--kind", "rest", "--scope", "send"],
            "give none",
            id="Parse's keys have no scopes",
        ),
    ],
)
def test_a_mistake_is_one_line_with_status_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage exits with 2 and one line on stderr that names what is wrong."""
    assert root.run(arguments) == 2

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert told in lines[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\n", "empty; it must hold a JSON object"),
        (b"[]", "must be a JSON object"),
        (b'{"where": {}}\n{"where": {}}', "not JSON: unexpected content after document: line 2"),
        (b'{"data": "\xff"}', "not JSON: str is not valid UTF-8"),
    ],
)
def test_a_file_that_holds_no_push_is_named(
    content: bytes, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several in a script, one is told which it was."""
    file = tmp_path / "push.json"
    file.write_bytes(content)

    assert root.run([*SEND, "--where", "{}", "--file", str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"pushsvc: {file}: {told}")


def test_with_json_the_error_is_the_last_line_of_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A program that reads our JSON reads our errors as JSON, too."""
    assert root.run(["app", "create", "--json"]) == 2

    told = capsys.readouterr()
    error = json.loads(told.out.splitlines()[-1])["error"]
    assert error["code"] == "usage"
    assert error["message"] in told.err


def test_an_unknown_setting_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PUSHSVC_PROT is answered with the setting that was meant."""
    monkeypatch.setenv("PUSHSVC_PROT", "1")

    assert root.run(["app", "list"]) == 2
    assert "Did you mean PUSHSVC_PORT" in capsys.readouterr().err


def test_config_option_names_the_settings_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--config stands in for PUSHSVC_CONFIG, so a file that is not there is told."""
    monkeypatch.setenv("PUSHSVC_CONFIG", "")

    assert root.run(["--config", "/nowhere.toml", "app", "list"]) == 2
    assert "/nowhere.toml" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(failures.KNOWN))
def test_every_known_error_exists(name: str) -> None:
    """The table of errors names classes by their path; a renamed class must not drop out of it."""
    module, _, class_name = name.rpartition(".")

    assert issubclass(getattr(importlib.import_module(module), class_name), Exception)


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        pytest.param(SettingsError("x"), "settings", 2, id="a setting is the user's mistake"),
        pytest.param(AppExistsError("x"), "exists", 1, id="a name that is taken is a failure"),
        pytest.param(
            InvalidPushError("no data", field="data"), "invalid_push", 2, id="what the API refuses"
        ),
        pytest.param(UnavailableError("gone"), "unavailable", 1, id="what the API cannot do"),
        pytest.param(ConnectionRefusedError("no"), "system", 1, id="the system's errors"),
        pytest.param(CommandError("x", code="own", status=2), "own", 2, id="our own"),
    ],
)
def test_known_errors_have_code_and_status(error: Exception, code: str, status: int) -> None:
    """Each error a user can cause or mend has a stable code and the right exit status."""
    known = failures.describe(error)

    assert known is not None
    assert (known.code, known.status) == (code, status)


def test_a_refused_field_is_named() -> None:
    """What the API says of a field is told with the field."""
    known = failures.describe(InvalidPushError("A push needs data.", field="data"))

    assert known is not None
    assert str(known) == "data: A push needs data."
    assert known.as_json() == {
        "code": "invalid_push",
        "message": "data: A push needs data.",
        "field": "data",
    }


def test_a_defect_of_ours_is_not_dressed_up() -> None:
    """An error nobody foresaw keeps its traceback, which its report needs."""
    assert failures.describe(KeyError("x")) is None
