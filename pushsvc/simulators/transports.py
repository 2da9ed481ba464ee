"""What both wires do to a connection that a fault ends."""

import asyncio
import socket
import struct

#: A connection that went dark is cut after this long: the sender may be gone, and we do not read.
DARK_SECONDS = 120.0


def reset(transport: asyncio.Transport) -> None:
    """Close with a TCP RST: SO_LINGER with a time of 0, see socket(7)."""
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
