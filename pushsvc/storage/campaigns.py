"""Campaigns: stored, found, locked when their time has come; and the runs on record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    RowMapping,
    Select,
    delete,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.errors import TooManyCampaignsError
from pushsvc.model import (
    Campaign,
    CampaignState,
    Json,
    Push,
    Run,
    RunState,
    SkipReason,
)
from pushsvc.storage.pushes import COLUMNS as PUSH_COLUMNS, as_push
from pushsvc.storage.tables import apps, campaign_runs, campaigns, pushes

#: Of one app: each costs the clock a look when its time comes.
CAMPAIGNS_LIMIT: Final = 10_000
#: Of one campaign, the latest: more than a day of one that runs each second.
RUNS_KEPT: Final = 100_000

_COLUMNS: Final = (
    campaigns.c.id,
    campaigns.c.object_id,
    campaigns.c.app_id,
    campaigns.c.name,
    campaigns.c.definition,
    campaigns.c.state,
    campaigns.c.state_reason,
    campaigns.c.next_push_time,
    campaigns.c.next_run_at,
    campaigns.c.runs,
    campaigns.c.confirmed_recipients,
    campaigns.c.created_at,
    campaigns.c.updated_at,
)
_RUN_COLUMNS: Final = (
    campaign_runs.c.campaign_id,
    campaign_runs.c.number,
    campaign_runs.c.push_time,
    campaign_runs.c.state,
    campaign_runs.c.reason,
    campaign_runs.c.push_id,
    campaign_runs.c.created_at,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The time of the next run, and when the clock is to look at it."""

    push_time: str | None
    look_at: datetime | None


#: There is none.
NOTHING: Final = Next(push_time=None, look_at=None)


# ---------------------------------------------------------------- stored and found


async def insert_campaign(
    connection: AsyncConnection,
    *,
    app_id: int,
    object_id: str,
    definition: Json,
    following: Next,
    confirmed: int | None,
    created_at: datetime,
) -> Campaign | None:
    """Store a campaign that waits for its next time; None where its name is taken.

    Raises:
        TooManyCampaignsError: it would be one more than an app may have.
    """
    await _check_room(connection, app_id)
    statement = (
        upsert(campaigns)
        .values(
            object_id=object_id,
            app_id=app_id,
            name=definition["name"],
            definition=definition,
            state=CampaignState.ACTIVE,
            confirmed_recipients=confirmed,
            # what intervals without a start count from
            created_at=created_at,
            **_next(following),
        )
        .on_conflict_do_nothing(index_elements=["app_id", "name"])
        .returning(*_COLUMNS)
    )
    row = (await connection.execute(statement)).mappings().first()
    return _campaign(row) if row else None


async def change_campaign(
    connection: AsyncConnection, campaign_id: int, **changes: Any
) -> Campaign:
    """Change columns of a campaign, which is locked."""
    statement = (
        update(campaigns)
        .where(campaigns.c.id == campaign_id)
        .values(**changes, updated_at=func.now())
        .returning(*_COLUMNS)
    )
    return _campaign((await connection.execute(statement)).mappings().one())


async def move(
    connection: AsyncConnection, campaign_id: int, following: Next, **changes: Any
) -> Campaign:
    """Give a campaign, which is locked, its next time."""
    return await change_campaign(connection, campaign_id, **_next(following), **changes)


async def find_campaign(
    connection: AsyncConnection, *, app_id: int, key: str, lock: bool = False
) -> Campaign | None:
    """Return the app's campaign with this id or, where none has it, this name."""
    if "\0" in key:
        return None  # to Postgres that is no text
    with_id = await _one(connection, app_id, campaigns.c.object_id == key, lock=lock)
    return with_id or await _one(connection, app_id, campaigns.c.name == key, lock=lock)


async def named_campaign(connection: AsyncConnection, *, app_id: int, name: str) -> Campaign | None:
    """Return the app's campaign of this name."""
    return await _one(connection, app_id, campaigns.c.name == name)


async def _one(
    connection: AsyncConnection, app_id: int, wanted: ColumnElement[bool], *, lock: bool = False
) -> Campaign | None:
    statement = select(*_COLUMNS).where(campaigns.c.app_id == app_id, wanted)
    if lock:
        statement = statement.with_for_update()
    row = (await connection.execute(statement)).mappings().first()
    return _campaign(row) if row else None


async def delete_campaign(connection: AsyncConnection, campaign_id: int) -> None:
    """Delete a campaign, which is locked, and the record of its runs."""
    await connection.execute(delete(campaigns).where(campaigns.c.id == campaign_id))


async def list_campaigns(
    connection: AsyncConnection,
    *,
    app_id: int,
    state: CampaignState | None,
    before: int | None,
    limit: int,
) -> list[Campaign]:
    """Return the app's campaigns, newest first, below the id `before`."""
    statement = select(*_COLUMNS).where(campaigns.c.app_id == app_id)
    if state is not None:
        statement = statement.where(campaigns.c.state == state)
    if before is not None:
        statement = statement.where(campaigns.c.id < before)
    statement = statement.order_by(campaigns.c.id.desc()).limit(limit)
    return [_campaign(row) for row in (await connection.execute(statement)).mappings()]


async def object_ids_of(
    connection: AsyncConnection, ids: Sequence[int | None]
) -> Mapping[int, str]:
    """Return the public ids of campaigns by their keys."""
    wanted = {one for one in ids if one is not None}
    if not wanted:
        return {}
    statement = select(campaigns.c.id, campaigns.c.object_id).where(campaigns.c.id.in_(wanted))
    return {row.id: row.object_id for row in await connection.execute(statement)}


async def _check_room(connection: AsyncConnection, app_id: int) -> None:
    # New ones take turns, so that two of them cannot both be the last one that is allowed.
    turn = select(apps.c.id).where(apps.c.id == app_id).with_for_update(key_share=True)
    await connection.execute(turn)
    counted = select(func.count()).select_from(campaigns).where(campaigns.c.app_id == app_id)
    if (await connection.execute(counted)).scalar_one() >= CAMPAIGNS_LIMIT:
        message = (
            f"The app has {CAMPAIGNS_LIMIT:,} campaigns, which is the most it can have. Delete "
            "one that is over: DELETE /v1/campaigns/{id}."
        )
        raise TooManyCampaignsError(message)


# ---------------------------------------------------------------- what the clock asks


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCampaign:
    """A campaign whose time has come, and the database's time."""

    campaign: Campaign
    now: datetime


async def due_campaigns(connection: AsyncConnection, *, limit: int) -> list[DueCampaign]:
    """Return active campaigns that are to be looked at, apps in turns, the oldest first."""
    turn = func.row_number().over(partition_by=campaigns.c.app_id, order_by=campaigns.c.next_run_at)
    due = (
        select(campaigns.c.id, turn.label("turn"))
        .where(
            campaigns.c.state == CampaignState.ACTIVE.value, campaigns.c.next_run_at <= func.now()
        )
        .subquery()
    )
    statement = (
        select(*_COLUMNS, func.now().label("now"))
        .join(due, due.c.id == campaigns.c.id)
        .order_by(due.c.turn, campaigns.c.next_run_at)
        .limit(limit)
    )
    found = []
    for row in (await connection.execute(statement)).mappings():
        values = dict(row)
        found.append(DueCampaign(now=values.pop("now"), campaign=_campaign(values)))
    return found


async def lock_due(connection: AsyncConnection, seen: Campaign) -> bool:
    """Lock a campaign that is due; False where another has it, or it has changed since it was seen.

    Of all who have seen it due one gets it, and moves its time on in the same transaction.
    """
    statement = (
        select(campaigns.c.id)
        .where(
            campaigns.c.id == seen.id,
            campaigns.c.state == CampaignState.ACTIVE.value,
            campaigns.c.next_run_at == seen.next_run_at,
            campaigns.c.updated_at == seen.updated_at,
        )
        .with_for_update(skip_locked=True)
    )
    return (await connection.execute(statement)).first() is not None


# ---------------------------------------------------------------- runs


async def add_run(
    connection: AsyncConnection,
    campaign_id: int,
    *,
    push_time: str,
    reason: SkipReason | None = None,
    push_id: int | None = None,
) -> int | None:
    """Write down what came of a time, under the next number; None where it is on record.

    The campaign is locked.
    """
    number = select(campaigns.c.runs + 1).where(campaigns.c.id == campaign_id).scalar_subquery()
    addition = (
        upsert(campaign_runs)
        .values(
            campaign_id=campaign_id,
            number=number,
            push_time=push_time,
            state=RunState.SKIPPED if push_id is None else RunState.STARTED,
            reason=reason,
            push_id=push_id,
        )
        .on_conflict_do_nothing(index_elements=["campaign_id", "push_time"])
        .returning(campaign_runs.c.number)
    )
    added: int | None = (await connection.execute(addition)).scalar_one_or_none()
    if added is not None:
        count = update(campaigns).where(campaigns.c.id == campaign_id).values(runs=added)
        await connection.execute(count)
        if added > RUNS_KEPT:
            old = campaign_runs.c.number <= added - RUNS_KEPT
            mine = campaign_runs.c.campaign_id == campaign_id
            await connection.execute(delete(campaign_runs).where(mine, old))
    return added


async def is_on_record(connection: AsyncConnection, campaign_id: int, *, push_time: str) -> bool:
    """Tell whether a time of a campaign has come already."""
    found = select(campaign_runs.c.number).where(
        campaign_runs.c.campaign_id == campaign_id, campaign_runs.c.push_time == push_time
    )
    return (await connection.execute(found)).first() is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run with its push, if there is one."""

    run: Run
    push: Push | None


def _runs() -> Select[Any]:
    pushed = [column.label(f"push_{column.name}") for column in PUSH_COLUMNS]
    return select(*(c.label(f"run_{c.name}") for c in _RUN_COLUMNS), *pushed).select_from(
        campaign_runs.outerjoin(pushes, pushes.c.id == campaign_runs.c.push_id)
    )


async def runs_of(
    connection: AsyncConnection, campaign_id: int, *, before: int | None, limit: int
) -> list[RunRow]:
    """Return the runs of a campaign, newest first, below the number `before`."""
    statement = _runs().where(campaign_runs.c.campaign_id == campaign_id)
    if before is not None:
        # A cursor of another list may be larger than any number.
        statement = statement.where(campaign_runs.c.number < literal(before, BigInteger))
    statement = statement.order_by(campaign_runs.c.number.desc()).limit(limit)
    return [_run_row(row) for row in (await connection.execute(statement)).mappings()]


async def last_runs(connection: AsyncConnection, some: Sequence[Campaign]) -> Mapping[int, RunRow]:
    """Return the last run of each campaign that has one, by its id."""
    numbers = [(one.id, one.runs) for one in some if one.runs]
    if not numbers:
        return {}
    place = tuple_(campaign_runs.c.campaign_id, campaign_runs.c.number)
    statement = _runs().where(place.in_(numbers))
    found = [_run_row(row) for row in (await connection.execute(statement)).mappings()]
    return {one.run.campaign_id: one for one in found}


async def run_of_push(connection: AsyncConnection, push_id: int) -> RunRow | None:
    """Return the run that a push is of."""
    statement = _runs().where(campaign_runs.c.push_id == push_id)
    row = (await connection.execute(statement)).mappings().first()
    return _run_row(row) if row else None


def _next(following: Next) -> dict[str, Any]:
    return {"next_push_time": following.push_time, "next_run_at": following.look_at}


def _campaign(row: RowMapping | dict[str, Any]) -> Campaign:
    return Campaign(**{**row, "state": CampaignState(row["state"])})


def _run_row(row: RowMapping) -> RunRow:
    run = {key.removeprefix("run_"): row[key] for key in row if key.startswith("run_")}
    push = {key.removeprefix("push_"): row[key] for key in row if key.startswith("push_")}
    reason = run["reason"]
    return RunRow(
        run=Run(
            **{
                **run,
                "state": RunState(run["state"]),
                "reason": None if reason is None else SkipReason(reason),
            }
        ),
        push=None if push["id"] is None else as_push(push),
    )
