"""What a query means: MongoDB's rules as a plain walk over documents; and random ones of both.

Written from MongoDB's manual and tests, not from our compiler: here is a document, there is SQL.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.globe import Pair, angle, in_ring

Document = dict[str, Any]

START = datetime(2026, 11, 22, 10, 0, 0, 123_456, tzinfo=UTC)
MISSING = object()


# ---------------------------------------------------------------- the reference


def fits(where: Mapping[str, Any], found: Document) -> bool:
    """Tell whether an installation is meant, as Parse on MongoDB has it."""
    return all(fits_key(key, value, found) for key, value in where.items())


def fits_key(key: str, value: Any, found: Document) -> bool:
    """Tell whether what is asked of one key is so."""
    if key in JUNCTIONS:
        return JUNCTIONS[key](fits(inner, found) for inner in value)
    leaves = list(led_to(found, key.split(".")))
    if key in {"createdAt", "updatedAt"}:
        value = as_dates(value)
    if isinstance(value, dict) and WITH_SIBLINGS.keys() & value.keys():
        return all(WITH_SIBLINGS[name](leaves, value) for name in WITH_SIBLINGS.keys() & value)
    if isinstance(value, dict) and "__type" not in value:
        return all(OPERATORS[operator](leaves, operand) for operator, operand in value.items())
    return equals(leaves, value)


JUNCTIONS: dict[str, Callable[[Iterator[bool]], bool]] = {
    "$and": all,
    "$or": any,
    "$nor": lambda fitting: not any(fitting),
}


def as_dates(value: Any) -> Any:
    """Read ISO texts as moments, as Parse does for its own two fields."""
    if isinstance(value, str) and value[:2] == "20":
        return {"__type": "Date", "iso": value}
    if isinstance(value, list):
        return [as_dates(item) for item in value]
    if isinstance(value, dict) and "__type" not in value:
        return {operator: as_dates(operand) for operator, operand in value.items()}
    return value


def led_to(value: Any, path: list[str]) -> Iterator[Any]:
    """Yield what a dotted key leads to, `MISSING` where an object lacks it."""
    if not path:
        yield value
        return
    key, *rest = path
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield from led_to(item.get(key, MISSING), rest)
        if key.isdigit() and int(key) < len(value):
            item = value[int(key)]
            if not rest or isinstance(item, dict | list):
                yield from led_to(item, rest)
    elif isinstance(value, dict):
        yield from led_to(value.get(key, MISSING), rest)
    else:
        yield MISSING


def with_items(leaves: list[Any]) -> Iterator[Any]:
    """Yield the values, and the items of those that are lists."""
    for leaf in leaves:
        yield leaf
        if isinstance(leaf, list):
            yield from leaf


def equals(leaves: list[Any], wanted: Any) -> bool:
    """Tell whether one is the value; null is what is missing, too."""
    return any(same(leaf, wanted) for leaf in with_items(leaves))


def same(one: Any, wanted: Any) -> bool:
    """Compare strictly: true is not 1."""
    if wanted is None:
        return one is None or one is MISSING
    if isinstance(one, dict) and isinstance(wanted, dict):
        return one.keys() == wanted.keys() and all(same(one[k], wanted[k]) for k in one)
    if isinstance(one, list) and isinstance(wanted, list):
        return len(one) == len(wanted) and all(map(same, one, wanted))
    return kind(one) == kind(wanted) and bool(one == wanted)


def kind(value: Any) -> str:
    """Return the name of a type that has an order of its own."""
    if isinstance(value, dict):
        return str(value.get("__type"))
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def in_order(leaves: list[Any], operand: Any, fits_order: Callable[[Any, Any], bool]) -> bool:
    """Tell whether one has the operand's type and that order to it."""
    if operand is None:
        return fits_order(0, 0) and equals(leaves, None)
    return any(
        kind(leaf) == kind(operand) and fits_order(rank(leaf), rank(operand))
        for leaf in with_items(leaves)
    )


def rank(value: Any) -> Any:
    """Return what orders a value among its kind."""
    return value["iso"] if isinstance(value, dict) else value


def one_of(leaves: list[Any], values: list[Any]) -> bool:
    """Tell whether one is any of the values."""
    return any(equals(leaves, value) for value in values)


def contained(leaves: list[Any], values: list[Any]) -> bool:
    """Tell whether no list has an item beside these."""
    return all(
        any(same(item, value) for value in values)
        for leaf in leaves
        if isinstance(leaf, list)
        for item in leaf
    )


def found_in(leaves: list[Any], asked: Mapping[str, Any]) -> bool:
    """Tell whether a text has the pattern; Python's patterns stand beside those of PCRE."""
    flags = re.IGNORECASE if asked.get("$options") == "i" else 0
    pattern = re.compile(PATTERNS[asked["$regex"]], flags | re.ASCII)
    return any(isinstance(leaf, str) and pattern.search(leaf) for leaf in with_items(leaves))


def is_near(leaves: list[Any], asked: Mapping[str, Any]) -> bool:
    """Tell whether a place is no farther than that."""
    return in_circle(leaves, [asked["$nearSphere"], asked["$maxDistance"]])


#: Operators that are read together with others of the same key.
WITH_SIBLINGS = {"$regex": found_in, "$nearSphere": is_near}


def in_circle(leaves: list[Any], circle: list[Any]) -> bool:
    """Tell whether a place is in a circle around another one."""
    center, radians = circle
    return any(
        angle(place_of(center), place_of(leaf)) <= radians
        for leaf in with_items(leaves)
        if kind(leaf) == "GeoPoint"
    )


def place_of(point: Mapping[str, Any]) -> Pair:
    """Return latitude and longitude."""
    return point["latitude"], point["longitude"]


def in_shape(leaves: list[Any], shape: Mapping[str, Any]) -> bool:
    """Tell whether a place is in a circle or a polygon."""
    if "$centerSphere" in shape:
        return in_circle(leaves, shape["$centerSphere"])
    ring = [place_of(corner) for corner in shape["$polygon"]]
    points = [leaf for leaf in with_items(leaves) if kind(leaf) == "GeoPoint"]
    return any(in_ring(ring, place_of(point)) for point in points)


def has_words(leaves: list[Any], asked: Mapping[str, Any]) -> bool:
    """Tell whether a text has a phrase, else one of the words, in any form; and none unwanted."""
    steps = re.findall(r'(-?)(?:"([^"]*)"|(\S+))', asked["$search"]["$term"])
    wanted = [stems(phrase) for dash, phrase, _ in steps if phrase and not dash]
    any_of = [stems(word) for dash, _, word in steps if word and not dash]
    unwanted = [stems(phrase or word) for dash, phrase, word in steps if dash]

    def fits_text(text: str) -> bool:
        runs = {tuple(run) for run in all_runs(stems(text))}
        found = all(map(runs.__contains__, wanted)) if wanted else not runs.isdisjoint(any_of)
        return found and runs.isdisjoint(unwanted)

    return any(isinstance(leaf, str) and fits_text(leaf) for leaf in with_items(leaves))


def stems(text: str) -> tuple[str, ...]:
    """Return the words in their first form."""
    return tuple(FORMS.get(word, word) for word in re.findall(r"\w+", text.lower()))


def all_runs(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield every run of words that follow one another."""
    places = range(len(words) + 1)
    return (words[start:end] for start in places for end in places[start + 1 :])


#: The words of tests that have more than one form.
FORMS = {"running": "run", "runs": "run", "cats": "cat"}

OPERATORS: dict[str, Callable[[list[Any], Any], bool]] = {
    "$eq": equals,
    "$ne": lambda leaves, value: not equals(leaves, value),
    "$in": one_of,
    "$nin": lambda leaves, values: not one_of(leaves, values),
    "$all": lambda leaves, values: bool(values) and all(equals(leaves, v) for v in values),
    "$containedBy": contained,
    "$exists": lambda leaves, wanted: any(leaf is not MISSING for leaf in leaves) == wanted,
    "$lt": lambda leaves, value: in_order(leaves, value, lambda a, b: a < b),
    "$lte": lambda leaves, value: in_order(leaves, value, lambda a, b: a <= b),
    "$gt": lambda leaves, value: in_order(leaves, value, lambda a, b: a > b),
    "$gte": lambda leaves, value: in_order(leaves, value, lambda a, b: a >= b),
    "$geoWithin": in_shape,
    "$text": has_words,
}


# ---------------------------------------------------------------- random installations

POINTERS = [{"__type": "Pointer", "className": "Team", "objectId": f"t{n}"} for n in range(3)]
DATES = [{"__type": "Date", "iso": f"2026-11-2{n}T10:00:00.000Z"} for n in range(3)]
#: Values alike but for their type, so that a comparison which is not strict is found out.
VALUES: list[Any] = ["a", "b", "1", "", "true", 1, 1.5, 0, True, False, *POINTERS, *DATES]
OTHERS: list[Any] = ["it's", '"', "ünï👋", "{", "a,b", "B", -1, 10**12, 1e300]
TEXTS = ["a", "b", "it's", "ünï👋", "", "1"]


def document(dice: random.Random, number: int) -> Document:
    """Return an installation as Parse shows it, any field of it missing at times."""
    created = START + timedelta(microseconds=dice.choice([0, 400, 1000]))
    fields = {
        "objectId": f"o{number}",
        "deviceType": dice.choice(["ios", "android"]),
        "timeZone": dice.choice([MISSING, *TEXTS]),
        "channels": dice.choice([MISSING, [], *([dice.choice(TEXTS)] * 3), TEXTS]),
        "channelUris": dice.choice([MISSING, {}, {"_Default": dice.choice(TEXTS)}]),
        "badge": dice.choice([MISSING, 0, 1, -1]),
        "createdAt": {"__type": "Date", "iso": f"{created.isoformat()[:23]}Z"},
        "plan": custom_value(dice),
        "tags": custom_value(dice),
        "prefs": dice.choice(
            [MISSING, None, 1, {"news": custom_value(dice)}, list_of_objects(dice)]
        ),
    }
    if isinstance(fields["channels"], str):
        fields["channels"] = [fields["channels"], dice.choice(TEXTS)]
    return without_missing(fields)


def custom_value(dice: random.Random) -> Any:
    """Return anything that a custom field may hold."""
    some = [dice.choice([*VALUES, None]) for _ in range(dice.randrange(4))]
    one = dice.choice(VALUES)
    return dice.choice([MISSING, None, one, some, {"deep": one}, list_of_objects(dice)])


def list_of_objects(dice: random.Random) -> list[Any]:
    """Return a list that dotted keys lead into."""
    keys = ["news", "deep", "0", "1"]
    return [
        dice.choice([1, "a", None, {}, {dice.choice(keys): dice.choice([*VALUES, None, ["a", 1]])}])
        for _ in range(dice.randrange(4))
    ]


def without_missing(fields: Document) -> Document:
    """Return the object without its missing keys."""
    return {
        key: without_missing(value) if isinstance(value, dict) else value
        for key, value in fields.items()
        if value is not MISSING
    }


# ---------------------------------------------------------------- random clauses

#: Patterns as the SDKs write them, and as Python does.
PATTERNS = {
    "": "",
    "a": "a",
    "^B": "^B",
    r"^\Qit's\E": "^it's",
    r"\Q👋\E$": r"👋\Z",
    r"^\Q\E$": r"^\Z",
    r"\bs": r"\bs",
    r"^[\d,]+$": r"^[\d,]+\Z",
    r"^\x6f(?:1|\d{2})$": r"^o(?:1|\d{2})\Z",
    "t(?!r)": "t(?!r)",
}

SPECIAL = ["objectId", "deviceType", "timeZone", "channels", "channelUris", "badge", "createdAt"]
CUSTOM = ["plan", "tags", "prefs", "nowhere"]
WITHIN = [
    *("plan.deep", "plan.0.deep", "prefs.news", "prefs.news.deep", "prefs.news.1", "prefs.0"),
    *("prefs.news.0.deep", "prefs.1.news", "tags.0", "tags.deep.0", "tags.0.x", "nowhere.x"),
    *("channelUris._Default", "channels.0", "channels.x", "timeZone.x", "badge.x"),
]
KEYS = [*SPECIAL, *CUSTOM, *CUSTOM, *WITHIN]


def clause(dice: random.Random, depth: int = 0) -> dict[str, Any]:
    """Return a where-clause that has something to do with the installations."""
    where: dict[str, Any] = {}
    for _ in range(dice.choice([1, 1, 1, 2])):
        if depth < 3 and dice.random() < 0.3:
            inner = [clause(dice, depth + 1) for _ in range(dice.choice([1, 2, 3]))]
            where[dice.choice(["$and", "$or", "$nor"])] = inner
        else:
            where[dice.choice(KEYS)] = constraint(dice)
    return where


def constraint(dice: random.Random) -> Any:
    """Return what may be asked of one key."""
    shape = dice.random()
    if shape < 0.2:
        return dice.choice([None, operand(dice)])
    if shape < 0.3:
        pattern = {"$regex": dice.choice([*PATTERNS])}
        return dice.choice([pattern, pattern | {"$options": "i"}])
    operators = dice.sample(sorted(OPERANDS), k=dice.choice([1, 1, 1, 2]))
    return {operator: OPERANDS[operator](dice) for operator in operators}


def operand(dice: random.Random) -> Any:
    """Return one value to compare with."""
    moment = {"__type": "Date", "iso": "2026-11-22T10:00:00.123Z"}
    return dice.choice([*VALUES, *OTHERS, *TEXTS, "ios", "o7", moment, moment["iso"], None])


def operands(dice: random.Random) -> list[Any]:
    """Return some values to compare with, at times so many that another way is taken."""
    if dice.random() < 0.1:
        return [*VALUES, *OTHERS, *TEXTS, "o1", "o2", *range(100, 110)]
    return [operand(dice) for _ in range(dice.randrange(5))]


def ordered(dice: random.Random) -> Any:
    """Return a value that has an order among its kind."""
    while isinstance(value := operand(dice), dict) and value["__type"] != "Date":
        pass
    return value


OPERANDS: dict[str, Callable[[random.Random], Any]] = {
    "$eq": operand,
    "$ne": operand,
    "$in": operands,
    "$nin": operands,
    "$all": lambda dice: operands(dice)[:4],
    "$containedBy": lambda dice: [*operands(dice), *dice.choice([[], [*VALUES, None]])],
    "$exists": lambda dice: dice.choice([True, False]),
    **dict.fromkeys(["$lt", "$lte", "$gt", "$gte"], ordered),
}
