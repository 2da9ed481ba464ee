"""The degrees between which a shape on the earth lies, as an index of places can look for. Pure.

They hold the whole shape and at most a little more: who is found between them is asked exactly.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from pushsvc.targeting.conditions import Box, Cap, Point, Ring

#: Degrees, a tenth of a metre on the ground: more than rounding moves an edge.
_MARGIN: Final = 1e-6
_POLE: Final = 90.0
_HALF: Final = 180.0
_CIRCLE: Final = 360.0
#: The sine of a cap's half width; above it, the cap all but touches a pole.
_NEARLY_ALL: Final = 1 - 1e-9
_ALL: Final = ((-_HALF, _HALF),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Between two latitudes, and within one of these spans of longitudes, each west to east."""

    south: float
    north: float
    spans: Sequence[tuple[float, float]]


def extent_of(shape: Cap | Box | Ring) -> Extent:
    """Return the extent of a shape."""
    return _EXTENTS[type(shape)](shape)


def latitudes_of(ring: Ring) -> tuple[float, float]:
    """Return the southernmost and the northernmost latitude of what a ring surrounds."""
    latitudes = [point.latitude for point in ring.points]
    if abs(sum(_turns(ring))) < _HALF:
        return min(latitudes), max(latitudes)
    return (min(latitudes), _POLE) if sum(latitudes) > 0 else (-_POLE, max(latitudes))


def _of_cap(cap: Cap) -> Extent:
    reach = math.degrees(min(cap.radians, math.pi))
    center = cap.center
    south, north = center.latitude - reach, center.latitude + reach
    if max(-south, north) >= _POLE:
        return _between(south, north, None)
    sine = math.sin(cap.radians) / math.cos(math.radians(center.latitude))
    if sine > _NEARLY_ALL:
        return _between(south, north, None)
    width = math.degrees(math.asin(sine))
    return _between(south, north, (center.longitude - width, center.longitude + width))


def _of_box(box: Box) -> Extent:
    west, east = box.southwest.longitude, box.northeast.longitude
    span = (west, east if west <= east else east + _CIRCLE)
    return _between(box.southwest.latitude, box.northeast.latitude, span)


def _of_ring(ring: Ring) -> Extent:
    south, north = latitudes_of(ring)
    turns = list(_turns(ring))
    # Halfway around the earth, a line may go either way.
    if abs(sum(turns)) >= _HALF or min(turns) <= -_HALF + _MARGIN:
        return _between(south, north, None)
    places = [ring.points[0].longitude]
    for turn in turns:
        places.append(places[-1] + turn)
    return _between(south, north, (min(places), max(places)))


_EXTENTS: Final[Mapping[type, Callable[[Any], Extent]]] = {
    Cap: _of_cap,
    Box: _of_box,
    Ring: _of_ring,
}


def _turns(ring: Ring) -> Iterator[float]:
    """Yield how far each of its lines goes to the east, the shorter way."""
    points: Sequence[Point] = (*ring.points, ring.points[0])
    for one, other in pairwise(points):
        yield (other.longitude - one.longitude + _HALF) % _CIRCLE - _HALF


def _between(south: float, north: float, span: tuple[float, float] | None) -> Extent:
    """Return the extent of that span, or of all longitudes; all of them meet in a pole."""
    south, north = max(south - _MARGIN, -_POLE), min(north + _MARGIN, _POLE)
    at_pole = south == -_POLE or north == _POLE
    spans = _ALL if span is None or at_pole else tuple(_around(*span))
    return Extent(south=south, north=north, spans=spans)


def _around(west: float, east: float) -> Iterator[tuple[float, float]]:
    """Yield the parts of a span between -180 and 180, where longitudes begin anew."""
    west, east = west - _MARGIN, east + _MARGIN
    if east - west >= _CIRCLE:
        yield from _ALL
        return
    shift = _CIRCLE * math.floor((west + _HALF) / _CIRCLE)
    west, east = west - shift, east - shift
    yield west, min(east, _HALF)
    if east > _HALF:
        yield -_HALF, east - _CIRCLE
