"""Whatever content is let in becomes a notification that a strict WNS takes."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from xml.etree import ElementTree as ET

import orjson
from hypothesis import given, strategies as st

from pushsvc.model import Device, Refused, WnsShape
from pushsvc.shaping.body import ContentError, check_content
from pushsvc.shaping.wns_block import RULES
from pushsvc.simulators.exchange import Exchange
from pushsvc.simulators.wns.checks import AFTER_CREDENTIAL, BEFORE_CREDENTIAL, first_refusal
from tests.unit.shaping.one_device import NOW, WINDOWS, shaper_of

#: What a device of Windows may be refused for once the push is let in.
TYPED = {"PayloadTooLarge", "MissingBadge", "PayloadEmpty"}


@dataclass(frozen=True)
class Request:
    """What the simulated WNS looks at of a request."""

    method: bytes
    path: bytes
    fields: dict[bytes, bytes]
    size: int


def asked(shape: WnsShape, path: str) -> Exchange:
    """The request as the simulated WNS reads it."""
    fields = {
        ":version": "HTTP/1.1",
        "host": "db5.notify.windows.com",
        "content-length": str(len(shape.body)),
        **{name.lower(): value for name, value in shape.headers},
    }
    request = Request(
        method=b"POST",
        path=path.encode(),
        fields={name.encode(): value.encode("ascii") for name, value in fields.items()},
        size=len(shape.body),
    )
    return cast(Exchange, request)


def check(shape: WnsShape, device: Device) -> None:
    """Hold a notification against the strict WNS, and against readers of XML and JSON."""
    token = "phone-1" if device.device_type == "winphone" else "x"
    exchange = asked(shape, f"/?token={token}")
    assert first_refusal(BEFORE_CREDENTIAL + AFTER_CREDENTIAL, exchange) is None
    fields = dict(shape.headers)
    kind = fields["X-WNS-Type"].removeprefix("wns/")
    if kind != "raw":
        assert ET.fromstring(shape.body).tag == kind
    elif shape.body[:1] == b"{":
        orjson.loads(shape.body)


_TEXT = st.text(max_size=30) | st.sampled_from(
    ["", "Hi", "\x01", "{{ name }}", "<b>&", '{{ name | default("x") }}', "a" * 2000]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_SHOWN: st.SearchStrategy[dict[str, str]] = st.fixed_dictionaries({}) | st.fixed_dictionaries(
    {"title": st.sampled_from(["T", "{{ name }}"])}
)
_MORE = st.fixed_dictionaries(
    {},
    optional={
        "alert": _TEXT | st.fixed_dictionaries({}, optional={"title": _TEXT, "body": _TEXT}),
        "alert-fr": _TEXT,
        "image": _TEXT | st.just("https://example.com/i.png"),
        "uri": _JSON,
        "sound": _TEXT | st.just("ms-winsoundevent:Notification.IM"),
        "badge": st.sampled_from(["Increment", 5, 0, -3, {"__op": "Increment", "amount": -2}]),
        "k": _JSON,
    },
)
_DATA = st.builds(lambda shown, more: more | shown, _SHOWN, _MORE)
_VALUES: dict[str, Any] = {
    "image": st.sampled_from(["https://example.com/<i>.png", "{{ name }}"]),
    "audio": st.sampled_from(["silent", "ms-appx:///a.m4a"]),
    "launch": _TEXT,
    "badge": st.integers(0, 200) | st.sampled_from(["none", "alert"]),
    "raw": _TEXT | st.dictionaries(_TEXT, _JSON, max_size=2),
    "tag": st.from_regex(r"[A-Za-z0-9]{1,16}", fullmatch=True),
    "group": st.just("g1"),
    "ttl": st.integers(1, 2**31 - 1),
    "cache": st.booleans(),
    "priority": st.integers(1, 4),
    "suppress_popup": st.booleans(),
}


def _blocks(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Good blocks of a type."""
    keys = {key: value for key, value in _VALUES.items() if kind in RULES[key].types}
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=keys)


GOOD = st.sampled_from(["toast", "badge", "tile", "raw"]).flatmap(_blocks)
_BLOCK = (
    GOOD
    | st.fixed_dictionaries({}, optional=_VALUES)
    | st.dictionaries(
        st.sampled_from(["type", "image", "badge", "raw", "tag", "ttl", "x", "launch"]), _JSON
    )
)
_DEVICES = st.builds(
    lambda device_type, badge, locale, name: WINDOWS._replace(
        device_type=device_type, badge=badge, locale=locale, fields={"name": name}
    ),
    st.sampled_from(["winrt", "winphone", "dotnet"]),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.sampled_from([None, "fr-CA", "en"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.just("é<" * 900),
)
_LIVES = st.none() | st.integers(0, 10_000).map(lambda seconds: NOW + timedelta(seconds=seconds))


@given(_DATA, _BLOCK, _DEVICES, _LIVES, st.booleans(), st.sampled_from(["", "a1", "a-b"]))
def test_whatever_is_let_in_is_taken_by_a_strict_wns(
    data: Any, block: Any, device: Device, expires_at: Any, truncate: Any, collapse_id: str
) -> None:
    """Well-formed, within 5000 bytes, with header fields that agree; or refused with a reason."""
    content = {"data": data, "wns": block, "truncate": truncate, "collapse_id": collapse_id}
    try:
        check_content(content)
    except ContentError:
        return
    made = shaper_of(content, expires_at).shape(device)
    if isinstance(made, Refused):
        assert made.reason in TYPED
        return
    assert isinstance(made, WnsShape)
    check(made, device)


def test_the_judge_is_strict() -> None:
    """The law above would see a field that is for phones on another channel."""
    shape = WnsShape(
        (("Content-Type", "text/xml"), ("X-WNS-Type", "wns/toast"), ("X-WNS-Group", "a")), b"<a/>"
    )
    assert first_refusal(AFTER_CREDENTIAL, asked(shape, "/?token=x")) == (
        400,
        "x-wns-group is for Windows Phone only",
    )
