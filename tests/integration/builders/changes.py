"""How each difference changes what the adapter is given, or what it made."""

from typing import Any, Final

from pushsvc.delivery.apns.client import apns_id
from pushsvc.shaping.body import Form
from tests.integration.builders.cases import CREATED, Body, Case
from tests.integration.builders.differences import Request

PUSH_ID: Final = 7
PUSH_OBJECT_ID: Final = "abcdefghij"

#: Keys of `aps` that the adapter knows, by its spelling.
KNOWN: Final = {
    "alert": "alert",
    "badge": "badge",
    "sound": "sound",
    "content-available": "content-available",
    "mutable-content": "mutable-content",
    "category": "category",
    "threadId": "thread-id",
    "targetContentIdentifier": "target-content-id",
    "interruptionLevel": "interruption-level",
}
#: Spellings that it does not know; of two the later one counts.
UNKNOWN: Final = {
    "contentAvailable": "content-available",
    "mutableContent": "mutable-content",
    "thread-id": "thread-id",
    "target-content-id": "target-content-id",
    "interruption-level": "interruption-level",
    "relevanceScore": "relevance-score",
    "relevance-score": "relevance-score",
    "filterCriteria": "filter-criteria",
    "filter-criteria": "filter-criteria",
}
LIVE: Final = {
    "event": "event",
    "timestamp": "timestamp",
    "contentState": "content-state",
    "content-state": "content-state",
    "staleDate": "stale-date",
    "stale-date": "stale-date",
    "dismissalDate": "dismissal-date",
    "dismissal-date": "dismissal-date",
    "attributesType": "attributes-type",
    "attributes-type": "attributes-type",
    "attributes": "attributes",
}
WIDGET: Final = {"contentChanged": "content-changed", "content-changed": "content-changed"}
FLAGS: Final = ("content-available", "mutable-content")
BROADCAST: Final = ("id", "requestId", "channelId")
COPIES: Final = ("collapse_id", "push_type")
TOPICS: Final = {"widgets": ".push-type.widgets", "controls": ".push-type.controls"}


def payload(form: Form, request: Request) -> Body:
    """Return what the app gets: the keys beside `aps`, or Parse's `data`."""
    body: Body = request["body"]
    if form is Form.APNS:
        return body
    message = body["message"]
    found: Body = (
        message["apns"]["payload"] if form is Form.FCM_APPLE else message["android"]["data"]["data"]
    )
    return found


def headers(form: Form, request: Request) -> dict[str, str]:
    """Return Apple's headers."""
    found: dict[str, str] = (
        request["headers"] if form is Form.APNS else request["body"]["message"]["apns"]["headers"]
    )
    return found


def android(request: Request) -> Body:
    """Return the block for Android devices."""
    found: Body = request["body"]["message"]["android"]
    return found


# ---------------------------------------------------------------- texts


def _normal(tag: str) -> str:
    return tag.lower().replace("_", "-")


def best_variant(case: Case, name: str) -> Any:
    """Return the variant with the longest tag that the locale begins with, whatever their order."""
    locale = _normal(case.locale or "") + "-"
    fitting = {
        _normal(key.partition("-")[2]): value
        for key, value in case.data.items()
        if key.startswith(f"{name}-")
    }
    tags = [tag for tag, value in fitting.items() if value and locale.startswith(f"{tag}-")]
    return fitting[max(tags, key=len)] if tags else case.data.get(name)


def in_best_language(case: Case, _form: Form, body: Body) -> None:
    for name in ("alert", "title"):
        text = best_variant(case, name)
        if text is not None or name in body["data"]:
            body["data"][name] = text


LOOK_ALIKES: Final = ("alert-color", "title-bar")


def with_look_alikes(case: Case, _form: Form, body: Body) -> None:
    body["data"].update({key: case.data[key] for key in LOOK_ALIKES if key in case.data})


def with_variables(case: Case, _form: Form, request: Request) -> None:
    request["body"] = _filled(request["body"], case.name)


def _filled(value: Any, name: str) -> Any:
    if isinstance(value, str):
        return value.replace("{{ name }}", name)
    if isinstance(value, dict):
        return {key: _filled(part, name) for key, part in value.items()}
    return [_filled(part, name) for part in value] if isinstance(value, list) else value


# ---------------------------------------------------------------- what stands in aps


def without_nulls(_case: Case, form: Form, body: Body) -> None:
    if form is Form.FCM_ANDROID:
        if body.get("notification", ...) is None:
            del body["notification"]
        return
    data = body["data"]
    for key in (*KNOWN, *UNKNOWN, "title", "aps", *FLAGS):
        if data.get(key, ...) is None:
            del data[key]
    for key in ("aps", "alert"):
        if isinstance(data.get(key), dict):
            data[key] = _given(data[key])
    if isinstance(data.get("aps", {}).get("alert"), dict):
        data["aps"]["alert"] = _given(data["aps"]["alert"])


def _given(values: Body) -> Body:
    return {key: value for key, value in values.items() if value is not None}


def title_last(_case: Case, _form: Form, body: Body) -> None:
    data = body["data"]
    if "title" in data:
        data["title"] = data.pop("title")


def _long(alert: Any) -> Body:
    return alert if isinstance(alert, dict) else {"body": alert}


def merged_aps(_case: Case, _form: Form, body: Body) -> None:
    """The own `aps` first, and after it only what it does not say; alerts key by key."""
    data = body["data"]
    own = dict(data.pop("aps", None) or {})
    if own.get("alert") is not None and {"alert", "title"} & data.keys():
        alert = _long(data.pop("alert")) if data.get("alert") is not None else {}
        title = {"title": data.pop("title")} if "title" in data else {}
        own["alert"] = {**alert, **title, **_long(own["alert"])}
    body["data"] = {
        "aps": own,
        **{key: value for key, value in data.items() if KNOWN.get(key, "") not in own},
    }


def flags_as_numbers(_case: Case, _form: Form, body: Body) -> None:
    for place in (body["data"], body["data"].get("aps") or {}):
        for key in FLAGS:
            if place.pop(key, None):
                place[key] = 1
        sound = place.get("sound")
        if isinstance(sound, dict) and "critical" in sound:
            place["sound"] = {**sound, "critical": int(sound["critical"])}


def sound_as_given(case: Case, form: Form, request: Request) -> None:
    sound = case.data["sound"]
    aps = payload(form, request).setdefault("aps", {})
    if sound.keys() != {"name", "critical", "volume"} and "sound" not in aps:
        aps["sound"] = sound


def critical_as_given(case: Case, form: Form, request: Request) -> None:
    aps = payload(form, request)["aps"]
    own = (case.data.get("aps") or {}).get("sound")
    sound = case.data.get("sound") if own is None else own
    if isinstance(sound, dict) and sound.get("critical") in (0, False):
        aps["sound"] = {**sound, "critical": 0}


def no_empty_sound_or_badge(_case: Case, _form: Form, body: Body) -> None:
    for key in ("sound", "badge"):
        if body["data"].get(key) == "":
            del body["data"][key]


def empty_sound(case: Case, form: Form, request: Request) -> None:
    if case.data.get("sound") == "":
        payload(form, request)["aps"].setdefault("sound", "")


def short_alert(case: Case, form: Form, request: Request) -> None:
    """An alert that is nothing but a body, and was a string."""
    aps, own = payload(form, request)["aps"], case.data.get("aps") or {}
    is_short = isinstance(best_variant(case, "alert"), str) and own.get("alert") is None
    if is_short and aps.get("alert", {}).keys() == {"body"}:
        aps["alert"] = aps["alert"]["body"]


def own_spelling(case: Case, form: Form, request: Request) -> None:
    _moved(UNKNOWN, case, payload(form, request))


def live_activity(case: Case, form: Form, request: Request) -> None:
    top = payload(form, request)
    _moved(LIVE, case, top)
    top.setdefault("aps", {}).setdefault("timestamp", int(CREATED.timestamp()))


def _moved(spelled: dict[str, str], case: Case, top: Body) -> None:
    own, aps = case.data.get("aps") or {}, top.setdefault("aps", {})
    for name, key in spelled.items():
        value = top.pop(name, None)
        if key in FLAGS:
            value = 1 if value else None
        if value is not None and own.get(key) is None:
            aps[key] = value


def background(case: Case, form: Form, request: Request) -> None:
    """What only wakes the app is a background notification."""
    aps = payload(form, request).get("aps", {})
    silent = aps.get("content-available") == 1 and not {"alert", "sound", "badge"} & aps.keys()
    if silent and not case.push_type:
        headers(form, request)["apns-push-type"] = "background"


def allowed_priority(_case: Case, form: Form, request: Request) -> None:
    fields = headers(form, request)
    if fields["apns-push-type"] == "background":
        payload(form, request).setdefault("aps", {}).setdefault("content-available", 1)
        fields["apns-priority"] = str(min(5, int(fields.get("apns-priority", 10))))
    if fields["apns-push-type"] == "liveactivity":
        fields["apns-priority"] = str(max(5, int(fields.get("apns-priority", 10))))


def content_changed(case: Case, form: Form, request: Request) -> None:
    _moved(WIDGET, case, payload(form, request))
    payload(form, request).setdefault("aps", {}).setdefault("content-changed", True)


def with_aps(_case: Case, form: Form, request: Request) -> None:
    payload(form, request).setdefault("aps", {})


# ---------------------------------------------------------------- what steers


def priority_beside(_case: Case, _form: Form, body: Body) -> None:
    if body.get("priority"):
        body["data"].pop("priority", None)


def priority_as_number(_case: Case, _form: Form, body: Body) -> None:
    for place in (body, body["data"]):
        if isinstance(place.get("priority"), str):
            place["priority"] = int(place["priority"])


def headers_as_text(_case: Case, _form: Form, body: Body) -> None:
    body.pop("expiration_time", None)
    for place in (body, body["data"]):
        if isinstance(place.get("priority"), int | float):
            place["priority"] = str(int(place["priority"]))


def expiry_as_text(case: Case, form: Form, request: Request) -> None:
    if case.expiry is not None:
        headers(form, request)["apns-expiration"] = str(int(case.expiry.timestamp()))


def with_priority(_case: Case, form: Form, request: Request) -> None:
    headers(form, request).setdefault("apns-priority", "10")


def whole_seconds(_case: Case, _form: Form, body: Body) -> None:
    if "expiration_time" in body:
        body["expiration_time"] = body["expiration_time"] // 1000 * 1000


def expiry_beside_data(case: Case, _form: Form, body: Body) -> None:
    for key in ("expiration_time", "expiration_interval"):
        body["data"].pop(key, None)
    if case.expiry is not None:
        body["expiration_time"] = round(case.expiry.timestamp() * 1000)


def steering_apart(_case: Case, form: Form, body: Body) -> None:
    data = body["data"]
    for key in COPIES:
        value = data.pop(key, None)
        if value and not body.get(key):
            body[key] = value
    if form is not Form.APNS:
        for name, key in (("collapseId", "collapse_id"), ("pushType", "push_type")):
            body[key] = data.pop(name, None) or body.get(key)


def _is_bundle_id(topic: Any) -> bool:
    return isinstance(topic, str) and "." in topic


def topic_lacks_its_suffix(case: Case) -> bool:
    """Tell whether the topic is a bundle id alone, for a push type that wants more."""
    is_alone = str(case.push_type) in {"", "alert", "background"}
    return not is_alone and _is_bundle_id(case.data.get("topic"))


def topic_of_words(_case: Case, _form: Form, body: Body) -> None:
    if not _is_bundle_id(body["data"].get("topic")):
        body["data"].pop("topic", None)


def topic_as_custom_key(case: Case, form: Form, request: Request) -> None:
    if not _is_bundle_id(case.data["topic"]):
        payload(form, request)["topic"] = case.data["topic"]


def _is_moment(expiry: Any) -> bool:
    return isinstance(expiry, int | float) and expiry >= 0


def expiry_in_whole_seconds(case: Case, _form: Form, body: Body) -> None:
    expiry = body["data"].pop("expiry")
    if _is_moment(case.data["expiry"]):
        body["data"]["expiry"] = int(expiry)


def expiry_as_custom_key(case: Case, form: Form, request: Request) -> None:
    if not _is_moment(case.data["expiry"]):
        payload(form, request)["expiry"] = case.data["expiry"]


def no_broadcast(_case: Case, _form: Form, body: Body) -> None:
    for key in BROADCAST:
        body["data"].pop(key, None)


def broadcast_as_custom_keys(case: Case, form: Form, request: Request) -> None:
    payload(form, request).update({key: case.data[key] for key in BROADCAST if key in case.data})


def with_apns_id(_case: Case, _form: Form, request: Request) -> None:
    request["headers"]["apns-id"] = apns_id(PUSH_ID, 0).decode()


def topic_suffix(case: Case, _form: Form, request: Request) -> None:
    if not _is_bundle_id(case.data.get("topic")):
        request["headers"]["apns-topic"] += TOPICS[case.push_type]


def exact_number(case: Case, form: Form, request: Request) -> None:
    payload(form, request)["number"] = case.data["number"]


# ---------------------------------------------------------------- Android


def upper_case(_case: Case, _form: Form, request: Request) -> None:
    block = request["body"]["message"].get("android", {})
    if "priority" in block:
        block["priority"] = block["priority"].upper()


def in_snake_case(_case: Case, _form: Form, request: Request) -> None:
    message = request["body"]["message"]
    for part in (message, *(message.get(name, {}) for name in ("android", "apns", "webpush"))):
        options = part.pop("fcmOptions", part.get("fcm_options"))
        if options is not None:
            part["fcm_options"] = {
                {"analyticsLabel": "analytics_label"}.get(name, name): value
                for name, value in options.items()
            }


def whole_ttl(_case: Case, _form: Form, request: Request) -> None:
    """Milliseconds of the adapter are seconds of ours."""
    block = android(request)
    if "ttl" in block:
        block["ttl"] = f"{float(round(float(block['ttl'].removesuffix('s')) * 1000))}s"


def push_id_and_time(_case: Case, _form: Form, request: Request) -> None:
    moment = CREATED.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    android(request)["data"].update({"push_id": PUSH_OBJECT_ID, "time": moment})


def collapse_key(case: Case, _form: Form, request: Request) -> None:
    data = case.data
    key = data.get("collapseId") or case.body.get("collapse_id") or data.get("collapse_id")
    if key:
        android(request)["collapse_key"] = key


def no_empty_notification(_case: Case, _form: Form, request: Request) -> None:
    if android(request).get("notification") == {}:
        del android(request)["notification"]
