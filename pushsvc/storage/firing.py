"""Claimed pushes, begun together and written down together.

Each step is one transaction for all pushes of a volley. A claim is a lease of each push's plan. A
volley that has begun has the first lease of each of its batches; what becomes of those when its
worker dies is no different from other plans and batches.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import BadgeChange, Batch, Counts, Lane, Ledger, NewBatch, OutcomeClass, Push
from pushsvc.storage import batches
from pushsvc.storage.by_key import BATCH_STATE, PUSH_STATE
from pushsvc.storage.claims import Claimed
from pushsvc.storage.engine import driver, encode_json
from pushsvc.storage.partitions import MissingError

if TYPE_CHECKING:
    Driver = asyncpg.Connection[asyncpg.Record]

#: Of a batch that a volley has begun.
FIRST_LEASE: Final = 1
# ---------------------------------------------------------------- begun

_BEGIN: Final = f"""
    UPDATE pushes SET state = 'sending', lease_until = NULL,
        batches_planned = new.batches, devices_planned = new.devices
    FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::bigint[])
        AS new(id, lease, batches, devices)
    WHERE pushes.id = new.id AND {PUSH_STATE} = 'planning' AND leases = new.lease AND halt IS NULL
    RETURNING pushes.id, now() AS now,
        extract(epoch FROM expires_at - now())::float8 AS seconds_left
"""  # noqa: S608 - of constants
_INSERT: Final = f"""
    INSERT INTO batches (push_id, seq, lane, installation_ids, first_id, last_id, recipients,
        outcomes, badges_applied, state, leases, lease_until)
    SELECT push_id, seq, '{Lane.URGENT}', ids::bigint[], first_id, last_id, recipients::jsonb,
        outcomes, badges_applied, 1, {FIRST_LEASE}, now() + make_interval(secs => $1)
    FROM unnest($2::bigint[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[], $7::text[],
        $8::bytea[], $9::boolean[])
        AS new(push_id, seq, ids, first_id, last_id, recipients, outcomes, badges_applied)
"""  # noqa: S608 - of constants
# Locked in one order, so that of two volleys with the same devices one waits for the other.
_CHANGE_BADGES: Final = """
    WITH locked AS MATERIALIZED (
        SELECT installation_id FROM badges WHERE installation_id = ANY($4)
        ORDER BY installation_id FOR UPDATE
    ), waited AS MATERIALIZED (SELECT count(*) FROM locked)
    UPDATE badges SET badge = coalesce(new.absolute,
        least(greatest(badge::bigint + new.increment, 0), 2147483647))
    FROM waited, unnest($1::bigint[], $2::bigint[], $3::integer[])
        AS new(installation_id, increment, absolute)
    WHERE badges.installation_id = new.installation_id
    RETURNING badges.installation_id, badges.badge
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A claimed push, and the batches that it becomes."""

    claimed: Claimed
    new: Sequence[NewBatch]
    badge: BadgeChange | None

    @property
    def push(self) -> Push:
        """The push."""
        return self.claimed.push


@asynccontextmanager
async def begun(
    engine: AsyncEngine, planned: Sequence[Planned], *, lease_seconds: float
) -> AsyncIterator[Sequence[Sequence[Batch]]]:
    """Write the batches of claimed pushes, leased, with the changes of badges; lend them.

    All of it is committed when the block ends: until then nothing may be sent. A push that was
    halted or taken over meanwhile has no batches.

    Raises:
        MissingError: there is no partition for some of them.
    """
    async with driver(engine) as connection, connection.transaction():
        rows = await connection.fetch(
            _BEGIN,
            [one.push.id for one in planned],
            [one.claimed.lease for one in planned],
            [len(one.new) for one in planned],
            [sum(batch.size for batch in one.new) for one in planned],
        )
        left = {row["id"]: row["seconds_left"] for row in rows}
        ours = [one for one in planned if one.push.id in left]
        alive = [one for one in ours if (seconds := left[one.push.id]) is None or seconds > 0]
        badges = await _changed_badges(connection, alive)
        await _write(connection, ours, changed=badges.keys(), lease_seconds=lease_seconds)

        def leased(one: Planned) -> list[Batch]:
            if one.push.id not in left:
                return []
            return [
                Batch(
                    push_id=one.push.id,
                    seq=seq,
                    installation_ids=tuple(new.installation_ids),
                    recipients=tuple(new.recipients),
                    attempt=new.attempt,
                    leases=FIRST_LEASE,
                    leased_at=rows[0]["now"],
                    seconds_left=left[one.push.id],
                    outcomes=new.outcomes or bytes(new.size),
                    badges=badges.get(one.push.id, {}),
                )
                for seq, new in enumerate(one.new)
            ]

        yield [leased(one) for one in planned]


async def _write(
    connection: "Driver",
    planned: Sequence[Planned],
    *,
    changed: Collection[int],
    lease_seconds: float,
) -> None:
    rows = [
        (
            one.push.id,
            seq,
            f"{{{','.join(map(str, new.installation_ids))}}}",
            new.installation_ids[0] if new.installation_ids else None,
            new.installation_ids[-1] if new.installation_ids else None,
            batches.recipients_text(new.recipients),
            new.outcomes,
            one.push.id in changed,
        )
        for one in planned
        for seq, new in enumerate(one.new)
    ]
    if not rows:
        return
    try:
        await connection.execute(_INSERT, lease_seconds, *map(list, zip(*rows, strict=True)))
    except asyncpg.CheckViolationError as error:
        raise MissingError from error


async def _changed_badges(
    connection: "Driver", planned: Sequence[Planned]
) -> dict[int, dict[int, int]]:
    """Change badges; return push -> installation -> badge after that push's change."""
    changes = [
        (one.push.id, one.badge, [number for new in one.new for number in new.installation_ids])
        for one in planned
        if one.badge is not None
    ]
    everyone = list({number for _, _, ids in changes for number in ids})
    found: dict[int, dict[int, int]] = {push_id: {} for push_id, _, _ in changes}
    for turn in in_sequence(changes):
        rows = [
            (number, badge.increment, badge.absolute) for _, badge, ids in turn for number in ids
        ]
        if not rows:
            continue
        columns = map(list, zip(*rows, strict=True))
        said = await connection.fetch(_CHANGE_BADGES, *columns, everyone)
        after = {row[0]: row[1] for row in said}
        for push_id, _, ids in turn:
            found[push_id] = {number: after[number] for number in ids if number in after}
    return found


#: A push, what it does to badges, and whose.
Change = tuple[int, BadgeChange, Sequence[int]]


def in_sequence(changes: Iterable[Change]) -> list[list[Change]]:
    """Put changes into turns, in none of which an installation comes twice, each in its order."""
    turns: list[list[Change]] = []
    had: dict[int, int] = {}
    for change in changes:
        turn = max((had.get(number, 0) for number in change[2]), default=0)
        had |= dict.fromkeys(change[2], turn + 1)
        if turn == len(turns):
            turns.append([])
        turns[turn].append(change)
    return turns


_RENEW: Final = f"""
    UPDATE batches SET state = 1, lease_until = now() + make_interval(secs => $3)
    FROM unnest($1::bigint[], $2::integer[]) AS ours(push_id, seq)
    WHERE batches.push_id = ours.push_id AND batches.seq = ours.seq
        AND batches.push_id = ANY($1) AND leases = {FIRST_LEASE} AND {BATCH_STATE} <> 2
"""  # noqa: S608 - of constants


async def renew(engine: AsyncEngine, some: Sequence[Batch], *, lease_seconds: float) -> bool:
    """Renew the leases of a volley's batches; False where none of them is ours any more."""
    async with driver(engine) as connection:
        said = await connection.execute(
            _RENEW, [batch.push_id for batch in some], [batch.seq for batch in some], lease_seconds
        )
    return said != "UPDATE 0"


# ---------------------------------------------------------------- written down

# A push is done with it if its batches are those that are counted, and there are no others. One
# that was halted is closed by itself. Batches lie by day: those of other days are not opened.
FINISH: Final = f"""
    WITH ended AS (
        UPDATE batches SET state = 2, lease_until = NULL, finished_at = now(),
            outcomes = new.outcomes, counts = new.counts::jsonb,
            exceptions = new.exceptions::jsonb, answered = new.answered::jsonb
        FROM unnest($1::bigint[], $2::integer[], $3::bytea[], $4::text[], $5::text[], $6::text[],
            $7::integer[], $8::text[])
            AS new(push_id, seq, outcomes, counts, exceptions, answered, of_push, push_counts)
        WHERE batches.push_id = new.push_id AND batches.seq = new.seq
            AND batches.push_id = ANY($1) AND leases = {FIRST_LEASE} AND {BATCH_STATE} <> 2
        RETURNING batches.push_id, batches.seq, of_push, push_counts
    ), closed AS (
        UPDATE pushes SET state = 'done', counts = push_counts::jsonb, finished_at = now()
        FROM (
            SELECT push_id, of_push, push_counts FROM ended
            GROUP BY push_id, of_push, push_counts HAVING count(*) = of_push
        ) AS ours
        WHERE pushes.id = push_id AND {PUSH_STATE} = 'sending' AND halt IS NULL
            AND batches_planned = of_push
        RETURNING pushes.id
    )
    SELECT push_id, seq, push_id IN (SELECT id FROM closed) AS is_closed FROM ended
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written down of a volley."""

    #: push and number of the batches that are closed
    batches: frozenset[tuple[int, int]] = frozenset()
    #: pushes that are
    pushes: frozenset[int] = frozenset()


async def finish(engine: AsyncEngine, ends: Sequence[tuple[Batch, Ledger]]) -> Written:
    """Close batches with all that came of them, and the pushes that are done with it.

    Batches that another worker has claimed are not ours to close. A push with evidence against
    tokens, or whose devices go on in other batches, stays open.
    """
    async with driver(engine) as connection:
        if not any(_goes_on(ledger) for _, ledger in ends):
            return await _finish(connection, ends)
        async with connection.transaction():
            written = await _finish(connection, ends)
            for batch, ledger in ends:
                if (batch.push_id, batch.seq) in written.batches:
                    await batches.carry_on(connection, batch, ledger, lane=Lane.URGENT)
            return written


async def _finish(connection: "Driver", ends: Sequence[tuple[Batch, Ledger]]) -> Written:
    done = _counted(ends)
    rows = [
        (batch.push_id, batch.seq, *batches.as_written(ledger), *done.get(batch.push_id, _OPEN))
        for batch, ledger in ends
    ]
    columns = list(map(list, zip(*rows, strict=True)))
    found = await connection.fetch(FINISH, *columns)
    return Written(
        batches=frozenset((row[0], row[1]) for row in found),
        pushes=frozenset(row[0] for row in found if row[2]),
    )


#: In place of how many batches a push has, and their counts: it is not done with them.
_OPEN: Final = (None, None)


def _goes_on(ledger: Ledger) -> bool:
    return bool(ledger.follow_ups or ledger.evidence)


def _counted(ends: Sequence[tuple[Batch, Ledger]]) -> Mapping[int, tuple[int, str]]:
    """Return push -> its batches and their counts; not of those of which something is left."""
    found: dict[int, list[Ledger]] = {}
    for batch, ledger in ends:
        found.setdefault(batch.push_id, []).append(ledger)
    return {
        push_id: (len(ledgers), encode_json(batches.plain_counts(_sum(ledgers))))
        for push_id, ledgers in found.items()
        if not any(map(_goes_on, ledgers))
    }


def _sum(ledgers: Sequence[Ledger]) -> Counts:
    sums: dict[str, dict[OutcomeClass, int]] = {}
    for ledger in ledgers:
        for device_type, classes in ledger.counts.items():
            of_type = sums.setdefault(device_type, {})
            for one, n in classes.items():
                of_type[one] = of_type.get(one, 0) + n
    return sums
