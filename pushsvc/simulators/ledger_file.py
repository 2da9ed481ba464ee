"""The ledger on disk: who was delivered what, and it is true after a `kill -9`."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from pushsvc.simulators.ledger import DELIVERED, RETRACTED, Entry

#: A SHA-256, which is written in hex; every other identity is text (`apns-id`).
DIGEST_BYTES = 32
#: By how much a line changes the number of deliveries.
CHANGE = {DELIVERED: +1, RETRACTED: -1}

#: Gateway, token, identity: one message to one device.
Message = tuple[str, str, str]


class LedgerFile:
    """Appends a line for each delivery and each retraction.

    A line is `[gateway, token, identity, "delivered" or "retracted", Unix seconds, collapse id]`.
    `write` is called before anything goes out on a socket, so that no sender knows of what the file
    does not.
    """

    def __init__(self, path: Path, *, now: Callable[[], float]) -> None:
        """Open the file to append to it; a line that was torn by a kill is ended."""
        self._now = now
        self._lines: list[bytes] = []
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            self._write_all(b"\n")

    def note(self, entry: Entry, change: str) -> None:
        """Take down one change; it is written with what else this turn of the loop brings."""
        if not self._lines:
            # What no answer follows is written all the same.
            asyncio.get_running_loop().call_soon(self.write)
        message = (entry.gateway, entry.token, told(entry.identity))
        line = [*message, change, round(self._now(), 3), entry.collapse_id]
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def write(self) -> None:
        """Hand what was noted to the kernel, which keeps it when this process dies."""
        if self._lines:
            lines, self._lines = b"".join(self._lines), []
            self._write_all(lines)

    def close(self) -> None:
        """Write the rest and close."""
        self.write()
        os.close(self._file)

    def _write_all(self, octets: bytes) -> None:
        while octets:
            octets = octets[os.write(self._file, octets) :]


@dataclass(slots=True, kw_only=True)
class Deliveries:
    """A ledger file, added up."""

    #: By gateway, token and identity; one means delivered once.
    by_message: Counter[Message] = field(default_factory=Counter)
    #: Lines that cannot be read: a kill tore them, and nobody was answered for them.
    torn: int = 0

    def by_token(self) -> Counter[tuple[str, str]]:
        """Deliveries by gateway and token."""
        tokens: Counter[tuple[str, str]] = Counter()
        for (gateway, token, _), number in self.by_message.items():
            tokens[gateway, token] += number
        return tokens

    def duplicates(self) -> dict[Message, int]:
        """Messages that were delivered more than once, and how often."""
        return {message: number for message, number in self.by_message.items() if number > 1}


def read_deliveries(path: Path) -> Deliveries:
    """Add a ledger file up; one that is not there has no deliveries."""
    read = Deliveries()
    for line in _lines(path):
        try:
            gateway, token, identity, change, *_ = orjson.loads(line)
            read.by_message[gateway, token, identity] += CHANGE[change]
        except (ValueError, KeyError):
            read.torn += 1
    return read


def told(identity: bytes) -> str:
    """An identity as the file has it: an `apns-id`, or a payload's SHA-256 in hex."""
    return identity.hex() if len(identity) == DIGEST_BYTES else identity.decode()


def identity_of(told_identity: str) -> bytes:
    """The identity that `told` has made text of."""
    is_digest = len(told_identity) == 2 * DIGEST_BYTES
    return bytes.fromhex(told_identity) if is_digest else told_identity.encode()


def _lines(path: Path) -> Iterator[bytes]:
    if path.exists():
        with path.open("rb") as opened:
            for line in opened:
                if line != b"\n":
                    yield line
