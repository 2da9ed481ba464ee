"""Both ledgers as they are read after the storm: Postgres's by SQL, the gateways' from the file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

#: Final outcomes are these bytes of the ledger and the like; two are no outcome, see docs.
OPEN, OK, UNKNOWN, CARRIED, RESENT = 0, 1, 10, 14, 16
GONE_ON: Final = frozenset({CARRIED, RESENT})
CHANGE: Final = {"delivered": +1, "retracted": -1}


@dataclass(slots=True)
class Receipt:
    """What the gateways had of one push's message to one token."""

    delivered: int = 0
    #: Unix seconds of the first delivery
    first: float = 0.0
    #: and of the last
    last: float = 0.0


#: (token, marker of the push) -> receipt
Receipts = Mapping[tuple[str, str], Receipt]


def read_receipts(files: Iterable[Path]) -> Receipts:
    """Add ledger files up; a line that a kill has torn was answered to nobody."""
    found: dict[tuple[str, str], Receipt] = {}
    for file in files:
        with file.open("rb") as lines:
            for line in lines:
                try:
                    _, token, _, change, seconds, marker = orjson.loads(line)
                except ValueError:
                    continue
                receipt = found.setdefault((token, marker), Receipt())
                receipt.delivered += CHANGE[change]
                receipt.last = seconds
                if not receipt.first:
                    receipt.first = seconds
    return found


@dataclass(slots=True)
class Ends:
    """What Postgres says of one device of one push: its final bytes, and its doubts."""

    final: list[int] = field(default_factory=list)
    resent: int = 0

    def take(self, byte: int) -> None:
        """Add a byte of the ledger."""
        if byte == RESENT:
            self.resent += 1
        elif byte not in GONE_ON and byte != OPEN:
            self.final.append(byte)

    @property
    def in_doubt(self) -> bool:
        """Tell whether a message to the device was written and never answered."""
        return self.resent > 0 or UNKNOWN in self.final


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A push as Postgres has it, with the ends of its devices by token."""

    object_id: str
    state: str
    error: str | None
    ends: Mapping[str, Ends]


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """All that is asked of Postgres."""

    #: object id -> push
    pushes: Mapping[str, Stored]
    #: tokens and channel URIs that are retired
    retired: frozenset[str]


async def read_database(dsn: str) -> Database:
    """Read the ledger of every push."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT id, coalesce(device_token, channel_uris ->> '_Default') AS token,"
            " token_retired_at IS NOT NULL AS retired FROM installations"
        )
        pushes = await connection.fetch("SELECT id, object_id, state, error FROM pushes")
        batches = await connection.fetch(
            "SELECT push_id, installation_ids, recipients, outcomes FROM batches"
        )
    finally:
        await connection.close()
    tokens = {row["id"]: row["token"] for row in rows}
    ends: dict[int, dict[str, Ends]] = {row["id"]: {} for row in pushes}
    for batch in batches:
        _add(ends[batch["push_id"]], _tokens_of(batch, tokens), batch["outcomes"])
    return Database(
        pushes={
            row["object_id"]: Stored(
                object_id=row["object_id"],
                state=row["state"],
                error=row["error"],
                ends=ends[row["id"]],
            )
            for row in pushes
        },
        retired=frozenset(row["token"] for row in rows if row["retired"]),
    )


async def open_pushes(dsn: str) -> int:
    """Return how many pushes are not at their end."""
    connection = await asyncpg.connect(dsn)
    try:
        statement = "SELECT count(*) FROM pushes WHERE state IN ('waiting', 'planning', 'sending')"
        return int(await connection.fetchval(statement))
    finally:
        await connection.close()


def _tokens_of(batch: Any, tokens: Mapping[int, str]) -> list[str]:
    if batch["recipients"] is not None:
        return [one["token"] for one in orjson.loads(batch["recipients"])]
    return [tokens[number] for number in batch["installation_ids"]]


def _add(ends: dict[str, Ends], tokens: Iterable[str], outcomes: bytes | None) -> None:
    for place, token in enumerate(tokens):
        ends.setdefault(token, Ends()).take(outcomes[place] if outcomes else OPEN)
