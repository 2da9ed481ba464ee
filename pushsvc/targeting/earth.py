"""SQL of places: GeoPoints and Polygons of jsonb on a sphere, without an extension of Postgres.

Longitudes are always taken relative to a point, so that no meridian is special.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnClause,
    Double,
    FromClause,
    Integer,
    Subquery,
    and_,
    any_,
    case,
    cast,
    column,
    false,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, array

from pushsvc.targeting.conditions import Box, Cap, Point, Ring
from pushsvc.targeting.extent import extent_of, latitudes_of
from pushsvc.targeting.jsonb import Clause, Test, Value, at, is_type, text_at, word

#: Degrees, a tenth of a millimetre on the ground: so near is on the line, which is inside.
_ON_THE_LINE: Final = 1e-9
_POLE: Final = 90
_HALF: Final = 180
_CIRCLE: Final = 360
_LEAST_POINTS: Final = 3
_RADIAN: Final = math.pi / _HALF


@dataclass(frozen=True, slots=True)
class Place:
    """Two expressions of degrees, which are a place or NULL."""

    latitude: Value
    longitude: Value


def within(shape: Cap | Box | Ring) -> Test:
    """Return the test of being a GeoPoint in the shape."""
    inside = _INSIDE[type(shape)]
    # SQL promises no order of AND, and a cast fails on what is no number.
    return lambda value: case((_is_point(value), inside(shape, _place_of(value))), else_=false())


def is_within(shape: Cap | Box | Ring, place: Place) -> Clause:
    """Tell whether a place is in the shape: first by its extent, which an index knows."""
    extent = extent_of(shape)
    there = (
        and_(
            place.latitude >= extent.south,
            place.latitude <= extent.north,
            place.longitude >= west,
            place.longitude <= east,
        )
        for west, east in extent.spans
    )
    return and_(or_(*there), _INSIDE[type(shape)](shape, place))


def surrounds(point: Point) -> Test:
    """Return the test of being a Polygon with the point in it."""

    def has_point(value: Value) -> Clause:
        ring = at(value, "coordinates")
        is_polygon = and_(text_at(value, "__type") == word("Polygon"), is_type(ring, "array"))
        return case(
            (is_polygon, _inside(_edges_of_polygon(ring), _row(point.latitude, point.longitude))),
            else_=false(),
        )

    return has_point


def apart(value: Value, point: Point) -> Value:
    """Return a measure that grows with the distance of a GeoPoint; NULL for what is none."""
    return case((_is_point(value), haversine(_place_of(value), point)))


def _is_point(value: Value) -> Clause:
    return and_(
        text_at(value, "__type") == word("GeoPoint"),
        _is_degrees(at(value, "latitude"), _POLE),
        _is_degrees(at(value, "longitude"), _HALF),
    )


def _is_degrees(value: Value, most: int) -> Clause:
    return and_(
        is_type(value, "number"),
        value >= literal(-most, JSONB()),
        value <= literal(most, JSONB()),
    )


def _place_of(value: Value) -> Place:
    """Return the place of what is known to be a GeoPoint."""
    return Place(cast(at(value, "latitude"), Double()), cast(at(value, "longitude"), Double()))


def haversine(place: Place, point: Point) -> Value:
    """Return the square of the sine of half the angle between: exact also for what is near.

    In few calls, since it is worked out for every row in the extent.
    """
    along = func.sin((place.latitude - point.latitude) * (_RADIAN / 2))
    across = func.sin((place.longitude - point.longitude) * (_RADIAN / 2))
    shrink = func.cos(place.latitude * _RADIAN) * math.cos(math.radians(point.latitude))
    return along * along + shrink * across * across


def _in_cap(cap: Cap, place: Place) -> Clause:
    if cap.radians >= math.pi:
        return true()
    return haversine(place, cap.center) <= math.sin(cap.radians / 2) ** 2


def _in_box(box: Box, place: Place) -> Clause:
    latitude, longitude = place.latitude, place.longitude
    west, east = box.southwest.longitude, box.northeast.longitude
    in_west, in_east = longitude >= west, longitude <= east
    # 180 and -180 are one meridian, and all meridians meet in a pole.
    same = [-edge for edge in (west, east) if abs(edge) == _HALF]
    return and_(
        latitude >= box.southwest.latitude,
        latitude <= box.northeast.latitude,
        or_(
            and_(in_west, in_east) if west <= east else or_(in_west, in_east),
            longitude == any_(literal(same, ARRAY(Double()))),
            func.abs(latitude) == _POLE,
        ),
    )


def _in_ring(ring: Ring, place: Place) -> Clause:
    south, north = latitudes_of(ring)
    latitude, longitude = place.latitude, place.longitude
    # Most devices are elsewhere, and are told so at less cost.
    there = and_(latitude >= south - _ON_THE_LINE, latitude <= north + _ON_THE_LINE)
    inside = _inside(_edges_of_ring(ring), _row(latitude, longitude))
    return case((there, inside), else_=false())


_INSIDE: Final[Mapping[type, Callable[[Any, Place], Clause]]] = {
    Cap: _in_cap,
    Box: _in_box,
    Ring: _in_ring,
}


def _inside(edges: FromClause, place: FromClause) -> Clause:
    """Tell whether a place is inside of a ring of such edges.

    On the way from it to the north pole the ring is crossed an odd number of times if just one of
    the two is inside; and the pole is, if the ring goes around it and lies in the north.
    """
    e = _seen_from(place, edges).c
    crossing = and_((e.d1 < 0) != (e.d2 < 0), func.abs(e.d2 - e.d1) < _HALF)
    latitude = case((crossing, e.lat1 - (e.lat2 - e.lat1) * e.d1 / (e.d2 - e.d1)))
    at_start = and_(e.lat1 == e.lat, or_(e.d1 == 0, func.abs(e.lat) == _POLE))
    between = e.lat.between(func.least(e.lat1, e.lat2), func.greatest(e.lat1, e.lat2))
    along = and_(e.d1 == 0, e.d2 == 0, between)
    on_line = or_(at_start, along, func.abs(latitude - e.lat) <= _ON_THE_LINE)
    whole = func.bool_and(and_(e.d1.is_not(None), e.lat1.is_not(None)))
    odd = func.count().filter(latitude > e.lat) % 2 == 1
    around = func.abs(func.sum(_relative(e.d2 - e.d1))) > _HALF
    pole = and_(around, func.avg(e.lat1) > 0)
    inside = or_(func.coalesce(func.bool_or(on_line), false()), odd != pole)
    return select(and_(whole, func.count() >= _LEAST_POINTS, inside)).scalar_subquery()


def _seen_from(place: FromClause, edges: FromClause) -> Subquery:
    """Return the edges with longitudes from the place's; each is worked out once (OFFSET 0)."""
    return (
        select(
            place.c.lat,
            edges.c.lat1,
            edges.c.lat2,
            _relative(edges.c.lng1 - place.c.lng).label("d1"),
            _relative(edges.c.lng2 - place.c.lng).label("d2"),
        )
        .select_from(edges.join(place, true()))
        .offset(0)
        .subquery()
    )


def _row(latitude: Value | float, longitude: Value | float) -> FromClause:
    """Return one row; through a function, so that a column in it is one of the query around."""
    arrays = (array([angle], type_=Double()) for angle in (latitude, longitude))
    return _unnested(*arrays, names=("lat", "lng"))


_ENDS: Final = ("lat1", "lng1", "lat2", "lng2")


def _edges_of_ring(ring: Ring) -> FromClause:
    following = (*ring.points[1:], ring.points[0])
    ends = (
        [getattr(point, angle) for point in points]
        for points in (ring.points, following)
        for angle in ("latitude", "longitude")
    )
    return _unnested(*(literal(end, ARRAY(Double())) for end in ends), names=_ENDS)


def _edges_of_polygon(ring: Value) -> FromClause:
    """Return the edges of a list of [latitude, longitude]; what is none of these is NULL."""
    others = ring.op("-", return_type=JSONB())(literal(0, Integer()))
    turned = others.op("||")(func.jsonb_build_array(at(ring, 0)))
    start, end = (
        func.jsonb_array_elements(a_list)
        .table_valued(column("value", JSONB()), with_ordinality="n")
        .render_derived()
        for a_list in (ring, turned)
    )
    angles = (_degrees(at(point.c.value, place)) for point in (start, end) for place in (0, 1))
    return (
        select(*(angle.label(name) for angle, name in zip(angles, _ENDS, strict=True)))
        .select_from(start.join(end, start.c.n == end.c.n))
        .offset(0)
        .subquery()
    )


def _degrees(value: Value) -> Value:
    return case((_is_degrees(value, _HALF), cast(value, Double())))


def _unnested(*arrays: Value, names: Sequence[str]) -> FromClause:
    columns: list[ColumnClause[float]] = [column(name, Double()) for name in names]
    return func.unnest(*arrays).table_valued(*columns).render_derived()


def _relative(longitude: Value) -> Value:
    """Return the longitude between -180 and 180."""
    return longitude - _CIRCLE * func.floor((longitude + _HALF) / _CIRCLE)
