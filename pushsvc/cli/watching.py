"""Watching a push until every device has its outcome."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rich.progress import Progress
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.cli import display
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.model import Counts, Halt, Outcome, Push, PushState
from pushsvc.stats import tally
from pushsvc.storage import ledger, pushes
from pushsvc.storage.opens import opens_of

#: Delay between two looks: as often as an eye can tell.
LOOK_SECONDS: Final = 0.2
ENDS: Final = frozenset({PushState.DONE, PushState.FAILED, PushState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How far a push is."""

    state: str
    #: in the batches written so far
    devices: int
    #: that have their outcome
    settled: int
    #: its state for people, where that is more
    words: str = ""


async def until_done(look: Callable[[], Awaitable[Look]], bar: Progress, *, title: str) -> None:
    """Look again and again, and show it, until the push has ended."""
    with bar:
        task = bar.add_task(title, total=None)
        while True:
            seen = await look()
            # The audience is as large as its batches so far; while it grows there is no share.
            total = seen.devices or None
            words = f"{title} {seen.words or seen.state}"
            bar.update(task, total=total, completed=seen.settled, description=words)
            if seen.state in ENDS:
                return
            await asyncio.sleep(LOOK_SECONDS)


async def find(
    connection: AsyncConnection, object_id: str, *, field: str = "PUSH_ID"
) -> tuple[Push, Counts, int]:
    """Return a push, what came of it so far, and how often it was opened.

    Raises:
        CommandError: there is none.
    """
    push = await find_push(connection, object_id, field=field)
    opened = await opens_of(connection, [push.id])
    return push, await pushes.counts_of(connection, push), opened[push.id]


async def find_push(connection: AsyncConnection, object_id: str, *, field: str = "PUSH_ID") -> Push:
    """Return the push with this public id.

    Raises:
        CommandError: there is none.
    """
    key = await ledger.push_key(connection, object_id)
    if key is None:
        message = f"There is no push {object_id!r}. `pushsvc push list --app NAME` lists them."
        raise CommandError(message, code="unknown_push", status=MISTAKE, field=field)
    return await pushes.get_push(connection, key)


def look_at(push: Push, counts: Counts) -> Look:
    """Return how far it is."""
    settled = sum(tally.by_outcome(tally.total(counts)).values())
    return Look(state=push.state, words=state_of(push), devices=push.devices, settled=settled)


def state_of(push: Push) -> str:
    """Return where it is, and whether it is halted there."""
    if push.halt is None or push.state in ENDS:
        return push.state.value
    halted = {Halt.PAUSE: "paused", Halt.CANCEL: "being cancelled"}[push.halt]
    return f"{push.state.value}, {halted}"


def seconds(push: Push) -> float | None:
    """Return how long the push took from when it was stored, or due if that came later."""
    if push.finished_at is None:
        return None
    begun: datetime = max(push.created_at, push.due_at)
    return round((push.finished_at - begun).total_seconds(), 3)


def shown(push: Push, counts: Counts, opens: int) -> list[str | Table]:
    """Return the push as `push show` shows it to people."""
    is_open = push.finished_at is None
    facts = [
        ("state", state_of(push)),
        ("halted", push.halt_reason),
        ("due", push.due_at),
        ("expires", push.expires_at),
        ("finished", push.finished_at),
        ("seconds", seconds(push)),
        ("devices", push.devices),
        ("open", push.devices - look_at(push, counts).settled if is_open else None),
        ("rate per minute", push.rate_per_minute),
        ("possible duplicates", tally.possible_duplicates(tally.total(counts)) or None),
        ("opens", opens),
        ("tokens held", push.tokens_held or None),
        ("error", push.error),
    ]
    heading = f"push {push.object_id}"
    rows = [(name, display.cell(value)) for name, value in facts if value is not None]
    return [display.table(("", heading), rows), outcome_table(counts)]


def outcome_table(counts: Counts) -> Table:
    """Return the table of platforms and outcomes, with their sums."""
    by_type = {t: tally.by_outcome(classes) for t, classes in sorted(counts.items())}
    sums = tally.by_outcome(tally.total(counts))
    columns = [outcome for outcome in Outcome if sums[outcome]]
    rows: list[list[object]] = [
        [name, *(line[c] for c in columns), sum(line.values())]
        for name, line in [*by_type.items(), ("all", sums)]
    ]
    return display.table(("platform", *columns, "devices"), rows)
