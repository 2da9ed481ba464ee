"""`pushsvc shape`: files in, a request on each line out, and mistakes told by file and line."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pushsvc.cli import json_files, root
from pushsvc.cli.lines import LINE_BYTES

IOS = {"deviceType": "ios", "deviceToken": "ab" * 32, "appIdentifier": "com.example.app"}
ANDROID = {"deviceType": "android", "deviceToken": "a:b"}
HI = {"data": {"alert": "Hi"}}
NOW = "2026-12-24T18:00:00Z"


class Files:
    """Writes the two files, and runs the command on them."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.installation = directory / "installation.json"
        self.body = directory / "body.json"
        self._capsys = capsys

    def run(
        self, installation: bytes | object, body: bytes | object, *more: str
    ) -> tuple[int, list[Any], str]:
        """The status, the lines of stdout, and stderr."""
        for path, content in ((self.installation, installation), (self.body, body)):
            path.write_bytes(
                content if isinstance(content, bytes) else json.dumps(content, indent=1).encode()
            )
        status = root.run(
            [
                "shape",
                *("--installation", str(self.installation), "--body", str(self.body)),
                *("--now", NOW, *more),
            ]
        )
        told = self._capsys.readouterr()
        return status, [json.loads(line) for line in told.out.splitlines()], told.err

    def alerts(self, installation: bytes | object, body: bytes | object) -> list[Any]:
        """What each line's device is shown; the error of one that has none."""
        status, lines, _ = self.run(installation, body)
        assert status == 0
        return [alert_of(line) for line in lines]


def alert_of(line: dict[str, Any]) -> Any:
    if "body" not in line:
        return line.get("refused") or line["error"]["field"]
    return line["body"]["aps"]["alert"]


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    return Files(tmp_path, capsys)


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def said(alert: str) -> dict[str, Any]:
    return {"data": {"alert": alert}}


def test_one_request(files: Files) -> None:
    """All that the gateway gets, in one object, with its size."""
    status, (found,), err = files.run(
        {**IOS, "name": "Zoë", "badge": 3},
        {"data": {"alert": "Hi {{ name }}", "badge": "Increment"}, "expiration_interval": 60},
    )
    assert (status, err) == (0, "")
    assert list(found) == [
        *("gateway", "method", "path", "headers", "body", "size_bytes", "limit_bytes")
    ]
    assert found == {
        "gateway": "apns",
        "method": "POST",
        "path": f"/3/device/{'ab' * 32}",
        "headers": {
            "apns-id": "00000000-0000-0001-0000-000000000001",
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-expiration": "1798135260",
            "apns-topic": "com.example.app",
        },
        "body": {"aps": {"alert": "Hi Zoë", "badge": 4}},
        "size_bytes": 37,
        "limit_bytes": 4096,
    }


def test_the_text_of_xml_is_the_body(files: Files) -> None:
    """Where the gateway is not sent JSON."""
    channel = "https://db3.notify.windows.com/?token=a%2b"
    device = {"deviceType": "winrt", "channelUris": {"_Default": channel}}
    _, (found,), _ = files.run(device, HI)
    assert found["body"].startswith("<toast>")
    assert found["path"] == "/?token=a%2b"


def test_a_device_that_gets_nothing_is_no_failure(files: Files) -> None:
    """Its line says why."""
    device = {"deviceType": "ios", "deviceToken": "ab"}
    assert files.run(device, HI) == (0, [{"gateway": "apns", "refused": "MissingTopic"}], "")


@pytest.mark.parametrize("form", ["lines", "array", "objects one after the other"])
def test_several_installations_with_one_body(files: Files, form: str) -> None:
    """In any of the forms that a file can have; each installation has a number of its own."""
    devices = [{**IOS, "name": "A"}, {**IOS, "name": "B"}]
    content: object = lines(*devices) if form != "array" else devices
    if form == "objects one after the other":
        content = (
            b"\xef\xbb\xbf\n" + lines(devices[0]) + b"\n  \n" + json.dumps(devices[1]).encode()
        )
    _, found, _ = files.run(content, said("{{ name }}"))
    assert [alert_of(line) for line in found] == ["A", "B"]
    assert [line["headers"]["apns-id"][-1] for line in found] == ["1", "2"]


def test_one_installation_with_several_bodies(files: Files) -> None:
    """Each body is a push of its own."""
    _, found, _ = files.run(IOS, lines(said("a"), said("b"), said("c")))
    assert [alert_of(line) for line in found] == ["a", "b", "c"]
    assert [line["headers"]["apns-id"][15:18] for line in found] == ["001", "002", "003"]


def test_as_many_of_both_line_by_line(files: Files) -> None:
    """The first goes with the first."""
    devices = lines({**IOS, "name": "A"}, {**IOS, "name": "B"})
    assert files.alerts(devices, [said("1 {{ name }}"), said("2 {{ name }}")]) == ["1 A", "2 B"]


@pytest.mark.parametrize(("devices", "bodies"), [(2, 3), (3, 2)])
def test_several_of_both_and_not_as_many_is_a_mistake(
    files: Files, devices: int, bodies: int
) -> None:
    """Nobody can say which was meant to go with which."""
    status, _, err = files.run(lines(*[IOS] * devices), lines(*[HI] * bodies))
    assert status == 2
    more = "--body" if bodies > devices else "--installation"
    assert err.startswith(f"pushsvc: {more} has more than ")


def test_a_body_that_the_api_refuses_is_told_with_its_code(files: Files) -> None:
    """Alone it ends the command; among others it is a line, and the others come out."""
    bad = {"data": {"alert": "Hi", "sound": 5}}
    status, found, err = files.run(IOS, bad)
    assert (status, found) == (2, [])
    assert err.startswith(f"pushsvc: {files.body}: /data/sound: sound must be a string")

    status, found, err = files.run(IOS, lines(HI, bad, HI))
    assert (status, err) == (0, "")
    assert [alert_of(line) for line in found] == ["Hi", "/data/sound", "Hi"]
    assert found[1]["error"]["code"] == 115
    assert found[1]["error"]["message"].startswith("sound must be a string")


def test_an_installation_that_the_api_refuses_is_told_with_its_code(files: Files) -> None:
    """In the same way."""
    bad = {"deviceType": "toaster", "deviceToken": "ab"}
    status, found, err = files.run(bad, HI)
    assert (status, found) == (2, [])
    assert err.startswith(f"pushsvc: {files.installation}: /deviceType: ")

    status, found, _ = files.run([IOS, bad], HI)
    assert (status, found[1]["error"]["code"]) == (0, 133)


def test_one_bad_body_for_all_installations_ends_the_command(files: Files) -> None:
    """It would be the same line for each."""
    assert files.run(lines(IOS, IOS), {"data": {}})[:2] == (2, [])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b" \n\n", "empty", id="blank"),
        pytest.param(b"{", "line 1: not JSON", id="no JSON"),
        pytest.param(
            b'{\n "a": 1,\n}', "line 2: not JSON: trailing comma", id="no JSON, on several lines"
        ),
        pytest.param(b"\xff{}", "not JSON", id="no UTF-8"),
        pytest.param(b"[]", "an empty array", id="an empty array"),
        pytest.param(b'"Hi"', "not a JSON object, but a string", id="a string"),
        pytest.param(b"null", "not a JSON object, but null", id="null"),
        pytest.param(b"7", "not a JSON object, but a number", id="a number"),
        pytest.param(b"[{}, 7]", "item 2: not a JSON object, but a number", id="a bad item"),
        pytest.param(b"{}\n{\n", "line 2: not JSON", id="a bad line"),
        pytest.param(b"\n{}\n\n[]\n", "line 4: not a JSON object, but an array", id="an array"),
        pytest.param(b"[{}]\n{}\n", "line 2: not JSON", id="more behind an array"),
        pytest.param(b"{}\n" + b" " * LINE_BYTES + b"{}", "line 2: longer", id="a long line"),
    ],
)
@pytest.mark.parametrize("option", ["--installation", "--body"])
def test_a_file_that_holds_something_else_is_told_by_file_and_line(
    files: Files, content: bytes, told: str, option: str
) -> None:
    """One line on stderr that names both, and status 2."""
    given = (content, HI) if option == "--installation" else (IOS, content)
    status, _, err = files.run(*given)
    path = files.installation if option == "--installation" else files.body
    assert status == 2
    assert len(err.splitlines()) == 1
    assert err.startswith(f"pushsvc: {path}")
    assert told in err


def test_what_stood_before_a_bad_line_has_come_out(files: Files) -> None:
    """Lines are read one by one, and not before they are needed."""
    status, found, err = files.run(lines(IOS, IOS, IOS) + b"{", HI)
    assert (status, len(found)) == (2, 3)
    assert f"{files.installation} line 4: not JSON" in err


def test_a_large_file_must_be_json_lines(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read as a whole has a bound; lines have none together."""
    monkeypatch.setattr(json_files, "WHOLE_BYTES", 1_000)
    status, _, err = files.run([IOS] * 20, HI)
    assert status == 2
    assert "write each object on a line of its own" in err

    status, found, _ = files.run(lines(*[IOS] * 20), HI)
    assert (status, len(found)) == (0, 20)


def test_a_missing_file_is_told(files: Files) -> None:
    """By the name that was given."""
    assert root.run(["shape", "--installation", "/no/i.json", "--body", "/no/b.json"]) == 2
    assert files._capsys.readouterr().err == (
        "pushsvc: /no/i.json cannot be opened: No such file or directory.\n"
    )


def test_a_directory_is_no_file(files: Files, tmp_path: Path) -> None:
    """It is told in one line, too."""
    assert root.run(["shape", "--installation", str(tmp_path), "--body", "/no/b.json"]) == 2
    assert str(tmp_path) in files._capsys.readouterr().err


def test_stdin_stands_for_one_of_the_files(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for both: there is only one."""
    stdin = io.TextIOWrapper(io.BytesIO(lines(HI, said("b"))))
    monkeypatch.setattr(sys, "stdin", stdin)
    files.installation.write_bytes(lines(IOS))
    arguments = ["shape", "--installation", str(files.installation), "--body", "-"]
    assert root.run(arguments) == 0
    found = [json.loads(line) for line in files._capsys.readouterr().out.splitlines()]
    assert [alert_of(line) for line in found] == ["Hi", "b"]

    assert root.run(["shape", "--installation", "-", "--body", "-"]) == 2
    assert "only one of them can be stdin" in files._capsys.readouterr().err


@pytest.mark.parametrize("moment", ["tomorrow", "2026-12-24T18:00:00", "2026-12-24", ""])
def test_a_moment_without_a_zone_is_a_mistake(files: Files, moment: str) -> None:
    """The last --now counts."""
    status, found, err = files.run(IOS, HI, "--now", moment)
    assert (status, found) == (2, [])
    assert err.startswith("pushsvc: --now: ")


def test_no_settings_are_read(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that stops all other commands does not matter."""
    monkeypatch.setenv("PUSHSVC_PROT", "1")
    assert files.alerts(IOS, HI) == ["Hi"]


def test_without_now_it_is_now(files: Files) -> None:
    """A push may expire in a minute."""
    files.installation.write_bytes(lines(ANDROID))
    files.body.write_bytes(lines({**HI, "expiration_interval": 60}))
    arguments = ["--installation", str(files.installation), "--body", str(files.body)]
    assert root.run(["shape", *arguments]) == 0
    found = json.loads(files._capsys.readouterr().out)
    assert found["body"]["message"]["android"]["ttl"] == "60s"
