"""Groups saves: those that arrive while a transaction is under way share the next one."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.storage.grouping import CLOSE_SECONDS, PLACES, Bounds, Grouping
from pushsvc.storage.installations import Saved, SaveRequest
from pushsvc.storage.saving.group import Outcome, save_group
from pushsvc.storage.saving.plan import Wanted, wanted

#: Saves in one transaction: each holds two advisory locks, of which Postgres has some thousands.
GROUP_SAVES: Final = 100
#: A transaction may be held up by the import of an app, say.
FLIGHTS: Final = 4


class Saver:
    """Saves installations for many callers at once.

    Nobody waits for company: a save that finds nothing under way is begun at once. Two saves that
    share an id or a token are never under way together, and keep their order.
    """

    def __init__(
        self, engine: AsyncEngine, *, places: int = PLACES, close_seconds: float = CLOSE_SECONDS
    ) -> None:
        self._engine = engine
        self._groups: Grouping[Wanted, Saved] = Grouping(
            self._save,
            names_of=lambda asked: asked.names,
            bounds=Bounds(
                most=GROUP_SAVES, flights=FLIGHTS, places=places, close_seconds=close_seconds
            ),
            name="save installations",
        )

    async def save(self, app_id: int, request: SaveRequest) -> Saved:
        """Create or update an installation by Parse's rules; return once it is committed.

        Raises:
            NotFoundError: the installation is not there, or its ACL hides it.
            InvalidInstallationError: the request contradicts itself or what is stored.
            UnavailableError: we are closing.
        """
        return await self._groups.ask(wanted(app_id, request))

    async def close(self) -> None:
        """Finish what is under way, within bounds; refuse the rest."""
        await self._groups.close()

    async def _save(self, group: Sequence[Wanted]) -> Sequence[Outcome]:
        async with self._engine.connect() as connection:
            return await save_group(connection, group)
