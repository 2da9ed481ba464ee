"""Campaign files: YAML and JSON, and their faults by line, column and field."""

import orjson
import pytest
import yaml
from hypothesis import given, settings, strategies as st

from pushsvc.campaigns.definition import Definition, parse_definition
from pushsvc.campaigns.file import VALUES_MOST, FileError, read
from pushsvc.errors import InvalidRequestError

CAMPAIGN = """\
# Mondays
name: autumn-sale
audience:
  channels: [news]
content: {data: {alert: "Sale"}}
schedule:
  cron: "0 9 * * MON"
  zone: Europe/Berlin
quiet_hours: {start: 22:00, end: 07:00}
"""


def faults(text: str) -> list[tuple[int, int, str, str]]:
    """Line, column, field and sentence of what is wrong with a file."""
    try:
        source = read(text)
    except FileError as error:
        found = error.faults
    else:
        with pytest.raises(InvalidRequestError) as refused:
            parse_definition(source.body)
        found = tuple(source.faults(refused.value))
    return [(one.line, one.column, one.pointer, one.detail) for one in found]


def definition_of(text: str) -> Definition:
    return parse_definition(read(text).body)


def test_a_file() -> None:
    """Is the campaign that its JSON would be."""
    found = definition_of(CAMPAIGN)
    assert found.quiet_hours
    assert found.quiet_hours.start == "22:00"
    in_json = orjson.dumps(found.as_stored(), option=orjson.OPT_INDENT_2).decode()
    assert definition_of(in_json) == found
    assert definition_of(in_json.replace("  ", "\t")) == found


def test_bare_words_are_what_they_look_like() -> None:
    """No sexagesimal numbers, dates, octals or booleans in disguise."""
    text = "a: [22:00, 2026-12-01, on, no, 0700, 0x1f, 1_000, ~, true, -7, 1.5, 1e3, .inf, '1']"
    expected = ["22:00", "2026-12-01", "on", "no", "0700", "0x1f", "1_000"]
    assert read(text).body["a"] == [*expected, None, True, -7, 1.5, 1000.0, ".inf", "1"]


def test_faults_of_the_campaign_have_their_place() -> None:
    """A key's or a value's own; of what is missing that of what is around it."""
    wrong = CAMPAIGN.replace("channels: [news]", "chanels: [news]").replace("MON", "MONN")
    assert [(line, column, field) for line, column, field, _ in faults(wrong)] == [
        (4, 3, "/audience/chanels"),
        (7, 9, "/schedule/cron"),
    ]
    lacking = CAMPAIGN.replace("name:", "nam:")
    assert [(line, field) for line, _, field, _ in faults(lacking)] == [(2, "/name"), (2, "/nam")]


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("", 1, 1, "mapping of keys"),
        ("- a", 1, 1, "mapping of keys"),
        ("name: a\n\taudience: b", 2, 1, "no YAML here"),
        ("name: [a\nb: c", 2, 2, "no YAML here"),
        ("a: 1\nb: 2\na: 3", 3, 1, 'The key "a" comes twice.'),
        ('{"a": 1,\n "a": 2}', 2, 2, 'The key "a" comes twice.'),
        ("a: !!python/object:os.system x", 1, 4, "is not read here"),
        ("a: 2026-01-01\n? [b]\n: c", 2, 3, "A key must be a text."),
        ("a: 99999999999999999999", 1, 4, "too large"),
        ("a: 1e999", 1, 4, "too large"),
        ("a: 1\n---\nb: 2", 2, 1, "another document"),
        ("a: *b", 1, 4, "undefined alias"),
        ("a:\n  - \x01", 2, 1, "a character that YAML cannot have"),
        ('a: "\\0"', 1, 4, "U+0000"),
        ('a: "\\ud800"', 1, 4, "surrogate"),
        ("[" * 2_000, 1, 1, "nested too deeply"),
        ("a: &a [*a]", 1, 4, "too many values, or is nested too deeply"),
    ],
)
def test_what_is_no_file_is_told(text: str, line: int, column: int, said: str) -> None:
    """Where, and why."""
    ((found_line, found_column, _, detail),) = faults(text)
    assert (found_line, found_column) == (line, column)
    assert said in detail


def test_aliases_are_bounded_by_what_they_become() -> None:
    """A few lines cannot be a billion values."""
    text = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    for name, before in ("ba", "cb", "dc", "ed", "fe"):
        text += f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n"
    assert VALUES_MOST < 10**6
    assert "aliases count in full" in faults(text)[0][3]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc/~:"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text("ab/~: #"), JSON, max_size=3))
def test_what_json_can_say_is_read_as_it_is(body: dict[str, object]) -> None:
    """In JSON, and in YAML as another writes it; each value has its place."""
    assert read(orjson.dumps(body).decode()).body == body
    written = yaml.safe_dump(body, allow_unicode=True, default_style='"')
    assert set(read(written).body) == set(body)
