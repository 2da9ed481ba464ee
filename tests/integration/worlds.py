"""Random worlds of installations, users and teams that lead to one another, and clauses over them.

What leads to other objects is resolved as Parse Server does it: class by class, with lists of ids.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pushsvc.storage.field_types import FieldType
from pushsvc.storage.schema import Schema
from tests.integration import mongo
from tests.integration.globe import anywhere, geo
from tests.integration.mongo import MISSING, Document, fits, without_missing

INSTALLATION, USER, TEAM = "_Installation", "_User", "Team"
CLASSES = (INSTALLATION, USER, TEAM)
LETTERS = {INSTALLATION: "o", USER: "u", TEAM: "t"}
#: Objects of each class; ids beyond lead nowhere.
OBJECTS = 40
#: Ids that are pointed to: few, so that many are.
POINTED = 4

SCHEMA = Schema(
    {
        INSTALLATION: {
            "user": FieldType("Pointer", USER),
            "teams": FieldType("Array"),
            "home": FieldType("GeoPoint"),
        },
        USER: {
            "team": FieldType("Pointer", TEAM),
            "follows": FieldType("Relation", TEAM),
            "badge": FieldType("Date"),
        },
        TEAM: {
            "captain": FieldType("Pointer", USER),
            "members": FieldType("Relation", USER),
            "devices": FieldType("Relation", INSTALLATION),
        },
    }
)

#: Of a relation: owner's class, field, owner's id, related id.
Related = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class World:
    """What is stored."""

    documents: Mapping[str, list[Document]]
    relations: frozenset[Related]


def world(dice: random.Random) -> World:
    """Return a random one."""
    documents = {
        INSTALLATION: [installation(dice, number) for number in range(OBJECTS)],
        USER: [user(dice, number) for number in range(OBJECTS)],
        TEAM: [team(dice, number) for number in range(OBJECTS)],
    }
    relations = {related(dice) for _ in range(60)}
    return World(documents=documents, relations=frozenset(relations))


def installation(dice: random.Random, number: int) -> Document:
    """Return an installation that belongs to somebody, at times."""
    own = {
        "user": dice.choice([MISSING, None, *[pointer(dice, USER)] * 4]),
        "teams": dice.choice([MISSING, [], *[pointers(dice, TEAM)] * 3]),
        "home": dice.choice([MISSING, geo(anywhere(dice)), geo(anywhere(dice))]),
        "motto": dice.choice([MISSING, 5, text(dice), [text(dice), text(dice)]]),
    }
    return {**mongo.document(dice, number), **without_missing(own)}


def user(dice: random.Random, number: int) -> Document:
    """Return a user, one field of whose has the name of an installation's."""
    own = {
        **of_every_class(dice, f"u{number}"),
        "team": dice.choice([MISSING, None, *[pointer(dice, TEAM)] * 4]),
        "badge": dice.choice([MISSING, dice.choice(mongo.DATES)]),
        "motto": dice.choice([MISSING, text(dice)]),
        "home": dice.choice([MISSING, geo(anywhere(dice))]),
    }
    return without_missing(own)


def team(dice: random.Random, number: int) -> Document:
    """Return a team."""
    own = {
        **of_every_class(dice, f"t{number}"),
        "captain": dice.choice([MISSING, None, *[pointer(dice, USER)] * 4]),
    }
    return without_missing(own)


def of_every_class(dice: random.Random, name: str) -> Document:
    """Return what all objects have."""
    values = {key: mongo.custom_value(dice) for key in ("plan", "tags")}
    prefs = {"news": mongo.custom_value(dice)}
    created = dice.choice(mongo.DATES)
    return {"objectId": name, "createdAt": created, **values, "prefs": prefs}


def pointer(dice: random.Random, class_name: str) -> dict[str, Any]:
    """Return a Pointer to one of those that are pointed to."""
    return pointer_to(class_name, f"{LETTERS[class_name]}{dice.randrange(POINTED)}")


def pointers(dice: random.Random, class_name: str) -> list[Any]:
    """Return some."""
    return [pointer(dice, class_name) for _ in range(dice.randrange(4))]


def pointer_to(class_name: str, object_id: str) -> dict[str, Any]:
    """Return a Pointer."""
    return {"__type": "Pointer", "className": class_name, "objectId": object_id}


def related(dice: random.Random) -> Related:
    """Return a row of a relation; some lead nowhere."""
    owner_class, field, leads_to = dice.choice(
        [(USER, "follows", TEAM), (TEAM, "members", USER), (TEAM, "devices", INSTALLATION)]
    )
    owner = f"{LETTERS[owner_class]}{dice.randrange(POINTED)}"
    return owner_class, field, owner, f"{LETTERS[leads_to]}{dice.randrange(OBJECTS + 5)}"


VOCABULARY = ["run", "running", "runs", "cat", "cats", "dog", "red"]


def text(dice: random.Random) -> str:
    """Return some words."""
    words = [dice.choice(VOCABULARY) for _ in range(dice.randrange(4))]
    return " ".join([*words, *words[:1]]).capitalize()


# ---------------------------------------------------------------- the reference


def meant(where: Mapping[str, Any], class_name: str, given: World) -> set[str]:
    """Return the ids of those objects of a class that a clause is about."""
    plain = resolved(where, class_name, given)
    return {found["objectId"] for found in given.documents[class_name] if fits(plain, found)}


def resolved(where: Mapping[str, Any], class_name: str, given: World) -> dict[str, Any]:
    """Return a clause of the same meaning that leads to no other objects."""
    clauses: list[Any] = []
    for key, value in where.items():
        if key in mongo.JUNCTIONS:
            clauses.append({key: [resolved(one, class_name, given) for one in value]})
        elif key == "$relatedTo":
            owner = value["object"]["className"], value["key"], value["object"]["objectId"]
            ids = [row[3] for row in given.relations if row[:3] == owner]
            clauses.append({"objectId": {"$in": ids}})
        else:
            asked = list(resolved_operators(value, class_name, key, given))
            clauses.extend(of_field(one, class_name, key, given) for one in asked)
    return {"$and": clauses} if clauses else {}


def resolved_operators(asked: Any, class_name: str, key: str, given: World) -> Iterator[Any]:
    """Yield what is asked of a key, one thing at a time, with ids in place of queries."""
    if not isinstance(asked, dict) or "__type" in asked or mongo.WITH_SIBLINGS.keys() & asked:
        yield as_pointers(asked, class_name, key)
        return
    for operator, operand in asked.items():
        if operator in {"$inQuery", "$notInQuery"}:
            other = operand["className"]
            found = meant(operand["where"], other, given)
            ids = [pointer_to(other, name) for name in sorted(found)]
            yield {"$in" if operator == "$inQuery" else "$nin": ids}
        elif operator in {"$select", "$dontSelect"}:
            values = list(selected(operand["query"], operand["key"], given))
            values = as_pointers(values, class_name, key)
            yield {"$in" if operator == "$select" else "$nin": values}
        else:
            yield {operator: as_pointers(operand, class_name, key)}


def selected(query: Mapping[str, Any], key: str, given: World) -> Iterator[Any]:
    """Yield what the objects have by the key; a list is its items, and nothing is nothing."""
    found = meant(query.get("where", {}), query["className"], given)
    for one in given.documents[query["className"]]:
        if one["objectId"] in found:
            value = held(one, key.split("."))
            items = value if isinstance(value, list) else [value]
            yield from (item for item in items if item is not None and item is not MISSING)


def held(value: Any, path: list[str]) -> Any:
    """Return what JavaScript finds by the keys: it does not look into the objects of a list."""
    for key in path:
        if isinstance(value, list):
            value = value[int(key)] if key.isdigit() and int(key) < len(value) else MISSING
        else:
            value = value.get(key, MISSING) if isinstance(value, dict) else MISSING
    return value


def as_pointers(operand: Any, class_name: str, key: str) -> Any:
    """Read bare ids as Pointers where the field has such."""
    kind = SCHEMA.of(class_name).get(key)
    if kind is None or kind.name != "Pointer":
        return operand
    if isinstance(operand, list):
        return [as_pointers(item, class_name, key) for item in operand]
    return pointer_to(str(kind.target_class), operand) if isinstance(operand, str) else operand


def of_field(asked: Any, class_name: str, key: str, given: World) -> dict[str, Any]:
    """Return the clause of one field; of a relation it is about the ids of its owners."""
    kind = SCHEMA.of(class_name).get(key)
    if kind is None or kind.name != "Relation":
        return {key: asked}
    [(operator, operand)] = asked.items() if "__type" not in asked else [("$in", [asked])]
    wanted = operand if isinstance(operand, list) else [operand]
    ids = {one["objectId"] for one in wanted if one["className"] == kind.target_class}
    rows = [row for row in given.relations if row[:2] == (class_name, key)]
    owners = sorted({owner for _, _, owner, name in rows if name in ids})
    return {"objectId": {"$nin" if operator in {"$ne", "$nin"} else "$in": owners}}
