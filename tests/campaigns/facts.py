"""What is known after a run: the ledger by SQL, the gateways' files, and what they were told."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import asyncpg
import orjson

from pushsvc.model import GONE_ON, OutcomeClass
from pushsvc.storage.ledger import reasons_of
from tests.campaigns.acts import text_of
from tests.campaigns.judge import Ended
from tests.chaos.gateways import NAMES, Gateways
from tests.chaos.ledgers import Receipts

PAGE: Final = 10_000
_TOKEN: Final = "coalesce(device_token, channel_uris ->> '_Default')"
_TOKENS: Final = f"SELECT id, {_TOKEN} AS token FROM installations"
_RETIRED: Final = f"""
    SELECT {_TOKEN} FROM installations WHERE token_retired_at IS NOT NULL
"""
_BADGES: Final = f"""
    SELECT {_TOKEN} AS token, badge FROM installations JOIN badges ON badges.installation_id = id
"""
_BATCHES: Final = """
    SELECT installation_ids, outcomes, exceptions, variant, zone FROM batches
    WHERE push_id = (SELECT id FROM pushes WHERE object_id = $1)
"""


async def read_ledger(dsn: str, push: str) -> Mapping[str, list[Ended]]:
    """Return token -> the ends of a push's devices."""
    connection = await asyncpg.connect(dsn)
    try:
        tokens = {row["id"]: row["token"] for row in await connection.fetch(_TOKENS)}
        rows = await connection.fetch(_BATCHES, push)
    finally:
        await connection.close()
    found: dict[str, list[Ended]] = defaultdict(list)
    resent = Counter[str]()
    for row in rows:
        reasons = reasons_of(orjson.loads(row["exceptions"] or "{}"))
        outcomes = row["outcomes"] or bytes(len(row["installation_ids"]))
        for place, (number, byte) in enumerate(zip(row["installation_ids"], outcomes, strict=True)):
            resent[tokens[number]] += byte == OutcomeClass.RESENT
            if byte not in GONE_ON:
                end = Ended(OutcomeClass(byte), reasons.get(place, ""), row["variant"], row["zone"])
                found[tokens[number]].append(end)
    return {
        token: [replace(end, resent=resent[token]) for end in ends] for token, ends in found.items()
    }


async def read_retired(dsn: str) -> frozenset[str]:
    """Return the tokens that are out of use."""
    connection = await asyncpg.connect(dsn)
    try:
        return frozenset(row[0] for row in await connection.fetch(_RETIRED))
    finally:
        await connection.close()


async def read_badges(dsn: str) -> Mapping[str, int]:
    """Return token -> badge."""
    connection = await asyncpg.connect(dsn)
    try:
        return {row["token"]: row["badge"] for row in await connection.fetch(_BADGES)}
    finally:
        await connection.close()


async def read_texts(gateways: Gateways, markers: Iterable[str]) -> Mapping[str, list[str]]:
    """Return token -> the texts of messages that its gateway took.

    Raises:
        RuntimeError: a gateway does not have all of its messages any more.
    """
    texts = [text_of(marker) for marker in markers]
    found: dict[str, list[str]] = defaultdict(list)
    for gateway in NAMES:
        if (await gateways.stats(gateway))["truncated"]:
            message = f"{gateway} has not kept all messages: turn the knob ledger_entries"
            raise RuntimeError(message)
        after: int | None = 0
        while after is not None:
            page = await gateways.page(gateway, after=after, limit=PAGE)
            for entry in page["entries"]:
                if entry["delivered"]:
                    found[entry["token"]] += _shown(entry, texts)
            after = page["next"]
    return dict(found)


def _shown(entry: Mapping[str, Any], texts: Iterable[str]) -> list[str]:
    """Return which of the texts a payload has."""
    return [text for text in texts if text in entry["payload"]]


def contacts(receipts: Receipts) -> Mapping[str, int]:
    """Return token -> messages that its gateway took."""
    found: Counter[str] = Counter()
    for (token, _), receipt in receipts.items():
        found[token] += receipt.delivered
    return found
