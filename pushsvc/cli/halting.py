"""`pushsvc push cancel`, `pause`, `resume` and `reschedule`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

import typer

from pushsvc import halting
from pushsvc.api.v1 import views
from pushsvc.cli import session, watching
from pushsvc.cli.display import result, table
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import Json
from pushsvc.halting import Named
from pushsvc.model import Counts, Outcome, Push
from pushsvc.resources import Resources
from pushsvc.stats import tally

HOW: Final = "from the command line"
#: What each push came to so far.
_SHOWN: Final = (Outcome.SENT, Outcome.FAILED, Outcome.UNKNOWN, Outcome.CANCELLED)

PushIds = Annotated[list[str], typer.Argument(help="The pushes' ids, from `send` or `push list`.")]
_Found = tuple[Push, Counts, int]


def cancel(push_ids: PushIds, *, as_json: Json = False) -> None:
    """Cancel pushes: what is not handed to a gateway yet never is. Tells what got out."""
    _do(push_ids, halting.cancel, as_json=as_json)


def pause(push_ids: PushIds, *, as_json: Json = False) -> None:
    """Pause pushes: nothing more of them is handed to a gateway before they are resumed."""
    _do(push_ids, halting.pause, as_json=as_json)


def resume(
    push_ids: PushIds,
    *,
    confirm_recipients: Annotated[
        int | None,
        typer.Option(
            min=0, help="So many devices are right, where a campaign's run waits for that."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let paused pushes go on."""

    async def step(resources: Resources, named: Named) -> Push:
        return await halting.resume(resources, named, confirm_recipients=confirm_recipients)

    _do(push_ids, step, as_json=as_json)


def reschedule(
    push_ids: PushIds,
    *,
    at: Annotated[
        str | None, typer.Option(help="When: ISO 8601, local time without a zone; `now`.")
    ] = None,
    expires_at: Annotated[
        str | None,
        typer.Option(help="Until when they may be sent, in the same form; `never` for no end."),
    ] = None,
    expires_in: Annotated[
        int | None, typer.Option(min=1, help="The same, in seconds from their time.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give pushes that wait other times. What is left out stays."""
    times: dict[str, Any] = {}
    if at is not None:
        times["push_time"] = None if at == "now" else at
    if expires_at is not None:
        times["expiration_time"] = None if expires_at == "never" else expires_at
    if expires_in is not None:
        times["expiration_interval"] = expires_in
    if not times:
        message = "--at: There is nothing to change. Give --at, --expires-at or --expires-in."
        raise CommandError(message, code="usage", status=MISTAKE, field="--at")

    async def step(resources: Resources, named: Named) -> Push:
        return await halting.reschedule(resources, named, times)

    _do(push_ids, step, as_json=as_json)


def _do(
    push_ids: Sequence[str],
    step: Callable[[Resources, Named], Awaitable[Push]],
    *,
    as_json: bool,
) -> None:
    """Take a step with each push in turn, and show what they came to; the first fault ends it."""

    async def work(resources: Resources) -> list[_Found]:
        async with resources.engine.connect() as connection:
            for push_id in push_ids:
                await watching.find_push(connection, push_id)
        for push_id in push_ids:
            await step(resources, Named(object_id=push_id, app_id=None, how=HOW))
        async with resources.engine.connect() as connection:
            return [await watching.find(connection, push_id) for push_id in push_ids]

    found = session.run(work)
    value = {"pushes": [views.shown(one, counts, opens=opens) for one, counts, opens in found]}
    rows = [_row(one, counts) for one, counts, _ in found]
    columns = ("id", "state", "due", "devices", *(outcome.value for outcome in _SHOWN))
    result(value, table(columns, rows), as_json=as_json)


def _row(push: Push, counts: Counts) -> tuple[object, ...]:
    sums = tally.by_outcome(tally.total(counts))
    so_far = (sums[outcome] for outcome in _SHOWN)
    return (push.object_id, watching.state_of(push), push.due_at, push.devices, *so_far)
