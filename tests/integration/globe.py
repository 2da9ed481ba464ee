"""Places on a globe: a reference in vectors and on a map that is unrolled; and random ones."""

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

Pair = tuple[float, float]  # latitude, longitude


def geo(place: Pair) -> dict[str, Any]:
    """Return the place as Parse has it."""
    return {"__type": "GeoPoint", "latitude": place[0], "longitude": place[1]}


# ---------------------------------------------------------------- the reference


def vector(place: Pair) -> tuple[float, float, float]:
    latitude, longitude = map(math.radians, place)
    around = math.cos(latitude)
    return around * math.cos(longitude), around * math.sin(longitude), math.sin(latitude)


def angle(one: Pair, other: Pair) -> float:
    """Measure by the chord, which is exact for what is near."""
    return 2 * math.asin(min(1, math.dist(vector(one), vector(other)) / 2))


def in_ring(ring: Sequence[Pair], place: Pair) -> bool:
    """Unroll the ring on a map, close it along the pole that it rounds, and count crossings."""
    line = [ring[0]]
    for latitude, longitude in [*ring[1:], ring[0]]:
        before = line[-1][1]
        step = (longitude - before) % 360
        line.append((latitude, before + (step if step <= 180 else step - 360)))
    if abs(line[-1][1] - line[0][1]) > 180:
        pole = math.copysign(90, sum(latitude for latitude, _ in ring))
        line += [(pole, line[-1][1]), (pole, line[0][1]), line[0]]
    turns = (place[1] + 360 * turn for turn in range(-3, 4))
    return any(crossings(line, place[0], longitude) % 2 for longitude in turns)


def crossings(line: Sequence[Pair], latitude: float, longitude: float) -> int:
    """Count how often a way to the east crosses the line."""
    found = 0
    for (lat1, lng1), (lat2, lng2) in itertools.pairwise(line):
        if (lat1 > latitude) != (lat2 > latitude):
            found += longitude < lng1 + (latitude - lat1) * (lng2 - lng1) / (lat2 - lat1)
    return found


# ---------------------------------------------------------------- random places


def anywhere(dice: random.Random) -> Pair:
    """Return a place, at times near to where maps end."""
    latitude = dice.choice([dice.uniform(-90, 90), dice.uniform(85, 90), dice.uniform(-90, -85)])
    longitude = dice.choice([dice.uniform(-180, 180), dice.uniform(178, 180), -179.5])
    return latitude, longitude


def ring_around(dice: random.Random, center: Pair) -> list[Pair]:
    """Return a ring that does not cross itself: places in all directions from the center."""
    if dice.random() < 0.3:
        side = dice.choice([1, -1])
        turns = sorted(dice.uniform(0, 360) for _ in range(4))
        around = [*turns, *(turn + 90 for turn in range(0, 360, 90))]
        return [(side * dice.uniform(40, 80), turn % 360 - 180) for turn in sorted(around)]
    directions = sorted(dice.uniform(0, 2 * math.pi) for _ in range(dice.randrange(3, 9)))
    reach = dice.uniform(5, 40)
    ring = [
        (center[0] * 0.5 + reach * math.sin(way), center[1] + 2 * reach * math.cos(way))
        for way in directions
    ]
    return [(latitude, (longitude + 180) % 360 - 180) for latitude, longitude in ring]
