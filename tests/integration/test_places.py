"""Places are found on a sphere: against a reference in vectors and on a map that is unrolled."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import ColumnElement, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.storage.field_types import GEO_POINT, FieldType
from pushsvc.storage.fields import CLASS_NAME as INSTALLATION
from pushsvc.storage.schema import Schema
from pushsvc.storage.tables import apps, installations
from pushsvc.targeting.compile import compile_condition, nearness
from pushsvc.targeting.rows import Reader, Rows, installation_rows
from pushsvc.targeting.where import nearest_of, parse_where
from tests.integration.globe import Pair, angle, anywhere, geo, in_ring, ring_around
from tests.integration.picking import picked, picked_by_each

pytestmark = pytest.mark.integration

#: Each place is held against each shape; so many of both in one statement.
PLACES = 100
SHAPES = 100
SHAPES_PER_STATEMENT = 25

#: The ways to a place: by the class's field of places, which has columns, and by any other.
SCHEMAS = {
    "columns": Schema({INSTALLATION: {"place": FieldType(GEO_POINT)}}),
    "jsonb": Schema(),
}


@pytest.fixture(params=SCHEMAS)
def rows(request: pytest.FixtureRequest) -> Rows:
    """The rows as they are asked in each of the ways."""
    return installation_rows(Reader(app_id=0, schema=SCHEMAS[request.param]))


async def keep(connection: AsyncConnection, values: Sequence[Any]) -> int:
    """Store one installation for each value of `place`, named by its number."""
    app = insert(apps).values(application_id=f"places-{random.random()}", name=f"{random.random()}")
    app_id = (await connection.execute(app.returning(apps.c.id))).scalar_one()
    rows = [
        {
            "app_id": app_id,
            "object_id": f"{n}",
            "device_type": "ios",
            "custom": {"place": value},
            **in_columns(value),
        }
        for n, value in enumerate(values)
    ]
    await connection.execute(insert(installations), rows)
    return int(app_id)


def in_columns(value: Any) -> dict[str, Any]:
    """Return what a save writes beside the field: its place, where it is one."""
    is_place = isinstance(value, dict) and value.get("__type") == "GeoPoint"
    degrees = [value.get(name) if is_place else None for name in ("latitude", "longitude")]
    there = [one for one in degrees if isinstance(one, int | float) and abs(one) <= 180]
    latitude, longitude = there if len(there) == 2 else (None, None)
    return {"latitude": latitude, "longitude": longitude}


def conditions(
    rows: Rows, asked: Sequence[dict[str, Any]], key: str = "place"
) -> list[ColumnElement[bool]]:
    return [compile_condition(parse_where({key: one}), rows) for one in asked]


# ---------------------------------------------------------------- the tests


@pytest.mark.parametrize("kind", ["near", "cap", "polygon", "stored polygon"])
async def test_random_places(database: AsyncEngine, rows: Rows, kind: str) -> None:
    """Random shapes hold the random places that the reference says."""
    dice = random.Random(kind)
    places = [anywhere(dice) for _ in range(PLACES)]
    async with database.connect() as connection:
        for _ in range(SHAPES // SHAPES_PER_STATEMENT):
            centers = [anywhere(dice) for _ in range(SHAPES_PER_STATEMENT)]
            rings = [ring_around(dice, center) for center in centers]
            reaches = [dice.choice([0, 0.01, 0.5, 3, 4]) for _ in centers]
            if kind == "stored polygon":
                app_id = await keep(connection, [polygon(ring) for ring in rings])
                # A statement is as long as there are questions.
                places = places[:SHAPES_PER_STATEMENT]
                asked = [{"$geoIntersects": {"$point": geo(place)}} for place in places]
                found = await picked_by_each(connection, conditions(rows, asked), app_id)
                holds = [[in_ring(ring, place) for ring in rings] for place in places]
            else:
                app_id = await keep(connection, [geo(place) for place in places])
                asked = [ask(kind, *each) for each in zip(centers, rings, reaches, strict=True)]
                found = await picked_by_each(connection, conditions(rows, asked), app_id)
                holds = [
                    [held(kind, each, place) for place in places]
                    for each in zip(centers, rings, reaches, strict=True)
                ]
            for ids, fits, one in zip(found, holds, asked, strict=True):
                assert ids == {f"{n}" for n, fit in enumerate(fits) if fit}, one


def polygon(ring: Sequence[Pair]) -> dict[str, Any]:
    return {"__type": "Polygon", "coordinates": [list(place) for place in ring]}


def ask(kind: str, center: Pair, ring: Sequence[Pair], reach: float) -> dict[str, Any]:
    match kind:
        case "near":
            return {"$nearSphere": geo(center), "$maxDistance": reach}
        case "cap":
            return {"$geoWithin": {"$centerSphere": [[center[1], center[0]], reach]}}
        case _:
            return {"$geoWithin": {"$polygon": [geo(place) for place in ring]}}


def held(kind: str, asked: tuple[Pair, list[Pair], float], place: Pair) -> bool:
    center, ring, reach = asked
    return in_ring(ring, place) if kind == "polygon" else angle(center, place) <= reach


EAST, WEST, NORTH, SOUTH = (0.0, 180.0), (0.0, -180.0), (90.0, 33.0), (-90.0, -77.0)
ORIGIN, FIJI, LONDON = (0.0, 0.0), (-17.0, 178.0), (51.5, -0.1)
SPECIAL = {
    "east": EAST,
    "west": WEST,
    "north": NORTH,
    "south": SOUTH,
    "origin": ORIGIN,
    "fiji": FIJI,
    "london": LONDON,
}


def corners(*places: Pair) -> list[dict[str, Any]]:
    return [geo(place) for place in places]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(
            {"$within": {"$box": corners((-20, 170), (5, -170))}},
            "fiji east west",
            id="box over the antimeridian",
        ),
        pytest.param(
            {"$within": {"$box": corners((-5, -180), (5, -170))}}, "east west", id="180 is -180"
        ),
        pytest.param(
            {"$within": {"$box": corners((-5, 170), (5, 180))}}, "east west", id="-180 is 180"
        ),
        pytest.param(
            {"$within": {"$box": corners((80, 0), (90, 10))}},
            "north",
            id="all longitudes are the pole's",
        ),
        pytest.param(
            {"$within": {"$box": corners((-90, 0), (-80, 10))}}, "south", id="the other pole"
        ),
        pytest.param(
            {"$within": {"$box": corners((60, 10), (-10, -10))}},
            "london origin",
            id="swapped corners",
        ),
        pytest.param(
            {"$within": {"$box": corners((-90, -180), (90, 180))}},
            " ".join(SPECIAL),
            id="everywhere",
        ),
        pytest.param(
            {"$geoWithin": {"$centerSphere": [[179, 0], 0.02]}},
            "east west",
            id="cap over the antimeridian",
        ),
        pytest.param(
            {"$geoWithin": {"$centerSphere": [[120, 90], 0.001]}}, "north", id="cap on the pole"
        ),
        pytest.param(
            {"$geoWithin": {"$centerSphere": [[0, 0], 0]}}, "origin", id="the place itself"
        ),
        pytest.param(
            {"$geoWithin": {"$centerSphere": [[0, 0], 4]}}, " ".join(SPECIAL), id="cap of all"
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": corners((-20, 170), (-20, -170), (5, -170), (5, 170))}},
            "fiji east west",
            id="ring over the antimeridian",
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": corners((60, 0), (60, 90), (60, 180), (60, -90))}},
            "north",
            id="ring around the pole",
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": corners((-60, 0), (-60, 120), (-60, -120))}},
            "south",
            id="ring around the south",
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": corners((90, 0), (50, 10), (50, -10))}},
            "north london",
            id="ring that ends in the pole",
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": corners((-90, -180), (90, -180), (90, 180), (-90, 180))}},
            " ".join(SPECIAL),
            id="the map of the world",
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": corners((0, 0), (0, 9), (9, 0))}}, "origin", id="its corner"
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": corners((0, -9), (0, 9), (9, 0))}}, "origin", id="its edge"
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": corners((-9, 0), (9, 0), (0, 9))}},
            "origin",
            id="its edge along a meridian",
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": corners((-9, -179), (9, -179), (0, 170), (-9, -179))}},
            "east west",
            id="closed by itself",
        ),
    ],
)
async def test_where_maps_end(
    database: AsyncEngine, rows: Rows, asked: dict[str, Any], expected: str
) -> None:
    """Antimeridian and poles are places like all others; the line is inside."""
    async with database.connect() as connection:
        app_id = await keep(connection, [geo(place) for place in SPECIAL.values()])
        [condition] = conditions(rows, [asked])
        ids = await picked(connection, condition, app_id)
        assert {[*SPECIAL][int(number)] for number in ids} == set(expected.split())


NO_PLACES: list[Any] = [
    None,
    5,
    "x",
    [],
    [5],
    {},
    {"latitude": 1, "longitude": 2},
    {"__type": "GeoPoint"},
    {"__type": "GeoPoint", "latitude": "1", "longitude": 2},
    {"__type": "GeoPoint", "latitude": 1e300, "longitude": -1e300},
    {"__type": "Polygon"},
    {"__type": "Polygon", "coordinates": []},
    polygon([(0, 0), (9, 9)]),
    {"__type": "Polygon", "coordinates": [[0, 0], [0, "9"], [9, 0]]},
    {"__type": "Polygon", "coordinates": [[0, 0], 5, [9, 0], [1, 1e300]]},
]


async def test_what_is_no_place(database: AsyncEngine, rows: Rows) -> None:
    """Whatever is stored, it is in no place, and no query fails for it."""
    asked: list[dict[str, Any]] = [
        {"$geoWithin": {"$centerSphere": [[0, 0], 4]}},
        {"$geoWithin": {"$polygon": corners((-9, -9), (-9, 9), (9, 0))}},
        {"$within": {"$box": corners((-90, -180), (90, 180))}},
        {"$geoIntersects": {"$point": geo((0.5, 0.5))}},
    ]
    async with database.connect() as connection:
        app_id = await keep(connection, NO_PLACES)
        found = await picked_by_each(connection, conditions(rows, asked), app_id)
        assert [set()] * 4 == found
        for key in ("channels", "badge", "timeZone", "createdAt", "channelUris", "place.deep"):
            found = await picked_by_each(connection, conditions(rows, asked, key), app_id)
            assert [set()] * 4 == found


async def test_nearest_first(database: AsyncEngine, rows: Rows) -> None:
    """A result is sorted by distance, over the antimeridian as well."""
    places = [(0, -179.9), (0, 179.5), (0, 178), (0, 100)]
    async with database.connect() as connection:
        app_id = await keep(connection, [geo(place) for place in places])
        asked = {"$nearSphere": geo((0, 179.6)), "$maxDistanceInKilometers": 1000}
        where = parse_where({"place": asked})
        near = nearest_of(where)
        assert near is not None
        found = await connection.execute(
            select(installations.c.object_id)
            .where(installations.c.app_id == app_id, compile_condition(where, rows))
            .order_by(nearness(near, rows))
        )
        assert found.scalars().all() == ["1", "0", "2"]
