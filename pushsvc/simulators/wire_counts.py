"""What the wire itself saw, below the requests."""

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

#: Sentences kept about senders that broke the protocol.
VIOLATIONS_KEPT = 20


@dataclass(slots=True, kw_only=True)
class WireCounts:
    """Connections, frames and violations of one gateway."""

    connections_opened: int = 0
    connections_open: int = 0
    max_concurrent_streams: int = 0
    streams_refused: int = 0
    pings: int = 0
    resets_received: int = 0
    resets_sent: int = 0
    goaways_received: int = 0
    goaways_sent: int = 0
    violations: int = 0
    last_violations: deque[str] = field(default_factory=lambda: deque(maxlen=VIOLATIONS_KEPT))

    def violation(self, sentence: str) -> None:
        """A sender broke the protocol."""
        self.violations += 1
        self.last_violations.append(sentence)

    def anew(self) -> "WireCounts":
        """Zeros, but for the connections that are open now."""
        return WireCounts(connections_open=self.connections_open)

    def as_json(self) -> dict[str, Any]:
        """All counters and the latest violations."""
        return asdict(self) | {"last_violations": list(self.last_violations)}
