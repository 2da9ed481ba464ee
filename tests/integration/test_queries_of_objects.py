"""What leads to other objects, and values that are compared in ways of their own."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.targeting.rows import Reader, object_rows
from tests.integration.picking import asked, keep_world, picked_of, rows_of
from tests.integration.worlds import INSTALLATION, SCHEMA, TEAM, USER, World, pointer_to

pytestmark = pytest.mark.integration

CREATED = {"__type": "Date", "iso": "2026-11-22T10:00:00.000Z"}
FILE = {"__type": "File", "name": "a.png"}
SQUARE = {"__type": "Polygon", "coordinates": [[0, 0], [0, 2], [2, 2], [2, 0], [0, 0]]}
#: The same corners, which is to say the same sets of numbers, around another way.
BOW = {"__type": "Polygon", "coordinates": [[0, 0], [2, 2], [0, 2], [2, 0], [0, 0]]}
NOBODY: dict[str, Any] = {"objectId": {"$in": []}}


def row(name: str, **fields: Any) -> dict[str, Any]:
    return {"objectId": name, "createdAt": CREATED, "deviceType": "ios", **fields}


def team(name: str) -> dict[str, Any]:
    return pointer_to(TEAM, name)


WORLD = World(
    documents={
        INSTALLATION: [
            row("o1", user=pointer_to(USER, "u1"), teams=[team("t1")], badge=1),
            row("o2", user=pointer_to(USER, "u2"), teams=[team("t1"), team("t2")], badge=2),
            row("o3", user=None, picture={**FILE, "url": "http://a"}, badge=1),
            row("o4", picture=[FILE, 5], area=SQUARE),
            row(
                "o5", picture={**FILE, "name": "b"}, area={"__type": "Polygon", "coordinates": BOW}
            ),
        ],
        USER: [
            row("u1", team=team("t1"), level=1, device="o1", ACL={"u1": {"read": True}}),
            row("u2", team=team("t2"), level=2, device="o2", ACL={"*": {"read": True}}),
            row("u3", team=None, level=1),
        ],
        TEAM: [row("t1", city="x", best="u1"), row("t2", city="y", best="u2"), row("t3", city="z")],
    },
    relations=frozenset(
        {
            (TEAM, "members", "t1", "u1"),
            (TEAM, "members", "t1", "u2"),
            (TEAM, "members", "t2", "u2"),
            (TEAM, "devices", "t1", "o1"),
            (TEAM, "devices", "t2", "o2"),
            (USER, "follows", "u1", "t1"),
            (USER, "follows", "u2", "t2"),
        }
    ),
)


def of(class_name: str, where: dict[str, Any]) -> dict[str, Any]:
    return {"className": class_name, "where": where}


def related(name: str, key: str = "members") -> dict[str, Any]:
    return {"$relatedTo": {"object": team(name), "key": key}}


@pytest.mark.parametrize(
    ("class_name", "where", "expected"),
    [
        pytest.param(INSTALLATION, {"picture": FILE}, "o3 o4", id="a File by its name"),
        pytest.param(
            INSTALLATION,
            {"picture": {"$in": [{**FILE, "url": "x"}, *range(40)]}},
            "o3 o4",
            id="among many",
        ),
        pytest.param(INSTALLATION, {"picture.0": FILE}, "o4", id="in a place of a list"),
        pytest.param(
            INSTALLATION, {"picture": {"$containedBy": [FILE, 5]}}, "o1 o2 o3 o4 o5", id="within"
        ),
        pytest.param(
            INSTALLATION, {"picture": {"$ne": FILE}}, "o1 o2 o5", id="another File or none"
        ),
        pytest.param(
            INSTALLATION,
            {"area": {"__type": "Polygon", "coordinates": SQUARE["coordinates"][:-1]}},
            "o4",
            id="a Polygon in its order, closed or not",
        ),
        pytest.param(
            INSTALLATION,
            {"user": {"__type": "Object", "className": USER, "objectId": "u1", "level": 5}},
            "o1",
            id="an Object is a Pointer",
        ),
        pytest.param(
            INSTALLATION, {"user": {"__type": "Relation", "className": USER}}, "", id="Relation"
        ),
        pytest.param(
            TEAM, {"members": {"__type": "Relation", "className": USER}}, "", id="of a relation"
        ),
        pytest.param(INSTALLATION, {"user": "u1"}, "o1", id="bare id"),
        pytest.param(INSTALLATION, {"user": {"$ne": "u1"}}, "o2 o3 o4 o5", id="another bare id"),
        pytest.param(INSTALLATION, {"user": {"$in": ["u1", "u2", 5]}}, "o1 o2", id="bare ids"),
        pytest.param(
            INSTALLATION,
            {"user": {"$in": [*"abcdefghijklmnopqrstuvwxyz", "u1"]}},
            "o1",
            id="many bare ids",
        ),
        pytest.param(
            INSTALLATION, {"user": {"$nin": ["u1", "u2"]}}, "o3 o4 o5", id="no such bare ids"
        ),
        pytest.param(INSTALLATION, {"user": {"$all": ["u1"]}}, "o1", id="all bare ids"),
        pytest.param(
            INSTALLATION, {"teams": {"$all": [team("t1"), team("t2")]}}, "o2", id="all Pointers"
        ),
        pytest.param(
            INSTALLATION, {"teams": team("t1")}, "o1 o2", id="a Pointer in a list of them"
        ),
        pytest.param(
            INSTALLATION,
            {"user": {"$select": {"query": of(TEAM, {"city": "x"}), "key": "best"}}},
            "o1",
            id="selected bare ids",
        ),
        pytest.param(
            INSTALLATION,
            {"user": {"$dontSelect": {"query": of(TEAM, {}), "key": "best"}}},
            "o3 o4 o5",
            id="and not those",
        ),
        pytest.param(
            INSTALLATION,
            {"badge": {"$select": {"query": of(INSTALLATION, {"badge": 2}), "key": "badge"}}},
            "o2",
            id="badges of those with a badge",
        ),
        pytest.param(
            INSTALLATION,
            {"user": {"$inQuery": of(USER, {"team": {"$inQuery": of(TEAM, {"city": "y"})}})}},
            "o2",
            id="queries within queries",
        ),
        pytest.param(
            INSTALLATION,
            {"user": {"$inQuery": of(USER, NOBODY)}},
            "",
            id="nobody leads to nobody",
        ),
        pytest.param(
            INSTALLATION,
            {"user": {"$notInQuery": of(USER, NOBODY)}},
            "o1 o2 o3 o4 o5",
            id="and rules nobody out",
        ),
        pytest.param(USER, related("t1"), "u1 u2", id="members"),
        pytest.param(USER, {"$and": [related("t1"), related("t2")]}, "u2", id="of both"),
        pytest.param(USER, {"$or": [related("t2"), {"level": 1}]}, "u1 u2 u3", id="or else"),
        pytest.param(USER, {**related("t1"), "level": 1}, "u1", id="members of a level"),
        pytest.param(USER, {"$nor": [related("t1")]}, "u3", id="no members"),
        pytest.param(USER, related("t1", "devices"), "", id="a relation to another class"),
        pytest.param(USER, related("t1", "nothing"), "", id="no such relation"),
        pytest.param(INSTALLATION, related("t1", "devices"), "o1", id="devices"),
        pytest.param(
            INSTALLATION,
            {"user": {"$inQuery": of(USER, related("t2"))}},
            "o2",
            id="users of a relation",
        ),
        pytest.param(TEAM, {"members": pointer_to(USER, "u2")}, "t1 t2", id="who owns it"),
        pytest.param(TEAM, {"members": {"$ne": pointer_to(USER, "u1")}}, "t2 t3", id="who not"),
        pytest.param(
            TEAM,
            {"members": {"$inQuery": of(USER, {"follows": team("t1")})}},
            "t1",
            id="a relation within a relation",
        ),
        pytest.param(TEAM, {"members": {"$in": []}}, "", id="nobody's"),
        pytest.param(TEAM, {"members": {"$nin": []}}, "t1 t2 t3", id="everybody's"),
        pytest.param(TEAM, {"members": None}, "t3", id="without members"),
        pytest.param(TEAM, {"members": {"$exists": True}}, "t1 t2", id="with members"),
        pytest.param(TEAM, {"members": "u1"}, "", id="a bare id is no member"),
        pytest.param(TEAM, {"members": {"$gt": 1}}, "", id="no order"),
        pytest.param(TEAM, {"members": {"$regex": "u"}}, "", id="no text"),
        pytest.param(TEAM, {"members": {"$containedBy": ["u"]}}, "", id="no list"),
    ],
)
async def test_picks(
    database: AsyncEngine, class_name: str, where: dict[str, Any], expected: str
) -> None:
    """As Parse on MongoDB has it."""
    async with database.connect() as connection:
        rows = rows_of(class_name, await keep_world(connection, WORLD))
        [found] = await picked_of(connection, [asked(where, rows)], rows)
        assert found == set(expected.split())


async def test_queries_within_see_what_the_reader_sees(database: AsyncEngine) -> None:
    """Objects that an ACL hides lead nowhere, but for the master key."""
    async with database.connect() as connection:
        app_id = await keep_world(connection, WORLD)
        where = {"best": {"$select": {"query": of(USER, {}), "key": "objectId"}}}
        for is_master, expected in ((True, {"t1", "t2"}), (False, {"t2"})):
            reader = Reader(app_id=app_id, schema=SCHEMA, is_master=is_master)
            rows = object_rows(reader, TEAM)
            assert [expected] == await picked_of(connection, [asked(where, rows)], rows)


async def test_relations_of_hidden_objects_are_hidden(database: AsyncEngine) -> None:
    """Who may not read an object does not get to know what it is related to, either."""
    async with database.connect() as connection:
        app_id = await keep_world(connection, WORLD)
        for owner, by_client in ((pointer_to(USER, "u1"), set()), (pointer_to(USER, "u2"), {"t2"})):
            where = {"$relatedTo": {"object": owner, "key": "follows"}}
            for is_master, expected in ((True, by_client or {"t1"}), (False, by_client)):
                reader = Reader(app_id=app_id, schema=SCHEMA, is_master=is_master)
                rows = object_rows(reader, TEAM)
                assert [expected] == await picked_of(connection, [asked(where, rows)], rows)


async def test_apps_do_not_see_each_other(database: AsyncEngine) -> None:
    """What is stored in another app is no object and no relation of this one."""
    async with database.connect() as connection:
        await keep_world(connection, WORLD)
        documents = {**WORLD.documents, USER: [row("u9")]}
        relations = frozenset({(TEAM, "devices", "t1", "u1")})
        other = World(documents=documents, relations=relations)
        rows = rows_of(TEAM, await keep_world(connection, other))
        for where in (
            {"members": pointer_to(USER, "u1")},
            {"best": {"$select": {"query": of(USER, {"level": 1}), "key": "objectId"}}},
        ):
            assert [set()] == await picked_of(connection, [asked(where, rows)], rows)
