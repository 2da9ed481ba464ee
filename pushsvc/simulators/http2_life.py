"""How long an HTTP/2 connection lives: gateways end those that are old, idle, or one too many."""

from typing import TYPE_CHECKING

from pushsvc.simulators.behaviours import GOAWAY_NOTICE_SECONDS
from pushsvc.simulators.http2_exchange import HIGHEST_STREAM_ID

if TYPE_CHECKING:
    from pushsvc.simulators.gateway import Gateway
    from pushsvc.simulators.http2 import Connection


def begin(connection: "Connection", gateway: "Gateway") -> None:
    """Turn a new connection away, or limit its life, as the gateway is set up."""
    knobs = gateway.knobs
    if gateway.turning_away:
        gateway.turning_away -= 1
        connection.goaway_at_once()
        return
    if knobs.max_age_seconds:
        connection.after(knobs.max_age_seconds, lambda: retire(connection))
    if knobs.max_idle_seconds:
        _watch(connection, seen=0, seconds=knobs.max_idle_seconds, debug=gateway.idle_debug)


def retire(connection: "Connection") -> None:
    """A notice, 50 ms, then GOAWAY with the highest stream taken by then; those finish first."""
    connection.goaway(HIGHEST_STREAM_ID)
    connection.after(GOAWAY_NOTICE_SECONDS, lambda: connection.goaway(connection.highest_seen))


def _watch(connection: "Connection", *, seen: int, seconds: float, debug: bytes) -> None:
    """GOAWAY if nothing is asked in the next seconds, and nothing waits for its answer then."""

    def look() -> None:
        if connection.highest_seen == seen and not connection.busy:
            connection.goaway(connection.highest_seen, debug=debug)
        else:
            _watch(connection, seen=connection.highest_seen, seconds=seconds, debug=debug)

    connection.after(seconds, look)
