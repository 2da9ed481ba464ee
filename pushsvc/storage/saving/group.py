"""A group of saves: one transaction for all of them, and what came of each."""

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pushsvc.errors import CallerError
from pushsvc.storage.field_types import relations_in
from pushsvc.storage.fields import CLASS_NAME
from pushsvc.storage.grouping import halved
from pushsvc.storage.installations import Installation, Saved, SaveRequest, forget_relations
from pushsvc.storage.object_fields import relating
from pushsvc.storage.relations import change_relations
from pushsvc.storage.saving import statements
from pushsvc.storage.saving.plan import (
    INSTALLATION_ID,
    OBJECT_ID,
    TOKEN,
    Name,
    Plan,
    Stamp,
    Wanted,
    plan,
    wanted,
)

#: Two saves that meet in spite of the locks (a deadlock with a third, say): the loser tries again.
SAVE_ATTEMPTS: Final = 5
#: Unique violation, deadlock, serialization failure (PostgreSQL manual, appendix A).
_MET: Final = frozenset({"23505", "40P01", "40001"})
#: None: what others of the group do concerns it, and it must be decided after them.
Outcome = Saved | Exception | None


async def save_installation(engine: AsyncEngine, app_id: int, request: SaveRequest) -> Saved:
    """Create or update an installation by Parse's rules, in a transaction of its own.

    Saves of one installation id, or of one token, take turns.

    Raises:
        NotFoundError: the installation is not there, or its ACL hides it.
        InvalidInstallationError: the request contradicts itself or what is stored.
    """
    asked = wanted(app_id, request)
    async with engine.connect() as connection:
        outcome = await _save_one(connection, asked)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def save_group(connection: AsyncConnection, group: Sequence[Wanted]) -> list[Outcome]:
    """Save these, which share no name, and commit; return what came of each.

    It is as if each had been saved alone, in some order. An error is told only to the save that it
    strikes: the group is halved until that one is alone. A lost connection strikes them all.
    """

    async def once(part: Sequence[Wanted]) -> Sequence[Outcome]:
        if len(part) == 1:
            return [await _save_one(connection, part[0])]
        return await _save_once(connection, part)

    driver = await _driver(connection)
    return await halved(group, once, is_lost=lambda: connection.invalidated or driver.is_closed())


async def _save_one(connection: AsyncConnection, asked: Wanted) -> Saved | Exception:
    for attempt in range(1, SAVE_ATTEMPTS + 1):
        try:
            [outcome] = await _save_once(connection, [asked])
        except Exception as error:  # noqa: BLE001 - told to who asked
            if _sqlstate(error) not in _MET or attempt == SAVE_ATTEMPTS:
                return error
        else:
            assert outcome is not None
            return outcome
    raise AssertionError


async def _save_once(connection: AsyncConnection, group: Sequence[Wanted]) -> list[Outcome]:
    async with connection.begin():
        names = frozenset().union(*(asked.names for asked in group))
        await statements.lock(connection, names)
        driver = await _driver(connection)
        known = _Known(await statements.look_up(driver, names))
        outcomes = [known.plan(asked) for asked in group]
        plans = [one for one in outcomes if isinstance(one, Plan)]
        stamps = await _write(driver, plans)
        for one in plans:
            await _relate(connection, one)
    return [one.saved(stamps[one.name]) if isinstance(one, Plan) else one for one in outcomes]


async def _write(driver: statements.Driver, plans: Sequence[Plan]) -> dict[Name, Stamp]:
    """Write what was planned; return object id -> stamp."""
    await statements.delete(driver, [one for plan in plans for one in plan.obsolete])
    stamps = await statements.update(driver, [plan for plan in plans if plan.target])
    stamps |= await statements.insert(driver, [plan for plan in plans if not plan.target])
    await statements.mark_shared(driver, plans)
    return stamps


async def _relate(connection: AsyncConnection, one: Plan) -> None:
    """Change what the installation is related to; forget what the deleted ones were."""
    request, app_id = one.wanted.request, one.wanted.app_id
    if one.obsolete and (fields := relations_in(request.types)):
        gone = [old.object_id for old in one.obsolete]
        await forget_relations(connection, app_id, gone, fields=fields)
    if changes := relating(request.fields):
        await change_relations(
            connection,
            app_id=app_id,
            class_name=CLASS_NAME,
            owner_id=one.object_id,
            changes=changes,
        )


class _Known:
    """The installations that a group may be about, and which of them are spoken for."""

    def __init__(self, found: Sequence[Installation]) -> None:
        self._of_name: dict[Name, list[Installation]] = {}
        self._taken: set[int] = set()
        for one in found:
            for name in _names(one):
                self._of_name.setdefault(name, []).append(one)

    def plan(self, asked: Wanted) -> Plan | CallerError | None:
        """Plan a save; None if one before it may change what this one is about."""
        found = {one.id: one for name in asked.names for one in self._of_name.get(name, ())}
        if not self._taken.isdisjoint(found):
            return None
        try:
            planned = plan(asked, [found[key] for key in sorted(found)])
        except CallerError as error:
            return error
        self._taken |= found.keys()
        return planned


def _names(one: Installation) -> Iterator[Name]:
    named = (
        (OBJECT_ID, one.object_id),
        (INSTALLATION_ID, one.fields.get("installationId")),
        (TOKEN, one.fields.get("deviceToken")),
    )
    return ((one.app_id, kind, name) for kind, name in named if name)


def _sqlstate(error: Exception) -> str | None:
    """Return what Postgres calls an error, whichever library raised it."""
    state: str | None = getattr(getattr(error, "orig", error), "sqlstate", None)
    return state


async def _driver(connection: AsyncConnection) -> statements.Driver:
    raw = await connection.get_raw_connection()
    driver: statements.Driver | None = raw.driver_connection
    assert driver is not None
    return driver
