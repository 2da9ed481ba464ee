"""The table of faults: one row each, asked for by a token or by a script."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pushsvc.simulators.behaviours import Behaviour


class Delivered(Enum):
    """Whether the gateway took the message before the fault struck."""

    YES = "A"
    NO = "N"
    #: PP = 1: it did; otherwise it did not.
    BY_PARAMETER = "PP"


@dataclass(frozen=True, slots=True)
class Fault:
    """A row: how a sender asks for it, what it does, and whether the message counts as delivered.

    A behaviour that may also accept (`first`) delivers by itself when it does.
    """

    code: int | None
    name: str
    behaviour: Behaviour
    delivered: Delivered

    def takes_message(self, parameter: int) -> bool:
        """Whether the message is delivered when the fault strikes with this PP."""
        return self.delivered is Delivered.YES or (
            self.delivered is Delivered.BY_PARAMETER and parameter == 1
        )


class FaultTable:
    """The rows of one gateway, by code and by name."""

    def __init__(self, *rows: Fault) -> None:
        self._by_name = {row.name: row for row in rows}
        self._by_code = {row.code: row for row in rows if row.code is not None}

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._by_name.values())

    def named(self, name: str) -> Fault | None:
        """A row by its name, or by its code as two hex digits."""
        row = self._by_name.get(name)
        if row is None and CODE.fullmatch(name):
            row = self._by_code.get(int(name, 16))
        return row


@dataclass(frozen=True, slots=True)
class Marker:
    """What a token asks for: the name or code of a fault, and its PP (0 when not given)."""

    name: str
    parameter: int


CODE = re.compile(r"[0-9a-f]{2}")
HEX_MARKER = re.compile(r"fa17([0-9a-f]{2})([0-9a-f]{2})$")
NAMED_MARKER = re.compile(r"~([a-z0-9_]+)(?:-([0-9a-f]{2})(?![0-9A-Za-z]))?")


def hex_marker(token: str) -> Marker | None:
    """`...fa17CCPP`, the last eight digits of a lower-case hex token (APNs)."""
    found = HEX_MARKER.search(token)
    return Marker(found[1], int(found[2], 16)) if found else None


def named_marker(token: str) -> Marker | None:
    """`...~name`, `...~name-PP`, `...~CC-PP` anywhere in a token or URI (FCM, WNS)."""
    found = NAMED_MARKER.search(token)
    return Marker(found[1], int(found[2] or "0", 16)) if found else None
