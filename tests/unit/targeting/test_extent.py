"""The extent of a shape: it holds the shape, wherever maps end."""

import math

import pytest
from hypothesis import given, strategies as st

from pushsvc.targeting.conditions import Box, Cap, Point, Ring
from pushsvc.targeting.extent import Extent, extent_of

POINTS = st.builds(Point, st.floats(-90, 90), st.floats(-180, 180))


def holds(extent: Extent, place: Point) -> bool:
    spans = any(west <= place.longitude <= east for west, east in extent.spans)
    return extent.south <= place.latitude <= extent.north and spans


def towards(start: Point, direction: float, angle: float) -> Point:
    """Return the place that is so far from another, on a sphere."""
    latitude = math.radians(start.latitude)
    sine = math.sin(latitude) * math.cos(angle)
    sine += math.cos(latitude) * math.sin(angle) * math.cos(direction)
    there = math.asin(max(-1, min(1, sine)))
    across = math.sin(direction) * math.sin(angle) * math.cos(latitude)
    along = math.cos(angle) - math.sin(latitude) * math.sin(there)
    longitude = start.longitude + math.degrees(math.atan2(across, along))
    return Point(math.degrees(there), (longitude + 180) % 360 - 180)


@given(
    center=POINTS,
    radians=st.floats(0, 4),
    direction=st.floats(0, 2 * math.pi),
    part=st.floats(0, 1),
)
def test_a_cap_is_held(center: Point, radians: float, direction: float, part: float) -> None:
    """Whatever is no farther from its centre lies in the extent."""
    extent = extent_of(Cap(center, radians))
    assert holds(extent, towards(center, direction, part * min(radians, math.pi)))


@pytest.mark.parametrize(
    ("cap", "spans"),
    [
        pytest.param(Cap(Point(0, 179), 0.0349066), [(177, 180), (-180, -179)], id="east"),
        pytest.param(Cap(Point(0, -179), 0.0349066), [(179, 180), (-180, -177)], id="west"),
        pytest.param(Cap(Point(89, 0), 0.0349066), [(-180, 180)], id="a pole within"),
        pytest.param(Cap(Point(60, 10), 0.0174533), [(8, 12)], id="degrees shrink to the poles"),
    ],
)
def test_spans_of_caps(cap: Cap, spans: list[tuple[float, float]]) -> None:
    """Longitudes end and begin at the antimeridian, and all of them meet in a pole."""
    found = [edge for span in extent_of(cap).spans for edge in span]
    assert found == pytest.approx([edge for span in spans for edge in span], abs=1e-3)


@given(southwest=POINTS, northeast=POINTS, part=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_box_is_held(southwest: Point, northeast: Point, part: tuple[float, float]) -> None:
    """Also one that reaches over the antimeridian."""
    south, north = sorted((southwest.latitude, northeast.latitude))
    width = (northeast.longitude - southwest.longitude) % 360
    longitude = (southwest.longitude + part[0] * width + 180) % 360 - 180
    box = Box(Point(south, southwest.longitude), Point(north, northeast.longitude))
    assert holds(extent_of(box), Point(south + part[1] * (north - south), longitude))


@pytest.mark.parametrize("meridian", [180.0, -180.0])
def test_both_names_of_the_antimeridian_are_held(meridian: float) -> None:
    """A box that ends at 180 holds what is at -180."""
    extent = extent_of(Box(Point(0, 170), Point(1, 180)))
    assert holds(extent, Point(0.5, meridian))


@given(center=POINTS, corners=st.lists(st.floats(0, 2 * math.pi), min_size=3, max_size=8))
def test_a_ring_is_held(center: Point, corners: list[float]) -> None:
    """Its corners and the middles of its lines lie in the extent."""
    wanted = [
        (
            max(-90.0, min(90.0, center.latitude + 20 * math.sin(way))),
            center.longitude + 40 * math.cos(way),
        )
        for way in corners
    ]
    ring = Ring(tuple(Point(lat, (lng + 180) % 360 - 180) for lat, lng in wanted))
    extent = extent_of(ring)
    for (lat1, lng1), (lat2, lng2) in zip(wanted, [*wanted[1:], wanted[0]], strict=True):
        for latitude, longitude in ((lat1, lng1), ((lat1 + lat2) / 2, (lng1 + lng2) / 2)):
            assert holds(extent, Point(latitude, (longitude + 180) % 360 - 180))


def test_a_ring_around_a_pole_has_all_longitudes() -> None:
    """And reaches to the pole."""
    extent = extent_of(Ring((Point(60, 0), Point(61, 120), Point(62, -120))))
    assert extent.south == pytest.approx(60)
    assert extent.north == 90
    assert extent.spans == ((-180, 180),)
