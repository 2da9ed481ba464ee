"""Places that a query asks for: understood as Parse understands them, or refused in its words."""

import math
from typing import Any

import pytest

from pushsvc.targeting.asked import Limits
from pushsvc.targeting.conditions import (
    And,
    Box,
    Cap,
    Near,
    Point,
    Ring,
    Surrounds,
    Within,
)
from pushsvc.targeting.values import WhereError
from pushsvc.targeting.where import nearest_of, parse_where


def geo(latitude: float, longitude: float) -> dict[str, Any]:
    return {"__type": "GeoPoint", "latitude": latitude, "longitude": longitude}


TRIANGLE = [geo(0, 0), geo(0, 10), geo(10, 0)]
CENTER = Point(1, 2)


@pytest.mark.parametrize(
    ("asked", "reach"),
    [
        pytest.param({"$maxDistance": 0.5}, 0.5, id="radians"),
        pytest.param({"$maxDistanceInRadians": 0.5}, 0.5, id="radians by name"),
        pytest.param({"$maxDistanceInMiles": 3959}, 1, id="miles"),
        pytest.param({"$maxDistanceInKilometers": 6371}, 1, id="kilometres"),
        pytest.param({"$maxDistance": 2, "$maxDistanceInMiles": 3959}, 1, id="the nearer one"),
        pytest.param({}, 100 / 3959, id="a hundred miles by itself"),
    ],
)
def test_near(asked: dict[str, Any], reach: float) -> None:
    """Whatever the unit, it is an angle; without any, the guide's hundred miles."""
    condition = parse_where({"k": {"$nearSphere": geo(1, 2), **asked}})
    near = Near("k", Cap(CENTER, reach))
    assert near in condition.conditions
    assert near == nearest_of(condition)


def test_near_without_a_bound() -> None:
    """The hundred miles are a parameter."""
    everywhere = parse_where({"k": {"$nearSphere": geo(1, 2)}}, limits=Limits(near_miles=None))
    assert And((Near("k", Cap(CENTER, math.pi)),)) == everywhere


@pytest.mark.parametrize(
    ("asked", "shape"),
    [
        pytest.param(
            {"$within": {"$box": [geo(1, 2), geo(3, 4)]}}, Box(Point(1, 2), Point(3, 4)), id="box"
        ),
        pytest.param(
            {"$within": {"$box": [geo(3, 4), geo(1, 2)]}},
            Box(Point(1, 2), Point(3, 4)),
            id="swapped corners",
        ),
        pytest.param(
            {"$within": {"$box": [geo(1, 170), geo(3, -170)]}},
            Box(Point(1, 170), Point(3, -170)),
            id="box over the antimeridian",
        ),
        pytest.param({"$geoWithin": {"$centerSphere": [[2, 1], 0.5]}}, Cap(CENTER, 0.5), id="pair"),
        pytest.param(
            {"$geoWithin": {"$centerSphere": [geo(1, 2), 0]}}, Cap(CENTER, 0), id="GeoPoint"
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": TRIANGLE}},
            Ring((Point(0, 0), Point(0, 10), Point(10, 0))),
            id="GeoPoints",
        ),
        pytest.param(
            {
                "$geoWithin": {
                    "$polygon": {"__type": "Polygon", "coordinates": [[0, 5], [10, 5], [0, 8]]}
                }
            },
            Ring((Point(5, 0), Point(5, 10), Point(8, 0))),
            id="a Polygon's coordinates are longitude and latitude here",
        ),
        pytest.param(
            {"$geoWithin": {"$polygon": [geo(0, -180), geo(0, 180), geo(9, 0)]}},
            Ring((Point(0, -180), Point(0, -60), Point(0, 60), Point(0, 180), Point(9, 0))),
            id="once around is meant",
        ),
    ],
)
def test_shapes(asked: dict[str, Any], shape: Box | Cap | Ring) -> None:
    """Boxes, caps and rings, with places as GeoPoints or as pairs."""
    assert And((Within("k", shape),)) == parse_where({"k": asked})


def test_surrounds() -> None:
    """A Polygon is asked for a point."""
    where = {"k": {"$geoIntersects": {"$point": geo(1, 2)}}}
    assert And((Surrounds("k", CENTER),)) == parse_where(where)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"$nearSphere": 5}, "bad $nearSphere value"),
        ({"$nearSphere": geo(1, 2), "$maxDistance": -1}, "bad $maxDistance value"),
        ({"$nearSphere": geo(1, 2), "$maxDistance": "1"}, "bad $maxDistance value"),
        ({"$maxDistance": 1}, "$maxDistance needs a $nearSphere"),
        ({"$nearSphere": geo(91, 2)}, "GeoPoint latitude out of bounds: 91 > 90.0."),
        ({"$nearSphere": geo(1, -180.5)}, "GeoPoint longitude out of bounds: -180.5 < -180.0."),
        ({"$nearSphere": {"__type": "GeoPoint", "latitude": 10**400}}, "bad $nearSphere value"),
        ({"$within": {"$box": [geo(1, 2)]}}, "malformatted $within arg"),
        ({"$within": 5}, "malformatted $within arg"),
        ({"$within": {"$box": [5, geo(1, 2)]}}, "malformatted $within arg"),
        ({"$geoWithin": {}}, "bad $geoWithin value"),
        (
            {"$geoWithin": {"$polygon": TRIANGLE[:2]}},
            "bad $geoWithin value; $polygon should contain at least 3 GeoPoints",
        ),
        (
            {"$geoWithin": {"$polygon": {"__type": "Polygon", "coordinates": [[1, 2]]}}},
            "bad $geoWithin value; Polygon.coordinates should contain at least 3 lon/lat pairs",
        ),
        (
            {"$geoWithin": {"$polygon": "p"}},
            "bad $geoWithin value; $polygon should be Polygon object or Array of Parse.GeoPoint's",
        ),
        ({"$geoWithin": {"$polygon": [*TRIANGLE, 5]}}, "bad $geoWithin value"),
        (
            {"$geoWithin": {"$centerSphere": [[1, 2]]}},
            "bad $geoWithin value; $centerSphere should be an array of Parse.GeoPoint and distance",
        ),
        (
            {"$geoWithin": {"$centerSphere": [[1], 2]}},
            "bad $geoWithin value; $centerSphere geo point invalid",
        ),
        (
            {"$geoWithin": {"$centerSphere": [[1, 2], -1]}},
            "bad $geoWithin value; $centerSphere distance invalid",
        ),
        (
            {"$geoIntersects": {"$point": [1, 2]}},
            "bad $geoIntersect value; $point should be GeoPoint",
        ),
    ],
)
def test_bad_places(asked: dict[str, Any], message: str) -> None:
    """Code and words are Parse's."""
    with pytest.raises(WhereError) as caught:
        parse_where({"k": asked})
    assert (107, message) == (caught.value.code, caught.value.message)
