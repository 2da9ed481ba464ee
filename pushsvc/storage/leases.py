"""A lease renewed for as long as its work goes on, and the work stopped when the lease is lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from pushsvc.storage.engine import DATABASE_ERRORS

log = structlog.get_logger(__name__)

#: Renewals in one lease: the third may still come late.
RENEWALS_PER_LEASE = 3
#: Work that ends its process is taken up so often; more, and it is the work that ends processes.
LEASE_LIMIT = 5


@asynccontextmanager
async def held(
    renew: Callable[[], Awaitable[bool]], *, lease_seconds: float, name: str
) -> AsyncIterator[Callable[[], bool]]:
    """Renew a lease while the block runs; cut the block off when it is lost.

    Lends what tells at once whether the lease was not renewed for as long as it lasts: a process
    that was halted, and goes on, asks it before anybody could tell that the lease is lost.

    It is lost when `renew` says so, or could not be asked for as long as the lease lasts: then
    another worker has the work, or may have it at any moment. The block ends where it stands, and
    what follows it goes on.
    """
    owner = asyncio.current_task()
    assert owner is not None
    lost, renewed_at = False, time.monotonic()

    def overdue() -> bool:
        return time.monotonic() - renewed_at >= lease_seconds

    async def watch() -> None:
        nonlocal lost, renewed_at
        while not lost:
            await asyncio.sleep(lease_seconds / RENEWALS_PER_LEASE)
            asked_at = time.monotonic()
            try:
                lost = not await renew()
                renewed_at = asked_at
            except DATABASE_ERRORS as error:
                log.warning("lease.not_renewed", lease=name, error=str(error))
                lost = overdue()
        log.warning("lease.lost", lease=name)
        owner.cancel()

    watcher = asyncio.create_task(watch(), name=f"lease of {name}")
    try:
        try:
            yield overdue
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
    except asyncio.CancelledError:
        # Ours alone ends the block alone; somebody else's goes on.
        if not lost or owner.uncancel():
            raise
