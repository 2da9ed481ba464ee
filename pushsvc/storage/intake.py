"""Pushes that arrive together: stored by one statement, and so with one commit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import Lane, NewBatch, Push, PushState, Schedule, Submission
from pushsvc.storage.batches import recipients_text
from pushsvc.storage.engine import driver, encode_json
from pushsvc.storage.grouping import CLOSE_SECONDS, PLACES, Bounds, Grouping, halved
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.pushes import Stored, find_replay

if TYPE_CHECKING:
    Driver = asyncpg.Connection[asyncpg.Record]

#: Pushes in one transaction.
GROUP_PUSHES: Final = 100
#: Of the JSON of one; what is larger is stored by itself, so that a group is 1.6 MB at most.
SMALL_BYTES: Final = 16_384
#: One is committed while the next gathers.
FLIGHTS: Final = 2
#: At two thousand a second six or more go together; one alone waits for none.
APART_SECONDS: Final = 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A push to be stored."""

    app_id: int
    submission: Submission
    schedule: Schedule
    lane: Lane
    push_hash: str
    #: all of its devices, where they came with it and it is due: it is stored ready to be sent
    batch: NewBatch | None

    @property
    def names(self) -> frozenset[tuple[int, str]]:
        """What a repeat of it has, too."""
        key = self.submission.idempotency_key
        return _NO_NAMES if key is None else frozenset({(self.app_id, key)})


_NO_NAMES: Final[frozenset[tuple[int, str]]] = frozenset()
#: A push, and what of it goes to the database, but for its object id.
_Written = tuple[Incoming, tuple[Any, ...]]


class Intake:
    """Stores pushes for many callers at once, each committed before its caller is told so.

    Nobody waits for company: a push that nothing came before for APART_SECONDS is stored at once.
    """

    def __init__(
        self, engine: AsyncEngine, *, places: int = PLACES, close_seconds: float = CLOSE_SECONDS
    ) -> None:
        self._groups: Grouping[_Written, Stored] = Grouping(
            partial(_store, engine),
            names_of=lambda written: written[0].names,
            bounds=Bounds(
                most=GROUP_PUSHES,
                flights=FLIGHTS,
                apart_seconds=APART_SECONDS,
                places=places,
                close_seconds=close_seconds,
            ),
            name="store pushes",
        )

    async def store(self, incoming: Incoming) -> Stored | None:
        """Store a push, unless its idempotency key has stored one before; return once committed.

        None where it is too large to be stored with others.

        Raises:
            UnavailableError: we are closing.
        """
        values = _values(incoming)
        if sum(len(text) for text in values[_TEXTS] if text is not None) > SMALL_BYTES:
            return None
        return await self._groups.ask((incoming, values))

    async def close(self) -> None:
        """Finish what is under way, within bounds; refuse the rest."""
        await self._groups.close()


# ---------------------------------------------------------------- what is written

#: What a push and its batch are written of -> the type of the parameter that carries it. The JSON
#: comes first: it is weighed.
_CARRIED: Final = {
    **dict.fromkeys(("recipients", "audience", "content"), "jsonb[]"),
    **dict.fromkeys(("payload", "query"), "text[]"),
    "app_id": "bigint[]",
    "source": "text[]",
    **dict.fromkeys(("due_at", "expires_at"), "timestamptz[]"),
    "push_time": "text[]",
    "expiration_interval": "bigint[]",
    **dict.fromkeys(("lane", "on_unknown", "late", "idempotency_key"), "text[]"),
    "request_hash": "bytea[]",
    "push_hash": "text[]",
    "devices_planned": "bigint[]",
    "outcomes": "bytea[]",
    "object_id": "text[]",
}
_TEXTS: Final = slice(0, 5)


def _values(incoming: Incoming) -> tuple[Any, ...]:
    """Return what is carried of a push, but for its object id."""
    asked, schedule, batch = incoming.submission, incoming.schedule, incoming.batch
    audience, content = asked.audience, asked.content
    return (
        None if batch is None else recipients_text(batch.recipients),
        encode_json(audience),
        encode_json(content),
        encode_json(content["data"]),
        encode_json(audience["where"]) if "where" in audience else None,
        incoming.app_id,
        asked.source.value,
        # What is due at once is due by the database's clock, which the planners go by.
        None if asked.push_time is None else schedule.due_at,
        schedule.expires_at,
        schedule.push_time,
        schedule.expiration_interval,
        incoming.lane.value,
        asked.on_unknown.value,
        asked.late.value,
        asked.idempotency_key,
        asked.request_hash,
        incoming.push_hash,
        0 if batch is None else batch.size,
        None if batch is None else batch.outcomes,
    )


#: Written as they are.
_COPIED: Final = ", ".join(
    name for name in _CARRIED if name not in {"recipients", "outcomes", "due_at"}
)
_GIVEN: Final = ", ".join(f"${n}::{kind}" for n, kind in enumerate(_CARRIED.values(), start=1))
_READY: Final = "recipients IS NOT NULL"
# One statement, and so one round trip and one commit.
_INSERT: Final = f"""
    WITH given AS MATERIALIZED (
        SELECT * FROM unnest({_GIVEN}) AS given({", ".join(_CARRIED)})
    ), stored AS (
        INSERT INTO pushes ({_COPIED}, due_at, batches_planned, state, started_at)
        SELECT {_COPIED}, coalesce(due_at, now()), ({_READY})::integer,
            CASE WHEN {_READY} THEN '{PushState.SENDING}' ELSE '{PushState.WAITING}' END,
            CASE WHEN {_READY} THEN now() END
        FROM given
        ON CONFLICT (app_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
        RETURNING id, object_id
    ), parts AS (
        INSERT INTO batches (push_id, seq, lane, recipients, outcomes)
        SELECT stored.id, 0, lane, recipients, outcomes
        FROM stored JOIN given USING (object_id) WHERE {_READY}
    )
    SELECT object_id, id, now() AS now FROM stored
"""  # noqa: S608 - of our own column names


# ---------------------------------------------------------------- a group


async def _store(engine: AsyncEngine, group: Sequence[_Written]) -> list[Stored | Exception]:
    """Store these, and commit; return what came of each."""
    outcomes = await _inserted(engine, group)
    unplaced = [n for n, one in enumerate(outcomes) if isinstance(one, asyncpg.CheckViolationError)]
    if unplaced:
        # Their batches have no partition, since nobody made one ahead. Whoever plans them does.
        waiting = [_without_batch(group[place]) for place in unplaced]
        for place, one in zip(unplaced, await _inserted(engine, waiting), strict=True):
            outcomes[place] = one
    return [
        await _before(engine, written) if outcome is None else outcome
        for written, outcome in zip(group, outcomes, strict=True)
    ]


async def _inserted(
    engine: AsyncEngine, group: Sequence[_Written]
) -> list[Stored | Exception | None]:
    """Store these and commit; None for those whose key has stored one before.

    In the order of their names, so that of two processes with the same ones each waits for the
    other in no circle. Where there is no connection, each has that for its outcome.
    """
    order = sorted(range(len(group)), key=lambda n: sorted(group[n][0].names))
    try:
        async with driver(engine) as connection:
            found = await halved(
                [group[place] for place in order],
                partial(_insert, connection),
                is_lost=connection.is_closed,
            )
    except Exception as error:  # noqa: BLE001 - told to those it concerns: others may be stored
        found = [error] * len(group)
    outcomes = dict(zip(order, found, strict=True))
    return [outcomes[place] for place in range(len(group))]


async def _insert(connection: "Driver", part: Sequence[_Written]) -> list[Stored | None]:
    ids = [new_object_id() for _ in part]
    columns = zip(*(values for _, values in part), strict=True)
    rows = await connection.fetch(_INSERT, *columns, ids)
    stored = {row["object_id"]: row for row in rows}
    return [
        Stored(push=_push(one, stored[object_id]), replayed=False, mismatched=False)
        if object_id in stored
        else None
        for (one, _), object_id in zip(part, ids, strict=True)
    ]


def _without_batch(written: _Written) -> _Written:
    waiting = replace(written[0], batch=None)
    return waiting, _values(waiting)


async def _before(engine: AsyncEngine, written: _Written) -> Stored | Exception:
    """Return what the push's key has stored before; or store it, where that was deleted since."""
    incoming, _ = written
    try:
        async with engine.connect() as connection:
            stored = await find_replay(connection, incoming.submission, app_id=incoming.app_id)
        if stored is not None:
            return stored
        [outcome] = await _inserted(engine, [written])
    except Exception as error:  # noqa: BLE001 - told to who asked
        return error
    return await _before(engine, written) if outcome is None else outcome


def _push(incoming: Incoming, row: asyncpg.Record) -> Push:
    """Return the push as it was stored."""
    object_id, number, now = row
    asked, schedule, batch = incoming.submission, incoming.schedule, incoming.batch
    return Push(
        id=number,
        object_id=object_id,
        app_id=incoming.app_id,
        source=asked.source,
        audience=asked.audience,
        content=asked.content,
        due_at=now if asked.push_time is None else schedule.due_at,
        expires_at=schedule.expires_at,
        push_time=schedule.push_time,
        expiration_interval=schedule.expiration_interval,
        lane=incoming.lane,
        on_unknown=asked.on_unknown,
        late=asked.late,
        state=PushState.WAITING if batch is None else PushState.SENDING,
        push_hash=incoming.push_hash,
        created_at=now,
        started_at=None if batch is None else now,
        finished_at=None,
        error=None,
        devices=0 if batch is None else batch.size,
        planned_through=0,
        batches=0 if batch is None else 1,
    )
