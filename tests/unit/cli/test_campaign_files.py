"""`pushsvc campaign validate`: every fault of every file by its line, and when a campaign runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from pushsvc.cli import root

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").iterdir())
GOOD = "name: a\naudience: {where: {}}\ncontent: {data: {alert: x}}\nschedule: {every: 1d}\n"


class Validate:
    """Runs the command on files."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capsys = capsys

    def file(self, name: str, content: str | bytes) -> str:
        """Write a file, and return its path."""
        path = self.directory / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def told(self, *arguments: str) -> tuple[int, str, str]:
        """The status, stdout and stderr."""
        status = root.run(["campaign", "validate", *arguments])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def json(self, *arguments: str) -> tuple[int, Any]:
        """The status and the object."""
        status, out, _ = self.told(*arguments, "--json")
        return status, json.loads(out)


@pytest.fixture
def validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Validate:
    """The command, with a directory for files."""
    return Validate(tmp_path, capsys)


def test_the_examples_are_good(validate: Validate) -> None:
    """What the guide leads to can be taken as it is."""
    status, found = validate.json(*map(str, EXAMPLES))

    assert [one["faults"] for one in found["files"]] == [[]] * len(EXAMPLES)
    assert status == 0
    assert all(one["next_runs"] for one in found["files"])


def test_the_first_file_of_the_guide_is_good(validate: Validate) -> None:
    """It has the four keys that a campaign must have."""
    guide = (Path(__file__).parents[3] / "docs" / "campaigns.md").read_text(encoding="utf-8")
    first = guide.split("```yaml\n")[1].split("```")[0]

    status, out, _ = validate.told(validate.file("first.yaml", first))

    assert status == 0
    assert "campaign autumn-sale, at 09:00 on Monday, by the clock of Europe/Berlin" in out


def test_all_faults_of_all_files_are_told_by_their_lines(validate: Validate) -> None:
    """In the order of the lines, with the field once; a good file is told beside them."""
    bad = GOOD.replace("1d", "1 day").replace("where: {}", "where: {}, channels: [a]")
    files = [validate.file("bad.yaml", bad + "late: never\nna: 1\n"), validate.file("b.yml", GOOD)]

    status, out, err = validate.told(*files)
    _, found = validate.json(*files)

    assert (status, err) == (1, "")
    faults = [line for line in out.splitlines() if line.startswith(f"{files[0]}:")]
    assert [line.removeprefix(f"{files[0]}:").split(": ")[:2] for line in faults] == [
        ["2:1", "/audience"],
        ["4:19", "/schedule/every"],
        ["5:7", "/late"],
        ["6:5", "/na"],
    ]
    assert f"{files[1]}: campaign a, every 1d." in out
    assert [one["valid"] for one in found["files"]] == [False, True]
    assert found["files"][0]["faults"][3]["code"] == "unknown_key"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: [", "It is no YAML here"),
        ("", "A campaign is a mapping"),
        (GOOD.replace("every: 1d", "at: 2020-01-01T00:00:00Z"), ":4:1: /schedule: all of its"),
        (GOOD.replace("where: {}", "where: {$foo: 1}"), "/audience/where/$foo: Invalid key"),
        (GOOD.replace("alert: x", "alert: 3"), ":3:25: /content/data/alert: The alert"),
    ],
    ids=["no YAML", "empty", "past", "query", "content"],
)
def test_what_is_no_campaign_is_told(validate: Validate, content: str, told: str) -> None:
    """Neither is one whose time has passed."""
    status, out, _ = validate.told(validate.file("a.yaml", content))

    assert status == 1
    assert told in out


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"name: \xff", "line 1: no UTF-8"), (b" " * 600_000, "larger than"), (None, "cannot be")],
)
def test_a_file_that_cannot_be_read_is_a_mistake(
    validate: Validate, content: bytes | None, told: str
) -> None:
    """It is not the campaign that is wrong."""
    path = validate.file("a.yaml", content or b"")
    if content is None:
        Path(path).unlink()

    status, _, err = validate.told(path)

    assert status == 2
    assert told in err
