"""Templates from the command line."""

import io
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Pushsvc

pytestmark = pytest.mark.integration

HELLO: dict[str, Any] = {"data": {"alert": "Hello {{ name }}"}, "variables": {"shop": "Ours"}}


@pytest.fixture
def name(pushsvc: Pushsvc) -> str:
    """An app of this test alone."""
    name = f"app-{uuid.uuid4().hex[:12]}"
    assert pushsvc("app", "create", name).status == 0
    return name


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a template."""
    path = tmp_path / "hello.json"
    path.write_text(json.dumps(HELLO, indent=2), encoding="utf-8")
    return path


def test_a_template_is_set_listed_shown_and_deleted(
    pushsvc: Pushsvc, name: str, file: Path
) -> None:
    """As `/v1/templates` has it, in JSON and for people."""
    app = ("--app", name)
    assert "No templates yet" in pushsvc("template", "list", *app).out

    made = pushsvc("template", "set", "hello", str(file), *app, "--json").json
    again = pushsvc("template", "set", "hello", str(file), *app)

    assert made["created"] is True
    assert made["template"] == HELLO | {
        "name": "hello",
        "variables_used": ["name"],
        "created_at": made["template"]["created_at"],
        "updated_at": made["template"]["updated_at"],
    }
    assert "replaced" in again.out
    shown = pushsvc("template", "show", "hello", *app)
    assert "Hello {{ name }}" in shown.out
    assert "Variables: name." in shown.out
    one = pushsvc("template", "show", "hello", *app, "--json").json["template"]
    assert pushsvc("template", "list", *app, "--json").json["templates"] == [one]
    assert "hello" in pushsvc("template", "list", *app).out

    assert pushsvc("template", "delete", "hello", *app, "--json").json == {"deleted": "hello"}
    for command in ("show", "delete"):
        ended = pushsvc("template", command, "hello", *app, "--json")
        assert (ended.status, ended.error["code"]) == (2, "unknown_template")
        assert "pushsvc template list" in ended.err


def test_a_template_is_read_from_stdin(
    pushsvc: Pushsvc, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a script can make it; a mark of the byte order is no part of it."""
    raw = b"\xef\xbb\xbf" + json.dumps(HELLO).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))

    made = pushsvc("template", "set", "hello", "-", "--app", name, "--json")

    assert made.json["template"]["data"] == HELLO["data"]


@pytest.mark.parametrize(
    ("named", "content", "code", "told"),
    [
        ("t", "{", "malformed_json", "not JSON"),
        ("t", "[]", "invalid_request", "must be a JSON object"),
        ("t", "{}", "invalid_request", "/data is missing"),
        ("t", '{"data": {"alert": "x"}, "to": 1}', "invalid_request", 'Unknown key "to"'),
        ("t", '{"data": {"alert": "{{ x"}}', "invalid_template", "/data/alert"),
        ("a b", '{"data": {"alert": "x"}}', "invalid_template", "1 to 64 characters"),
        ("t", " " * 2_000_000, "file", "larger than 1 MB"),
        ("t", None, "file", "cannot be read"),
    ],
)
def test_what_the_api_refuses_is_refused_here(
    pushsvc: Pushsvc,
    name: str,
    file: Path,
    *,
    named: str,
    content: str | None,
    code: str,
    told: str,
) -> None:
    """The same checks, with status 2 and nothing stored."""
    file.unlink() if content is None else file.write_text(content, encoding="utf-8")

    ended = pushsvc("template", "set", named, str(file), "--app", name, "--json")

    assert (ended.status, ended.error["code"]) == (2, code)
    assert told in ended.err
    assert pushsvc("template", "list", "--app", name, "--json").json["templates"] == []


def test_a_push_is_sent_by_a_template(pushsvc: Pushsvc, name: str, file: Path) -> None:
    """`--var` is JSON where it can be read so, else text; other options win over the template."""
    pushsvc("template", "set", "hello", str(file), "--app", name)

    sent = pushsvc(
        *("send", "--app", name, "--channel", "c", "--template", "hello", "--sound", "s", "--json"),
        *("--var", "n=7", "--var", 'o={"a": [1]}', "--var", "t=two words", "--var", "e="),
        *("--var", "x=a=b", "--var", "nan=NaN", "--var", 's="7"'),
    ).json["push"]

    assert sent["template"] == "hello"
    assert sent["data"] == HELLO["data"] | {"sound": "s"}
    assert sent["variables"] == {
        "shop": "Ours",
        "n": 7,
        "o": {"a": [1]},
        "t": "two words",
        "e": "",
        "x": "a=b",
        "nan": "NaN",
        "s": "7",
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["--template", "helo"], "no template helo", id="unknown"),
        pytest.param(["--alert", "x", "--var", "name"], "NAME=VALUE", id="no value"),
        pytest.param(["--alert", "x", "--var", "=1"], "NAME=VALUE", id="no name"),
        pytest.param(["--alert", "{{ x"], "--alert", id="no text"),
        pytest.param(["--var", "a=1"], "data", id="nothing to say"),
    ],
)
def test_a_bad_push_is_refused(
    pushsvc: Pushsvc, name: str, arguments: list[str], told: str
) -> None:
    """With what is wrong."""
    ended = pushsvc("send", "--app", name, "--channel", "c", *arguments)

    assert ended.status == 2
    assert told in ended.err
