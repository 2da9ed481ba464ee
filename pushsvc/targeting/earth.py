"""SQL of places: GeoPoints and Polygons of jsonb on a sphere, without an extension of Postgres.

Longitudes are always taken relative to a point, so that no meridian is special.
"""

import math
from collections.abc import Callable, Mapping, Sequence
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
from pushsvc.targeting.jsonb import Clause, Test, Value, at, is_type, text_at, word

#: Degrees, a tenth of a millimetre on the ground: so near is on the line, which is inside.
_ON_THE_LINE: Final = 1e-9
_POLE: Final = 90
_HALF: Final = 180
_CIRCLE: Final = 360
_LEAST_POINTS: Final = 3


def within(shape: Cap | Box | Ring) -> Test:
    """Return the test of being a GeoPoint in the shape."""
    inside = _INSIDE[type(shape)]
    # SQL promises no order of AND, and a cast fails on what is no number.
    return lambda value: case((_is_point(value), inside(shape, value)), else_=false())


def surrounds(point: Point) -> Test:
    """Return the test of being a Polygon with the point in it."""

    def has_point(value: Value) -> Clause:
        ring = at(value, "coordinates")
        is_polygon = and_(text_at(value, "__type") == word("Polygon"), is_type(ring, "array"))
        return case(
            (is_polygon, _inside(_edges_of_polygon(ring), _place(point.latitude, point.longitude))),
            else_=false(),
        )

    return has_point


def apart(value: Value, point: Point) -> Value:
    """Return a measure that grows with the distance of a GeoPoint; NULL for what is none."""
    return case((_is_point(value), _haversine(value, point)))


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


def _place_of(value: Value) -> tuple[Value, Value]:
    """Return latitude and longitude of what is known to be a GeoPoint."""
    return cast(at(value, "latitude"), Double()), cast(at(value, "longitude"), Double())


def _haversine(value: Value, point: Point) -> Value:
    """Return the square of the sine of half the angle between: exact also for what is near."""
    latitude, longitude = _place_of(value)
    along = func.sin(func.radians(latitude - point.latitude) / 2)
    across = func.sin(func.radians(longitude - point.longitude) / 2)
    shrink = func.cos(func.radians(latitude)) * math.cos(math.radians(point.latitude))
    return along * along + shrink * across * across


def _in_cap(cap: Cap, value: Value) -> Clause:
    if cap.radians >= math.pi:
        return true()
    return _haversine(value, cap.center) <= math.sin(cap.radians / 2) ** 2


def _in_box(box: Box, value: Value) -> Clause:
    latitude, longitude = _place_of(value)
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


def _in_ring(ring: Ring, value: Value) -> Clause:
    south, north = _latitudes(ring)
    latitude, longitude = _place_of(value)
    # Most devices are elsewhere, and are told so at less cost.
    there = and_(latitude >= south - _ON_THE_LINE, latitude <= north + _ON_THE_LINE)
    inside = _inside(_edges_of_ring(ring), _place(latitude, longitude))
    return case((there, inside), else_=false())


_INSIDE: Final[Mapping[type, Callable[[Any, Value], Clause]]] = {
    Cap: _in_cap,
    Box: _in_box,
    Ring: _in_ring,
}


def _latitudes(ring: Ring) -> tuple[float, float]:
    latitudes = [point.latitude for point in ring.points]
    longitudes = [point.longitude for point in ring.points]
    following = [*longitudes[1:], longitudes[0]]
    turned = sum(
        (other - one + _HALF) % _CIRCLE - _HALF
        for one, other in zip(longitudes, following, strict=True)
    )
    if abs(turned) < _HALF:
        return min(latitudes), max(latitudes)
    return (min(latitudes), _POLE) if sum(latitudes) > 0 else (-_POLE, max(latitudes))


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


def _place(latitude: Value | float, longitude: Value | float) -> FromClause:
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
