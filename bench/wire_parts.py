"""`python -m bench.wire_parts`: what a request costs in each part of the wire, without a socket.

The core is fed with requests like those of `bench.wire`, and with the answers that nginx gives
to them: a head, and RST_STREAM NO_ERROR. A plain head is like the one before it; one with an id
has the request's apns-id as its last field, Huffman coded.
Each figure is CPU in microseconds for one request, the least of several rounds.
"""

import time
from collections.abc import Callable, Iterable

import hpack
import typer
from hyperframe.frame import HeadersFrame, RstStreamFrame, SettingsFrame
from rich.console import Console
from rich.table import Table

from bench.peers.task import APNS, Task
from bench.peers.wire import calls
from bench.wire import APNS_BODY, CONSTANT
from pushsvc.delivery.wire import Call, Limits
from pushsvc.delivery.wire.connection import Connection
from pushsvc.delivery.wire.frames import Reader
from pushsvc.delivery.wire.requests import Settled
from pushsvc.delivery.wire.response import Heads

REQUESTS = 20_000
ROUNDS = 9
#: Requests in one write, answers in one read: what the shell moves at once.
TURN = 256
WINDOW = 2**31 - 1


def encoded(*fields: tuple[str, str]) -> bytes:
    """Return the block of an answer that also has these fields."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    encoder.encode([])
    same = [(":status", "200"), ("server", "nginx"), ("date", "Wed, 25 Nov 2026 22:56:06 GMT")]
    same += [("content-type", "text/plain"), ("content-length", "0")]
    return bytes(encoder.encode([*same, *fields]))


def reads(blocks: list[bytes]) -> list[bytes]:
    """Return what comes in at once of answers with these blocks."""
    frames = [
        HeadersFrame(2 * n + 1, block, flags=["END_HEADERS", "END_STREAM"]).serialize()
        + RstStreamFrame(2 * n + 1, 0).serialize()
        for n, block in enumerate(blocks)
    ]
    return [b"".join(frames[n : n + TURN]) for n in range(0, REQUESTS, TURN)]


class Nobody:
    """Owns the requests, and wants to know nothing."""

    def settle(self, settled: Iterable[Settled]) -> None:
        """Take verdicts."""


class Parts:
    """The same requests and answers for every part."""

    def __init__(self) -> None:
        self._task = Task(
            case=APNS,
            port=0,
            ca_file="",
            requests=REQUESTS,
            body=APNS_BODY,
            headers=CONSTANT[APNS],
            key_file="",
        )
        self._paths = [path.encode() for path in self._task.paths()]
        self._ids = [apns_id.encode() for apns_id in self._task.ids()]
        self._calls = self.pull()
        self._blocks = self._encoded()
        self._reads = reads(self._blocks)
        self._plain_reads = reads([encoded()] * REQUESTS)

    def _encoded(self) -> list[bytes]:
        return [encoded(("apns-id", one.decode())) for one in self._ids]

    def core(self) -> Connection:
        """Return a connection on which all requests have room."""
        core = Connection(b"localhost", Limits(max_streams=REQUESTS))
        greeting = SettingsFrame(0, {SettingsFrame.MAX_CONCURRENT_STREAMS: REQUESTS})
        core.receive(greeting.serialize() + SettingsFrame(0, flags=["ACK"]).serialize())
        core.take()
        # More than the protocol allows, so that no part waits for another.
        core._out.window = WINDOW  # noqa: SLF001 - a measurement of one part
        return core

    def pull(self) -> list[Call]:
        """Make the calls."""
        return list(calls(self._task, self._paths, self._ids))

    def open(self, core: Connection) -> None:
        """Turn calls into bytes, turn by turn; the first makes the template known."""
        nobody = Nobody()
        core.open(self._calls[0], nobody)
        for n in range(1, REQUESTS, TURN):
            core.open_at_once(self._calls[n : n + TURN], nobody)
            core.take()

    def open_each(self, core: Connection) -> None:
        """Turn calls into bytes one by one."""
        nobody = Nobody()
        for n, call in enumerate(self._calls):
            core.open(call, nobody)
            if n % TURN == 0:
                core.take()

    def opened(self) -> Connection:
        """Return a connection on which all requests are under way."""
        core = self.core()
        self.open(core)
        return core

    def receive(self, core: Connection) -> None:
        """Turn bytes into verdicts, each with its id."""
        for octets in self._reads:
            core.receive(octets)

    def receive_plain(self, core: Connection) -> None:
        """Turn bytes into verdicts that are all the same."""
        for octets in self._plain_reads:
            core.receive(octets)

    def frames(self, _core: Connection) -> None:
        """Cut bytes into frames."""
        reader = Reader()
        for octets in self._reads:
            for _ in reader.frames(octets):
                pass

    def heads(self, _core: Connection) -> None:
        """Decode header blocks."""
        heads = Heads(Limits().max_header_list_bytes)
        heads.allow(0)
        for block in self._blocks:
            heads.read(block)


def least(run: Callable[[Connection], object], make: Callable[[], Connection]) -> float:
    """Return the CPU of one request in microseconds."""
    spent = []
    for _ in range(ROUNDS):
        core = make()
        started = time.process_time()
        run(core)
        spent.append(time.process_time() - started)
    return min(spent) / REQUESTS * 1e6


def ends() -> dict[str, float]:
    """Return what a request costs between calls and bytes, and between bytes and verdicts."""
    parts = Parts()
    return {
        "calls to bytes": round(least(parts.open, parts.core), 2),
        "bytes to verdicts": round(least(parts.receive, parts.opened), 2),
    }


def main() -> None:
    """Measure every part."""
    parts = Parts()
    rows = Table("part", "CPU us")
    for name, run, make in (
        ("make the calls", lambda _: parts.pull(), parts.core),
        ("calls to bytes", parts.open, parts.core),
        ("the same one by one", parts.open_each, parts.core),
        ("bytes to plain verdicts", parts.receive_plain, parts.opened),
        ("bytes to verdicts with ids", parts.receive, parts.opened),
        ("  of that: frames", parts.frames, parts.core),
        ("  of that: header blocks", parts.heads, parts.core),
    ):
        rows.add_row(name, f"{least(run, make):.2f}")
    Console().print(rows)


if __name__ == "__main__":
    typer.run(main)
