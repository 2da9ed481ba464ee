"""The bound of every buffer of the wire's core.

The one file of these tests that looks inside it.
"""

from pushsvc.delivery.wire.connection import Connection
from pushsvc.delivery.wire.frames import HEADER_BYTES, MAX_FRAME_BYTES, Reader
from pushsvc.delivery.wire.hpack import DEFAULT_TABLE_BYTES, FIELD_OVERHEAD, Decoder
from pushsvc.delivery.wire.response import Heads

_MOST_BLOCK_BYTES = 64 * 1024 + MAX_FRAME_BYTES
_MOST_BLOCK_FRAMES = 33
_MOST_HEADS = 256
_MOST_PLANS = 256


def check_reader(reader: Reader) -> None:
    """At most one frame waits for its end."""
    assert len(reader._partial) < HEADER_BYTES + MAX_FRAME_BYTES


def check_decoder(decoder: Decoder) -> None:
    """The table is within what we ever allow, and counts right."""
    assert decoder._used <= DEFAULT_TABLE_BYTES
    assert decoder._used >= FIELD_OVERHEAD * len(decoder._table)
    assert bool(decoder._used) == bool(decoder._table)


def check_heads(heads: Heads) -> None:
    """What is remembered of heads has its caps."""
    assert len(heads.known) <= _MOST_HEADS
    assert len(heads._models) <= _MOST_HEADS
    check_decoder(heads._decoder)


def forget(heads: Heads) -> None:
    """Make it decode each block anew."""
    heads.known.clear()
    heads._models.clear()


def check_connection(core: Connection, most_body: int) -> None:
    """Every buffer of a connection is within its bound, and what is kept belongs to a request."""
    inbound, outbound, requests = core._in, core._out, core._requests
    check_reader(inbound._reader)
    check_heads(inbound.heads)
    assert inbound._block_bytes <= _MOST_BLOCK_BYTES
    assert len(inbound._block) <= _MOST_BLOCK_FRAMES
    assert outbound.encoder._used <= DEFAULT_TABLE_BYTES
    assert len(outbound.encoder._plans) <= _MOST_PLANS
    assert outbound.window >= 0
    assert outbound.reserved == sum(len(body.unsent) for body in outbound.stalled.values())
    assert outbound.stalled.keys() <= core.streams.keys()
    assert requests.responses.keys() <= core.streams.keys()
    assert all(len(response.body) <= most_body for response in requests.responses.values())
