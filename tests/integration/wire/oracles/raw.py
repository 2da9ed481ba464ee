"""A client without rules, to see that a server tells of what is illegal."""

import contextlib
import socket
import ssl
from collections.abc import Iterator

from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SECONDS = 10.0
_HEADER_BYTES = 9
#: POST, https, /echo, localhost, and the id that hypercorn's application asks for.
_REQUEST = b"\x83\x87\x04\x05/echo\x01\x09localhost\x00\x07apns-id\x011"


def _octets(*frames: Frame) -> bytes:
    return b"".join(frame.serialize() for frame in frames)


def _head(stream_id: int, more: bytes = b"", *, end: bool = True) -> HeadersFrame:
    flags = ["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"]
    return HeadersFrame(stream_id, _REQUEST + more, flags=flags)


#: What a client must not write: for each, frames that break one rule.
ILLEGAL = {
    # The connection's own rules.
    "an even stream": _octets(_head(2)),
    "DATA on an idle stream": _octets(DataFrame(1, b"x")),
    "a PING of seven octets": b"\x00\x00\x07\x06\x00\x00\x00\x00\x00seven..",
    "an index of no table": _octets(_head(1, b"\xff\x00")),
    # One request's.
    "an upper-case name": _octets(_head(1, b"\x00\x01X\x01y")),
    "a body that is too short": _octets(
        _head(1, b"\x00\x0econtent-length\x019", end=False),
        DataFrame(1, b"short", flags=["END_STREAM"]),
    ),
}


#: A good request, in the same hand.
LEGAL = _octets(_head(1))


def write(port: int, ca_file: str, octets: bytes) -> list[str]:
    """Write octets after a proper preface, and read until the server has read them all.

    That is when it acknowledges a PING that came after them, or ends the connection. Returns
    its complaints: every RST_STREAM and GOAWAY with an error.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2"])
    greeting = _PREFACE + SettingsFrame(0).serialize()
    read = bytearray()
    with (
        socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
        # A server that has had enough may end TLS without a word.
        contextlib.suppress(ConnectionError, ssl.SSLError),
    ):
        tls.sendall(greeting + octets + PingFrame(0, b"the end.").serialize())
        while not any(map(_is_last, _frames(read))) and (more := tls.recv(65_536)):
            read += more
    return [f"{frame}" for frame in _frames(read) if getattr(frame, "error_code", 0)]


def _is_last(frame: Frame) -> bool:
    return isinstance(frame, GoAwayFrame) or (isinstance(frame, PingFrame) and "ACK" in frame.flags)


def _frames(octets: bytearray) -> Iterator[Frame]:
    """The complete frames."""
    view = memoryview(octets)
    while len(view) >= _HEADER_BYTES:
        frame, length = Frame.parse_frame_header(view[:_HEADER_BYTES])
        if len(view) < _HEADER_BYTES + length:
            break
        frame.parse_body(view[_HEADER_BYTES : _HEADER_BYTES + length])
        view = view[_HEADER_BYTES + length :]
        yield frame
