"""Texts with variables: what they may say, and what each device gets of them."""

from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from pushsvc.model import ApnsShape, FcmShape, Refused, WnsShape
from pushsvc.shaping.body import ContentError, check_content
from pushsvc.shaping.language import PARTS_LIMIT
from pushsvc.shaping.variables import TEXTS_CHARACTERS, TEXTS_LIMIT
from tests.unit.shaping.one_device import ANDROID, IOS, WINDOWS, shaped, shaper_of

FIELDS = {
    "name": "Ann",
    "points": 7.0,
    "share": 0.5,
    "vip": True,
    "tags": ["a", "b"],
    "address": {"city": "Oslo"},
    "born": {"__type": "Date", "iso": "2000-01-01T00:00:00.000Z"},
}


#: No signs of Jinja's; and line ends as Jinja writes them.
BESIDE = st.characters(exclude_characters="{}#%\r")


def alert(text: str, fields: dict[str, Any] | None = None, **beside: Any) -> str | Refused:
    """The alert that a device with these fields gets."""
    device = IOS._replace(fields=FIELDS if fields is None else fields)
    made = shaped(device, {"alert": text}, **beside)
    if isinstance(made, Refused):
        return made
    assert isinstance(made, ApnsShape)
    found: str = orjson.loads(made.body)["aps"]["alert"]
    return found


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Hello {{ name }}!", "Hello Ann!"),
        ("{{name}} {{name}}", "Ann Ann"),
        ("{{ name | upper }}", "ANN"),
        ("{{ nick | default('you') }}", "you"),
        ("{{ nick | default(name) | lower }}", "ann"),
        ("{{ points }} {{ share }}", "7 0.5"),
        ("{{ vip }}", "true"),
        ("{{ tags }} {{ tags | length }} {{ tags | first }}", '["a","b"] 2 a'),
        ("{{ address.city }} {{ address['city'] }}", "Oslo Oslo"),
        ("{{ born }}", "2000-01-01T00:00:00.000Z"),
        ("{% if vip %}Dear {{ name }}{% else %}Hi{% endif %}", "Dear Ann"),
        ("{{ 'yes' if points > 5 else 'no' }}", "yes"),
        ("{{ name is defined }} {{ nick is defined }}", "true false"),
        ("{{ name ~ '!' }}{{ none }}", "Ann!"),
        ("{{ vip ~ points ~ tags ~ born }}", 'true7["a","b"]2000-01-01T00:00:00.000Z'),
        ("{{ points | string }} {{ tags | upper }} {{ share | round(1) }}", '7 ["A","B"] 0.5'),
        ("{{ tags | first }} {{ tags | last }} {{ address | first }}", "a b city"),
        ("{{ \"it's bob's\" | title }} {{ '/a/' | trim('/') }}", "It's Bob's a"),
        ("{{ 4.76 | round(1, 'floor') }} {{ 4.2 | round(method='ceil') }}", "4.7 5"),
        ("{{ " + " and ".join(["vip"] * 20) + " }}", "true"),
        ("{{ tags | tojson }} {{ name | tojson }}", '["a","b"] "Ann"'),
        ("{{ 'a b&c/é' | urlencode }}", "a%20b%26c%2F%C3%A9"),
        ("{{ '{{' }} name }}", "{{ name }}"),
        ("{% raw %}{{ name }}{% endraw %}", "{{ name }}"),
        ("100 % {of} it", "100 % {of} it"),
        ("{{ name | truncate(2, True, '', 0) }}", "An"),
    ],
)
def test_filled(text: str, filled: str) -> None:
    """Values are shown as people read them; what is no variable stays as it is."""
    assert alert(text) == filled


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hello {{ nick }}", "nick"),
        ("{{ name }} {{ nick | upper }}", "nick"),
        ("{{ nick | round }}", "nick"),
        ("{{ address.street }}", "street"),
        ("{{ nick.first }}", "nick"),
        ("{{ nick ~ name }}", "nick"),
        ("{{ none_at_all | first }}", "none_at_all"),
        ("{{ address.cities | first }}", "cities"),
        ("{% if nick %}a{% endif %}", "nick"),
    ],
)
def test_a_missing_variable_is_named(text: str, name: str) -> None:
    """The device is refused with the name of what it lacks."""
    assert alert(text) == Refused(reason=f"MissingVariable:{name}")


def test_a_value_of_the_wrong_kind_fails_its_device() -> None:
    """A filter that cannot work on a device's value refuses that device."""
    assert alert("{{ name | round }}") == Refused(reason="TemplateFailed")
    assert alert("{{ name | round }}", {"name": 1.2}) == "1"


def test_what_a_filter_may_ask_for_is_bounded() -> None:
    """Neither a caller's number nor the length of a value can keep a worker busy."""
    assert alert("{{ 5 | round(-3000000) }}") == Refused(reason="TemplateFailed")
    digits = {"digits": 3_000_000, "points": 5}
    assert alert("{{ points | round(digits, 'floor') }}", digits) == Refused(
        reason="TemplateFailed"
    )
    assert alert("{{ points | trim(digits) }}", digits) == Refused(reason="TemplateFailed")
    long = {"v": "a" * 16_000, "w": ["b" * 16_000]}
    for name in long:
        text = f"{{{{ {name} | title | upper | lower | length }}}}" * 8
        assert alert(text, long) == Refused(reason="VariableTooLong")
    assert alert("{{ v | length }}", long) == "16000"
    unused = {"v": "a" * 16_000, "n": "x"}
    assert alert("{{ n }}" * 20, variables=unused) == "x" * 20


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        pytest.param(
            f"{{{{ ({'~'.join(['v'] * 12)}){' | title' * 18} | length }}}}",
            "a " * 2900,
            "VariableTooLong",
            id="one text of twelve",
        ),
        pytest.param(
            f"{{{{ v | urlencode{' | title' * 18} | length }}}}",
            "\U0001f600" * 1500,
            "VariableTooLong",
            id="a text grown twelvefold",
        ),
        pytest.param(
            "{{ 1 if v | tojson | lower | trim | upper | title else 2 }}",
            "a" * 10_000,
            "VariableTooLong",
            id="in a condition",
        ),
        pytest.param("{{ v | trim(v) }}", "x" * 65, "TemplateFailed", id="each of many for each"),
    ],
)
def test_what_a_text_makes_of_a_value_counts(text: str, value: str, reason: str) -> None:
    """What is joined or escaped is longer than any value, and is gone over as often."""
    assert alert(text, {"v": value}) == Refused(reason=reason)
    assert isinstance(alert(text, {"v": value[:64]}), str)


def test_a_text_in_many_places_is_written_no_further_than_it_fits() -> None:
    """One text may stand in thousands of places, and be as long as no message is."""
    content = {
        "data": {"alert": "{{ c }}", "l": ["{{ a }}" * 16] * 1250},
        "variables": {"a": '"' * 8000, "c": "z" * 3000},
    }
    for more in ({}, {"truncate": True}):
        shaper = shaper_of({**content, **more})
        for device in (IOS, ANDROID, WINDOWS, ANDROID._replace(device_type="web")):
            for _ in range(20):
                assert shaper.shape(device) == Refused(reason="PayloadTooLarge")


def test_the_push_s_own_variables_win() -> None:
    """A client writes its own installation; what the sender says is what the sender meant."""
    assert alert("{{ name }} {{ code }}", variables={"name": "Bob", "code": 17}) == "Bob 17"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ name", "unexpected end of template"),
        ("{{ name }} {{", "unexpected"),
        ("{{ range(9) }}", "cannot have calls"),
        ("{% for tag in tags %}a{% endfor %}", "cannot have loops"),
        ("{% set a = 1 %}", "cannot have assignments"),
        ("{% include 'x' %}", "cannot have statements but if"),
        ("{{ 'a' * 1000000000 }}", "cannot have arithmetic"),
        ("{{ 9 ** 999999999 }}", "cannot have arithmetic"),
        ("{{ tags | join(',') }}", "There is no filter join"),
        ("{{ name | attr('__class__') }}", "There is no filter attr"),
        ("{{ '%099999999d' | format(1) }}", "There is no filter format"),
        ("{{ name is foo }}", "No test named 'foo'"),
        ("{{ self }}", "self is no variable"),
        ("{{ name | tojson | upper | tojson }}", "tojson or urlencode within another"),
        ("{{ (name | tojson ~ 'a') | urlencode }}", "tojson or urlencode within another"),
        ("{{ tags | tojson(indent=2) }}", "The filter tojson takes nothing in brackets"),
        ("{{ points | round(1, 'floor', 2) }}", "The filter round takes precision, method"),
        ("{{ name | truncate(size=3) }}", "The filter truncate takes length"),
        ("{{ points | round(99) }}", "The filter round takes as precision up to 15 digits"),
        ("{{ points | round(precision='a') }}", "as precision up to 15 digits"),
        ("{{ name | trim('" + "ab" * 33 + "') }}", "as chars a text of up to 64 characters"),
        ("{{ '\\ud800' }}", "half a character"),
        ("{{ a['\\x00'] }}", "U+0000"),
        ("{{ a | default('\\x00') }}", "U+0000"),
        ("{{ 1e999 }}", "too large"),
        ("{{ [1] }}", "lists"),
        ("{{ name[1:2] }}", "cannot have slices"),
        ("{{ " + "not " * 60 + "a }}", "nested too deeply"),
        ("{{ a" + ".b" * 60 + " }}", "nested too deeply"),
        ("{{ a" + " | title" * 40 + " }}", "nested too deeply"),
        ("{{ " + "(" * 400 + "1" + ")" * 400 + " }}", "nested too deeply"),
        ("{{ name }}" * (PARTS_LIMIT + 1), f"{PARTS_LIMIT} are allowed"),
        ("{{ '" + "a " * 7000 + "' | title" + " | title" * 16 + " }}", "a constant of 14000"),
        ("{% if ('" + "é" * 7000 + "' | urlencode | trim | trim) ~ a %}{% endif %}", "40 times"),
    ],
)
def test_what_cannot_be_compiled_is_told_at_submit(text: str, told: str) -> None:
    """No loops, no calls, no arithmetic; the error names the field and says what is wrong."""
    with pytest.raises(ContentError, match=r"A text|[Tt]he filter|no filter|no variable") as caught:
        check_content({"data": {"alert": "a", "k": {"deep": [text]}}})
    assert caught.value.field == "/data/k"
    assert told in caught.value.message


def test_how_much_there_may_be_is_bounded() -> None:
    """Neither many texts nor long ones can keep the service busy."""
    many = {f"k{number}": f"{{{{ v{number} }}}}" for number in range(TEXTS_LIMIT)}
    check_content({"data": many})
    with pytest.raises(ContentError, match="at most 200 texts"):
        check_content({"data": {**many, "more": "{{ v }}"}})
    with pytest.raises(ContentError, match="32768 characters"):
        check_content({"data": {"alert": "a", "k": "{{ v }}" + "a" * TEXTS_CHARACTERS}})


PIECES = [
    *(
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "name",
        "if",
        "endif",
        "else",
        "elif",
        "for",
        "in",
        "raw",
    ),
    *(" ", "|", "upper", "default", "(", ")", "[", "]", "'", "9", ".", "_", "~", "-", "*", "not"),
    *(
        "is",
        "defined",
        "and",
        "==",
        "<",
        ",",
        "self",
        "endraw",
        "set",
        "true",
        "none",
        "\n",
        "9" * 5000,
    ),
]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join))
def test_any_text_is_compiled_or_told(text: str) -> None:
    """Whatever is written is told at submission, or filled in, or its device is refused."""
    content = {"data": {"alert": text, "k": 1}}
    try:
        check_content(content)
    except ContentError:
        return
    made = shaper_of(content).shape(IOS._replace(fields=FIELDS))
    if isinstance(made, Refused):
        assert made.reason.startswith(("MissingVariable:", "TemplateFailed", "PayloadTooLarge"))
    else:
        assert isinstance(made, ApnsShape)
        assert isinstance(orjson.loads(made.body), dict)


@pytest.mark.parametrize("text", ["{{ name.__class__ }}", "{{ name['__class__'].__mro__ }}"])
def test_nothing_of_python_s_can_be_reached(text: str) -> None:
    """Members are those of JSON objects; attributes of Python's objects are no members."""
    assert alert(text) == Refused(reason="MissingVariable:__class__")


def test_texts_anywhere_are_filled_and_keys_are_not() -> None:
    """Deep links and custom data may hold variables; steering keys are taken as they are."""
    data = {
        "alert": {"title": "{{ name }}", "loc-args": ["{{ points }}"]},
        "uri": "app://{{ address.city }}",
        "k": [{"{{ name }}": "{{ name }}"}],
        "collapse_id": "{{ name }}",
    }
    made = shaped(IOS._replace(fields=FIELDS), data)
    assert isinstance(made, ApnsShape)
    assert orjson.loads(made.body) == {
        "aps": {"alert": {"title": "Ann", "loc-args": ["7"]}},
        "uri": "app://Oslo",
        "k": [{"{{ name }}": "Ann"}],
    }
    assert (b"apns-collapse-id", b"{{ name }}") in made.head.headers


def test_only_what_a_device_gets_must_be_filled() -> None:
    """A variable of another language, or of a key that this gateway has no use for, is no lack."""
    data = {"alert": "Hi {{ name }}", "alert-fr": "Salut {{ nom }}", "sound": "{{ sound }}"}
    device = WINDOWS._replace(fields=FIELDS, locale="en")
    assert isinstance(shaped(device, data), WnsShape)
    refused = Refused(reason="MissingVariable:nom")
    assert shaped(device._replace(locale="fr-CA"), data) == refused


def test_the_names_that_are_asked_for() -> None:
    """The fields to load are those the texts look at, less those the push gives itself."""
    content = {
        "data": {"alert": "{{ a }} {{ b.c | default(d) }}", "alert-fr": "{{ e }}"},
        "variables": {"e": 1},
    }
    assert shaper_of(content).fields == {"a", "b", "d"}
    assert shaper_of({"data": {"alert": "a"}}).fields == frozenset()


@settings(max_examples=300, deadline=None)
@given(
    value=st.text(st.characters(exclude_characters="\r"), max_size=40),
    around=st.tuples(
        st.text(BESIDE, max_size=9),
        st.text(BESIDE, max_size=9),
    ),
)
def test_any_value_is_written_as_it_is(*, value: str, around: tuple[str, str]) -> None:
    """What is spliced in is what JSON and XML would hold if the text had been written at once."""
    before, after = "A" + around[0], around[1]
    content = {"data": {"alert": f"{before}{{{{ v }}}}{after}", "k": "{{ v }}"}}
    plain = {"data": {"alert": before + value + after, "k": value}}
    try:
        check_content(content)
        check_content(plain)
    except ContentError:
        return
    shaper, other = shaper_of(content), shaper_of(plain)
    for device in (IOS, ANDROID, WINDOWS):
        made, expected = shaper.shape(device._replace(fields={"v": value})), other.shape(device)
        if isinstance(made, WnsShape) and isinstance(expected, WnsShape):
            assert said(made) == said(expected)
        else:
            assert made == expected


def said(shape: WnsShape) -> list[tuple[str | None, dict[str, str]]]:
    """Texts and attributes; how a quote is escaped makes no difference."""
    return [(element.text, element.attrib) for element in ET.fromstring(shape.body).iter()]


@pytest.mark.parametrize(
    "block",
    [
        {"android": {"data": {"x": "{{ v }}"}}},
        {"android": {"collapse_key": "{{ v }}"}},
        {"notification": {"title": "{{ v }}"}},
        {"webpush": {"headers": {"X": "{{ v }}"}}},
        {"webpush": {"notification": {"body": "{{ v }}"}}},
        {"rawPayload": {"data": {"x": "{{ v }}"}, "android": {"data": {"x": "{{ v }}"}}}},
        {"rawPayload": {"apns": {"payload": {"aps": {"alert": "{{ v }}"}}}}},
    ],
)
@pytest.mark.parametrize("value", ['"' * 1990, "a" * 2100, '"' * 2100, "a" * 3990, "é" * 2100])
def test_what_is_filled_in_counts_as_what_is_written(block: dict[str, Any], value: str) -> None:
    """A message with a variable is too large where the same message without one would be."""
    content = {"data": {"alert": "Hi"}, **block}
    plain = orjson.loads(orjson.dumps(content).replace(b"{{ v }}", orjson.dumps(value)[1:-1]))
    for device in (ANDROID, ANDROID._replace(device_type="web")):
        filled = shaper_of(content).shape(device._replace(fields={"v": value}))
        assert filled == shaper_of(plain).shape(device)


def test_a_push_from_before_there_were_variables_goes_out_as_it_is() -> None:
    """A text that was let in, and is none of this language, is sent to the letter."""
    made = shaper_of({"data": {"alert": "Use {{ braces", "k": "{{ name }}"}}).shape(IOS)
    assert isinstance(made, ApnsShape)
    expected = {"aps": {"alert": "Use {{ braces"}, "k": "{{ name }}"}
    assert orjson.loads(made.body) == expected


def test_half_a_character_is_refused() -> None:
    """A value that no UTF-8 can hold fails its device, and raises nothing."""
    data = {"alert": "{{ v }}"}
    for device in (IOS, ANDROID, WINDOWS):
        assert shaped(device._replace(fields={"v": "\ud800"}), data) == Refused(reason="BadText")


def test_a_text_that_becomes_too_large_fails_its_device() -> None:
    """The size is known when the text is filled; the next device is none the worse."""
    shaper = shaper_of({"data": {"alert": "{{ v }}"}})
    for device in (IOS, ANDROID, WINDOWS):
        large = shaper.shape(device._replace(fields={"v": "é" * 3000}))
        assert large == Refused(reason="PayloadTooLarge")
        assert not isinstance(shaper.shape(device._replace(fields={"v": "é"})), Refused)


def test_android_data_counts_as_it_is_sent() -> None:
    """The limit is that of the string in `data`, and does not count how JSON escapes it anew."""
    room = 4096 - sum(
        map(len, ("push_id", "abcdefghij", "time", "2026-11-22T10:00:00.000Z", "data"))
    )
    room -= len('{"alert":""}')
    shaper = shaper_of({"data": {"alert": "{{ v }}"}})
    fits = shaper.shape(ANDROID._replace(fields={"v": '"' * (room // 2)}))
    assert isinstance(fits, FcmShape)
    assert shaper.shape(ANDROID._replace(fields={"v": '"' * (room // 2 + 1)})) == Refused(
        reason="PayloadTooLarge"
    )
