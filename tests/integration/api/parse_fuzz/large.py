"""Requests that are right, and far too much: deep, wide, long or dear."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.integration.api.parse_fuzz.calls import Call

POINTER = {"__type": "Pointer", "className": "Team", "objectId": "aaaaaaaaaa"}
#: The last but one is within what JSON may have here: a junction has two levels, a query four.
DEPTHS = (10, 60, 120, 160)
SIZES = (100, 1_000, 8_000)


def nested(junction: str, depth: int) -> dict[str, Any]:
    """A junction in a junction in a junction."""
    where: dict[str, Any] = {"n": 1}
    for _ in range(depth):
        where = {junction: [where]}
    return where


def inner_queries(operator: str, depth: int) -> dict[str, Any]:
    """A query in a query in a query."""
    where: dict[str, Any] = {"n": 1}
    for _ in range(depth):
        where = {"team": {operator: {"className": "Team", "where": where}}}
    return where


def circle(size: int) -> list[list[float]]:
    """Many corners, all of them different."""
    return [[place % 90 + place / size, place % 179 - place / size] for place in range(size)]


#: name -> a where-clause of a size
WIDE: dict[str, Callable[[int], dict[str, Any]]] = {
    "or": lambda size: {"$or": [{f"k{place % 50}": place} for place in range(size)]},
    "nor of many kinds": lambda size: {
        "$nor": [{f"k{place}": {"$gt": place, "$ne": None}} for place in range(size)]
    },
    "and of patterns": lambda size: {"$and": [{"s": {"$regex": f"a{n}"}} for n in range(size)]},
    "in numbers": lambda size: {"n": {"$in": list(range(size))}},
    "in texts": lambda size: {"channels": {"$in": [f"c{place}" for place in range(size)]}},
    "not in pointers": lambda size: {"team": {"$nin": [POINTER] * size}},
    "all": lambda size: {"tags": {"$all": [str(place) for place in range(size)]}},
    "all patterns": lambda size: {
        "tags": {"$all": [{"$regex": f"^\\Q{n}\\E"} for n in range(size)]}
    },
    "contained": lambda size: {"tags": {"$containedBy": list(range(size))}},
    "keys": lambda size: {f"k{place}": place for place in range(size)},
    "keys of many values": lambda size: {
        f"k{place}": {"$in": [f"{place} {n}" for n in range(15)]} for place in range(size // 15)
    },
    "alternatives": lambda size: {
        "$and": [{"$or": [{f"k{n}": n}, {f"l{n}": n}]} for n in range(size // 20)]
    },
    "keys of one": lambda size: {f"o.x{place}": {"$exists": True} for place in range(size)},
    "path": lambda size: {".".join(["o"] * size): 1},
    "polygon": lambda size: {
        "place": {"$geoWithin": {"$polygon": {"__type": "Polygon", "coordinates": circle(size)}}}
    },
    "inner queries": lambda size: {
        "$or": [inner_queries("$inQuery", 1) for _ in range(size // 10)],
    },
    "selections": lambda size: {
        f"k{place}": {"$dontSelect": {"query": {"className": "Team", "where": {}}, "key": "n"}}
        for place in range(size // 10)
    },
    "relations": lambda size: {
        "$and": [{"$relatedTo": {"object": POINTER, "key": "members"}} for _ in range(size // 10)]
    },
    "text": lambda size: {"s": {"$text": {"$search": {"$term": "a b " * size}}}},
    "value": lambda size: {"s": "x" * size},
    "pattern": lambda size: {"s": {"$regex": "a|" * size}},
    "groups": lambda size: {"s": {"$regex": "(" * size + ")" * size}},
    "classes": lambda size: {"s": {"$regex": "[a-z]*" * size}},
}
PATTERNS = (
    *("(a{255}){255}", "((a{1,99}){1,99}){1,99}", "(.*)*(.*)*(.*)*$", "(x+x+)+y", "^(a|a)*$"),
    *(
        "(.)\\1(.)\\2(.)\\3",
        "(?=.*a)(?=.*b)(?=.*c)",
        "\\y" * 1_000,
        "(a?){200}a{200}",
        ".{9}" * 200,
    ),
)


def wheres() -> Iterator[dict[str, Any]]:
    """Yield queries that ask for more than anybody needs."""
    for depth in DEPTHS:
        yield from (nested(junction, depth) for junction in ("$or", "$and", "$nor"))
        yield from (inner_queries(operator, depth) for operator in ("$inQuery", "$notInQuery"))
    for clause in WIDE.values():
        yield from map(clause, SIZES)
    yield from ({"s": {"$regex": pattern}} for pattern in PATTERNS)


def bodies(size: int) -> Iterator[dict[str, Any]]:
    """Yield objects that hold more than any needs."""
    yield {f"k{place}": place for place in range(size)}
    yield {"s": "x" * size * 20}
    yield {"tags": {"__op": "AddUnique", "objects": list(range(size))}}
    yield {"tags": {"__op": "Remove", "objects": [{"x": place} for place in range(size)]}}
    yield {
        "members": {
            "__op": "AddRelation",
            "objects": [{**POINTER, "objectId": f"x{n}"} for n in range(size)],
        }
    }
    yield {"n": {"__op": "Batch", "ops": [{"__op": "Increment", "amount": 1}] * size}}
    yield {"ACL": {f"role:r{place}": {"read": True} for place in range(size)}}
    yield {"shape": {"__type": "Polygon", "coordinates": circle(size)}}
    yield {"o": {f"k{place}": {"x": [place]} for place in range(size)}}


def calls() -> Iterator[Call]:
    """Yield each of them at each door that takes such a thing."""
    for number, where in enumerate(wheres()):
        path = ("installations", "classes/Team", "classes/_PushStatus")[number % 3]
        yield Call(method="POST", path=path, body={"where": where, "_method": "GET"})
        yield Call(method="POST", path="push", body={"where": where, "data": {"alert": "x"}})
    for size in SIZES:
        for number, body in enumerate(bodies(size)):
            path = ("installations", "classes/Team")[number % 2]
            yield Call(method="PUT", path=f"{path}/aaaaaaaaaa", body=body)
            yield Call(method="POST", path="classes/Other", body=body)
        yield from steering(size)


def steering(size: int) -> Iterator[Call]:
    """Yield requests whose parameters, channels or parts are many."""
    names = ",".join(f"k{place}" for place in range(size))
    for key in ("order", "keys", "include", "excludeKeys"):
        yield Call(method="POST", path="classes/Team", body={key: names, "_method": "GET"})
    channels = [f"c{place}" for place in range(size)]
    yield Call(method="POST", path="push", body={"channels": channels, "data": {"alert": "x"}})
    yield Call(method="PUT", path="installations/aaaaaaaaaa", body={"channels": channels})
    data = {f"alert-{place}": "x" for place in range(size)}
    yield Call(method="POST", path="push", body={"channels": ["good"], "data": data})
    parts: tuple[dict[str, Any], ...] = (
        {"method": "POST", "path": "/parse/classes/Other", "body": {"n": 1}},
        {"method": "POST", "path": "/parse/installations", "body": {"installationId": "id-3"}},
        {"method": "GET", "path": "/parse/classes/Other?count=1"},
        {"method": "POST", "path": "/parse/events/AppOpened", "body": {"push_id": "aaaaaaaaaa"}},
    )
    for part in parts:
        yield Call(method="POST", path="batch", body={"requests": [part] * size})
