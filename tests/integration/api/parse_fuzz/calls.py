"""What is asked of the Parse API, whatever carries it: every endpoint, near its grammar."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.integration.api.parse_fuzz.queries import where
from tests.integration.api.parse_fuzz.values import (
    CLASSES,
    KNOWN_ID,
    NUMBERS,
    OBJECT_IDS,
    ODD_CLASSES,
    moment,
    name,
    odd,
    odd_scalar,
    value,
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A method and a path below the mount, with what goes along."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None

    def with_body(self, key: str, changed: Any) -> "Call":
        """The same with one field of the body changed."""
        return replace(self, body={**self.body, key: changed})

    def with_param(self, key: str, changed: Any) -> "Call":
        """The same with one parameter changed."""
        return replace(self, params={**self.params, key: changed})


#: Few, so that many requests are about the same rows, and an audience stays small.
TOKENS = ("a" * 64, "B" * 64, "token-1", "token-2", "t" * 300)
#: The channel of devices that lack nothing.
GOOD = "good"
INSTALLATION_IDS = ("11111111-aaaa-4bbb-8ccc-222222222222", "id-2", "ID-2", "id-3")
INSTALLATION = {
    "deviceType": "ios",
    "deviceToken": "a" * 64,
    "installationId": "id-2",
    "channels": ["news", "Giants"],
    "channelUris": {"news": "https://db5.notify.windows.com/?token=x"},
    "badge": 1,
    "timeZone": "Europe/Paris",
    "localeIdentifier": "en-US",
    "pushType": "gcm",
    "GCMSenderId": "1",
    "appIdentifier": "com.example.app",
    "appName": "App",
    "appVersion": "1.0",
    "parseVersion": "4.0",
    "location": {"__type": "GeoPoint", "latitude": 1, "longitude": 2},
    "team": {"__type": "Pointer", "className": "Team", "objectId": KNOWN_ID},
    "tags": ["a"],
    "ACL": {"*": {"read": True}},
    "objectId": KNOWN_ID,
    "createdAt": "2026-11-22T10:00:00.000Z",
    "n": 1,
    "o.x": 1,
}
PUSH = {
    "where": {},
    "channels": ["news"],
    "data": {"alert": "hello"},
    "push_time": "2026-12-01T10:00:00Z",
    "expiration_time": 1_900_000_000,
    "expiration_interval": 60,
    "audience_id": KNOWN_ID,
    "notification": {"title": "x"},
    "rawPayload": {"data": {"k": "v"}},
    "android": {"ttl": 60},
    "webpush": {"data": {"k": "v"}},
    "wns": {"type": "toast"},
    "collapse_id": "one",
    "push_type": "alert",
    "priority": 10,
    "validate_only": True,
    "template": "welcome",
    "variables": {"name": "Ada"},
    "type": "ios",
    "deviceType": "ios",
}
DATA = {
    "alert": "hello",
    "title": "there",
    "badge": "Increment",
    "sound": "default",
    "content-available": 1,
    "mutable-content": 1,
    "category": "c",
    "threadId": "t",
    "interruptionLevel": "active",
    "targetContentIdentifier": "x",
    "uri": "app://x",
    "action": "com.example.A",
    "aps": {"alert": "other"},
    "alert-fr": "bonjour",
    "title-fr": "bonjour",
    "alert-en-US": None,
    "priority": 5,
    "push_type": "background",
    "collapse_id": "two",
    "expiration_time": 1,
    "custom": {"x": [1]},
}
#: Key beside `data` -> fields of FCM's that stand there.
FCM_BLOCKS = {
    "notification": (
        *("title", "color", "imageUrl", "priority", "visibility", "proxy", "titleLocArgs"),
        *("sticky", "eventTime", "notificationCount", "vibrateTimings", "lightSettings", "unknown"),
    ),
    "android": ("ttl", "priority", "collapseKey", "data", "notification", "fcmOptions", "unknown"),
    "webpush": ("headers", "data", "notification", "fcmOptions", "unknown"),
    "rawPayload": ("android", "apns", "data", "notification", "webpush", "fcmOptions", "token"),
}
WNS = (
    *("type", "image", "audio", "launch", "badge", "raw", "tag", "group", "ttl", "cache"),
    *("priority", "suppress_popup", "unknown"),
)
FIND = {
    "where": {},
    "limit": 10,
    "skip": 0,
    "order": "-createdAt",
    "count": 1,
    "keys": "n,o.x",
    "excludeKeys": "channels",
    "include": "team",
    "includeAll": True,
    "readPreference": "SECONDARY",
    "hint": "x",
    "explain": True,
    "comment": "x",
    "redirectClassNameForKey": "team",
}
AUDIENCE = {"name": "all", "query": "{}"}
EVENT = {
    "at": {"__type": "Date", "iso": "2026-11-22T10:00:00Z"},
    "push_hash": "x",
    "push_id": KNOWN_ID,
}
ACLS: tuple[Any, ...] = (
    {"*": {"read": True}},
    {"role:a": {"write": True}},
    {},
    None,
    {"*": {}},
    {"x": {"read": 1}},
)


def some(dice: Random, fields: Mapping[str, Any], most: int) -> dict[str, Any]:
    """Some of the fields, now and then one with another value."""
    kept = dice.sample(list(fields), dice.randrange(min(most, len(fields)) + 1))
    return {key: odd(dice) if dice.random() < 0.15 else fields[key] for key in kept}


def installation_body(dice: Random) -> Any:
    """What a device says of itself."""
    body = {"deviceType": dice.choice(("ios", "android", "winrt", "dotnet"))}
    body |= {"deviceToken": dice.choice(TOKENS)} if dice.random() < 0.7 else {}
    body |= {"installationId": dice.choice(INSTALLATION_IDS)} if dice.random() < 0.8 else {}
    unnamed = {key: INSTALLATION[key] for key in INSTALLATION if key not in IDENTITY}
    return {**body, **some(dice, unnamed, 3), **object_body(dice, 2)}


IDENTITY = ("deviceType", "deviceToken", "installationId", "objectId", "createdAt", "ACL")


def object_body(dice: Random, most: int = 4) -> dict[str, Any]:
    """Fields of an object, with values and operations."""
    body = {name(dice): value(dice) for _ in range(dice.randrange(most + 1))}
    body.pop("ACL", None)
    return {**body, "ACL": dice.choice(ACLS)} if dice.random() < 0.1 else body


def push_body(dice: Random) -> Any:
    """A push; more often than not one that is taken."""
    data = {"alert": dice.choice(("hello", {"title": "a", "body": "b"}))} | some(dice, DATA, 3)
    body: dict[str, Any] = {"data": odd(dice) if dice.random() < 0.05 else data}
    if dice.random() < 0.7:
        body["where"] = where(dice)
    else:
        body["channels"] = dice.choice(
            (["news"], ["news", "Giants"], [], {"$in": ["news"]}, odd(dice))
        )
    others = {key: PUSH[key] for key in PUSH if key not in {"where", "channels", "data"}}
    if dice.random() < 0.1:
        body[dice.choice(("push_time", "expiration_time"))] = moment(dice)
    return body | (some(dice, others, 2) if dice.random() < 0.4 else {})


def find_params(dice: Random) -> dict[str, Any]:
    """Parameters of a find."""
    found: dict[str, Any] = {"where": where(dice)} if dice.random() < 0.8 else {}
    if dice.random() < 0.3:
        found["order"] = ",".join(name(dice) for _ in range(dice.randrange(4)))
    if dice.random() < 0.2:
        found["include"] = ",".join(name(dice) for _ in range(dice.randrange(3)))
    if dice.random() < 0.3:
        found[dice.choice(("limit", "skip"))] = dice.choice(NUMBERS)
    return found | (some(dice, FIND, 2) if dice.random() < 0.4 else {})


def one_of(dice: Random, path: str) -> str:
    """The path of one object."""
    odd_id = dice.choice(("a b", "é", "\0", "x/y", "..", "", "x" * 3_000, "%", "a'"))
    return f"{path}/{odd_id if dice.random() < 0.05 else dice.choice(OBJECT_IDS)}"


def class_path(dice: Random) -> str:
    """The path of a class of objects."""
    paths = ("installations", "users", "roles", *(f"classes/{one}" for one in CLASSES))
    odd_class = f"classes/{dice.choice(ODD_CLASSES)}"
    return odd_class if dice.random() < 0.05 else dice.choice(paths)


def pushes(dice: Random) -> Call:
    """A push."""
    return Call(method="POST", path="push", body=push_body(dice))


def installations(dice: Random) -> Call:
    """A device that registers, or changes."""
    path = dice.choice(("installations", "classes/_Installation"))
    if dice.random() < 0.3:
        return Call(method="PUT", path=one_of(dice, path), body=installation_body(dice))
    return Call(method="POST", path=path, body=installation_body(dice))


def objects(dice: Random) -> Call:
    """An object that is made, changed or deleted."""
    path = class_path(dice)
    if dice.random() < 0.4:
        return Call(method="POST", path=path, body=object_body(dice))
    if dice.random() < 0.1:
        return Call(method="DELETE", path=f"{path}/0123456789")
    return Call(method="PUT", path=one_of(dice, path), body=object_body(dice))


def finds(dice: Random) -> Call:
    """A query, or a look at one object."""
    path = dice.choice((class_path(dice), class_path(dice), "push_audiences"))
    if dice.random() < 0.8:
        return Call(method="GET", path=path, params=find_params(dice))
    return Call(method="GET", path=one_of(dice, path), params=some(dice, FIND, 2))


def audiences(dice: Random) -> Call:
    """An audience that is named."""
    query = dice.choice(("{}", '{"channels":"news"}', '{"$or":1}', "[", where(dice), odd(dice)))
    body = {"name": dice.choice(("all", odd_scalar(dice))), "query": query}
    method = dice.choice(("POST", "POST", "PUT", "DELETE"))
    path = dice.choice(("push_audiences", "classes/_Audience"))
    return Call(
        method=method,
        path=path if method == "POST" else one_of(dice, path),
        body=None if method == "DELETE" else body | some(dice, {"lastUsed": 1, "timesUsed": 1}, 1),
    )


def events(dice: Random) -> Call:
    """An app that was opened."""
    named = dice.choice(("AppOpened", "Bought", "", "é", "x" * 300, "a/b", "\0"))
    body = some(dice, {**EVENT, "dimensions": {"a": "b"}, "at": moment(dice)}, 3)
    return Call(method="POST", path=f"events/{named}", body=body)


def statuses(dice: Random) -> Call:
    """A push that is looked at, or called off."""
    path = one_of(dice, "classes/_PushStatus")
    method = dice.choice(("GET", "PUT", "DELETE"))
    body = some(dice, {"status": "canceled", "pushTime": "x", "numSent": 1}, 2)
    return Call(method=method, path=path, body=body if method == "PUT" else None)


def others(dice: Random) -> Call:
    """Whatever else there is, and what there is not."""
    paths = (
        *(
            "health",
            "serverInfo",
            "login",
            "logout",
            "users/me",
            "sessions",
            "config",
            "files/a.txt",
        ),
        *("functions/x", "jobs/x", "schemas", "schemas/Team", "purge/Team", "aggregate/Team"),
        *("nothing", "", "/", "classes", "classes/", "push/", "push/x", "batch/x", "..", "é"),
        *("installations/", "requestPasswordReset", "_reset/x", "hooks/functions"),
    )
    method = dice.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"))
    body = dice.choice((None, {}, {"a": 1}, odd(dice)))
    return Call(method=method, path=dice.choice(paths), body=body)


def resets(dice: Random) -> Call:
    """The app is to be emptied, which is no request for an app whose rows are needed."""
    return Call(method="POST", path="_reset", body=dice.choice((None, {}, odd(dice))))


KINDS: tuple[Callable[[Random], Call], ...] = (
    *(pushes, pushes, pushes, installations, installations, objects, objects),
    *(finds, finds, finds, audiences, events, statuses, others),
)


def any_call(dice: Random) -> Call:
    """A request to any endpoint."""
    return dice.choice(KINDS)(dice)
