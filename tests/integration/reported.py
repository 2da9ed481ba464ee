"""A campaign's run as its plan and its workers would leave it: batches of variants and zones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, update

from pushsvc.model import (
    Counts,
    Ledger,
    NewBatch,
    OutcomeClass,
    Push,
    Rules,
    Variant,
    rules_json,
)
from pushsvc.stats import tally
from pushsvc.storage import batches, pushes, tables
from pushsvc.storage.engine import driver
from pushsvc.storage.ids import new_object_id
from tests.integration.reviewed import Scene

C = OutcomeClass
#: As callers may name theirs.
ODD = "=1+<b>b"
A, B = "hash-of-a", "hash-of-b"
RULES = Rules(
    salt=7,
    variants=(
        Variant(name="a", weight=45, content={"data": {"alert": "A"}}, push_hash=A),
        Variant(name=ODD, weight=45, content={"data": {"alert": "B"}}, push_hash=B),
    ),
    holdout=10,
)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A batch: what it has in common, and what came of each device."""

    variant: str | None
    zone: str | None
    #: one for each device; None leaves it open
    ends: Sequence[OutcomeClass] | None
    types: Sequence[str] = ()
    reasons: Mapping[str, Sequence[int]] | None = None
    #: places that go on into a follow-up, which comes after all of these
    again: Sequence[int] = ()
    size: int = 0


async def campaign(scene: Scene, name: str = "sale") -> tuple[int, str]:
    """Store a campaign, and return its key and its public id."""
    c = tables.campaigns
    row = {
        "object_id": new_object_id(),
        "app_id": scene.app.id,
        "name": name,
        "definition": {},
        "state": "active",
    }
    async with scene.resources.engine.begin() as connection:
        statement = insert(c).values(row).returning(c.c.id, c.c.object_id)
        key, object_id = (await connection.execute(statement)).one()
    return key, object_id


async def run(
    scene: Scene,
    campaign_id: int,
    pieces: Sequence[Piece],
    *,
    number: int = 1,
    follow_ups: Sequence[Piece] = (),
) -> Push:
    """Store a run of a campaign, and close those of its batches that have ends."""
    push = await scene.push(planned=False)
    devices = sum(len(one.ends or ()) or one.size for one in pieces)
    async with scene.resources.engine.begin() as connection:
        changes: dict[str, Any] = {
            "campaign_id": campaign_id,
            "rules": rules_json(RULES),
            "variant_hashes": [A, B],
            "state": "sending",
            "batches_planned": len(pieces),
            "devices_planned": devices,
        }
        p = tables.pushes
        await connection.execute(update(p).where(p.c.id == push.id).values(changes))
        row = {
            "campaign_id": campaign_id,
            "number": number,
            "push_time": f"2026-11-{number:02}T09:00:00.000Z",
            "state": "started",
            "push_id": push.id,
        }
        await connection.execute(insert(tables.campaign_runs).values(row))
        await batches.write_batches(
            connection, list(_written(pieces)), push_id=push.id, lane=push.lane, first_seq=0
        )
    for seq, piece in enumerate([*pieces, *follow_ups]):
        if piece.ends is not None:
            await _close(scene, push, seq, piece)
    async with driver(scene.resources.engine) as connection:
        await pushes.close_push(connection, push.id, tokens_held=0)
    return await scene.now(push)


def _written(pieces: Sequence[Piece]) -> Sequence[NewBatch]:
    first, found = 1, []
    for piece in pieces:
        size = len(piece.ends or ()) or piece.size
        ids = range(first, first + size)
        found.append(NewBatch(installation_ids=ids, variant=piece.variant, zone=piece.zone))
        first += size
    return found


async def _close(scene: Scene, push: Push, seq: int, piece: Piece) -> None:
    engine = scene.resources.engine
    batch = await batches.lease_batch(
        engine, push.id, seq, lease_seconds=60, expires_at=None, badge=None
    )
    assert batch is not None
    assert piece.ends is not None
    ids = [batch.installation_ids[place] for place in piece.again]
    later = NewBatch(installation_ids=ids, attempt=2, variant=batch.variant, zone=batch.zone)
    ledger = Ledger(
        outcomes=bytes(piece.ends),
        counts=counted(piece),
        exceptions=piece.reasons or {},
        follow_ups=[later] if ids else [],
    )
    assert await batches.finish_batch(engine, batch, ledger)


def counted(piece: Piece) -> Counts:
    """Return the counts of a piece as its worker would."""
    ends = piece.ends or ()
    return tally.count(piece.types or ["ios"] * len(ends), bytes(ends))


async def counts_of(scene: Scene, push: Push) -> Counts:
    """Return the counts that a push was closed with."""
    async with scene.resources.engine.connect() as connection:
        return await pushes.counts_of(connection, push)
