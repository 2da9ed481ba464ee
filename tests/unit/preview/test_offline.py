"""One installation and one push in Parse's form: what is checked, what is made up."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pushsvc.errors import CallerError
from pushsvc.planning.schedule import TIME_KEYS
from pushsvc.preview.offline import OfflinePush, Unsent
from pushsvc.preview.request import GatewayRequest
from pushsvc.shaping.content import SHAPING_KEYS

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
IOS = {"deviceType": "ios", "deviceToken": "AA" * 32, "appIdentifier": "com.example.app"}
HI = {"alert": "Hi"}


def request(
    installation: dict[str, Any], body: dict[str, Any], *, now: datetime = NOW
) -> GatewayRequest:
    made = OfflinePush(body, now=now).request(installation)
    assert isinstance(made, GatewayRequest)
    return made


@pytest.mark.parametrize(
    "audience",
    [
        {},
        {"channels": ["news"]},
        {"where": {"deviceType": "ios"}},
        {"audience_id": "abc"},
        {"where": {}, "channels": []},
    ],
)
def test_whom_a_push_is_for_is_read_over(audience: dict[str, Any]) -> None:
    """The installation is given, so there is nobody to look for."""
    assert request(IOS, {"data": HI, **audience}).body == {"aps": {"alert": "Hi"}}


@pytest.mark.parametrize(
    ("body", "code", "field", "told"),
    [
        pytest.param({}, 115, "/data", "needs", id="no data"),
        pytest.param({"data": None}, 115, "/data", "needs", id="null data"),
        pytest.param({"data": []}, 115, "/data", "needs", id="an empty array"),
        pytest.param({"data": "Hi"}, 115, "/data", "object", id="a string"),
        pytest.param({"data": {"badge": "5"}}, 115, "/data/badge", "badge", id="badge"),
        pytest.param(
            {"data": HI, "expiration_time": None}, 115, "/expiration_time", "null", id="null time"
        ),
        pytest.param(
            {"data": HI, "push_time": "tomorrow"}, 115, "/push_time", "not valid", id="no time"
        ),
        pytest.param(
            {"data": HI, "expiration_interval": 0}, 115, "/expiration_interval", "0", id="interval"
        ),
        pytest.param(
            {"data": HI, "expiration_time": 1}, 138, "/expiration_time", "past", id="expired"
        ),
        pytest.param({"data": HI, "push_time": 1}, 152, "/push_time", "past", id="in the past"),
        pytest.param(
            {"data": HI, "template": "welcome"}, 115, "/template", "write out", id="a template"
        ),
        pytest.param({"data": HI, "priority": 7}, 115, "/priority", "1, 5 or 10", id="priority"),
        pytest.param(
            {"data": {"alert": "\0"}}, 115, "/data/alert", "U+0000", id="what none can store"
        ),
    ],
)
def test_a_push_that_the_api_refuses_is_refused(
    body: dict[str, Any], code: int, field: str, told: str
) -> None:
    """With Parse's code, the field and a sentence."""
    with pytest.raises(CallerError) as raised:
        OfflinePush(body, now=NOW)
    assert (raised.value.parse_number, raised.value.field) == (code, field)
    assert told in raised.value.detail


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        pytest.param({"deviceType": None}, 135, "/deviceType", id="no type"),
        pytest.param({"deviceType": "toaster"}, 133, "/deviceType", id="unknown type"),
        pytest.param({"badge": "3"}, 111, "/badge", id="badge"),
        pytest.param({"deviceToken": 5}, 114, "/deviceToken", id="token"),
        pytest.param({"channelUris": {"_Default": 5}}, 111, "/channelUris", id="channels"),
        pytest.param({"born": {"__type": "Date", "iso": "x"}}, 111, "/born", id="date"),
        pytest.param({"1st": 5}, 105, None, id="name of a field"),
    ],
)
def test_an_installation_that_cannot_be_stored_is_refused(
    change: dict[str, Any], code: int, field: str | None
) -> None:
    """By the rules of saving one."""
    push = OfflinePush({"data": HI}, now=NOW)
    with pytest.raises(CallerError) as raised:
        push.request({**IOS, **change})
    assert (raised.value.parse_number, raised.value.field) == (code, field)


def test_fields_are_kept_as_they_are_stored() -> None:
    """Tokens are lower-cased, times are in UTC with milliseconds, a File is its JSON."""
    found = request(
        {
            **IOS,
            "createdAt": "2026-01-02T03:04:05+02:00",
            "updatedAt": {"__type": "Date", "iso": "2026-01-02T03:04:05.678Z"},
            "photo": {"__type": "File", "name": "a.png", "url": "https://example.com/a.png"},
        },
        {"data": {"alert": "{{ createdAt }} {{ updatedAt }} {{ photo.name }}"}},
    )
    assert found.path == "/3/device/" + "aa" * 32
    told = "2026-01-02T01:04:05.000Z 2026-01-02T03:04:05.678Z a.png"
    assert found.body == {"aps": {"alert": told}}


def test_null_and_long_values_count_as_missing() -> None:
    """As in the service: no payload has room for a value of 16 KB."""
    push = OfflinePush({"data": {"alert": "{{ a }}"}}, now=NOW)
    for value in (None, "x" * 17_000):
        made = push.request({**IOS, "a": value})
        assert isinstance(made, Unsent)
        assert made.refused == "MissingVariable:a"


def test_a_device_that_no_gateway_reaches() -> None:
    """There is no gateway to be named."""
    made = OfflinePush({"data": HI}, now=NOW).request({**IOS, "deviceType": "embedded"})
    assert made == Unsent(gateway=None, refused="UnknownDeviceType")


def test_numbers_stand_for_ids() -> None:
    """Push and installation make `apns-id`, as in the service."""
    push = OfflinePush({"data": HI}, now=NOW, number=3)
    made = push.request(IOS, number=258)
    assert isinstance(made, GatewayRequest)
    assert made.headers["apns-id"] == "00000000-0000-0003-0000-000000000102"


def test_what_one_installation_was_sent_does_not_change_the_next() -> None:
    """A push is shaped once, and each badge is the device's own."""
    push = OfflinePush({"data": {"alert": "Hi", "badge": "Increment"}}, now=NOW)
    for badge in (1, 5, 1):
        made = push.request({**IOS, "badge": badge})
        assert isinstance(made, GatewayRequest)
        assert made.body["aps"]["badge"] == badge + 1


def test_a_push_for_later_is_sent_when_it_is_due() -> None:
    """Its lifetime counts from then."""
    body = {"data": HI, "push_time": "2026-11-25T10:00:00Z", "expiration_interval": 60}
    expected = int((NOW + timedelta(days=3, seconds=60)).timestamp())
    assert request(IOS, body).headers["apns-expiration"] == str(expected)
    android = {"deviceType": "android", "deviceToken": "a:b"}
    assert request(android, body).body["message"]["android"]["ttl"] == "60s"


def test_in_local_time_each_wave_has_a_lifetime_of_its_own() -> None:
    """At every gateway, from when the device's own clock shows the time."""
    body = {"data": HI, "push_time": "2026-11-25T10:00:00", "expiration_interval": 60}
    tokyo = {"timeZone": "Asia/Tokyo"}
    at = datetime(2026, 11, 25, 1, tzinfo=UTC)

    assert request({**IOS, **tokyo}, body).headers["apns-expiration"] == str(
        int((at + timedelta(seconds=60)).timestamp())
    )
    android = {"deviceType": "android", "deviceToken": "a:b", **tokyo}
    assert request(android, body).body["message"]["android"]["ttl"] == "60s"
    uri = "https://db5.notify.windows.com/?token=a"
    windows = {"deviceType": "winrt", "channelUris": {"_Default": uri}, **tokyo}
    assert request(windows, body).headers["X-WNS-TTL"] == "60"


def test_in_local_time_a_wave_that_is_past_goes_out_at_once_or_has_expired() -> None:
    """As in the service: what has run of its lifetime until then has run."""
    body = {"data": HI, "push_time": "2026-11-22T20:00:00", "expiration_interval": 7200}
    tokyo = {"deviceType": "android", "deviceToken": "a:b", "timeZone": "Asia/Tokyo"}

    late = request(tokyo, body, now=NOW + timedelta(hours=2))
    expired = OfflinePush(body, now=NOW + timedelta(hours=3)).request(tokyo)

    assert late.body["message"]["android"]["ttl"] == "3600s"
    assert isinstance(expired, Unsent)
    assert expired.refused == "Expired"


def test_in_local_time_one_moment_of_expiry_leaves_later_waves_less() -> None:
    """And the last ones nothing: the first zone has a day more than the last."""
    body = {"data": HI, "push_time": "2026-11-25T10:00:00"}
    body["expiration_time"] = "2026-11-25T02:00:00Z"
    android = {"deviceType": "android", "deviceToken": "a:b"}

    def lifetime(**zone: str) -> str:
        made = request({**android, **zone}, body)
        ttl: str = made.body["message"]["android"]["ttl"]
        return ttl

    zones = ("Pacific/Kiritimati", "Asia/Tokyo")
    assert [lifetime(timeZone=zone) for zone in zones] == ["21600s", "3600s"]
    assert lifetime() == "21600s"
    last = OfflinePush(body, now=NOW).request({**android, "timeZone": "Europe/Berlin"})
    assert isinstance(last, Unsent)
    assert last.refused == "Expired"


def test_sizes_are_told() -> None:
    """Bytes as the gateway counts them, and how many it takes."""
    made = request(IOS, {"data": {"alert": "é"}})
    assert (made.size_bytes, made.limit_bytes) == (22, 4096)


TEXT = st.text(max_size=8) | st.sampled_from(["{{ a }}", "{{ badge }}", "ios", "winrt", "\ud800"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["ios", "android", "winrt", "winphone", "web", "embedded", "fcm"])
TOKENS = st.sampled_from(["ab" * 32, "a:b", "https://a.notify.windows.com/?token=a", "{}"]) | TEXT
#: Right in most fields; `WRONG` spoils one of them.
INSTALLATION = st.fixed_dictionaries(
    {"deviceType": TYPES, "deviceToken": TOKENS},
    optional={
        "appIdentifier": st.just("com.example.app"),
        "channelUris": st.dictionaries(st.just("_Default"), TOKENS),
        "localeIdentifier": st.sampled_from(["fr", "fr-CA"]),
        "pushType": TYPES,
        "badge": st.integers(-(2**31), 2**31 - 1),
        "a": JSON,
    },
)
FIELDS = ["deviceType", "appIdentifier", "channelUris", "pushType", "badge", "createdAt", "b"]
WRONG = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=1)
KEYS = ["alert", "title", "badge", "sound", "aps", "alert-fr", "topic", "expiry", "image", "b"]
DATA = st.dictionaries(st.sampled_from(KEYS), TEXT | st.just("Increment"), max_size=4)
BESIDE = [*SHAPING_KEYS, *TIME_KEYS, "channels"]
BODY = st.dictionaries(st.sampled_from(BESIDE), JSON, max_size=1)


@settings(max_examples=300, deadline=None)
@given(installation=INSTALLATION, wrong=WRONG, data=DATA | JSON, beside=BODY)
def test_nothing_but_its_own_errors_comes_of_any_input(
    *, installation: dict[str, Any], wrong: dict[str, Any], data: Any, beside: dict[str, Any]
) -> None:
    """A request, a reason, or an error that the API would answer."""
    with suppress(CallerError):
        made = OfflinePush({"data": data, **beside}, now=NOW).request({**installation, **wrong})
        assert isinstance(made, GatewayRequest | Unsent)
