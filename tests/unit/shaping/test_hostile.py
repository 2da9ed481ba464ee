"""Nothing that anybody can send makes shaping raise anything but its own errors."""

from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from hypothesis import example, given, settings, strategies as st

from pushsvc.model import ApnsShape, Device, FcmShape, Refused, Shape, WnsShape
from pushsvc.shaping import limits
from pushsvc.shaping.body import ContentError, check_content
from pushsvc.shaping.fcm import counted_bytes
from pushsvc.simulators.apns import checks as apns_checks
from pushsvc.simulators.exchange import Exchange
from pushsvc.simulators.fcm.checks import check_message, read_body
from tests.unit.shaping import contents, test_wns_laws
from tests.unit.shaping.one_device import ANDROID, IOS, WINDOWS, let_in

#: All that a device may be refused for once a push is let in.
TYPED = {
    *("PayloadTooLarge", "PayloadEmpty", "MissingBadge", "MissingVariable", "TemplateFailed"),
    *("VariableTooLong", "BadText"),
}
#: What APNs looks at of a message whose token and credential are good.
APNS_JUDGES = (
    apns_checks.collapse_id,
    apns_checks.priority,
    apns_checks.push_type,
    apns_checks.expiration,
    apns_checks.payload,
)

DEVICES = [
    IOS,
    IOS._replace(push_type="fcm", token="a:b"),
    ANDROID,
    ANDROID._replace(device_type="web"),
    WINDOWS,
    WINDOWS._replace(device_type="winphone"),
]
NAMES = [
    *("data", "notification", "rawPayload", "android", "webpush", "wns", "variables", "truncate"),
    *("alert", "alert-fr", "title", "title-fr", "badge", "sound", "aps", "uri", "image", "topic"),
    *("collapse_id", "push_type", "priority", "validate_only", "expiry", "content-state", "event"),
    *(
        "apns",
        "payload",
        "headers",
        "body",
        "ttl",
        "type",
        "raw",
        "tag",
        "icon",
        "name",
        "critical",
    ),
    *("__op", "amount", "fcmOptions", "link", "loc-args", "collapseId", "pushType", "k", "v"),
]
#: Half of a pair, noncharacters, what XML has not, marks of our own, and templates.
WORDS = [
    *("", "a", "\ud800", "\udfff", "\ufdd0b\ufdd1", "\ufdd00\ufdd1", "\x00", "\x01", "\uffff"),
    *("{{ v }}", "{{ v | upper }}", "{{ v.k[0] }}", "{% if v %}{{ k }}{% endif %}", "{{", "{{ 9"),
    *("Increment", "voip", "liveactivity", "raw", "toast", "tile", "badge", "5", "3600s", "👍🏽"),
    *("https://example.com", "]]>", '"><script>', "\\u0000", "a" * 4090, "é" * 2500, "é" * 9000),
]
NUMBERS = [0, 1, -1, 10, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, float("nan"), -0.0]
TEXT = st.sampled_from(WORDS) | st.text(st.characters(), max_size=8)
LEAF = st.none() | st.booleans() | st.sampled_from([*NUMBERS, float("inf")]) | TEXT
KEY = st.sampled_from(NAMES) | TEXT
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=5),
    max_leaves=12,
)
CONTENT = st.dictionaries(KEY, JSON, max_size=6).flatmap(
    lambda beside: st.dictionaries(KEY, JSON, max_size=6).map(lambda data: {**beside, "data": data})
)
FIELDS = st.dictionaries(st.sampled_from(["v", "k"]), JSON, max_size=2)


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"k": [value]}
    return value


@settings(max_examples=200, deadline=None)
@given(content=CONTENT, fields=FIELDS, badge=st.none() | st.integers(0, 2**31 - 1), locale=TEXT)
@example(content={"data": {"alert": "{{ v }}"}}, fields={"v": deep(30)}, badge=None, locale="")
@example(
    content={"data": {"alert": "{{ v }}", "k": "{{ v }}"}, "truncate": True},
    fields={"v": "\ud800" * 5000},
    badge=2**31 - 1,
    locale="fr_FR@calendar=x",
)
def test_nothing_but_typed_errors(
    *, content: dict[str, Any], fields: dict[str, Any], badge: int | None, locale: str
) -> None:
    """Content is told what is wrong with it, or each device gets a valid message or a reason."""
    shaper = let_in(content)
    if shaper is None:
        return
    for device in DEVICES:
        check(shaper.shape(device._replace(fields=fields, badge=badge, locale=locale)), device)


@settings(max_examples=250, deadline=None)
@given(
    content=contents.CONTENT,
    fields=contents.FIELDS,
    badge=st.none() | st.integers(0, 2**31 - 1),
    locale=st.sampled_from([None, "fr_FR@calendar=x", "fr-CA", "zh-Hant-TW", "de"]),
    lives=st.sampled_from([None, 0, 0.5, 60, 10**9]),
)
def test_what_is_let_in_is_taken_by_every_gateway(
    *,
    content: dict[str, Any],
    fields: dict[str, Any],
    badge: int | None,
    locale: str | None,
    lives: float | None,
) -> None:
    """Every key and block at once, with hostile texts in them: strict gateways find no fault."""
    shaper = let_in(content, lives=lives)
    if shaper is None:
        return
    for device in DEVICES:
        own = device._replace(fields=fields, badge=badge, locale=locale)
        made = shaper.shape(own)
        check(made, own)
        assert shaper.shape_one(own) == made


@settings(max_examples=200, deadline=None)
@given(content=contents.CONTENT)
@example(content={"data": {"aps": {"alert": {"body": "é" * 900}}, "alert": "é", "title": "t"}})
@example(content={"data": {f"{n}": {} for n in range(290)} | {"push_type": "liveactivity"}})
def test_what_is_short_fits(content: dict[str, Any]) -> None:
    """Nobody weighs content of two kilobytes: APNs takes it in whatever texts, if it is for it."""
    shaper = let_in(content)
    if shaper is None:
        return
    is_short = len(orjson.dumps(content)) <= limits.APNS_PAYLOAD_BYTES // 2
    if is_short and shaper.content.says(()):
        for tag in ("", "fr"):
            made = shaper.outline(IOS._replace(locale=tag))
            assert made is not limits.TOO_LARGE


def check(made: Shape | Refused, device: Device) -> None:
    """Hold a message against the strict gateway, and against readers of JSON and XML."""
    if isinstance(made, Refused):
        assert made.reason.partition(":")[0] in TYPED
    elif isinstance(made, ApnsShape):
        assert isinstance(orjson.loads(made.body)["aps"], dict)
        fields = dict(made.head.headers)
        assert len(fields) == len(made.head.headers)
        exchange = cast(Exchange, SimpleNamespace(fields=fields, size=len(made.body)))
        assert [judge(exchange) for judge in APNS_JUDGES] == [None] * len(APNS_JUDGES)
    elif isinstance(made, FcmShape):
        request, refusal = read_body(made.head + orjson.dumps(device.token) + made.tail)
        assert refusal is None
        assert check_message(request["message"]) is None
        assert counted_bytes(request["message"]) <= limits.FCM_PAYLOAD_BYTES
    else:
        assert isinstance(made, WnsShape)
        test_wns_laws.check(made, device)


@pytest.mark.parametrize("key", ["data", "android", "variables", "wns", "rawPayload", "unknown"])
def test_json_that_is_nested_deeply(key: str) -> None:
    """It is refused before anything goes down into it."""
    with pytest.raises(ContentError, match="nested too deeply") as caught:
        check_content({"data": {"alert": "Hi"}, key: deep(5000)})
    assert caught.value.field.startswith(f"/{key}")


@pytest.mark.parametrize("text", ["\ufdd0b\ufdd1", "a\ufdd00\ufdd1", "\ufdd0", "\ufdd1"])
def test_a_mark_of_ours_is_no_text(text: str) -> None:
    """In a value or a name, it would be taken for the place of a badge or of another text."""
    for content in (
        {"data": {"k": [text]}},
        {"data": {text: 1}},
        {"data": {}, "wns": {"raw": text}},
    ):
        with pytest.raises(ContentError, match="U\\+FDD0"):
            check_content(content)


@pytest.mark.parametrize("data", [None, [], "x", 5, True])
def test_data_that_is_no_object(data: object) -> None:
    """It is told as the field at fault."""
    with pytest.raises(ContentError) as caught:
        check_content({"data": data})
    assert caught.value.field == "/data"
