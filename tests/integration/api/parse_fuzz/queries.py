"""Where-clauses: each of Parse's operators, with what it takes and with what it does not."""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.integration.api.parse_fuzz.values import (
    NUMBERS,
    TEXTS,
    broken,
    class_name,
    encoded,
    moment,
    name,
    odd,
    place,
    pointer,
    polygon,
    value,
)

PATTERNS = (
    *(
        "a",
        "^\\Qtext\\E",
        "[ab]+",
        "\\d{2}",
        "x|y",
        "(?i)a",
        "\\Qa\\E\\\\E\\Qb\\E$",
        "(",
        "a{9999}",
    ),
    *("(a*)*b", "[[:alpha:]", "\\", "\\p{L}", "(?<=a)b", "a\0", "\ud800", "^" * 200, "(" * 200),
)
MOMENTS = ("now", "3 days ago", "in 1 hour", "in -1 day", "999999999999 years ago", "in 1e9 days")


def where(dice: Random, depth: int = 3) -> Any:
    """A where-clause, more often than not one that can be answered."""
    if dice.random() < 0.03:
        return odd(dice)
    keys: dict[str, Any] = {}
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3))):
        if depth and dice.random() < 0.2:
            keys[dice.choice(("$or", "$and", "$nor"))] = junction(dice, depth - 1)
        elif dice.random() < 0.05:
            keys["$relatedTo"] = related(dice)
        else:
            keys[name(dice)] = constraint(dice, depth)
    return keys


def junction(dice: Random, depth: int) -> Any:
    """What `$or`, `$and` and `$nor` join."""
    if dice.random() < 0.1:
        return odd(dice)
    return [where(dice, depth) for _ in range(dice.randrange(4))]


def constraint(dice: Random, depth: int) -> Any:
    """What is asked of a field: a value, or operators."""
    if dice.random() < 0.3:
        return value(dice)
    asked: dict[str, Any] = {}
    for operator in dice.sample(list(OPERANDS), dice.choice((1, 1, 1, 2, 3))):
        asked[operator] = operand(dice, operator, depth)
        if operator == "$regex" and dice.random() < 0.5:
            asked["$options"] = dice.choice(("i", "m", "imxs", "u", "", "z", 1, None))
        if operator in {"$nearSphere", "$near"} and dice.random() < 0.6:
            asked[dice.choice(DISTANCES)] = dice.choice((*NUMBERS, "1"))
    return asked


def operand(dice: Random, operator: str, depth: int = 1) -> Any:
    """What the operator takes; now and then something else."""
    if dice.random() < 0.15:
        return odd(dice)
    found = OPERANDS[operator](dice, depth)
    return broken(dice, found) if isinstance(found, dict) and found else found


def related(dice: Random) -> Any:
    """Of which object, and by which field of it."""
    return broken(dice, {"object": pointer(dice), "key": name(dice)})


def values(dice: Random, _depth: int) -> Any:
    """A list of values, now and then a long one."""
    return [value(dice) for _ in range(dice.choice((0, 1, 2, 3, 12)))]


def inner(dice: Random, depth: int) -> dict[str, Any]:
    """A query within the query."""
    found = {"className": class_name(dice), "where": where(dice, max(depth - 1, 0))}
    extra = dice.choice(("limit", "skip", "order", "keys", "redirectClassNameForKey", None))
    return found if extra is None else {**found, extra: dice.choice((1, "a", "-createdAt", -1))}


def selected(dice: Random, depth: int) -> dict[str, Any]:
    """The values of a key of what a query finds."""
    return {"query": broken(dice, inner(dice, depth)), "key": name(dice)}


def within_shape(dice: Random, _depth: int) -> dict[str, Any]:
    """A circle or a polygon, in its many forms."""
    points = [place(dice) for _ in range(dice.randrange(5))]
    pairs = [[p["longitude"], p["latitude"]] for p in points]
    shapes = (
        {"$centerSphere": [place(dice), dice.choice(NUMBERS)]},
        {"$centerSphere": [[0, 0], 0.5]},
        {"$polygon": points},
        {"$polygon": pairs},
        {"$polygon": polygon(dice)},
        {"$polygon": points * 60},
    )
    return dice.choice(shapes)


def comparable(dice: Random, _depth: int) -> Any:
    """What can be more or less than something else."""
    some = (1, 2.5, "text", {"__type": "Date", "iso": moment(dice)})
    return dice.choice((*some, {"$relativeTime": dice.choice((*MOMENTS, 1, None))}))


def text_search(dice: Random, _depth: int) -> dict[str, Any]:
    """A search for words."""
    search = {
        "$term": dice.choice(("text", "a b", "", "'", "a & | !", *TEXTS)),
        "$language": dice.choice(("en", "english", "xx", "", "'", 1)),
        "$caseSensitive": dice.choice((True, False, 1, None)),
        "$diacriticSensitive": dice.choice((True, False, "x")),
    }
    kept = dice.sample(sorted(search), dice.randrange(1, 5))
    return {"$search": {key: search[key] for key in {"$term", *kept}}}


Operand = Callable[[Random, int], Any]
DISTANCES = (
    "$maxDistance",
    "$maxDistanceInMiles",
    "$maxDistanceInKilometers",
    "$maxDistanceInRadians",
)
OPERANDS: dict[str, Operand] = {
    **dict.fromkeys(("$eq", "$ne"), lambda dice, _: value(dice)),
    **dict.fromkeys(("$lt", "$lte", "$gt", "$gte"), comparable),
    **dict.fromkeys(("$in", "$nin", "$all", "$containedBy"), values),
    "$exists": lambda dice, _: dice.choice((True, False, 1, 0, None, "")),
    "$regex": lambda dice, _: dice.choice(PATTERNS),
    "$options": lambda dice, _: dice.choice(("i", "", "z")),
    **dict.fromkeys(("$inQuery", "$notInQuery"), inner),
    **dict.fromkeys(("$select", "$dontSelect"), selected),
    **dict.fromkeys(("$nearSphere", "$near"), lambda dice, _: place(dice)),
    "$within": lambda dice, _: {"$box": [place(dice) for _ in range(dice.choice((2, 2, 1, 3)))]},
    "$geoWithin": within_shape,
    "$geoIntersects": lambda dice, _: {"$point": place(dice)},
    "$text": text_search,
    "$relativeTime": lambda dice, _: dice.choice(MOMENTS),
    "$all_of_regexes": lambda dice, _: [{"$regex": dice.choice(PATTERNS)} for _ in range(2)],
    "$foo": lambda dice, _: encoded(dice),
}
