"""Laws of all FCM forms: what is let in, a strict FCM takes, and counts no larger than we do."""

from itertools import product
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings, strategies as st

from pushsvc.model import Device, FcmShape, Refused
from pushsvc.shaping import fcm_message, limits
from pushsvc.shaping.body import ContentError, check_content
from pushsvc.shaping.fcm import counted_bytes
from pushsvc.shaping.fcm_kinds import Kind, Record, Strings, Value
from pushsvc.simulators.fcm.checks import check_message, content_bytes, read_body
from tests.unit.shaping.fcm_devices import APPLE, ON_FCM, WEB
from tests.unit.shaping.one_device import shaper_of

DEVICES = pytest.mark.parametrize("device", [ON_FCM, APPLE, WEB], ids=["android", "apple", "web"])

STRINGS = [
    *("", "é👋", "a" * 900, "high", "PRIVATE", "allow", "PRIORITY_LOW", "5", "7", "alert", "from"),
    *("3600s", "0.5s", "9999999s", "1", "2026-11-22T10:00:00Z", "2026-11-22", "#0a0b0c", "a b"),
    *("#0a0b0c80", "https://example.com", "http://example.com", "label-1", "{{ x }}"),
    "https://example.com/{{ x }}",
]
NUMBERS = [0, 1, -1, 0.5, 500, 1e-9, 3600.25, 2_419_200, 2_419_201, 2**31, 2**63]
#: Values for every field: right for some, wrong for most.
POOL: list[Any] = [
    *(*STRINGS, *NUMBERS, None, True, False, [], {}),
    *(["a", "{{ x }}"], ["0.5s"], [500, 0.1], [1, "a"]),
    *({"red": 1, "green": 0.2}, {"red": 2}, {"k": None}, {"title": "{{ x }}", "actions": [{}]}),
]
KEYS = ["k", "é", "from", "google.x", "push_id", "TTL", "ttl", "Urgency", "Topic", "apns-priority"]
#: Of `aps`; the last one of each is wrong, and one wrong field is one too many.
APS = st.fixed_dictionaries(
    {},
    optional={
        "alert": st.sampled_from(
            [*["Hi", "{{ x }}", {"titleLocKey": "k", "body": "b"}] * 6, {"title": 1}]
        ),
        "badge": st.sampled_from([*[0, 7, None] * 6, "7"]),
        "contentAvailable": st.sampled_from([*[True, 1, 0] * 6, "1"]),
        "sound": st.sampled_from([*["s", {"name": "s", "critical": True}] * 6, {"volume": 2}]),
    },
)


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def values_of(kind: Kind) -> st.SearchStrategy[Any]:
    """Return values of a kind: most of them right."""
    if isinstance(kind, Value):
        return _mostly([value for value in POOL if kind.is_right(value)], POOL)
    if isinstance(kind, Strings):
        pairs: list[tuple[str, Any]] = list(product(KEYS, STRINGS))
        right = [pair for pair in pairs if kind.wrong(*pair) is None]
        return st.lists(_mostly(right, [*pairs, ("k", 1)]), max_size=2).map(dict)
    if isinstance(kind, Record):
        return _fields_of(kind)
    return st.fixed_dictionaries({}, optional={"aps": APS, "k": st.sampled_from(POOL)})


def _mostly(right: list[Any], others: list[Any]) -> st.SearchStrategy[Any]:
    """Return these values, and one time in twenty any other: one wrong field is one too many."""
    # A strategy that one_of is given twice counts once; a value of a list does not.
    return st.sampled_from([*right * (20 * len(others) // len(right)), *others])


def _fields_of(record: Record) -> st.SearchStrategy[dict[str, Any]]:
    named = {name: (name, kind) for name, kind in record.fields.items()} | dict(record.renamed)
    spelled = {spell: told for name, told in named.items() for spell in (name, camel(name))}
    values = {spell: values_of(kind) for spell, (_, kind) in spelled.items()}
    needed = {name: values[name] for name in record.required}
    # A field in two spellings is refused, which has a test of its own.
    chosen = st.lists(
        st.sampled_from(sorted(spelled)),
        min_size=1,
        max_size=4,
        unique_by=lambda spell: spelled[spell][0],
    )
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries({**needed, **{name: values[name] for name in names}})
    )


DATA = st.fixed_dictionaries(
    {"alert": st.sampled_from(STRINGS)},
    optional={
        **{name: st.sampled_from(STRINGS) for name in ("uri", "icon", "image", "title")},
        "badge": st.sampled_from(["Increment", 3]),
        "k": st.sampled_from(POOL),
    },
)
CONTENTS = st.fixed_dictionaries(
    {"data": DATA, "variables": st.just({"x": 'a"\n\\é' * 20})},
    optional={
        "notification": values_of(fcm_message.ANDROID_NOTIFICATION),
        "android": values_of(fcm_message.ANDROID),
        "webpush": values_of(fcm_message.WEBPUSH),
        "collapse_id": st.sampled_from(STRINGS),
        "priority": st.sampled_from([1, 5, "10"]),
    },
)
RAW_CONTENTS = st.fixed_dictionaries(
    {
        "data": st.just({}),
        "variables": st.just({"x": 'a"\n\\é' * 20}),
        "rawPayload": values_of(fcm_message.RAW),
    }
)


def told(content: dict[str, Any]) -> ContentError | None:
    """Return what is told at submit; None where content is let in."""
    try:
        check_content(content)
    except ContentError as error:
        return error
    return None


@DEVICES
@settings(max_examples=150)
@given(content=st.one_of(CONTENTS, RAW_CONTENTS))
def test_what_is_let_in_is_taken(device: Device, content: dict[str, Any]) -> None:
    """FCM's schema and checks find no fault with it; our count is no smaller than FCM's."""
    assume(told(content) is None)
    made = shaper_of(content).shape(device)
    if isinstance(made, Refused):
        assert made == limits.TOO_LARGE
        return
    assert isinstance(made, FcmShape)
    request, refusal = read_body(made.head + orjson.dumps(device.token) + made.tail)
    assert refusal is None
    message = request["message"]
    assert check_message(message) is None
    assert content_bytes(message) <= counted_bytes(message) <= limits.FCM_PAYLOAD_BYTES


@settings(max_examples=300)
@given(
    key=st.sampled_from(["notification", "android", "webpush", "rawPayload"]),
    given_=st.recursive(
        st.one_of(st.sampled_from(POOL), st.floats(allow_nan=False, allow_infinity=False)),
        lambda part: st.dictionaries(
            st.sampled_from([*fcm_message.ANDROID.fields, *fcm_message.RAW.fields, "aps", "/"]),
            part,
            max_size=4,
        ),
        max_leaves=12,
    ),
)
def test_nothing_but_a_sentence(key: str, given_: Any) -> None:
    """Whatever stands there passes, or is told by its place."""
    error = told({"data": {"k": 1}, key: given_})
    if error is not None:
        assert error.field.startswith(f"/{key}")
        assert error.message.endswith((".", "?"))
