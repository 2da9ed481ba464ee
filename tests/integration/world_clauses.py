"""Random clauses over random worlds."""

import random
from collections.abc import Callable
from typing import Any

from tests.integration import mongo
from tests.integration.globe import anywhere, geo, ring_around
from tests.integration.worlds import (
    CLASSES,
    INSTALLATION,
    LETTERS,
    OBJECTS,
    TEAM,
    USER,
    VOCABULARY,
    pointer,
    pointer_to,
    pointers,
)

SELECTED_KEYS = [
    *("objectId", "plan", "tags", "prefs.news", "tags.0", "team", "captain", "createdAt"),
    "badge",
]
Dice = random.Random
#: Returns what is asked of a key; queries may still nest so deep in it.
Asking = Callable[[Dice, int], Any]


def clause(dice: Dice, class_name: str, *, depth: int = 0, queries: int = 2) -> dict[str, Any]:
    """Return a clause over the objects of a class."""
    where: dict[str, Any] = {}
    for _ in range(dice.choice([1, 1, 1, 2])):
        if depth < 3 and dice.random() < 0.2:
            some = range(dice.choice([1, 2, 2]))
            inner = [clause(dice, class_name, depth=depth + 1, queries=queries) for _ in some]
            where[dice.choice(["$and", "$or", "$nor"])] = inner
        elif dice.random() < 0.05:
            where["$relatedTo"] = relation_to(dice, class_name)
        elif dice.random() < 0.45:
            key = dice.choice([*ASKED[class_name]])
            where[key] = ASKED[class_name][key](dice, queries)
        else:
            where[dice.choice(PLAIN[class_name])] = mongo.constraint(dice)
    if depth == 0 and dice.random() < 0.05 and class_name != TEAM:
        where["home"] = {"$nearSphere": geo(anywhere(dice)), "$maxDistance": dice.choice([0.5, 2])}
    return where


def relation_to(dice: Dice, class_name: str) -> dict[str, Any]:
    """Return what is asked by `$relatedTo`, at times of a relation that leads elsewhere."""
    owner_class, field = {
        INSTALLATION: (TEAM, "devices"),
        USER: (TEAM, "members"),
        TEAM: (USER, "follows"),
    }[dice.choice([class_name, class_name, class_name, USER])]
    return {"object": pointer(dice, owner_class), "key": dice.choice([field, field, "nothing"])}


def of_pointers(class_name: str) -> Asking:
    """Return what may be asked of a field with Pointers to a class."""

    def asked(dice: Dice, queries: int) -> Any:
        if queries and dice.random() < 0.5:
            return joined(dice, class_name, queries - 1)
        one = pointer(dice, class_name)
        bare = dice.choice([one, one["objectId"], None, pointer(dice, USER), "a"])
        some = [*pointers(dice, class_name), *dice.choice([[], [bare]])]
        name = dice.choice(["$eq", "$ne", "$in", "$nin", "$all", "$exists", "direct"])
        if name == "direct":
            return dice.choice([one, bare])
        if name == "$exists":
            return {name: dice.choice([True, False])}
        return {name: bare if name in {"$eq", "$ne"} else some}

    return asked


def joined(dice: Dice, class_name: str, queries: int) -> dict[str, Any]:
    """Return what leads to objects of the class, or to their values."""
    where = clause(dice, class_name, depth=2, queries=queries)
    # Of one that fits few, most fit the contrary; and an empty result is a case of its own.
    where = dice.choice([where, where, {"objectId": "x"}])
    name = dice.choice(["$inQuery", "$notInQuery", "$select", "$dontSelect"])
    if name in {"$inQuery", "$notInQuery"}:
        return {name: {"className": class_name, "where": where, "limit": 1}}
    key = dice.choice(SELECTED_KEYS)
    return {name: {"query": {"className": class_name, "where": where}, "key": key}}


def of_values(dice: Dice, queries: int) -> Any:
    """Return what may be asked of a field by the values that others have."""
    if not queries:
        return mongo.constraint(dice)
    return joined(dice, dice.choice(CLASSES), queries - 1)


def of_relation(class_name: str) -> Asking:
    """Return what may be asked of a relation to a class."""

    def asked(dice: Dice, queries: int) -> Any:
        if queries and dice.random() < 0.3:
            where = clause(dice, class_name, depth=2, queries=queries - 1)
            query = {"className": class_name, "where": where}
            return {dice.choice(["$inQuery", "$notInQuery"]): query}
        number = dice.randrange(OBJECTS)
        one = pointer_to(class_name, f"{LETTERS[class_name]}{number}")
        one = dice.choice([one, one, pointer(dice, class_name), pointer_to("Other", "t1")])
        some = [one, *pointers(dice, class_name)] if dice.random() < 0.9 else []
        return dice.choice([one, {"$ne": one}, {"$in": some}, {"$nin": some}])

    return asked


def of_place(dice: Dice, _queries: int) -> Any:
    """Return a circle or a polygon."""
    center = anywhere(dice)
    if dice.random() < 0.8:
        return {"$geoWithin": {"$centerSphere": [geo(center), dice.choice([0.1, 0.5, 3])]}}
    return {"$geoWithin": {"$polygon": [geo(place) for place in ring_around(dice, center)]}}


def of_text(dice: Dice, _queries: int) -> Any:
    """Return a search for words; phrases are of words with one form, as MongoDB has no others."""
    words = [dice.choice(["", "", "-"]) + dice.choice(VOCABULARY) for _ in range(3)]
    phrase = dice.choice(["", "", '"dog"', '"red dog"', '-"dog red"'])
    term = " ".join([*words[: dice.randrange(4)], phrase]).strip() or "dog"
    return {"$text": {"$search": {"$term": term}}}


#: What has ways of its own to be asked.
ASKED: dict[str, dict[str, Asking]] = {
    INSTALLATION: {
        "user": of_pointers(USER),
        "teams": of_pointers(TEAM),
        "tags": of_values,
        "plan": of_values,
        "channels": of_values,
        "prefs.news": of_values,
        "home": of_place,
        "motto": of_text,
    },
    USER: {
        "team": of_pointers(TEAM),
        "follows": of_relation(TEAM),
        "objectId": of_values,
        "home": of_place,
        "motto": of_text,
    },
    TEAM: {
        "captain": of_pointers(USER),
        "members": of_relation(USER),
        "devices": of_relation(INSTALLATION),
        "tags": of_values,
    },
}
OF_OBJECTS = [
    *("objectId", "createdAt", "plan", "tags", "nowhere", "plan.deep", "prefs.news"),
    *("prefs.news.deep", "prefs.news.1", "tags.0", "tags.deep.0", "nowhere.x"),
]
PLAIN = {
    INSTALLATION: mongo.KEYS,
    USER: [*OF_OBJECTS, "badge", "badge.iso"],
    TEAM: OF_OBJECTS,
}
