"""A file of installations is read line by line, whatever is in it."""

import codecs
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from pushsvc.cli import root
from pushsvc.cli.installation import parse_line
from pushsvc.cli.lines import LINE_BYTES, lines_of

GOOD = b'{"deviceType": "ios", "deviceToken": "aa"}'


def test_lines_have_the_numbers_an_editor_shows() -> None:
    """Empty lines are passed over, but counted."""
    file = io.BytesIO(b"a\n\n \nb\r\nc")

    assert [(line.number, line.content) for line in lines_of(file)] == [
        (1, b"a"),
        (4, b"b"),
        (5, b"c"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    """Some editors begin a file with it."""
    (line,) = lines_of(io.BytesIO(codecs.BOM_UTF8 + GOOD))

    assert line.content == GOOD


def test_the_file_that_is_imported_is_not_emptied_by_its_rejects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also under another name: the mistake is told, and the file is as it was."""
    file, other = tmp_path / "installations.ndjson", tmp_path / "rejects.ndjson"
    file.write_bytes(GOOD)
    other.symlink_to(file)

    for rejects in (file, other):
        arguments = ["installation", "import", str(file), "--app", "a", "--rejects", str(rejects)]
        assert root.run(arguments) == 2
        assert "--rejects" in capsys.readouterr().err

    assert file.read_bytes() == GOOD


def test_a_line_without_end_is_not_read_into_memory() -> None:
    """Of a line beyond the limit only the beginning is kept, and the next line is the next."""
    file = io.BytesIO(b"x" * (3 * LINE_BYTES) + b"\n" + GOOD + b"\n")

    endless, good = lines_of(file)
    assert len(endless.content) == LINE_BYTES + 1
    assert (good.number, good.content) == (2, GOOD)


@given(st.lists(st.sampled_from([b"", b" ", b"a", b"bb"])))
def test_the_sizes_of_lines_add_up_to_the_file(parts: list[bytes]) -> None:
    """The progress bar of a file that ends in a line reaches its end."""
    content = b"\n".join([*parts, b"end"])

    assert sum(line.size for line in lines_of(io.BytesIO(content))) == len(content)


def test_a_good_line_is_an_installation() -> None:
    """Fields have Parse's names."""
    assert parse_line(GOOD) == json.loads(GOOD)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(b"{", "not JSON", id="no JSON"),
        pytest.param(b"[]", "not a JSON object", id="a list"),
        pytest.param(b"\xff", "not JSON", id="no UTF-8"),
        pytest.param(b'{"deviceType": "ios"}', "ID field", id="no token"),
        pytest.param(b'{"deviceToken": "aa"}', "deviceType", id="no type"),
        pytest.param(b'{"deviceType":"ios","deviceToken":1}', "deviceToken", id="a wrong type"),
        pytest.param(b'"' + b"x" * LINE_BYTES + b'"', "longer", id="too long"),
    ],
)
def test_a_bad_line_says_what_is_wrong(content: bytes, told: str) -> None:
    """Every line that cannot be an installation has a reason."""
    with pytest.raises(ValueError, match=told):
        parse_line(content)
