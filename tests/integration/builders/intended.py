"""THE TABLE: everything that we do otherwise than Parse's push adapter, and why.

Whatever differs and is not here fails a test; so does what is here and makes no difference. Names
stand in `docs/payloads.md`, in this order.
"""

from collections.abc import Callable
from typing import Any, Final

from pushsvc.shaping.body import Form
from tests.integration.builders import changes as do
from tests.integration.builders.cases import Case
from tests.integration.builders.differences import Difference

_ALL: Final = frozenset({Form.APNS, Form.FCM_ANDROID, Form.FCM_APPLE})
_APPLE: Final = frozenset({Form.APNS, Form.FCM_APPLE})
_APNS: Final = frozenset({Form.APNS})
_FCM_APPLE: Final = frozenset({Form.FCM_APPLE})
_ANDROID: Final = frozenset({Form.FCM_ANDROID})
_FCM: Final = _FCM_APPLE | _ANDROID


def _always(_case: Case) -> bool:
    return True


def _has(*keys: str) -> Callable[[Case], bool]:
    """Tell cases that have one of these keys in `data`."""
    return lambda case: any(key in case.data for key in keys)


def _is_sound_object(case: Case) -> bool:
    return isinstance(case.data.get("sound"), dict)


def _has_variants(case: Case) -> bool:
    return any(key.startswith(("alert-", "title-")) for key in case.data)


def _has_variables(case: Case) -> bool:
    return "{{ name }}" in str(case.body)


def _asks(case: Case, key: str) -> list[Any]:
    return [place[key] for place in (case.body, case.data) if place.get(key) is not None]


def _is_wrong(place: str) -> Callable[[Case], bool]:
    return lambda case: case.wrong == place


def _says_nothing(case: Case) -> bool:
    texts = (do.best_variant(case, name) for name in ("alert", "title"))
    variants = [key for key in case.data if key.startswith(("alert-", "title-"))]
    is_empty = variants == list(case.data) and not any(texts) and not _has(*do.LOOK_ALIKES)(case)
    return is_empty and bool(case.body.get("notification") or case.body.get("rawPayload"))


def _has_no_topic(case: Case) -> bool:
    own = case.data.get("topic")
    return case.app_identifier is None and not (isinstance(own, str) and "." in own)


#: In the order in which they are applied.
MADE_OTHERWISE: Final = (
    Difference(
        name="longest locale",
        forms=_ALL,
        why=(
            "The first variant whose tag the locale begins with, case and all, in the order of the "
            "keys, and alert and title of one tag; here the longest that fits, for each of the two "
            "(RFC 4647, lookup)."
        ),
        when=_has_variants,
        given=do.in_best_language,
    ),
    Difference(
        name="look-alikes stay",
        forms=_ALL,
        why=(
            "Every key that begins with alert- or title- is taken out; here only those that end "
            "in a locale, so that `alert-color` reaches the app."
        ),
        when=_has(*do.LOOK_ALIKES),
        given=do.with_look_alikes,
    ),
    Difference(
        name="variables",
        forms=_ALL,
        why="Parse's push has no variables; here `{{ name }}` is the installation's.",
        when=_has_variables,
        raw=True,
        made=do.with_variables,
    ),
    Difference(
        name="null is nothing",
        forms=_ALL,
        why=(
            "A null alert is sent as null, or breaks the builder when a title follows; so do a "
            "null sound, `aps` and notification. Apple and Firebase know no nulls there; here it "
            "is as if the key were not there."
        ),
        when=_always,
        given=do.without_nulls,
    ),
    Difference(
        name="title in any order",
        forms=_APPLE,
        why="A title that stands before the alert is lost; JSON has no order, so here it never is.",
        when=_has("title"),
        given=do.title_last,
    ),
    Difference(
        name="aps is merged",
        forms=_APPLE,
        why=(
            "An own `aps` drops what stands before it and is overwritten by what stands after it; "
            "here both count, `aps` wins, and alerts are merged key by key."
        ),
        when=_has("aps"),
        given=do.merged_aps,
    ),
    Difference(
        name="true is 1",
        forms=_APNS,
        why=(
            "content-available, mutable-content and a sound's critical count only as numbers, and "
            "in an own `aps` are sent as true; here true is 1, as firebase-admin has it, and Apple "
            "gets the number that its page asks for."
        ),
        when=_has(*do.FLAGS, "sound", "aps"),
        given=do.flags_as_numbers,
    ),
    Difference(
        name="sounds of fewer keys",
        forms=_APNS,
        why=(
            "A sound object without all of name, critical and volume as string and numbers is "
            "dropped; Apple asks for none of them, so here it is sent."
        ),
        when=_is_sound_object,
        made=do.sound_as_given,
    ),
    Difference(
        name="no alarm stays no alarm",
        forms=_FCM_APPLE,
        why="firebase-admin takes a critical of 0 out; here it stands as it was written.",
        when=_has("sound", "aps"),
        made=do.critical_as_given,
    ),
    Difference(
        name="empty sound and badge",
        forms=_FCM_APPLE,
        why=(
            "An empty sound makes firebase-admin refuse the message, and an empty badge is sent; "
            "here the one is sent, as through APNs, and the other is none."
        ),
        when=_has("sound", "badge"),
        given=do.no_empty_sound_or_badge,
        made=do.empty_sound,
    ),
    Difference(
        name="alert as it is",
        forms=_FCM_APPLE,
        why="A string becomes an object of `body`; here it stays one, as through APNs.",
        when=lambda case: isinstance(do.best_variant(case, "alert"), str),
        made=do.short_alert,
    ),
    Difference(
        name="Apple's own spelling",
        forms=_APPLE,
        why=(
            "`thread-id`, `relevance-score` and others as Apple spells them, and spellings in "
            "camel case that the adapter lacks, become custom keys; here they are keys of `aps`, "
            "as Apple's page has them."
        ),
        when=_has(*do.UNKNOWN),
        made=do.own_spelling,
    ),
    Difference(
        name="live activities",
        forms=_APPLE,
        why=(
            "With the push type liveactivity its keys (event, content-state ...) become custom "
            "keys; here they are keys of `aps`, and timestamp, which Apple requires, is the push's "
            "own."
        ),
        when=lambda case: case.push_type == "liveactivity",
        made=do.live_activity,
    ),
    Difference(
        name="numbers stay exact",
        forms=_ALL,
        why="JavaScript rounds integers beyond 53 bits; here those of up to 64 bits stay what "
        "they are; larger ones become floating.",
        when=_has("number"),
        made=do.exact_number,
    ),
    Difference(
        name="priority beside data wins",
        forms=_APNS,
        why=(
            "Through APNs the priority in `data` wins, through FCM the one beside it; here the one "
            "beside it, whatever the way."
        ),
        when=_has("priority"),
        given=do.priority_beside,
    ),
    Difference(
        name="priority as text",
        forms=_APNS,
        why='"5" is not sent, so that the priority is 10; here it is 5.',
        when=lambda case: any(isinstance(value, str) for value in _asks(case, "priority")),
        given=do.priority_as_number,
    ),
    Difference(
        name="expiry within data",
        forms=_ALL,
        why=(
            "expiration_time within `data` counts for Apple devices only, and through APNs stays "
            "in the payload; expiration_interval there is a custom key. Here both say when the "
            "push ends, for every gateway, unless it is said beside `data`."
        ),
        when=lambda case: bool({"expiration_time", "expiration_interval"} & case.data.keys()),
        given=do.expiry_beside_data,
    ),
    Difference(
        name="headers are strings",
        forms=_FCM_APPLE,
        why=(
            "A priority that is a number, and any expiry, make firebase-admin refuse the message "
            "for all devices; here headers are strings."
        ),
        when=lambda case: case.expiry is not None or bool(_asks(case, "priority")),
        given=do.headers_as_text,
        made=do.expiry_as_text,
    ),
    Difference(
        name="priority is said",
        forms=_FCM_APPLE,
        why="No apns-priority unless one is asked for; here 10, which is Apple's default.",
        when=_always,
        made=do.with_priority,
    ),
    Difference(
        name="expiry in whole seconds",
        forms=_APNS,
        why="Rounded, up to half a second late; here never later than was asked.",
        when=lambda case: case.expiry is not None,
        given=do.whole_seconds,
    ),
    Difference(
        name="what steers is not delivered",
        forms=_ALL,
        why=(
            "collapse_id and push_type within `data` are also sent to the "
            "app; through FCM collapseId and pushType, too, and steer nothing; here all only steer."
        ),
        when=_has(*do.COPIES, "collapseId", "pushType"),
        given=do.steering_apart,
    ),
    Difference(
        name="topic is a bundle id",
        forms=_APNS,
        why=(
            "Any `topic` within `data` becomes apns-topic; here one in the form of a bundle id. "
            "Others are the app's own words, and APNs would answer TopicDisallowed."
        ),
        when=_has("topic"),
        given=do.topic_of_words,
        made=do.topic_as_custom_key,
    ),
    Difference(
        name="expiry is a time",
        forms=_APNS,
        why=(
            "An `expiry` within `data` that is no time is dropped, and a fraction sent (Apple: "
            "BadExpirationDate); here the one is a custom key, and the other is cut."
        ),
        when=_has("expiry"),
        given=do.expiry_in_whole_seconds,
        made=do.expiry_as_custom_key,
    ),
    Difference(
        name="id, requestId and channelId are the app's",
        forms=_APNS,
        why=(
            "They become headers: apns-id, which Apple refuses unless it is a UUID, and two for "
            "broadcasts, which are sent elsewhere; here they are custom keys."
        ),
        when=_has(*do.BROADCAST),
        given=do.no_broadcast,
        made=do.broadcast_as_custom_keys,
    ),
    Difference(
        name="apns-id",
        forms=_APNS,
        why="None, so that Apple makes one; here it is derived from the push and the device.",
        when=_always,
        made=do.with_apns_id,
    ),
    Difference(
        name="topics of widgets and controls",
        forms=_APNS,
        why=(
            "The bundle id as it is; here with `.push-type.widgets` and `.push-type.controls`, as "
            "Apple's page on sending requests has it."
        ),
        when=lambda case: case.push_type in do.TOPICS,
        made=do.topic_suffix,
    ),
    Difference(
        name="widgets are told of a change",
        forms=_APPLE,
        why=(
            "Nothing, or content-changed as a custom key; here `aps` has it for widgets and "
            "controls, as in Apple's samples."
        ),
        when=lambda case: case.push_type in do.TOPICS,
        made=do.content_changed,
    ),
    Difference(
        name="background",
        forms=_APPLE,
        why=(
            "The push type is alert unless one is asked for; here background where only "
            "content-available is there, which is Apple's word for it."
        ),
        when=lambda case: not case.push_type,
        made=do.background,
    ),
    Difference(
        name="priorities that Apple takes",
        forms=_APPLE,
        why=(
            "10 with background, which Apple refuses, and 1 with liveactivity; here 5. Background "
            "has content-available, without which Apple delivers nothing."
        ),
        when=_always,
        made=do.allowed_priority,
    ),
    Difference(
        name="aps is always there",
        forms=_APNS,
        why="Left out when it is empty; Apple's page requires it.",
        when=_always,
        made=do.with_aps,
    ),
    Difference(
        name="HIGH",
        forms=_FCM,
        why="`high`, which FCM happens to take; here HIGH, as its reference spells it.",
        when=_always,
        made=do.upper_case,
        raw=True,
    ),
    Difference(
        name="snake_case",
        forms=_FCM,
        why=(
            "`fcmOptions` of a rawPayload stays as it is, which FCM takes, too; here it is "
            "`fcm_options`, as its reference spells it."
        ),
        when=lambda case: "fcmOptions" in str(case.body.get("rawPayload")),
        made=do.in_snake_case,
        raw=True,
    ),
    Difference(
        name="ttl in seconds",
        forms=_ANDROID,
        why=(
            "firebase-admin takes milliseconds and is given seconds: messages live a thousandth of "
            "the time; here as long as was asked."
        ),
        when=lambda case: case.expiry is not None,
        made=do.whole_ttl,
    ),
    Difference(
        name="ttl of a rawPayload",
        forms=_FCM,
        why="A number is milliseconds; here seconds, as every number of this API that is a time.",
        when=lambda case: "ttl" in ((case.body.get("rawPayload") or {}).get("android") or {}),
        made=do.whole_ttl,
        raw=True,
    ),
    Difference(
        name="push_id and time",
        forms=_ANDROID,
        why=(
            "At random and by the clock, for each attempt anew; here the push's own, so that "
            "Parse's Android SDK knows a repetition."
        ),
        when=_always,
        made=do.push_id_and_time,
    ),
    Difference(
        name="collapse_key",
        forms=_ANDROID,
        why="The collapse id does not reach FCM; here it is Android's collapse_key.",
        when=lambda case: bool(_asks(case, "collapse_id") or case.data.get("collapseId")),
        made=do.collapse_key,
    ),
    Difference(
        name="no empty notification",
        forms=_ANDROID,
        why="`notification: {}` is sent, and Android shows an empty one; here it is nothing.",
        when=lambda case: case.body.get("notification") == {},
        made=do.no_empty_notification,
    ),
)

#: Place -> what the adapter does with a value there that is none.
_WRONG: Final = {
    "/data/alert": "Sent as it is.",
    "/data/alert/body": "Sent as it is.",
    "/data/title": "Sent as it is.",
    "/data/badge": "Dropped, or Parse Server fails with 500.",
    "/data/sound": "Dropped through APNs.",
    "/data/content-available": "Dropped.",
    "/data/mutable-content": "Dropped.",
    "/data/category": "Dropped through APNs, sent through FCM.",
    "/data/threadId": "Dropped through APNs, sent through FCM.",
    "/data/interruptionLevel": "Sent if it is a string, dropped otherwise.",
    "/data/aps": "Breaks the builder, or is sent.",
    "/data/priority": "Sent, or dropped and 10 sent.",
    "/data/pushType": "Sent; Apple answers InvalidPushType to every device.",
    "/data/collapse_id": "Sent; Apple answers BadCollapseId to every device.",
    "/notification": "Sent; FCM answers INVALID_ARGUMENT for every device.",
}

REFUSED: Final = (
    Difference(
        name="no topic",
        forms=_APNS,
        why=(
            "A device whose installation has no appIdentifier is sent to without apns-topic, or "
            "with `undefined.voip`; here it fails with MissingTopic, before Apple says so."
        ),
        when=_has_no_topic,
        refused="MissingTopic",
    ),
    Difference(
        name="nothing to say",
        forms=_APPLE,
        why=(
            "An empty payload, where `data` has no text for the device and beside it stands what "
            "is for others; here the device fails with PayloadEmpty."
        ),
        when=_says_nothing,
        refused="PayloadEmpty",
    ),
    Difference(
        name="too large",
        forms=_ALL,
        why="Sent, for the gateway to refuse; here it fails with PayloadTooLarge and is not sent.",
        when=_has("blob"),
        refused="PayloadTooLarge",
    ),
    Difference(
        name="topic of the push type",
        forms=_ALL,
        why=(
            "A `topic` within `data` is sent as it is, also without what its push type ends with; "
            "Apple answers BadTopic to every device. Here the push is refused with 115."
        ),
        when=do.topic_lacks_its_suffix,
        refused="/data/topic",
        raw=True,
    ),
    *(
        Difference(
            name=f"wrong {place}",
            forms=_ALL,
            why=f"{does} Here the push is refused with 115 and this place.",
            when=_is_wrong(place),
            refused=place,
            raw=True,
        )
        for place, does in _WRONG.items()
    ),
)

TABLE: Final = (*MADE_OTHERWISE, *REFUSED)
