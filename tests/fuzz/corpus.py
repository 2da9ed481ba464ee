"""Valid conversations, made anew for each run by python-hyper's h2, hyperframe and hpack."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from random import Random

import hpack
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from hyperframe.frame import (
    AltSvcFrame,
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.fuzz import script
from tests.fuzz.script import CANCEL, EXPIRE, FLOOD, HEAR, OPEN, SLOW_SETTING, TAKE, TICK, Step

_REQUEST = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "push.example"),
    (":path", "/3/device/0"),
]
_OK = [(":status", "200"), ("apns-id", "eabeae54-14a8-11e5-b60b-1697f925ec7b")]
_GONE = [(":status", "410"), ("content-type", "application/json"), ("content-length", "23")]
_REASON = b'{"reason":"BadMessage"}'
_FIELDS = [
    ("server", "push/1.1"),
    ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
    ("retry-after", "3"),
    ("x-large", "v" * 200),
]
_ACK = SettingsFrame(0, flags=["ACK"]).serialize()


# -- A server of h2 ---------------------------------------------------------------------------


class Server:
    """An h2 server that has heard `requests` requests of an h2 client.

    `stateless`: it has acknowledged that there is no table; or else it never does.
    """

    def __init__(self, requests: int, *, stateless: bool) -> None:
        client = H2Connection(H2Configuration(client_side=True))
        self.h2 = H2Connection(H2Configuration(client_side=False))
        client.initiate_connection()
        self.h2.initiate_connection()
        if stateless:
            client.update_settings({SettingCodes.HEADER_TABLE_SIZE: 0})
        for number in range(requests):
            client.send_headers(2 * number + 1, _REQUEST)
            client.send_data(2 * number + 1, b"{}", end_stream=True)
        self.h2.receive_data(client.data_to_send())
        greeting = self.h2.data_to_send()
        self.said = [greeting if stateless else greeting.replace(_ACK, b"")]

    def say(self, stream_id: int, fields: list[tuple[str, str]], *body: bytes) -> None:
        """A whole answer."""
        self.h2.send_headers(stream_id, fields, end_stream=not body)
        for at, piece in enumerate(body):
            self.h2.send_data(stream_id, piece, end_stream=at == len(body) - 1, pad_length=at)
        self.said.append(self.h2.data_to_send())


def answers(server: Server) -> None:
    """The usual: a head without body, a reason in one piece and in two, and trailers."""
    server.say(1, _OK)
    server.say(3, _GONE, _REASON)
    server.say(5, [*_GONE, *_FIELDS], _REASON[:9], _REASON[9:])
    server.h2.send_headers(7, [(":status", "103"), ("link", "</a>")])
    server.h2.send_headers(7, _OK)
    server.h2.send_data(7, _REASON)
    server.h2.send_headers(7, [("grpc-status", "0")], end_stream=True)
    server.said.append(server.h2.data_to_send())


def endings(server: Server) -> None:
    """Resets, changed settings, windows, a question, and the end."""
    server.h2.reset_stream(1, 7)
    server.h2.reset_stream(3, 11)
    server.h2.update_settings(
        {
            SettingCodes.MAX_CONCURRENT_STREAMS: 2,
            SettingCodes.INITIAL_WINDOW_SIZE: 5,
            SettingCodes.HEADER_TABLE_SIZE: 64,
        }
    )
    server.h2.increment_flow_control_window(1_000)
    server.h2.increment_flow_control_window(10, 5)
    server.h2.ping(b"question")
    server.h2.advertise_alternative_service(b'h2=":443"', origin=b"push.example")
    server.said.append(server.h2.data_to_send())
    server.h2.close_connection(0, b'{"reason":"Shutdown"}', last_stream_id=5)
    server.said.append(server.h2.data_to_send())


def heard() -> Iterator[list[bytes]]:
    """What h2 servers say, a piece for each of their writes."""
    for play in (answers, endings):
        for stateless in (False, True):
            server = Server(4, stateless=stateless)
            play(server)
            yield server.said


# -- Frames that h2 does not send by itself ---------------------------------------------------


def rare_frames() -> list[Frame]:
    """One of each kind and shape; some legal ones that few send, some that nobody may."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    block = encoder.encode([*_OK, *_FIELDS], huffman=False)
    whole = ["END_HEADERS", "END_STREAM"]
    return [
        SettingsFrame(0, {}),
        SettingsFrame(0, flags=["ACK"]),
        SettingsFrame(
            0, {SettingsFrame.INITIAL_WINDOW_SIZE: 0, SettingsFrame.MAX_FRAME_SIZE: 2**15}
        ),
        SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 2**31 - 1, 0x99: 1}),
        SettingsFrame(0, {SettingsFrame.HEADER_TABLE_SIZE: 0, SettingsFrame.ENABLE_PUSH: 0}),
        HeadersFrame(1, block, flags=whole),
        HeadersFrame(3, block, flags=["END_HEADERS"]),
        HeadersFrame(5, block, pad_length=9, flags=[*whole, "PADDED", "PRIORITY"]),
        HeadersFrame(1, block[:10], flags=["END_STREAM"]),
        ContinuationFrame(1, block[10:20]),
        ContinuationFrame(1, block[20:], flags=["END_HEADERS"]),
        DataFrame(3, _REASON, pad_length=3, flags=["PADDED"]),
        DataFrame(3, b""),
        DataFrame(3, _REASON * 3, flags=["END_STREAM"]),
        RstStreamFrame(1, 7),
        RstStreamFrame(3, 8),
        WindowUpdateFrame(0, 1),
        WindowUpdateFrame(1, 2**31 - 1),
        PingFrame(0, b"question"),
        PingFrame(0, b"pushsvc?", flags=["ACK"]),
        PriorityFrame(1, depends_on=0, stream_weight=1),
        PushPromiseFrame(1, promised_stream_id=2, data=block, flags=["END_HEADERS"]),
        AltSvcFrame(0, b"push.example", b"clear"),
        ExtensionFrame(0xFA, 0, flag_byte=0xFF, body=b"grease"),
        GoAwayFrame(0, last_stream_id=2**31 - 1),
        GoAwayFrame(0, last_stream_id=1, error_code=2, additional_data=b'{"reason":"Shutdown"}'),
    ]


FRAMES: tuple[bytes, ...] = tuple(frame.serialize() for frame in rare_frames())


# -- Scripts ----------------------------------------------------------------------------------

_OPEN_FOUR: tuple[Step, ...] = tuple(
    (OPEN, size) for size in (b"\0\2", b"\0\0", b"\1\0", b"\xff\xff")
)
_BETWEEN: tuple[Step, ...] = (
    (TAKE, b""),
    (EXPIRE, b"\0"),
    (TICK, b""),
    (OPEN, b"\0\5"),
    (CANCEL, b""),
)


def conversations() -> list[bytes]:
    """Requests, what h2 servers say to them, and each rare frame after a greeting."""
    scripts: list[bytes] = []
    for said in heard():
        steps = [*_OPEN_FOUR]
        for at, octets in enumerate(said):
            steps += ((HEAR, octets), _BETWEEN[at % len(_BETWEEN)])
        scripts += [script.written(setting, steps) for setting in range(3)]
        scripts.append(script.written(0, [*_OPEN_FOUR, (HEAR, b"".join(said))]))
    greeting = b"".join(FRAMES[:2])
    for before, frame in pairwise(FRAMES):
        opened: tuple[Step, ...] = ((HEAR, greeting), *_OPEN_FOUR, (TAKE, b""))
        scripts.append(script.written(0, [*opened, (HEAR, before + frame)]))
    flood = script.written(SLOW_SETTING, [(HEAR, greeting), *_OPEN_FOUR, (FLOOD, FRAMES[1])])
    return [*scripts, flood]


def blocks() -> list[bytes]:
    """Header blocks of connections with and without Huffman, and with tables of all sizes."""
    random, scripts = Random(0), list[bytes]()
    for huffman in (False, True):
        for table_size in (4_096, 300, 68, 0):
            encoder = hpack.Encoder()
            encoder.header_table_size = table_size
            # Not to be indexed: what the peer says may be remembered by its bytes.
            said = [[*_OK, *random.choices(_FIELDS, k=2), ("x-id", str(id_))] for id_ in range(3)]
            said += [[*_GONE, *random.choices(_FIELDS, k=2)] for _ in range(3)]
            steps: list[Step] = [(0, encoder.encode(fields, huffman=huffman)) for fields in said]
            last = (1, b"") if table_size else steps[1]
            first: list[Step] = [] if table_size else [(1, b"")]
            scripts.append(script.written(0, [*first, *steps, last, steps[2]]))
    # Heads that differ in their last value, which some limits cut.
    alike: list[Step] = [(0, b"\x88\x00\x01x" + bytes((n,)) + b"1" * n) for n in (1, 2, 40, 126)]
    # Two entries that just fit into a table of 68, and two that do not.
    full: list[Step] = [(0, b"\x3f\x25\x40\x01a\x01b"), (0, b"\x40\x01c\x01d"), (0, b"\xbe\xbf")]
    over: list[Step] = [(0, b"\x3f\x25\x40\x01a\x01b"), (0, b"\x40\x01c\x02de"), (0, b"\xbe\xbf")]
    for setting in range(4):
        scripts.append(script.written(setting, [(1, b""), *alike, *alike]))
        scripts += [script.written(setting, steps) for steps in (full, over)]
    return scripts


#: Pieces of blocks: indices, size updates (0, 34, 35, 68, 69, 4096, 4097), and literals.
REPRESENTATIONS: tuple[bytes, ...] = tuple(
    bytes.fromhex(octets)
    for octets in (
        *("88", "8d", "be", "bf", "c0", "ff00"),
        *("20", "3f03", "3f04", "3f25", "3f26", "3fe11f", "3fe21f"),
        *("4001610162", "4001630164", "400161820842", "4803323030", "48821001", "7e0163"),
        *("0f0d023233", "0001780131", "0001780132", "000178820842", "00017803610a62", "000000"),
        *("1001650166", "1f08", "0f2f0164", f"0001787e{'31' * 126}"),
    )
)

#: Of each target: whether its arguments are frames, what may be put into them, how it starts.
Corpus = tuple[bool, Sequence[bytes], Callable[[], list[bytes]]]
CORPORA: dict[str, Corpus] = {
    "frames": (True, FRAMES, conversations),
    "headers": (False, REPRESENTATIONS, blocks),
    "connection": (True, FRAMES, conversations),
}
