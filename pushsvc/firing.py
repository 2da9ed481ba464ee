"""A volley of small pushes, or of small deliveries: sent and written down together.

A push by itself costs a worker some twenty round trips and more than ten milliseconds, most of
them the same whatever its devices. Here they are paid once for all pushes of a volley. What comes
before is in `pushsvc/loading.py`.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from pushsvc import ending
from pushsvc.delivery import dispatch
from pushsvc.delivery.pacing import Asking
from pushsvc.model import Batch, Device, Ledger, Push
from pushsvc.resources import Resources
from pushsvc.storage import firing as storage
from pushsvc.storage.engine import PASSING_ERRORS
from pushsvc.storage.firing import Written
from pushsvc.storage.leases import held

log = structlog.get_logger(__name__)

#: A volley takes milliseconds. What its worker dies over comes back after so long, or sooner where
#: that is what a lease lasts; else it is renewed.
LEASE_SECONDS: Final = 10.0
#: What a gateway has not taken within this goes on in batches of its own: there it is asked again
#: whether the push has expired or was halted. Not longer than half of a lease: who was held up
#: himself hands over nothing that another may have.
HANDING_SECONDS: Final = 2.0
#: The ledger is written within this, mostly. Where it is not, the journal hears of the answers: who
#: dies later leaves none of them in doubt.
LEDGER_SECONDS: Final = 0.01
#: Where a gateway is slow, what the others have answered is written down so often.
WRITING_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A batch of the volley."""

    push: Push
    batch: Batch
    devices: Sequence[Device]
    sheet: dispatch.Sheet

    @property
    def is_settled(self) -> bool:
        """Whether something came of each device."""
        return 0 not in self.sheet.outcomes


def lease_seconds(resources: Resources) -> float:
    """Return how long a volley's leases last."""
    return min(LEASE_SECONDS, resources.settings.lease_seconds)


# ---------------------------------------------------------------- sent


class Volley:
    """Batches of many pushes that are sent together; each is written down once it is settled."""

    def __init__(
        self,
        resources: Resources,
        parts: Sequence[Part],
        routed: dispatch.Routed,
        *,
        began: float,
    ) -> None:
        """Take what has begun, at this moment of the monotonic clock or after it."""
        self._lease_seconds = lease_seconds(resources)
        left = [part.batch.seconds_left for part in parts]
        self._hand_until = began + min(
            HANDING_SECONDS,
            self._lease_seconds / 2,
            # Whoever is held up before has used up the seconds by which none expires.
            *(seconds for seconds in left if seconds is not None and seconds > 0),
        )
        self._resources = resources
        self._routed = routed
        self._sheet = dispatch.JointSheet([part.sheet for part in parts])
        self._open = list(parts)
        #: all that was ever begun, each with an end that `send` waits for
        self._writes: list[asyncio.Task[None]] = []
        self._now = ending.time_of(parts[0].batch, resources.clock)
        #: pushes that are closed, and those that somebody has to close
        self._closed: set[int] = set()
        self._unclosed: set[int] = set()

    async def send(self) -> Sequence[int]:
        """Send everything and write it down; return the pushes that are still to be closed."""
        for part in self._open:
            await ending.take_up(self._resources, part.push, part.batch, sheet=part.sheet)
        try:
            async with held(
                self._renew, lease_seconds=self._lease_seconds, name="volley"
            ) as overdue:
                await self._hand_over(overdue)
        finally:
            for part in self._open:
                part.sheet.settle_rest(dispatch.NOT_SENT)
            self._write(self._open)
            # Also when the worker is told to stop: what is out must be in the ledger.
            await asyncio.shield(self._written_down())
        log.info("volley.sent", pushes=len(self._closed | self._unclosed))
        return sorted(self._unclosed - self._closed)

    async def _renew(self) -> bool:
        some = [part.batch for part in self._open]
        if not some:
            return True  # they are being written down, and ours until another has claimed them
        return await storage.renew(
            self._resources.by_index, some, lease_seconds=self._lease_seconds
        )

    async def _hand_over(self, overdue: Callable[[], bool]) -> None:
        """Hand everything over; whoever is slow holds up no other's ledger."""
        clock, stopping = self._resources.clock, self._resources.stopping
        when = dispatch.When(
            in_time=lambda: True,
            stopped=lambda: stopping.is_set() or overdue() or clock.monotonic() >= self._hand_until,
        )
        sending = asyncio.create_task(
            dispatch.hand_over(
                self._routed,
                self._sheet,
                settle=self._sheet.settle,
                when=when,
                asking=Asking.URGENT,
            ),
            name="send a volley",
        )
        try:
            while not sending.done():
                await asyncio.wait({sending}, timeout=WRITING_SECONDS)
                settled = [part for part in self._open if part.is_settled]
                if not sending.done() and settled:
                    self._write(settled)
                    await asyncio.wait(self._writes)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _written_down(self) -> None:
        """Wait for the ledger; where that takes long, the journal hears of the answers sooner."""
        writes = asyncio.gather(*self._writes)
        hurry = asyncio.get_running_loop().call_later(LEDGER_SECONDS, self._resources.journal.hurry)
        try:
            await writes
        finally:
            hurry.cancel()

    def _write(self, parts: Sequence[Part]) -> None:
        """Have batches closed, each of which is settled, whatever becomes of the volley."""
        leaving = set(parts)
        self._open = [part for part in self._open if part not in leaving]
        task = asyncio.create_task(self._write_down(parts), name="write a volley down")
        self._writes.append(task)

    async def _write_down(self, parts: Sequence[Part]) -> None:
        ends = list(self._ends(parts))
        written = Written()
        try:
            if ends:
                written = await self._written(ends)
        finally:
            for part in parts:
                name = (part.batch.push_id, part.batch.seq)
                self._resources.journal.leave(part.batch, closed=name in written.batches)
        self._closed |= written.pushes
        self._unclosed |= {push_id for push_id, _ in written.batches} - written.pushes
        if len(written.batches) < len(parts):
            log.warning("batches.taken_over", batches=len(parts) - len(written.batches))

    def _ends(self, parts: Iterable[Part]) -> Iterable[tuple[Batch, Ledger]]:
        now: datetime = self._now()
        for part in parts:
            try:
                ledger = ending.ledger_of(
                    self._resources,
                    part.push,
                    part.batch,
                    devices=part.devices,
                    sheet=part.sheet,
                    now=now,
                )
            except Exception:
                # A fault of ours over one push is no reason to lose the others' ledgers.
                log.exception("ledger.failed", push=part.push.object_id, seq=part.batch.seq)
            else:
                yield part.batch, ledger

    async def _written(self, ends: Sequence[tuple[Batch, Ledger]]) -> Written:
        """Write all down at once; where that cannot be, each by itself."""
        finish = partial(storage.finish, self._resources.by_index, ends)
        try:
            return await ending.write_down(self._resources, finish, name="volley") or Written()
        except PASSING_ERRORS:
            raise
        except Exception:
            if len(ends) == 1:
                log.exception("ledger.refused", push=ends[0][0].push_id, seq=ends[0][0].seq)
                return Written()
        found = [await self._written([end]) for end in ends]
        return Written(
            batches=frozenset[tuple[int, int]]().union(*(one.batches for one in found)),
            pushes=frozenset[int]().union(*(one.pushes for one in found)),
        )
