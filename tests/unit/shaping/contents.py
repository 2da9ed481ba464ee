"""Content that is mostly let in, whatever texts it has: each key of `data`, each block beside it.

What is drawn key by key from anything is nearly always turned away at the door, and nothing behind
it is tried. Here each key has a value of its kind, and what is hostile is within.
"""

from typing import Any

from hypothesis import strategies as st

from pushsvc.shaping import apns, fcm_message
from tests.unit.shaping.test_fcm_laws import values_of
from tests.unit.shaping.test_wns_laws import GOOD

#: What is only escaped, counted or cut wrongly, if anything; templates; and words with a meaning.
WORDS = [
    *("", "Hi", " ", "\x01", "\r\n", "\uffff", "\ufdd2", "\u2028", "\x7f", "\\u0000", "\\", '"'),
    *("]]>", '"><script>', "&amp;", "👍🏽", "🇨🇭" * 3, "👩‍👩‍👧" * 2, "e\u0301" * 9, "\ufeff"),
    *("{{ v }}", "{{ v | upper }}", "{{ v.k }}", "{{ v[0] | default('d') }}", "{{ k | tojson }}"),
    *("{{ v | truncate(9) }}", "{% if v %}{{ k }}{% else %}é{% endif %}", "{{ w }}", "{{ '{{' }}"),
    *("Increment", "5", "3600s", "default", "https://example.com/{{ v }}", "com.example.app"),
    *("https://example.com/i.png", "ms-appx:///a.png", "ms-winsoundevent:Notification.IM"),
]
#: So long that a gateway refuses it, or just does not.
LONG = ["a" * 4050, "é" * 2030, "\x01" * 700, "👍🏽" * 600, "{{ v }}" * 20, '"' * 2000, "&" * 1100]
TEXT = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=6)
ANY_TEXT = TEXT | st.sampled_from([*WORDS, *LONG])
NUMBERS = [0, 1, -1, 5, 0.5, 2**31, 2**53 + 1, 2**64 - 1, -(2**63), 1e308, 5e-324, -0.0]
VALUE = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
#: Of devices: what no push may hold, too.
FIELD = (
    VALUE
    | st.sampled_from(["\ud800", "\0", "\ufdd0" + "0\ufdd1", "é" * 9000, 10**400])
    | (
        st.sampled_from(
            [float("nan"), float("inf"), {"__type": "Date", "iso": 5}, {"k": ["\udfff"]}]
        )
    )
)
FIELDS = st.dictionaries(st.sampled_from(["v", "k"]), FIELD, max_size=2)


def _some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of these keys, in any order: what is written last wins in some readers."""
    return st.lists(st.sampled_from(sorted(keys)), max_size=6, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: keys[name] for name in names})
    )


_ALERT = st.one_of(
    ANY_TEXT,
    st.dictionaries(
        st.sampled_from(["title", "subtitle", "body", "loc-key", "launch-image"]), ANY_TEXT
    ),
    st.fixed_dictionaries({"body": ANY_TEXT, "loc-args": st.lists(TEXT, max_size=3), "x": VALUE}),
)
_SOUND = TEXT | st.fixed_dictionaries(
    {}, optional={"name": TEXT, "critical": st.sampled_from([0, 1, True]), "volume": st.just(0.5)}
)
_FLAG = st.sampled_from([0, 1, True, False, None, 1.0])
_OBJECT = st.dictionaries(TEXT, VALUE, max_size=2)
_MOMENT = st.sampled_from([0, 1_795_000_000, 1_795_000_000.5])
_APS = {
    "alert": _ALERT,
    "sound": _SOUND,
    "content-available": _FLAG,
    "mutable-content": _FLAG,
    "category": TEXT,
    "thread-id": TEXT,
    "interruption-level": st.sampled_from(["passive", "critical"]),
    "relevance-score": st.sampled_from([0, 0.5, 1]),
    "content-state": _OBJECT,
    "event": st.sampled_from(["start", "update", "end"]),
    "stale-date": _MOMENT,
}
_STEERING = {
    "push_type": st.sampled_from([*apns.PUSH_TYPES, ""]),
    "collapse_id": st.sampled_from(["", "a-1", "é" * 32, "x" * 64, "a b"]),
    "priority": st.sampled_from([1, 5, 10, "5", None]),
}
_BADGE = st.sampled_from(
    ["Increment", {"__op": "Increment", "amount": -(2**31)}, 0, -1, 2**31 - 1, 5.0, "", None]
)
_DATA = _some(
    **_APS,
    **_STEERING,
    **{f"alert-{tag}": _ALERT for tag in ("fr", "fr-CA", "zh_Hant", "color")},
    **{f"title-{tag}": ANY_TEXT for tag in ("fr", "de")},
    title=ANY_TEXT,
    badge=_BADGE,
    aps=_some(**_APS, badge=st.sampled_from([0, -1, 2**63 - 1]), x=VALUE),
    uri=VALUE,
    image=TEXT,
    icon=VALUE,
    topic=VALUE,
    expiry=VALUE,
    k=VALUE,
)
_RAW = values_of(fcm_message.RAW).filter(bool)
_BESIDE = _some(
    **_STEERING,
    notification=values_of(fcm_message.ANDROID_NOTIFICATION),
    android=values_of(fcm_message.ANDROID),
    webpush=values_of(fcm_message.WEBPUSH),
    wns=GOOD,
    rawPayload=_RAW,
    variables=st.dictionaries(st.sampled_from(["v", "x"]), VALUE, max_size=2),
    truncate=st.booleans(),
    validate_only=st.booleans(),
)
CONTENT = st.builds(lambda data, beside: {**beside, "data": data}, _DATA, _BESIDE)
