"""What a report adds up: devices, reasons and opens, each by one thing at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pushsvc.model.outcome import OutcomeClass


class Dimension(StrEnum):
    """What a report is by."""

    #: the pushes of a campaign, by their keys
    RUN = "run"
    VARIANT = "variant"
    #: the device type
    PLATFORM = "platform"
    #: IANA name; empty for devices without one
    ZONE = "zone"
    #: when batches were finished, and when opens were told
    HOUR = "hour"


#: Of a dimension; None where that is not known, as of devices that wait: they have no hour yet.
Value = str | int | datetime | None


@dataclass(frozen=True, slots=True)
class Tally:
    """So many devices came to this; `OPEN` are those without an outcome so far."""

    dimension: Dimension
    value: Value
    outcome: OutcomeClass
    devices: int


@dataclass(frozen=True, slots=True)
class OpenTally:
    """So many opens were told."""

    dimension: Dimension
    value: Value
    opens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedBatch:
    """A batch with failures among its ends, and what it has in common."""

    of: Mapping[Dimension, Value]
    outcomes: bytes
    #: reason -> places
    exceptions: Mapping[str, Sequence[int]]
