"""The plan of a push: leased, so that one worker does it and another takes over should it die."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    func,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import Halt, Push, PushState
from pushsvc.storage import waves
from pushsvc.storage.by_key import PUSH_STATE
from pushsvc.storage.halted import MAY_PLAN
from pushsvc.storage.pushes import SELECTED, as_push
from pushsvc.storage.tables import campaigns, pushes

if TYPE_CHECKING:
    import asyncpg

    Driver = asyncpg.Connection[asyncpg.Record]

#: A push that is planned by zone has a plan for each leg, and each has so many numbers for its
#: leases: what is counted is how often one leg was begun, and no number comes twice.
LEASES_PER_LEG: Final = 256

_LEASE_PLAN: Final = f"""
    UPDATE pushes SET state = 'planning', leases = leases + 1,
        started_at = coalesce(started_at, now()),
        lease_until = now() + make_interval(secs => $2)
    WHERE id = (
        SELECT id FROM pushes
        WHERE id = $1 AND {PUSH_STATE} IN ('waiting', 'planning') AND due_at <= now()
            AND (lease_until IS NULL OR lease_until < now()) AND {MAY_PLAN}
        FOR UPDATE SKIP LOCKED
    )
    RETURNING {SELECTED}, leases
"""  # noqa: S608 - of constants


class LeaseLostError(Exception):
    """Another worker has taken the plan over, because this one was too slow."""


async def lease_plan(
    connection: "Driver", push_id: int, *, lease_seconds: float
) -> tuple[Push, int] | None:
    """Take the plan of a due push, unless another worker has it or it is through.

    The second value is the lease's number: the fence against a worker that comes back late.
    """
    # Who cannot read it, because a newer version has stored it, has no lease of it either.
    async with connection.transaction():
        row = await connection.fetchrow(_LEASE_PLAN, push_id, lease_seconds)
        if row is None:
            return None
        values = dict(row)
        lease: int = values.pop("leases")
        return as_push(values), lease


def times_begun(lease: int) -> int:
    """Return how often the leg that this lease is of was begun."""
    return lease % LEASES_PER_LEG


async def time_now(connection: AsyncConnection) -> datetime:
    """Return the database's time, by which things are late."""
    now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return now


def _planned_by(push_id: int, lease: int) -> ColumnElement[bool]:
    """Return the fence: the push is still being planned, and under this lease."""
    return and_(
        pushes.c.id == push_id,
        pushes.c.leases == lease,
        literal_column(PUSH_STATE) == PushState.PLANNING,
    )


_PIECE: Final = f"""
    UPDATE pushes SET planned_through = :through, batches_planned = batches_planned + :batches,
        devices_planned = devices_planned + :devices, {{rest}}
    WHERE id = :push_id AND leases = :lease AND {PUSH_STATE} = 'planning'
    RETURNING batches_planned
"""  # noqa: S608 - of constants
_RECORD: Final = text(_PIECE.format(rest="lease_until = now() + make_interval(secs => :seconds)"))
_RECORD_LAST: Final = text(_PIECE.format(rest="lease_until = NULL, state = 'sending'"))


async def record_piece(
    connection: AsyncConnection,
    push_id: int,
    *,
    lease: int,
    planned_through: int,
    batch_count: int,
    devices: int,
    lease_seconds: float,
    is_last: bool = False,
) -> int:
    """Note how far the plan is and renew its lease; in one transaction with the piece's batches.

    With the last piece the plan is finished; of a push in local time, `finish_plan` has to say so.
    Returns the number of the piece's first batch.

    Raises:
        LeaseLostError: another worker plans this push now; the transaction must not commit.
    """
    parameters = {
        "push_id": push_id,
        "lease": lease,
        "through": planned_through,
        "batches": batch_count,
        "devices": devices,
        "seconds": lease_seconds,
    }
    statement = _RECORD_LAST if is_last else _RECORD
    planned: int | None = (await connection.execute(statement, parameters)).scalar_one_or_none()
    if planned is None:
        raise LeaseLostError
    return planned - batch_count


async def finish_plan(connection: AsyncConnection, push_id: int, *, lease: int) -> None:
    """Note that every device of the audience is in a batch."""
    statement = (
        update(pushes)
        .where(_planned_by(push_id, lease))
        .values(state=PushState.SENDING, lease_until=None)
        .returning(pushes.c.local_time)
    )
    if (await connection.execute(statement)).scalar() is not None:
        await waves.forget_empty(connection, push_id, before=None)


async def next_leg(
    connection: AsyncConnection, push_id: int, *, lease: int, due_at: datetime
) -> None:
    """Note that every device of a leg is in a batch, and when the next leg is due."""
    statement = (
        update(pushes)
        .where(_planned_by(push_id, lease))
        .values(
            due_at=due_at,
            planned_through=0,
            leases=(lease // LEASES_PER_LEG + 1) * LEASES_PER_LEG,
            lease_until=None,
        )
    )
    if (await connection.execute(statement)).rowcount:
        await waves.forget_empty(connection, push_id, before=due_at)


async def hold_plan(
    connection: AsyncConnection, push: Push, *, lease: int, devices: int, reason: str
) -> None:
    """Give a plan back that has written nothing, and pause the run, and the campaign it is of.

    `devices` is the audience that somebody must say yes to.
    """
    statement = (
        update(pushes)
        .where(_planned_by(push.id, lease), pushes.c.batches_planned == 0)
        .values(
            state=PushState.WAITING,
            started_at=None,
            leases=lease - 1,
            lease_until=None,
            halt=Halt.PAUSE,
            halt_reason=reason,
            halted_at=func.now(),
            rules=pushes.c.rules.op("||")(literal({"unconfirmed": devices}, JSONB)),
        )
    )
    held = (await connection.execute(statement)).rowcount == 1
    if held and push.campaign_id is not None:
        pause = update(campaigns).where(
            campaigns.c.id == push.campaign_id, campaigns.c.state == "active"
        )
        await connection.execute(
            pause.values(state="paused", state_reason=reason, updated_at=func.now())
        )


async def postpone_plan(
    connection: AsyncConnection, push_id: int, *, lease: int, seconds: float
) -> None:
    """Give a plan back that has written nothing, to be begun so much later.

    Nobody died over it, so the lease does not count.
    """
    statement = (
        update(pushes)
        .where(_planned_by(push_id, lease), pushes.c.batches_planned == 0)
        .values(
            state=PushState.WAITING,
            started_at=None,
            leases=lease - 1,
            lease_until=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds),
        )
    )
    await connection.execute(statement)


async def renew_plan(
    connection: AsyncConnection, push_id: int, *, lease: int, lease_seconds: float
) -> bool:
    """Renew the plan's lease; False where another worker has taken it over, or it was called off.

    Who has finished it needs no lease, and may go on to wake deliverers.
    """
    statement = (
        update(pushes)
        .where(_planned_by(push_id, lease))
        .values(lease_until=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, lease_seconds))
    )
    if (await connection.execute(statement)).rowcount == 1:
        return True
    finished = select(pushes.c.id).where(
        pushes.c.id == push_id,
        pushes.c.leases == lease,
        pushes.c.state.in_([PushState.SENDING, PushState.DONE]),
        pushes.c.halt.is_(None),
    )
    return (await connection.execute(finished)).first() is not None


async def release_plan(connection: AsyncConnection, push_id: int, *, lease: int) -> None:
    """Free a plan that is not finished, unless another worker has taken it over."""
    statement = update(pushes).where(_planned_by(push_id, lease)).values(lease_until=None)
    await connection.execute(statement)


async def give_up_plan(
    connection: AsyncConnection, push_id: int, *, lease: int, error: str
) -> None:
    """End a plan that cannot be finished: what is in batches goes out, and the error is kept."""
    nothing = pushes.c.batches_planned == 0
    statement = (
        update(pushes)
        .where(_planned_by(push_id, lease))
        .values(
            state=case((nothing, PushState.FAILED.value), else_=PushState.SENDING.value),
            finished_at=case((nothing, func.now())),
            error=error,
            lease_until=None,
        )
    )
    await connection.execute(statement)
