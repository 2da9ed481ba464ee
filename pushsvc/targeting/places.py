"""The operators of a where-clause that ask for places. Pure.

Codes and words of the errors are those of Parse Server's MongoDB adapter.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pushsvc.targeting.asked import Asked
from pushsvc.targeting.conditions import (
    And,
    Box,
    Cap,
    Condition,
    Near,
    Point,
    Ring,
    Surrounds,
    Within,
)

#: The earth's radius in a unit of length, as Parse Server has it: so many to a radian.
_PER_RADIAN: Final[Mapping[str, float]] = {
    "$maxDistance": 1,
    "$maxDistanceInRadians": 1,
    "$maxDistanceInMiles": 3959,
    "$maxDistanceInKilometers": 6371,
}
_CORNERS: Final = 2
_LEAST_POINTS: Final = 3
#: Once around; a line that long between two points is meant, not the nothing of its shorter way.
_CIRCLE: Final = 360


def _near(asked: Asked) -> Condition:
    center = _point(asked, asked.operand, "bad $nearSphere value")
    given = [name for name in _PER_RADIAN if name in asked.siblings]
    reaches = [_distance(asked, name) / _PER_RADIAN[name] for name in given]
    if not given and asked.limits.near_miles is not None:
        reaches = [asked.limits.near_miles / _PER_RADIAN["$maxDistanceInMiles"]]
    return Near(asked.key, Cap(center, min(reaches, default=math.pi)))


def _distance(asked: Asked, name: str) -> float:
    distance = asked.siblings[name]
    if not _is_number(distance) or distance < 0:
        raise asked.refused(f"bad {name} value")
    return float(distance)


def _max_distance(asked: Asked) -> Condition:
    if "$nearSphere" not in asked.siblings:
        raise asked.refused(f"{asked.operator} needs a $nearSphere")
    # `$nearSphere` has read it.
    return And(())


def _within(asked: Asked) -> Condition:
    flaw = "malformatted $within arg"
    corners = _part(asked, "$box")
    if not isinstance(corners, list) or len(corners) != _CORNERS:
        raise asked.refused(flaw)
    return Within(asked.key, _box(*(_point(asked, corner, flaw) for corner in corners)))


def _box(one: Point, other: Point) -> Box:
    """Return the box of its corners, southwest first; corners that are swapped are put right.

    Where only the longitudes descend, it reaches over the antimeridian.
    """
    if one.latitude <= other.latitude:
        return Box(one, other)
    south, north = other.latitude, one.latitude
    west, east = sorted((one.longitude, other.longitude))
    return Box(Point(south, west), Point(north, east))


def _geo_within(asked: Asked) -> Condition:
    polygon, cap = _part(asked, "$polygon"), _part(asked, "$centerSphere")
    if polygon is not None:
        points = tuple(_vertices(asked, polygon))
        return Within(asked.key, Ring(tuple(_with_long_ways(points))))
    if cap is not None:
        return Within(asked.key, _cap(asked, cap))
    raise asked.refused("bad $geoWithin value")


def _vertices(asked: Asked, polygon: Any) -> Iterator[Point]:
    flaw = "bad $geoWithin value"
    if isinstance(polygon, Mapping) and polygon.get("__type") == "Polygon":
        few = f"{flaw}; Polygon.coordinates should contain at least 3 lon/lat pairs"
        polygon = polygon.get("coordinates")
        polygon = polygon if isinstance(polygon, list) else []
    else:
        few = f"{flaw}; $polygon should contain at least 3 GeoPoints"
    if not isinstance(polygon, list):
        message = "$polygon should be Polygon object or Array of Parse.GeoPoint's"
        raise asked.refused(f"{flaw}; {message}")
    if len(polygon) < _LEAST_POINTS:
        raise asked.refused(few)
    for place in polygon:
        yield _point(asked, place, flaw)


def _with_long_ways(points: Sequence[Point]) -> Iterator[Point]:
    """Put points between two that are once around the earth apart, as corners of a world map."""
    for one, other in zip(points, [*points[1:], points[0]], strict=True):
        yield one
        if abs(other.longitude - one.longitude) == _CIRCLE:
            for part in (1 / 3, 2 / 3):
                yield Point(
                    one.latitude + part * (other.latitude - one.latitude),
                    one.longitude + part * (other.longitude - one.longitude),
                )


def _cap(asked: Asked, cap: Any) -> Cap:
    flaw = "bad $geoWithin value; $centerSphere"
    if not isinstance(cap, list) or len(cap) < _CORNERS:
        raise asked.refused(f"{flaw} should be an array of Parse.GeoPoint and distance")
    center = _point(asked, cap[0], f"{flaw} geo point invalid")
    if not _is_number(cap[1]) or cap[1] < 0:
        raise asked.refused(f"{flaw} distance invalid")
    return Cap(center, float(cap[1]))


def _geo_intersects(asked: Asked) -> Condition:
    point = _part(asked, "$point")
    flaw = "bad $geoIntersect value; $point should be GeoPoint"
    if not isinstance(point, Mapping):
        raise asked.refused(flaw)
    return Surrounds(asked.key, _point(asked, point, flaw))


def _part(asked: Asked, name: str) -> Any:
    return asked.operand.get(name) if isinstance(asked.operand, Mapping) else None


def _point(asked: Asked, place: Any, flaw: str) -> Point:
    """Return a GeoPoint or, as MongoDB has it, a pair of longitude and latitude."""
    pair: Any = None
    if isinstance(place, Mapping) and place.get("__type", "GeoPoint") == "GeoPoint":
        pair = place.get("longitude"), place.get("latitude")
    elif isinstance(place, list) and len(place) == _CORNERS:
        pair = place
    if pair is None or not all(map(_is_number, pair)):
        raise asked.refused(flaw)
    longitude, latitude = pair
    for name, value, most in (("latitude", latitude, 90.0), ("longitude", longitude, 180.0)):
        if abs(value) > most:
            bound = f"> {most}" if value > 0 else f"< -{most}"
            raise asked.refused(f"GeoPoint {name} out of bounds: {value} {bound}.")
    return Point(float(latitude), float(longitude))


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= _LARGEST


#: Beyond is no angle; and an integer may be too large for a float.
_LARGEST: Final = 1e9

#: Rows of the table in `operators`.
PLACE_OPERATORS: Final[Mapping[str, Callable[[Asked], Condition]]] = {
    "$nearSphere": _near,
    **dict.fromkeys(_PER_RADIAN, _max_distance),
    "$within": _within,
    "$geoWithin": _geo_within,
    "$geoIntersects": _geo_intersects,
}
