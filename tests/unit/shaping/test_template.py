"""A push's content laid over its template's, and what a template's texts look at."""

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from pushsvc.model import ApnsShape
from pushsvc.shaping.template import merged, variables_used
from tests.unit.shaping.one_device import IOS, shaped

SAVED: dict[str, Any] = {
    "data": {"alert": "Hello {{ name }}", "sound": "chime", "aps": {"a": 1, "b": 2}},
    "variables": {"name": "you", "shop": "ours"},
    "notification": {"title": "a", "color": "#ffffff"},
    "truncate": True,
}
OBJECTS = st.dictionaries(st.sampled_from("abc"), st.none() | st.integers())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, SAVED),
        ({"data": {}}, SAVED),
        ({"data": None, "variables": None, "truncate": None}, SAVED),
        (
            {"data": {"alert": "Hi", "aps": {"c": 3}}},
            SAVED | {"data": {"alert": "Hi", "sound": "chime", "aps": {"c": 3}}},
        ),
        ({"variables": {"name": None}}, SAVED | {"variables": {"name": None, "shop": "ours"}}),
        ({"notification": {"title": "b"}}, SAVED | {"notification": {"title": "b"}}),
        ({"truncate": False}, SAVED | {"truncate": False}),
        ({"collapse_id": "c", "template": "t"}, SAVED | {"collapse_id": "c", "template": "t"}),
        ({"data": [], "variables": "x"}, SAVED | {"data": [], "variables": "x"}),
    ],
)
def test_the_push_s_keys_win(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """Key by key in `data` and `variables`, whole elsewhere; null is not given, but in `data`."""
    assert merged(SAVED, given) == expected


STEERED = [
    {"collapse_id": "x"},
    {"data": {"collapse_id": "x"}},
    {"data": {"collapseId": "x"}},
]


@pytest.mark.parametrize("own", STEERED)
@pytest.mark.parametrize("saved", STEERED)
def test_what_steers_is_the_push_s_wherever_either_says_it(
    saved: dict[str, Any], own: dict[str, Any]
) -> None:
    """The first name that is read may be the template's."""
    data = {"alert": "Hello", **saved.get("data", {})}
    template = {**saved, "data": data}
    for place in (template, data):
        place.update({key: "template's" for key in place if key.startswith("collapse")})

    content = merged(template, own)
    shape = shaped(IOS, **{"data": {}, **content})

    assert isinstance(shape, ApnsShape)
    assert dict(shape.head.headers)[b"apns-collapse-id"] == b"x"


@pytest.mark.parametrize(
    ("saved", "own", "left"),
    [
        ({"data": {"pushType": "voip"}}, {"push_type": "alert"}, {"push_type": "alert"}),
        ({"push_type": "voip"}, {"data": {"pushType": None}}, {}),
        ({"data": {"priority": 5}}, {"priority": 10}, {"priority": 10}),
        ({"data": {"expiration_time": 9}}, {"data": {"expiration_interval": 9}}, {}),
        ({"collapse_id": "a"}, {"collapse_id": None}, {"collapse_id": "a"}),
    ],
)
def test_names_of_one_thing_are_the_push_s_together(
    saved: dict[str, Any], own: dict[str, Any], left: dict[str, Any]
) -> None:
    """What the push says by one of them the template says by none; neither is changed."""
    before = deepcopy((saved, own))

    whole = merged(saved, own)

    assert {key: value for key, value in whole.items() if key != "data"} == left
    assert (whole.get("data") or {}) == (own.get("data") or {})
    assert (saved, own) == before


@given(OBJECTS, OBJECTS)
def test_every_key_is_the_push_s_or_else_the_template_s(
    template: dict[str, Any], own: dict[str, Any]
) -> None:
    """And none is lost; neither of the two is changed."""
    saved, given = {"data": dict(template)}, {"data": dict(own)}

    data = merged(saved, given)["data"]

    assert data == {name: own.get(name, template.get(name)) for name in {**template, **own}}
    assert (saved, given) == ({"data": template}, {"data": own})


def test_a_template_s_variables_are_all_that_its_texts_look_at() -> None:
    """With and without a value of its own, in `data` and beside it; not those nobody looks at."""
    content = {
        "data": {"alert": {"title": "{{ a }}"}, "alert-fr": "{% if b %}x{% endif %}", "plain": "c"},
        "notification": {"body": "{{ d | default('x') }} {{ e.f }}"},
        "variables": {"a": 1, "unused": 2},
    }

    assert variables_used(content) == {"a", "b", "d", "e"}


@pytest.mark.parametrize(("fields", "shown"), [({"a": "own"}, "own"), ({}, "b")])
def test_a_variable_that_is_null_is_not_given(fields: dict[str, Any], shown: str) -> None:
    """The installation's field counts, and without one the default of the text."""
    device = IOS._replace(fields=fields)

    shape = shaped(device, {"alert": "{{ a | default('b') }}"}, variables={"a": None})

    assert isinstance(shape, ApnsShape)
    assert orjson.loads(shape.body)["aps"]["alert"] == shown
