"""Values that nobody would send, and Parse's encoded ones with parts that are wrong or missing."""

import math
from collections.abc import Callable
from random import Random
from typing import Any

#: Stand for JSON text that no value of Python's is written as; the wire puts the text in.
RAW = {
    "<<raw:deep list>>": "[" * 600 + "]" * 600,
    "<<raw:deep object>>": '{"a":' * 300 + "1" + "}" * 300,
    "<<raw:endless>>": "1" + "0" * 400,
    "<<raw:too large>>": "1e999",
    "<<raw:too small>>": "-1e-999",
    "<<raw:plus>>": "+1",
    "<<raw:octal>>": "0123",
    "<<raw:undefined>>": "undefined",
    "<<raw:single>>": "'text'",
    "<<raw:bad escape>>": r'"\x41"',
    "<<raw:bad utf-8>>": '"\udcff\udcfe"',
    "<<raw:control>>": '"\x01"',
    "<<raw:twice>>": '{"a":1,"a":{"__op":"Delete"},"__op":"Increment","__op":"Add"}',
}
NUMBERS = (
    *(0, 1, -1, 2, 7, 99, 1_000, 10_001, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1),
    *(2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, 10**30),
    *(0.0, -0.0, 0.5, 1.5, -1e-7, 1e-320, 1e16, 1e308, -1.7e308, math.nan, math.inf, -math.inf),
)
TEXTS = (
    *("", " ", "a", "0", "1", "-1", "1.5", "1e400", "true", "null", "NaN", "Infinity", "[]", "{}"),
    *(
        "a\0b",
        "\0",
        "\ud800",
        "\udfff\ud800",
        "x\ud83d",
        "é",
        "ﬀ",
        "\U0001d4b3🦊",
        "\u202eabc",
        "\ufeff",
    ),
    *("\x01\x1f\x7f", "\r\nX-A: b", "tab\there", "\u2028", "İi̇ß", "a\u0301" * 20),
    *("'", "''; DROP TABLE apps; --", '"', "\\", "\\u0000", "%", "%s", "%00", ":x", "$1", "{0}"),
    *("$", ".", "..", "a.b", "$in", "__type", "__op", "_id", "objectId", "*", "**", "role:", "-"),
    *("2030-01-01T00:00:00Z", "2030-01-01T12:00:00", "2030-02-30", "0001-01-01T00:00:00+14:00"),
    *("9999-12-31T23:59:59-14:00", "2015-08-022T12:00:00", "+0200", "now", "in 1 day", "12 eons"),
    *(
        "\\Q",
        "\\E",
        "\\Qa\\E\\\\E\\Qb\\E",
        "[",
        "(",
        "(?<x>",
        "a{99999}",
        "(a+)+$",
        "\\1",
        "(?i",
        "*a",
    ),
    *("ios", "android", "winrt", "gcm", "Europe/Paris", "Mars/Base", "GMT+99", "en-US"),
    *("x" * 256, "x" * 5_000, "é" * 3_000, "a," * 1_500, "f" * 64, "F" * 64, "0" * 2_000),
)
#: A table for each place that is to be tried with all of them.
ODD: tuple[Any, ...] = (
    *(None, True, False),
    *NUMBERS,
    *TEXTS,
    *([], {}, [[]], [{}], [None], {"": ""}, [[[[[1]]]]], {"a": {"b": {"c": [{}]}}}),
    *({"$": 1}, {"a.b": 1}, {"$gt": ""}, {"\0": 1}, {"\ud800": 1}, {"x" * 300: 1}, {"é": "ü"}),
    *({"__type": None}, {"__type": {}}, {"__op": []}, {"__type": "Date", "__op": "Delete"}),
    *(["a", 1, None, {}], ["a"] * 300, list(range(50)), {f"k{n}": n for n in range(300)}),
    *RAW,
)
NAMES = (
    *("a", "n", "s", "when", "team", "place", "shape", "members", "tags", "o", "o.x", "tags.0"),
    *("a.b.c", "channels", "badge", "deviceType", "deviceToken", "installationId", "timeZone"),
    *("objectId", "createdAt", "updatedAt", "ACL", "className", "length", "query", "name"),
    *("status", "expiry", "pushTime", "numSent", "timesUsed", "lastUsed", "email"),
)
ODD_NAMES = (
    *("", " ", "$", "$in", ".", "a.", ".a", "a..b", "_id", "_x", "__type", "__op", "__proto__"),
    *(
        "constructor",
        "1a",
        "-a",
        "a-b",
        "a b",
        "é",
        "\U0001d4b3",
        "a\0",
        "\ud800",
        "x" * 129,
        "x" * 3_000,
    ),
    *("a" + ".a" * 40, "_rperm", "_wperm", "_created_at", "authData", "id", "*", "%", "'", '"'),
    *("_method", "_ApplicationId", "_context", "_noBody", "where", "limit", "transaction"),
)
CLASSES = ("Team", "_User", "_Role", "_Installation", "_PushStatus", "_Audience", "Other")
ODD_CLASSES = ("_Session", "_Join:a:b", "", "1", "a b", "é", "x" * 200, "Team'", "_X", "team", "\0")
#: Of a row that is there, of each kind.
KNOWN_ID = "aaaaaaaaaa"
OBJECT_IDS = (KNOWN_ID, KNOWN_ID, KNOWN_ID, "0123456789", "x", "A" * 150)


def odd(dice: Random) -> Any:
    """A value of any kind, fit or not."""
    return dice.choice((odd_scalar, odd_tree, encoded, operation))(dice)


def odd_scalar(dice: Random) -> Any:
    """One of the table's."""
    return dice.choice(ODD)


def odd_tree(dice: Random) -> Any:
    """A list or an object of some of them."""
    size = dice.randrange(4)
    if dice.random() < 0.5:
        return [value(dice) for _ in range(size)]
    return {name(dice): value(dice) for _ in range(size)}


def value(dice: Random) -> Any:
    """A value as a field has it; now and then none that a field can have."""
    if dice.random() < 0.08:
        return odd(dice)
    return dice.choice((plain, plain, encoded))(dice)


def plain(dice: Random) -> Any:
    """What most fields hold."""
    return dice.choice([1, 2.5, "text", True, None, ["a", "b"], [1, 2], {"x": 1}, {"x": {"y": []}}])


def name(dice: Random) -> str:
    """A field's name; now and then none that a field can have."""
    return dice.choice(ODD_NAMES if dice.random() < 0.05 else NAMES)


def class_name(dice: Random) -> Any:
    """A class's name; now and then none that a class can have."""
    if dice.random() < 0.05:
        return odd_scalar(dice)
    return dice.choice(ODD_CLASSES if dice.random() < 0.1 else CLASSES)


def object_id(dice: Random) -> Any:
    """An object's id; now and then none that an object can have."""
    return odd_scalar(dice) if dice.random() < 0.1 else dice.choice(OBJECT_IDS)


def broken(dice: Random, fields: dict[str, Any]) -> dict[str, Any]:
    """An encoded value, of which now and then a part is wrong, missing or one too many."""
    chance = dice.random()
    if chance < 0.7:
        return fields
    changed = dict(fields)
    part = dice.choice(list(fields))
    if chance < 0.85:
        changed[part] = odd_scalar(dice)
    elif chance < 0.95:
        del changed[part]
    else:
        changed[name(dice)] = odd_scalar(dice)
    return changed


def encoded(dice: Random) -> Any:
    """One of Parse's types."""
    return broken(dice, dice.choice(list(_ENCODED.values()))(dice))


def pointer(dice: Random) -> dict[str, Any]:
    """A pointer to some object."""
    return {"__type": "Pointer", "className": class_name(dice), "objectId": object_id(dice)}


def place(dice: Random) -> dict[str, Any]:
    """A point on the earth, or beside it."""
    numbers = (0, 45.5, -90, 90, 180, -180, 90.0000001, 179.9999999, 1e-300)
    latitude, longitude = dice.choice(numbers), dice.choice(numbers)
    return {"__type": "GeoPoint", "latitude": latitude, "longitude": longitude}


def polygon(dice: Random) -> dict[str, Any]:
    """A polygon of none to many corners."""
    corners = [[dice.choice((0, 1, 90, -90, 91)), dice.uniform(-180, 180)] for _ in range(4)]
    return {
        "__type": "Polygon",
        "coordinates": dice.choice((corners, corners[:2], [], corners * 9)),
    }


def moment(dice: Random) -> str:
    """A time of any year, in any zone; or something like it."""
    if dice.random() < 0.3:
        return dice.choice(TEXTS)
    day = f"{dice.choice((1, 1969, 2026, 2038, 9999)):04}-{dice.randrange(1, 14):02}-22"
    zone = dice.choice(("Z", "", "+14:00", "-14:00", "+23:59", "-0500", " ", "z"))
    return day + dice.choice(("", f"T10:00:00.123{zone}", f"T23:59:59{zone}", f" 24:00{zone}"))


_ENCODED: dict[str, Callable[[Random], dict[str, Any]]] = {
    "Date": lambda dice: {"__type": "Date", "iso": moment(dice)},
    "Pointer": pointer,
    "GeoPoint": place,
    "Polygon": polygon,
    "Bytes": lambda dice: {"__type": "Bytes", "base64": dice.choice(("AQID", "=", "é", *TEXTS))},
    "File": lambda _: {"__type": "File", "name": "a.txt", "url": "http://127.0.0.1/a.txt"},
    "Object": lambda dice: {**pointer(dice), "__type": "Object", name(dice): plain(dice)},
    "Relation": lambda dice: {"__type": "Relation", "className": class_name(dice)},
    "none": lambda dice: {"__type": dice.choice(TEXTS), "iso": 1, "value": plain(dice)},
}
OPERATIONS = (
    *("Increment", "Add", "AddUnique", "Remove", "Delete", "AddRelation", "RemoveRelation"),
    *("Batch", "SetOnInsert"),
)


def operation(dice: Random) -> dict[str, Any]:
    """A change of a field, of which now and then a part is wrong."""
    kind = dice.choice((*OPERATIONS, "Multiply"))
    fields: dict[str, Any] = {"__op": kind}
    if kind == "Increment":
        fields["amount"] = dice.choice(NUMBERS)
    elif kind == "Batch":
        fields["ops"] = [operation(dice) for _ in range(dice.randrange(3))]
    elif kind == "SetOnInsert":
        fields["amount"] = value(dice)
    elif kind.endswith("Relation"):
        fields["objects"] = [broken(dice, pointer(dice)) for _ in range(dice.randrange(3))]
    elif kind != "Delete":
        fields["objects"] = [value(dice) for _ in range(dice.randrange(4))]
    return broken(dice, fields)
