"""Pushes at random, in every spelling that Parse's push adapter knows, and in some others."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pushsvc.model import Device
from pushsvc.shaping.body import Form

#: The forms that are held against the adapter's.
FORMS: Final = (Form.APNS, Form.FCM_ANDROID, Form.FCM_APPLE)
SEED: Final = 20_261_122
NOW: Final = datetime(2026, 11, 22, 10, tzinfo=UTC)
#: A push is sent a while after it was submitted.
CREATED: Final = NOW - timedelta(seconds=5)
APP: Final = "com.example.app"

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A push as it is asked for, and the installation that it goes to."""

    number: int
    #: `data` and what stands beside it
    body: Body
    expires_at: datetime | None
    app_identifier: str | None
    locale: str | None
    #: after the push's change
    badge: int
    name: str
    #: where a value stands that no gateway would take
    wrong: str | None

    @property
    def data(self) -> Body:
        """The body's `data`."""
        found: Body = self.body["data"]
        return found

    @property
    def expiry(self) -> datetime | None:
        """Until when it may be sent: as it is said beside `data`, else within."""
        moment, interval = self.data.get("expiration_time"), self.data.get("expiration_interval")
        if self.expires_at is not None:
            return self.expires_at
        if moment is not None:
            return datetime.fromtimestamp(moment / 1000, UTC)
        return None if interval is None else NOW + timedelta(seconds=interval)

    @property
    def push_type(self) -> str:
        """The push type that is asked for, wherever that is said."""
        data, body = self.data, self.body
        found: str = data.get("pushType") or body.get("push_type") or data.get("push_type") or ""
        return found

    def device(self, form: Form) -> Device:
        """Return the installation, as one that a message of this form goes to."""
        kind, token = {
            Form.APNS: ("ios", "ab" * 32),
            Form.FCM_ANDROID: ("android", "token:of-fcm"),
            Form.FCM_APPLE: ("ios", "token:of-fcm"),
        }[form]
        fields = {"name": self.name}
        return Device(0, kind, token, self.app_identifier, self.locale, self.badge, None, fields)


# ---------------------------------------------------------------- what may stand where

_HUMP: Final = re.compile("[A-Z]")
#: Firebase's name -> the field, where it is not the name in snake_case.
_FIELDS: Final = {
    "imageUrl": "image",
    "priority": "notification_priority",
    "vibrateTimingsMillis": "vibrate_timings",
}

#: Key of `data` -> how often it is there, and its values.
_DATA: Final[dict[str, tuple[float, list[Any]]]] = {
    "alert": (
        0.7,
        [
            *("Hello", "", 'Grüße 🎉 <b>&"', "Hello {{ name }}", None, {}, {"body": "B"}),
            {"title": "In the alert", "subtitle": "S", "body": "B", "x": [1, None]},
            {"loc-key": "K", "loc-args": ["a", "b"], "title-loc-key": "T", "title-loc-args": []},
            {"body": "{{ name }}!", "launch-image": "L.png", "action-loc-key": "PLAY"},
            {"subtitle-loc-key": "S", "subtitle-loc-args": ["a"], "body": "B", "title": None},
        ],
    ),
    "title": (0.4, ["Title", "", "For {{ name }}", None]),
    "badge": (
        0.4,
        [
            *("Increment", "increment", {"__op": "Increment", "amount": 3}, 5, 5.0, 0, None, ""),
            *({"__op": "Increment", "amount": -2}, -3, 100_000),
        ],
    ),
    "sound": (
        0.3,
        [
            *("default", "", None, {"name": "a.caf", "critical": 1, "volume": 0.5}),
            {"name": "a.caf"},
            {"name": "a.caf", "critical": True, "volume": 1},
            {"critical": 0, "name": "b.caf", "volume": 1.0},
        ],
    ),
    "content-available": (0.25, [1, True, 0, False, None]),
    "mutable-content": (0.2, [1, True, 0, False, None]),
    "category": (0.2, ["CATEGORY", "", None]),
    "threadId": (0.2, ["thread", None]),
    "targetContentIdentifier": (0.15, ["window"]),
    "interruptionLevel": (0.15, ["time-sensitive", "passive"]),
    # as Apple spells them, or as the adapter would if it knew them
    "thread-id": (0.08, ["apple's", None]),
    "target-content-id": (0.06, ["apple's"]),
    "interruption-level": (0.06, ["active", None]),
    "relevance-score": (0.06, [0.5, 1]),
    "relevanceScore": (0.06, [0.25]),
    "filter-criteria": (0.06, ["criteria"]),
    "filterCriteria": (0.06, ["Criteria"]),
    "contentAvailable": (0.06, [1, True, 0]),
    "mutableContent": (0.06, [1, 0]),
    "event": (0.1, ["update", "end"]),
    "content-state": (0.1, [{"score": 1}]),
    "contentState": (0.05, [{"score": 2}]),
    "timestamp": (0.05, [1_795_000_000]),
    "stale-date": (0.05, [1_795_000_100]),
    "staleDate": (0.05, [1_795_000_200]),
    "dismissal-date": (0.05, [1_795_000_300]),
    "dismissalDate": (0.05, [1_795_000_400.5]),
    "attributesType": (0.05, ["Match"]),
    "attributes-type": (0.05, ["Game"]),
    "attributes": (0.05, [{"teams": ["a", None]}]),
    # of widgets and controls
    "content-changed": (0.08, [True, False]),
    "contentChanged": (0.05, [False]),
    "aps": (
        0.2,
        [
            *({"alert": "own"}, {"sound": "own.caf", "badge": 7}, {"badge": None}, {}, None),
            {"alert": {"body": "own", "subtitle": "own"}, "category": "own", "x": {"y": 1}},
            {"content-available": 1, "thread-id": "own"},
            {"content-available": True, "mutable-content": False, "category": None},
            {"sound": {"name": "own.caf", "critical": False, "volume": 0.5}},
            {"alert": {"title": "own"}, "interruption-level": "active"},
            {
                "alert": {"title": None, "body": "own"},
                "relevance-score": 1,
                "target-content-id": "",
            },
            {"filter-criteria": "own", "event": "start", "content-state": {}, "stale-date": 1},
            {"dismissal-date": 2, "attributes": {"own": 1}, "attributes-type": "Own"},
            {"content-changed": False, "timestamp": 3, "new": ["Apple's"]},
        ],
    ),
    # what apps have of their own
    "x": (0.4, [1, "text", None, {"deep": [1, {"a": None}]}, "{{ name }}", True, 0.5]),
    "uri": (0.15, ["https://example.com/"]),
    "action": (0.1, ["com.example.ACTION"]),
    "urlArgs": (0.1, [["a", "b"]]),
    "number": (0.1, [2**53 + 1, -1.5, 1e3, 1e21, 0.1, 5e-324, -(2**63), 2**64 - 1]),
    "имя \u2028": (0.1, ['\u007f \u2028 \\ " \n', {"": "", "aps": {"alert": "not Apple's"}}]),
    "notification": (0.05, [{"title": "the app's own"}]),
    "id": (0.1, ["0b9a3c5e-1111-4222-8333-444455556666", "my-id"]),
    "requestId": (0.05, ["request"]),
    "channelId": (0.08, ["news"]),
    "topic": (0.1, ["com.example.other", "news"]),
    "expiry": (0.1, [0, 1_800_000_000, 1_800_000_000.5, -1, "soon"]),
    # variants, and what looks like one
    "alert-fr": (0.15, ["Bonjour {{ name }}", {"body": "Bonjour"}, ""]),
    "alert-fr-CA": (0.1, ["Allô"]),
    "alert-DE": (0.1, ["Hallo"]),
    "title-fr_CA": (0.1, ["Titre"]),
    "title-de": (0.1, ["Titel"]),
    "alert-color": (0.1, ["red"]),
    "title-bar": (0.05, [{"hidden": True}]),
    # what steers
    "priority": (0.15, [10, 5, 1, "5", 5.0, None]),
    "collapse_id": (0.12, ["within", ""]),
    "collapseId": (0.1, ["camel"]),
    "push_type": (0.08, ["alert", "background", "widgets"]),
    "pushType": (0.12, ["alert", "voip", "liveactivity", "background", "controls"]),
    "expiration_time": (0.08, [1_800_000_000_500]),
    "expiration_interval": (0.05, [60]),
    "blob": (0.03, ["x" * 4200]),
}


def _each(names: tuple[str, ...], values: list[Any]) -> dict[str, list[Any]]:
    return dict.fromkeys(names, values)


#: Fields of an Android notification, each with values.
_NOTIFICATION: Final[dict[str, list[Any]]] = {
    **_each(("title", "body", "icon", "tag", "ticker", "sound"), ["text", "{{ name }}!"]),
    **_each(("titleLocKey", "bodyLocKey", "title_loc_key", "body_loc_key"), ["key"]),
    **_each(("titleLocArgs", "bodyLocArgs"), [["a", "{{ name }}"], ["b"]]),
    **_each(("clickAction", "click_action", "channelId", "channel_id"), ["news"]),
    **_each(("imageUrl", "image"), ["https://example.com/x.png"]),
    **_each(("sticky", "localOnly", "defaultSound"), [True, False]),
    **_each(("defaultVibrateTimings", "defaultLightSettings"), [True, False]),
    "bypass_proxy_notification": [True, False],
    "color": ["#ff8800"],
    "event_time": ["2026-11-22T10:00:00Z", "2026-11-22T10:00:00.5+01:00"],
    "notificationCount": [0, 3],
    "priority": ["min", "low", "default", "high", "max"],
    "notification_priority": ["PRIORITY_MAX"],
    "visibility": ["private", "public", "secret"],
    "proxy": ["allow", "deny", "if_priority_lowered"],
    "vibrateTimingsMillis": [[100, 1500], [1], [0]],
    "vibrate_timings": [["0.25s", "3s"]],
    "lightSettings": [
        {"color": color, "lightOnDurationMillis": 5, "lightOffDurationMillis": 60_000}
        for color in ("#ff0000", "#12ab9f80")
    ],
}
_LABELS: Final = [{"analyticsLabel": "label"}]
_SHOWN: Final[dict[str, list[Any]]] = {
    "title": ["raw"],
    "body": ["B {{ name }}"],
    "imageUrl": ["https://example.com/y"],
}
#: Fields of Android's part of a rawPayload, and those of `aps` and its alert in Firebase's words.
_ANDROID: Final[dict[str, list[Any]]] = {
    "priority": ["high", "normal"],
    "ttl": [60_000, 0, 2_419_200],
    "collapseKey": ["raw"],
    "restrictedPackageName": ["com.example"],
    "directBootOk": [True, False],
    "data": [{"a": "b", "c": "{{ name }}"}, {}],
    "fcmOptions": _LABELS,
}
_APS: Final[dict[str, list[Any]]] = {
    "badge": [0, 3],
    "sound": ["s", {"name": "s", "critical": True, "volume": 1}, {"name": "s", "critical": False}],
    "contentAvailable": [True, False],
    "mutableContent": [True, False],
    "category": ["C"],
    "threadId": ["t"],
    "interruption-level": ["active"],
}
_APS_ALERT: Final[dict[str, list[Any]]] = {
    **_each(("title", "subtitle", "body", "launchImage", "actionLocKey"), ["text"]),
    **_each(("titleLocKey", "subtitleLocKey", "locKey"), ["key"]),
    **_each(("titleLocArgs", "subtitleLocArgs", "locArgs"), [["a", "{{ name }}"]]),
}
_WEB: Final[dict[str, list[Any]]] = {
    "headers": [{"TTL": "60", "Urgency": "high"}, {}],
    "data": [{"a": "b"}],
    "notification": [{"title": "web", "renotify": True, "actions": [{"action": "a"}]}],
    "fcmOptions": [{"link": "https://example.com/"}],
}

#: Key beside `data` -> how often it is there, and its values.
_BESIDE: Final[dict[str, tuple[float, list[Any]]]] = {
    "priority": (0.2, [10, 5, 1, "10", None]),
    "collapse_id": (0.2, ["beside"]),
    "push_type": (
        0.3,
        [
            *("alert", "background", "voip", "location", "complication", "fileprovider"),
            *("pushtotalk", "liveactivity", "widgets", "controls"),
        ],
    ),
    "notification": (0.03, [{}, None]),
}

#: Place -> values that no gateway would take there, or would read over.
_WRONG: Final[dict[str, list[Any]]] = {
    "/data/alert": [5, ["x"], True],
    "/data/alert/body": [5],
    "/data/title": [5, {"a": 1}],
    "/data/badge": ["5", "many", 1.5, True, {"__op": "Delete"}],
    "/data/sound": [
        5,
        ["x"],
        {"name": 5},
        {"name": "x", "volume": 2},
        {"name": "x", "critical": "yes"},
    ],
    "/data/content-available": ["1", 2],
    "/data/mutable-content": ["1", 2],
    "/data/category": [5],
    "/data/threadId": [5],
    "/data/interruptionLevel": ["loud", 5],
    "/data/aps": ["x", [1], {"badge": "5"}],
    "/data/priority": [7, "high", 0, 5.5],
    "/data/pushType": ["Alert", "mdm", 5],
    "/data/collapse_id": ["x" * 65, 5],
    "/notification": ["x", {"nope": 1}, {"color": "red"}],
}


# ---------------------------------------------------------------- at random


def generated(count: int) -> Iterator[Case]:
    """Yield so many cases, the same ones each time."""
    chance = random.Random(SEED)
    for number in range(count):
        yield _case(chance, number)


def _case(chance: random.Random, number: int) -> Case:
    data = _some(chance, _DATA)
    if chance.random() < 0.05:
        # Nothing for those whose language it is not.
        data = {key: value for key, value in data.items() if key.startswith(("alert-", "title-"))}
    body = {"data": data, **_some(chance, _BESIDE)}
    if chance.random() < 0.15:
        body["notification"] = _of_fields(chance, _NOTIFICATION)
    if chance.random() < 0.06:
        body["rawPayload"] = _raw(chance)
    if not data:
        body["data"] = {"x": 0}
    if "blob" in data:
        # Too large for all but Windows, and for VoIP.
        body.pop("push_type", None)
        data.pop("pushType", None)
    wrong = chance.choice(list(_WRONG)) if chance.random() < 0.12 else None
    if wrong is not None:
        _put(body, wrong, chance.choice(_WRONG[wrong]))
    lives = chance.choice([*[None] * 5, -10, 0, 100, 100.6, 5_000_000])
    return Case(
        number=number,
        body=body,
        expires_at=None if lives is None else NOW + timedelta(seconds=lives),
        app_identifier=None if chance.random() < 0.04 else APP,
        locale=chance.choice([None, "fr", "fr-FR", "fr-CA", "FR_ca", "de-DE", "en-US", "it"]),
        badge=chance.randrange(1, 10),
        name=chance.choice(["Ann", 'Bob "B" <b>', "Zoë 🎈"]),
        wrong=wrong,
    )


def _of_fields(chance: random.Random, fields: dict[str, list[Any]]) -> Body:
    """Return some of FCM's fields, and no field in two spellings, which we refuse."""
    found: Body = {}
    for name in chance.sample(list(fields), chance.randrange(1, min(6, len(fields)) + 1)):
        field = _FIELDS.get(name) or _HUMP.sub(lambda hump: f"_{hump[0].lower()}", name)
        found.setdefault(field, (name, chance.choice(fields[name])))
        if name.lower().endswith("locargs"):
            # Firebase's builder takes them beside their key only, in its own spelling.
            found[field.replace("args", "key")] = (name.replace("Args", "Key"), "key")
    return dict(found.values())


def _raw(chance: random.Random) -> Body:
    """Return a whole message of FCM's: some of its parts."""
    android, aps = _of_fields(chance, _ANDROID), _of_fields(chance, _APS)
    if chance.random() < 0.5:
        android["notification"] = _of_fields(chance, _NOTIFICATION)
    if chance.random() < 0.7:
        aps["alert"] = chance.choice(["text", _of_fields(chance, _APS_ALERT)])
    apns = {
        "headers": {"apns-priority": "5", "apns-collapse-id": "c"},
        "payload": {"aps": aps, "x": [1, None, "{{ name }}"]},
        "fcmOptions": {"analyticsLabel": "label", "imageUrl": "https://example.com/z"},
    }
    parts = {
        "data": {"a": "{{ name }}"},
        "notification": _of_fields(chance, _SHOWN),
        "android": android,
        "apns": apns,
        "webpush": _of_fields(chance, _WEB),
        "fcmOptions": {"analyticsLabel": "label"},
    }
    return {name: parts[name] for name in chance.sample(list(parts), chance.randrange(1, 7))}


def _some(chance: random.Random, table: dict[str, tuple[float, list[Any]]]) -> Body:
    """Return some of a table's keys, in any order; rare cases have many, and most a handful."""
    density = chance.choice([0.15, 0.4, 0.7, 1.0])
    keys = [key for key, (often, _) in table.items() if chance.random() < often * density]
    chance.shuffle(keys)
    return {key: chance.choice(table[key][1]) for key in keys}


def _put(body: Body, place: str, value: Any) -> None:
    *path, last = place[1:].split("/")
    for key in path:
        given = body.get(key)
        body[key] = dict(given) if isinstance(given, dict) else {}
        body = body[key]
    body[last] = value
