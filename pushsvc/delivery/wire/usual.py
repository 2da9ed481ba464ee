"""The usual answers, settled in one loop: whole heads known by their bytes, and late resets.

What it takes, it takes as the connection would frame by frame, for a third of the time; at
whatever else it stops, before anything has changed by it.
"""

from struct import Struct
from typing import Final

from pushsvc.delivery.wire.errors import PeerError
from pushsvc.delivery.wire.frames import HEADER_BYTES, HEADERS, MAX_FRAME_BYTES, RST_STREAM, WHOLE
from pushsvc.delivery.wire.inbound import Inbound
from pushsvc.delivery.wire.outbound import Outbound
from pushsvc.delivery.wire.patience import Patience
from pushsvc.delivery.wire.requests import FIRST_ERROR_STATUS, Requests

#: Length and type as one number, flags, stream id.
_HEADER: Final = Struct(">IBI")
_TYPE: Final = 0xFF
_LARGEST: Final = MAX_FRAME_BYTES << 8 | _TYPE
_RESET: Final = 4 << 8 | RST_STREAM


class Usual:
    """What of a connection the usual answers concern."""

    def __init__(
        self, inbound: Inbound, outbound: Outbound, requests: Requests, *, patience: Patience
    ) -> None:
        self._in = inbound
        self._out = outbound
        self._requests = requests
        self._patience = patience

    def take(self, octets: bytes, at: int) -> int:
        """Settle the usual answers that begin at `at`; the answer is where they end.

        Usual is a head that ends its stream, is like one before and no error, where no body is
        on its way in either direction; and RST_STREAM of a stream that is over (nginx sends one
        after each answer).
        """
        requests, heads, next_id = self._requests, self._in.heads, self._out.next_id
        if self._in.expecting or requests.responses or self._out.stalled:
            return at
        known, like, streams = heads.known.get, heads.like, requests.open
        end, spare = len(octets), self._patience.spare
        read, settle = _HEADER.unpack_from, requests.settled.append
        answers = resets = 0
        while at + HEADER_BYTES <= end:
            word, flags, stream_id = read(octets, at)
            after = at + HEADER_BYTES + (word >> 8)
            if after > end or word > _LARGEST:
                break
            if flags == WHOLE and word & _TYPE == HEADERS:
                block = octets[at + HEADER_BYTES : after]
                try:
                    head = known(block) or like(block)
                except PeerError:
                    break
                if head is None or head[0] >= FIRST_ERROR_STATUS or stream_id not in streams:
                    break
                settle((*streams.pop(stream_id), head))
                answers += 1
            elif word == _RESET and stream_id & 1 and stream_id < next_id:
                if stream_id in streams or resets == spare:
                    break
                resets += 1
            else:
                break
            at = after
        requests.count_answers(answers)
        requests.counts.resets_received += resets
        self._patience.spend_spare(resets)
        return at
