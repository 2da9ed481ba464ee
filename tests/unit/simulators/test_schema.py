"""The FCM schema reads both spellings and finds fault with the rest."""

from typing import Any

import orjson
from hypothesis import given, strategies as st

from pushsvc.simulators.fcm.checks import check_message, read_body
from pushsvc.simulators.fcm.schema import read_request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
NAMES = st.sampled_from(["message", "data", "token", "android", "notification", "apns", "ttl"])
NEARLY = st.recursive(JSON, lambda inner: st.dictionaries(NAMES, inner), max_leaves=10)


@given(NEARLY)
def test_any_json_is_read(document: Any) -> None:
    """Whatever the document, the answer is a dictionary and a list of violations."""
    read, violations = read_request(document)

    assert isinstance(document, dict) or (read == {} and violations)
    assert all(sentence for _, sentence in violations)


@given(NEARLY)
def test_any_body_is_judged(document: Any) -> None:
    """Whatever the body, it is either rejected with 400 or a message that can be sent."""
    request, rejection = read_body(orjson.dumps(document))
    rejection = rejection or check_message(request.get("message", {}))

    assert rejection is None or rejection.status == 400


def test_both_spellings_are_one_field() -> None:
    """lowerCamelCase and snake_case names come back in snake_case."""
    android = {"collapseKey": "a", "directBootOk": True, "priority": 1}
    read, violations = read_request({"validateOnly": False, "message": {"android": android}})

    assert violations == []
    assert read == {
        "validate_only": False,
        "message": {"android": {"collapse_key": "a", "direct_boot_ok": True, "priority": "HIGH"}},
    }


def test_paths_name_the_place() -> None:
    """A violation deep in lists and records names its path."""
    lights = {"color": {"red": "much"}}
    document = {
        "message": {
            "android": {
                "notification": {
                    "body_loc_args": ["a", 1],
                    "lightSettings": lights,
                    "visibility": "SHY",
                    "vibrate_timings": "0.5s",
                }
            },
            "apns": {"payload": []},
            "webpush": {"headers": "x"},
        }
    }
    _, violations = read_request(document)

    assert [path for path, _ in violations] == [
        "message.android.notification.body_loc_args[1]",
        "message.android.notification.light_settings.color.red",
        "message.android.notification.visibility",
        "message.android.notification.vibrate_timings",
        "message.apns.payload",
        "message.webpush.headers",
    ]
