"""What becomes of tokens that gateways speak against: judged as a push closes, and undone."""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from pushsvc.delivery import evidence
from pushsvc.resources import Resources
from pushsvc.storage import token_events, token_undo
from pushsvc.storage.token_events import Piece

log = structlog.get_logger(__name__)

#: What one look of the clock releases and forgets.
CLOCK_LIMIT: Final = 500
#: Pieces of evidence that a look of the clock applies, so that it is not late for what is due; and
#: more than any push has.
CLOCK_PIECES: Final = 3
ALL_PIECES: Final = 1_000_000

#: Is told how many tokens changed, after each piece.
Told = Callable[[int], None]


async def settle(resources: Resources, push_id: int, *, pieces: int) -> int | None:
    """Apply the evidence of a push that has no open batch; return how much of it is held.

    Piece by piece, before the push is closed: what dies over it is found and taken up again, and
    the same is decided again, for the ledger that it is judged by no longer changes. None where it
    is not through after so many pieces, or somebody else is at it.
    """
    engine, settings = resources.engine, resources.settings
    answered = await token_events.answered_of(engine, push_id)
    verdict = evidence.judge(answered, share_limit=settings.retire_share_limit)
    after: int | None = 0
    while after is not None:
        if not pieces:
            return None
        piece = await token_events.apply(
            engine,
            push_id,
            after=after,
            held=verdict.held,
            proven=verdict.proven,
            quarantine_days=settings.quarantine_days,
        )
        if piece is None:
            return None
        after, pieces = piece.last, pieces - 1
    if not verdict.held:
        return 0
    held = await token_events.count_held(engine, push_id)
    log.warning("tokens.held", push=push_id, gateways=verdict.held, tokens=held)
    return held


async def overrule(resources: Resources, push_id: int, *, told: Told) -> None:
    """Take out of use what was held of a closed push: an operator has looked at it."""
    await _in_pieces(
        lambda after: token_events.overrule(
            resources.engine,
            push_id,
            after=after,
            quarantine_days=resources.settings.quarantine_days,
        ),
        told,
    )
    await token_events.mark_overruled(resources.engine, push_id)


async def restore(resources: Resources, choice: token_undo.Choice, *, told: Told) -> None:
    """Take into use again what an operator has chosen."""
    await _in_pieces(lambda after: token_undo.restore(resources.engine, choice, after=after), told)


async def tend(resources: Resources) -> None:
    """Release what is through with its quarantine, and forget what is old; some of it at a time."""
    engine, settings = resources.engine, resources.settings
    released = await token_undo.release(engine, limit=CLOCK_LIMIT)
    if released:
        log.info("tokens.released", tokens=released)
    await token_events.forget(engine, days=settings.token_history_days, limit=CLOCK_LIMIT)


async def _in_pieces(do: Callable[[int], Awaitable[Piece]], told: Told) -> None:
    after: int | None = 0
    while after is not None:
        piece = await do(after)
        told(piece.changed)
        after = piece.last
