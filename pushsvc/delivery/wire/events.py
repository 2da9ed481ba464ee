"""What became of a request, and of a connection: past facts."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from pushsvc.delivery.wire.errors import code_name

#: Debug data of a GOAWAY that we keep.
_MAX_DEBUG_BYTES: Final = 1_024


class Answered(NamedTuple):
    """The peer gave a final response.

    A body or header list beyond our limits is cut, never refused: the status decides what
    became of a message, and throwing it away would turn a known outcome into doubt.

    A tuple, since there is one for every request and a frozen dataclass costs three times that.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The first value of the field `name` (lower case), or None."""
        for known, value in self.headers:
            if known == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class NotProcessed:
    """The peer provably did not act on the request: it is safe to send it again."""

    why: str


@dataclass(frozen=True, slots=True)
class Malformed(NotProcessed):
    """Never encoded, since one of its own header fields is illegal: sending again cannot help."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request was written in full and never answered: deadline, reset or end of connection."""

    why: str


Verdict = Answered | NotProcessed | Unknown


@dataclass(frozen=True, slots=True)
class GoAway:
    """The peer opens no more streams here; those above `last_id` it never acted on (6.8)."""

    last_id: int
    code: int
    debug: bytes

    def followed_by(self, later: "GoAway") -> "GoAway":
        """Both as one: the last id may fall but never rise, the latest word counts."""
        return GoAway(min(self.last_id, later.last_id), later.code, later.debug or self.debug)

    def __str__(self) -> str:
        debug = self.debug[:_MAX_DEBUG_BYTES].decode("utf-8", "backslashreplace")
        return f"GOAWAY {code_name(self.code)} {debug}".rstrip()
