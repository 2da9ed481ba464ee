"""The lower half of an HTTP/2 connection: what is written, when, and how the connection ends."""

import asyncio
from collections.abc import Callable
from typing import cast

from h2.settings import SettingCodes
from hyperframe.frame import Frame

from pushsvc.simulators import transports
from pushsvc.simulators.h2_core import MAX_HEADER_LIST_BYTES, new_h2
from pushsvc.simulators.timers import Timers
from pushsvc.simulators.told import Told


class Output(asyncio.Protocol):
    """Writes what h2 has ready and frames made by hand, in their order."""

    def __init__(self, streams: tuple[int, int], *, before_write: Callable[[], None]) -> None:
        self._before_write = before_write
        self._h2 = new_h2()
        self._told = Told(self._h2, streams)
        self._timers = Timers()
        self._out: list[bytes] = []
        # Octets of bodies, and answers, that wait to be written.
        self._unsent = self._unwritten = 0
        self._on_echo: dict[bytes, Callable[[], None]] = {}
        self._closed = self._dark = self._full = self._stalled = self._in_read = False
        self._transport: asyncio.Transport

    # Asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send our SETTINGS."""
        self._transport = cast("asyncio.Transport", transport)
        others: dict[int, int] = {SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST_BYTES}
        self._write_frame(self._told.first(others))
        self._flush()

    def pause_writing(self) -> None:
        """The sender does not read our answers: do not read its requests either."""
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The sender reads again."""
        self._full = False
        self._read_on()

    # What exchanges ask for.

    def tell(self, settings: dict[int, int]) -> None:
        """SETTINGS; senders are held to them from their ACK on."""
        self._write_frame(self._told.frame(settings))
        self._flush()

    def say(self, octets: bytes) -> None:
        """These very octets, whatever they are."""
        self._out += (self._h2.data_to_send(), octets)
        self._flush()

    def ping(self, octets: bytes, echoed: Callable[[], None]) -> None:
        """PING; `echoed` is called when these very octets come back."""
        if not self._closed:
            self._on_echo[octets] = echoed
            self._h2.ping(octets)
            self._flush()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call later, unless the connection is closed by then."""
        if not self._closed:
            self._timers.after(seconds, call)

    def hang_up(self) -> None:
        """Close after everything written so far."""
        if not self._closed:
            self._last_write()
            self._transport.close()

    def half_close(self) -> None:
        """FIN, and read on."""
        if not self._closed:
            self._flush()
            transports.half_close(self._transport)

    def reset_tcp(self) -> None:
        """Close with RST; what was answered before is handed to the kernel first."""
        if not self._closed:
            self._last_write()
            transports.reset(self._transport)

    def go_dark(self) -> None:
        """Stop reading and writing; TCP stays up until the sender or the deadline ends it."""
        self._in_read = False
        self._flush()
        self._dark = True
        self._transport.pause_reading()
        self.after(transports.DARK_SECONDS, self._transport.abort)

    def stall(self, seconds: float) -> None:
        """Read nothing for so long."""
        self._stalled = True
        self._transport.pause_reading()
        self.after(seconds, self._end_stall)

    def abort(self) -> None:
        """End at once: the simulators are being closed."""
        self._closed = True
        self._transport.abort()

    # Our side of the wire.

    def _end_stall(self) -> None:
        self._stalled = False
        self._read_on()

    def _read_on(self) -> None:
        if not (self._dark or self._full or self._stalled):
            self._transport.resume_reading()

    def _last_write(self) -> None:
        self._in_read = False
        self._flush()
        self._closed = True
        self._timers.cancel()

    def _write_frame(self, frame: Frame) -> None:
        """A frame of our own making, after what h2 has ready."""
        self._out.append(self._h2.data_to_send())
        self._out.append(frame.serialize())

    def _flush(self) -> None:
        """One write for everything; while reading, the reader does it at its end."""
        if not (self._in_read or self._dark or self._closed):
            self._write_out()

    def _write_out(self) -> None:
        self._out.append(self._h2.data_to_send())
        written = b"".join(self._out)
        self._out.clear()
        self._unsent = self._unwritten = 0
        self._told.written()
        if written:
            self._before_write()
            self._transport.write(written)
