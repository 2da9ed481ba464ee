"""What has happened, counted."""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counts:
    """What has happened on one connection, or on all that are gone."""

    answered: int = 0
    #: Of these, with a status of 400 or above: APNs lowers its limits for senders of many.
    errors: int = 0
    not_processed: int = 0
    unknown: int = 0
    resets_sent: int = 0
    resets_received: int = 0
    goaways: int = 0

    def add(self, other: "Counts") -> None:
        """Add another connection's counts to these."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One connection at one moment."""

    #: It takes requests; else it only finishes those it has.
    accepts: bool
    #: Since it was made, TLS included.
    age_seconds: float
    #: Since the peer last said anything.
    silent_seconds: float
    in_flight: int
    #: Streams it may have open at once: the peer's limit, or ours.
    allowed: int
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A pool at one moment, and what has happened in it so far."""

    #: Connections that take requests, and those that only finish theirs.
    connections: int
    draining: int
    in_flight: int
    #: `send_many` calls that have more to send.
    waiting: int
    opened: int
    connect_failures: int
    answered: int
    #: Of these, with a status of 400 or above.
    errors: int
    not_processed: int
    unknown: int
    resets_sent: int
    resets_received: int
    goaways: int
