"""What both wires do to a connection that a fault ends."""

import asyncio
import os
import socket
import struct

#: A connection that went dark is cut after this long: the sender may be gone, and we do not read.
DARK_SECONDS = 120.0


def reset(transport: asyncio.Transport) -> None:
    """Close with a TCP RST: SO_LINGER with a time of 0, see socket(7)."""
    linger = struct.pack("ii", 1, 0)
    # None where the sender has closed it just now.
    open_socket = transport.get_extra_info("socket")
    if open_socket is not None:
        open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def half_close(transport: asyncio.Transport) -> None:
    """FIN without close_notify: the peer hears no more from us, and we still read.

    On a copy of the descriptor, since uvloop's socket has no `shutdown`.
    """
    descriptor = os.dup(transport.get_extra_info("socket").fileno())
    with socket.socket(fileno=descriptor) as copy:
        copy.shutdown(socket.SHUT_WR)
