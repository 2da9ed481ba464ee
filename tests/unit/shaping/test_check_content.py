"""Bad content is told when it is submitted, with the key that is wrong."""

from typing import Any

import pytest

from pushsvc.shaping.body import ContentError, check_content


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"data": {"alert": "Hi"}}, id="alert"),
        pytest.param({"data": {"alert": {"body": "Hi"}}}, id="alert object"),
        pytest.param({"data": {"alert": None, "title": None, "aps": None}}, id="null is absent"),
        pytest.param({"data": {"k": [2**64 - 1, -(2**63), 1e20]}}, id="numbers of 64 bits"),
        pytest.param({"data": {"k": [1.5, True, None, "é👋"]}}, id="values of every kind"),
        pytest.param({"data": {"alert": "a" * 4900}}, id="fits WNS alone"),
        pytest.param({"data": {"alert": "a", "uri": "u", "k": "k" * 9000}}, id="fits a toast"),
        pytest.param({"data": {"alert-fr": "a", "uri": "u", "k": "k" * 9000}}, id="French toast"),
        pytest.param({"data": {"alert": "a" * 5000}, "push_type": "voip"}, id="fits APNs alone"),
        pytest.param({"data": {"alert": "a" * 9000, "alert-fr": "salut"}}, id="fits in French"),
        pytest.param({"data": {"alert-fr": "a" * 9000, "k": 1}}, id="fits unless in French"),
        pytest.param({"data": {"k": "a" * (5000 - len('{"k":""}'))}}, id="fits WNS to the byte"),
        pytest.param({"data": {"k": 1}, "priority": 10}, id="priority"),
        pytest.param({"data": {"k": 1}, "priority": "5"}, id="priority as text"),
        pytest.param({"data": {"k": 1, "priority": 5.0}}, id="priority as a double"),
        pytest.param({"data": {"k": 1}, "collapse_id": "é" * 32}, id="collapse id of 64 bytes"),
        pytest.param({"data": {"k": 1}, "collapse_id": ""}, id="empty collapse id is none"),
        pytest.param({"data": {"k": 1}, "rawPayload": None}, id="null beside data"),
        pytest.param({"data": {"k": nested(60)}}, id="deep"),
    ],
)
def test_good_content(content: dict[str, Any]) -> None:
    """What some gateway can deliver passes."""
    check_content(content)


@pytest.mark.parametrize(
    ("content", "field", "words"),
    [
        pytest.param({}, "/data", "needs", id="no data"),
        pytest.param({"data": None}, "/data", "needs", id="null data"),
        pytest.param({"data": {}}, "/data", "needs", id="empty data"),
        pytest.param({"data": "Hi"}, "/data", "object", id="data is text"),
        pytest.param({"data": [1]}, "/data", "object", id="data is a list"),
        pytest.param({"data": {"alert": 5}}, "/data/alert", "string or an object", id="alert"),
        pytest.param({"data": {"alert": ["a"]}}, "/data/alert", "string or", id="alert list"),
        pytest.param({"data": {"title": {"a": 1}}}, "/data/title", "string", id="title"),
        pytest.param({"data": {"aps": "x"}}, "/data/aps", "object", id="aps"),
        pytest.param({"data": {"badge": "5"}}, "/data/badge", "Invalid value", id="badge"),
        pytest.param({"data": {"priority": 7}}, "/data/priority", "1, 5 or 10", id="priority"),
        pytest.param({"data": {"k": 1}, "priority": True}, "/priority", "1, 5", id="priority true"),
        pytest.param({"data": {"k": 1}, "push_type": "mdm"}, "/push_type", "alert,", id="type"),
        pytest.param({"data": {"push_type": []}}, "/data/push_type", "one of", id="type list"),
        pytest.param(
            {"data": {"k": 1}, "collapse_id": "é" * 33}, "/collapse_id", "64 bytes", id="collapse"
        ),
        pytest.param({"data": {"collapse_id": 5}}, "/data/collapse_id", "bytes", id="no text"),
        pytest.param({"data": {"collapse_id": "a\nb"}}, "/data/collapse_id", "control", id="break"),
        pytest.param({"data": {"collapse_id": " a"}}, "/data/collapse_id", "outer", id="space"),
        pytest.param(
            {"data": {"k": 1}, "notification": "x"}, "/notification", "object", id="notification"
        ),
        pytest.param({"data": {"k": 1}, "rawPayload": {}}, "/rawPayload", "a key", id="raw"),
        pytest.param({"data": {"k": "\ud800"}}, "/data/k", "half a character", id="surrogate"),
        pytest.param({"data": {"k\udfff": 1}}, "/data", "half a character", id="surrogate in key"),
        pytest.param({"data": {"k": "a\0"}}, "/data/k", "U+0000", id="NUL"),
        pytest.param({"data": {"k": [float("nan")]}}, "/data/k", "number", id="NaN"),
        pytest.param({"data": {"k": float("-inf")}}, "/data/k", "number", id="infinity"),
        pytest.param({"data": {"k": 2**64}}, "/data/k", "64 bits", id="over 64 bits"),
        pytest.param({"data": {"k": 1}, "x": {"y": b""}}, "/x/y", "bytes", id="no JSON"),
        pytest.param({"data": {"k": (1,)}}, "/data/k", "tuple", id="no JSON list"),
        pytest.param({"data": {"k": nested(70)}}, "/data/k", "data.k is", id="too deep"),
        pytest.param({"x": nested(70), "data": {"k": 1}}, "/x/a", "x.a is", id="too deep beside"),
        pytest.param({"data": {"k": 1}, "x": "\0"}, "/x", "x holds", id="NUL beside data"),
        pytest.param({"data": {"k": 1}, "x\0": 1}, "", "A key holds", id="NUL in a key"),
        pytest.param({"data": {"a/b": "\0"}}, "/data/a~1b", "data.a/b holds", id="slash in a key"),
        pytest.param(
            {"data": {"k": 1}, "variables": {"a/b": "x" * 17_000}},
            "/variables/a~1b",
            "A variable has",
            id="long variable with a slash",
        ),
        pytest.param({"data": {"k": "a" * 131_072}}, "/data", "128 KB", id="over 128 KB"),
        pytest.param({"data": {"k": 1}, "x": "é" * 65_536}, "/data", "128 KB", id="beside data"),
        pytest.param({"data": {"k": "a" * 5001}}, "/data", "every gateway", id="fits nothing"),
        pytest.param(
            {"data": {"alert": "a" * 9000, "alert-fr": "b" * 9000}},
            "/data",
            "every gateway",
            id="fits in no language",
        ),
    ],
)
def test_bad_content(content: dict[str, Any], field: str, words: str) -> None:
    """What is wrong is named, and said in a sentence."""
    with pytest.raises(ContentError) as caught:
        check_content(content)
    assert field == caught.value.field
    assert words in caught.value.message
    assert str(caught.value) == f"{field}: {caught.value.message}"


def test_empty_data_passes_where_it_is_not_required() -> None:
    """By the setting; it must be an object all the same."""
    check_content({"data": {}}, data_required=False)
    wrong: list[dict[str, Any]] = [{}, {"data": None}, {"data": []}]
    for content in wrong:
        with pytest.raises(ContentError):
            check_content(content, data_required=False)


def test_a_notification_is_content() -> None:
    """Beside it `data` may be empty, but it must be an object."""
    check_content({"data": {}, "notification": {"title": "Hi"}})
    with pytest.raises(ContentError):
        check_content({"data": "Hi", "notification": {"title": "Hi"}})
