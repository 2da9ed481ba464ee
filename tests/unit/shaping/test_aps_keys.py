"""Every key of `aps`, in all of its spellings, and what is said of one that Apple would refuse."""

from typing import Any

import orjson
import pytest

from pushsvc.model import ApnsShape, GatewayName, Refused
from pushsvc.shaping.body import ContentError, Form, check_content, form_of, gateway_of
from tests.unit.shaping.one_device import ANDROID, IOS, WINDOWS, shaped

USUAL = [
    ("sound", "sound", "a.caf"),
    ("sound", "sound", {"critical": 1, "name": "a.caf", "volume": 0.5}),
    ("content-available", "contentAvailable", 1),
    ("mutable-content", "mutableContent", 1),
    ("category", "category", "INVITE"),
    ("thread-id", "threadId", "t"),
    ("target-content-id", "targetContentIdentifier", "w"),
    ("interruption-level", "interruptionLevel", "time-sensitive"),
    ("relevance-score", "relevanceScore", 0.5),
    ("filter-criteria", "filterCriteria", "focus"),
]
LIVE = [
    ("event", "event", "update"),
    ("timestamp", "timestamp", 1790000000),
    ("content-state", "contentState", {"home": 1}),
    ("stale-date", "staleDate", 1790000000),
    ("dismissal-date", "dismissalDate", 1790000000),
    ("attributes-type", "attributesType", "Game"),
    ("attributes", "attributes", {"id": 1}),
    ("input-push-token", "inputPushToken", 1),
    ("input-push-channel", "inputPushChannel", "dHN0"),
]


def sent(data: dict[str, Any], **beside: Any) -> ApnsShape:
    made = shaped(IOS, data, **beside)
    assert isinstance(made, ApnsShape)
    return made


def payload(data: dict[str, Any], **beside: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(sent(data, **beside).body)
    return body


def header(made: ApnsShape, name: str) -> str | None:
    value = dict(made.head.headers).get(name.encode())
    return None if value is None else value.decode()


@pytest.mark.parametrize(("key", "camel", "value"), USUAL)
def test_a_key_of_aps_in_data(key: str, camel: str, value: Any) -> None:
    """Both spellings are the same key, and none of them is a custom one."""
    expected = {"aps": {"alert": "Hi", key: value}}
    assert payload({"alert": "Hi", key: value}) == expected
    assert payload({"alert": "Hi", camel: value}) == expected
    assert payload({"alert": "Hi", "aps": {key: value}}) == expected


@pytest.mark.parametrize(("key", "camel", "value"), LIVE)
def test_a_key_of_live_activities(key: str, camel: str, value: Any) -> None:
    """Only the push type makes them Apple's: apps have keys like "event" for their own."""
    aps = payload({camel: value}, push_type="liveactivity")["aps"]
    assert aps == {"timestamp": 1795341600, key: value}
    assert payload({key: value}, push_type="liveactivity")["aps"] == aps
    assert payload({"alert": "Hi", camel: value}) == {"aps": {"alert": "Hi"}, camel: value}
    assert payload({"alert": "Hi", "aps": {key: value}})["aps"] == {"alert": "Hi", key: value}


@pytest.mark.parametrize(
    ("field", "data", "said"),
    [
        ("/data/sound", {"sound": 5}, "a string, or an object"),
        ("/data/sound", {"sound": {"name": 5}}, "a string, or an object"),
        ("/data/sound", {"sound": {"name": "a", "volume": 2}}, "0 to 1"),
        ("/data/content-available", {"content-available": "yes"}, "1 or 0"),
        ("/data/category", {"category": 7}, "a string"),
        ("/data/interruptionLevel", {"interruptionLevel": "loud"}, "time-sensitive"),
        ("/data/relevance-score", {"relevance-score": "high"}, "a number"),
        ("/data/relevance-score", {"relevance-score": True}, "a number"),
        ("/data/aps/badge", {"aps": {"badge": "x"}}, "an integer"),
        ("/data/aps/alert", {"aps": {"alert": 5}}, "a string or an object"),
        ("/data/aps/thread-id", {"aps": {"thread-id": []}}, "a string"),
        ("/data/aps/alert/loc-args", {"aps": {"alert": {"loc-args": [1]}}}, "array of strings"),
        ("/data/alert/title", {"alert": {"title": 5}}, "a string"),
        *(
            (f"/data/alert/{key}", {"alert": {key: [1]}}, said)
            for key, said in [
                *dict.fromkeys(("subtitle", "body", "launch-image", "loc-key"), "a string").items(),
                *dict.fromkeys(("title-loc-key", "subtitle-loc-key"), "a string").items(),
                *dict.fromkeys(("title-loc-args", "subtitle-loc-args"), "of strings").items(),
            ]
        ),
        ("/data/alert-fr/loc-args", {"alert-fr": {"loc-args": "a"}}, "array of strings"),
        ("/data/aps/event", {"aps": {"event": "stop"}}, "start, update, end"),
        ("/data/aps/content-state", {"aps": {"content-state": "a"}}, "an object"),
        ("/data/aps/stale-date", {"aps": {"stale-date": "soon"}}, "seconds since 1970"),
    ],
)
def test_what_apple_would_refuse(field: str, data: dict[str, Any], said: str) -> None:
    """Nothing is left out in silence: the caller is told the key, and what it must be."""
    with pytest.raises(ContentError) as caught:
        check_content({"data": {"k": 1, **data}})
    assert caught.value.field == field
    assert said in caught.value.message


def test_keys_that_apple_adds_later_pass() -> None:
    """What `aps` may hold is Apple's to say."""
    assert payload({"aps": {"new-key": {"a": 1}}})["aps"] == {"new-key": {"a": 1}}


@pytest.mark.parametrize(
    ("push_type", "asked", "priority"),
    [
        ("background", 10, "5"),
        ("background", 1, "1"),
        ("background", None, "5"),
        ("liveactivity", 1, "5"),
        ("liveactivity", None, "10"),
        ("alert", 1, "1"),
        ("voip", None, "10"),
    ],
)
def test_priority_of_a_push_type(push_type: str, asked: int | None, priority: str) -> None:
    """Apple calls 10 an error for background notifications; a live activity has 5 or 10."""
    made = sent({"k": 1}, push_type=push_type, priority=asked)
    assert header(made, "apns-priority") == priority


@pytest.mark.parametrize("push_type", ["widgets", "controls"])
def test_a_widget_is_told_that_something_has_changed(push_type: str) -> None:
    """As in Apple's samples; for any other push the key is the app's own."""
    assert payload({"k": 1}, push_type=push_type) == {"aps": {"content-changed": True}, "k": 1}
    assert payload({"contentChanged": False}, push_type=push_type)["aps"] == {
        "content-changed": False
    }
    assert payload({"content-changed": 1}) == {"aps": {}, "content-changed": 1}


def test_null_in_an_alert_is_nothing() -> None:
    """It neither stands in a payload nor takes a text away."""
    data = {"alert": {"body": "B", "title": None}, "aps": {"alert": {"body": None}}}
    assert payload(data) == {"aps": {"alert": {"body": "B"}}}
    assert payload({"alert": {"body": "B", "title": None}}) == {"aps": {"alert": {"body": "B"}}}


def test_an_empty_text_steers_nothing() -> None:
    """As in Parse's push adapter, it is as good as left out."""
    made = sent({"alert": "Hi", "priority": "", "push_type": ""}, collapse_id="", push_type="")
    assert (header(made, "apns-priority"), header(made, "apns-push-type")) == ("10", "alert")


def test_a_background_push_says_so_in_aps() -> None:
    """Without content-available Apple would not wake the app."""
    assert payload({"k": 1}, push_type="background") == {"aps": {"content-available": 1}, "k": 1}


def test_header_keys_of_parse_s_adapter() -> None:
    """Their camel case wins over snake case, and none of them is left in the payload."""
    made = sent(
        {"alert": "Hi", "collapseId": "c", "pushType": "voip", "collapse_id": "b"},
        collapse_id="a",
        push_type="alert",
    )
    assert (header(made, "apns-collapse-id"), header(made, "apns-push-type")) == ("c", "voip")
    assert orjson.loads(made.body) == {"aps": {"alert": "Hi"}}


@pytest.mark.parametrize(
    ("topic", "is_one"),
    [
        ("com.example.other.voip", True),
        ("news", False),
        ("a." + "b" * 248 + ".voip", True),
        ("a." + "b" * 249 + ".voip", False),
    ],
)
def test_topic_in_data(topic: str, *, is_one: bool) -> None:
    """A bundle id with its suffix is the topic; any other word is the app's own key."""
    made = sent({"alert": "Hi", "topic": topic}, push_type="voip")
    assert made.head.topic == (topic if is_one else "com.example.app.voip")
    assert ("topic" in orjson.loads(made.body)) is not is_one


@pytest.mark.parametrize(
    ("expiry", "expected"),
    [(0, "0"), (1790000000, "1790000000"), (1.5, "1"), (-1, None), ("x", None), (True, None)],
)
def test_expiry_in_data(expiry: object, expected: str | None) -> None:
    """Seconds since 1970; 0 is one attempt. What is no such number is the app's own key."""
    made = sent({"alert": "Hi", "expiry": expiry})
    assert header(made, "apns-expiration") == expected
    assert ("expiry" in orjson.loads(made.body)) is (expected is None)


@pytest.mark.parametrize("key", ["id", "requestId", "channelId"])
def test_other_keys_of_apple_s_headers_are_the_app_s(key: str) -> None:
    """One id for all devices would be none, and the others belong to broadcasts."""
    assert payload({"alert": "Hi", key: "x"}) == {"aps": {"alert": "Hi"}, key: "x"}


@pytest.mark.parametrize(
    ("device", "form"),
    [
        *(
            (IOS._replace(device_type=name), Form.APNS)
            for name in ("ios", "osx", "macos", "tvos", "watchos")
        ),
        (IOS._replace(token="a:b"), Form.FCM_APPLE),
        (IOS._replace(push_type="fcm"), Form.FCM_APPLE),
        (IOS._replace(push_type="gcm"), Form.APNS),
        (IOS._replace(push_type="android"), Form.FCM_ANDROID),
        (ANDROID, Form.FCM_ANDROID),
        (ANDROID._replace(device_type="fcm"), Form.FCM_ANDROID),
        (ANDROID._replace(push_type="gcm"), Form.FCM_ANDROID),
        (ANDROID._replace(device_type="embedded", push_type="fcm"), Form.FCM_ANDROID),
        (ANDROID._replace(push_type="ios", token="aa"), Form.APNS),
        (ANDROID._replace(device_type="web"), Form.FCM_WEB),
        (ANDROID._replace(device_type="web", push_type="fcm"), Form.FCM_WEB),
        (ANDROID._replace(device_type="web", token='{"endpoint":'), "WebPushSubscription"),
        *((WINDOWS._replace(device_type=name), Form.WNS) for name in ("winphone", "dotnet")),
        *(
            (IOS._replace(device_type=name), "UnknownDeviceType")
            for name in ("embedded", "expo", "iOS", "")
        ),
    ],
)
def test_form_of(device: Any, form: Form | str) -> None:
    """The push type wins where it names a way; an Apple device with FCM's token goes by FCM."""
    if isinstance(form, Form):
        assert form_of(device) is form
        gateway = form.value.split("_")[0]
        assert gateway_of(device) is GatewayName(gateway)
    else:
        assert form_of(device) == Refused(reason=form)
        assert gateway_of(device) is None


def test_a_push_for_other_devices_is_no_empty_one() -> None:
    """What says nothing to a device is not sent to it; what is asked to say nothing is."""
    shown = {"title": "T"}
    assert shaped(IOS, {}, notification=shown) == Refused(reason="PayloadEmpty")
    assert not isinstance(shaped(ANDROID, {}, notification=shown), Refused)
    assert not isinstance(shaped(IOS, {"k": 1}, notification=shown), Refused)


def test_a_text_in_the_device_s_language_is_no_empty_push() -> None:
    """Whether there is something in it for a device is asked of the texts that it gets."""
    data, shown = {"alert-de": "Hallo"}, {"title": "T"}
    german = IOS._replace(locale="de-CH")
    assert not isinstance(shaped(german, data, notification=shown), Refused)
    assert shaped(IOS, data, notification=shown) == Refused(reason="PayloadEmpty")
