"""`pushsvc push`: pushes, what would come of them, and what came of them."""

from typing import Annotated

import typer

from pushsvc.api.v1 import views
from pushsvc.cli import halting, previewing, reporting, reviewing, session, watching
from pushsvc.cli.display import progress, result, table
from pushsvc.cli.options import AppName, Json, PushId
from pushsvc.model import Counts, Outcome, Push, PushState
from pushsvc.resources import Resources
from pushsvc.stats import tally
from pushsvc.storage import pushes
from pushsvc.storage.opens import opens_of

app = typer.Typer(add_completion=False, no_args_is_help=True)
app.command()(previewing.preview)
app.command()(reviewing.explain)
app.command()(reviewing.outcomes)
app.command()(halting.cancel)
app.command()(halting.pause)
app.command()(halting.resume)
app.command()(halting.reschedule)
app.command()(reporting.report)


@app.command(name="list")
def list_(
    *,
    app_name: AppName,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """List the pushes of an app in the last days, newest first."""

    async def work(resources: Resources) -> list[tuple[Push, Counts, int]]:
        days = resources.settings.push_history_days
        async with resources.engine.connect() as connection:
            owner = await session.app(connection, app_name)
            found = await pushes.list_pushes(
                connection, app_id=owner.id, days=days, before=None, limit=limit
            )
            counts = await pushes.counts_of_all(connection, found)
            opened = await opens_of(connection, [one.id for one in found])
            return [(one, counts[one.id], opened[one.id]) for one in found]

    found = session.run(work)
    rows = [_row(one, counts) for one, counts, _ in found]
    result(
        {"pushes": [views.shown(one, counts, opens=opens) for one, counts, opens in found]},
        table(("id", "state", "due", "devices", "sent", "failed", "alert"), rows)
        if rows
        else "No pushes yet. Send one with `pushsvc send`.",
        as_json=as_json,
    )


@app.command()
def show(push_id: PushId, *, as_json: Json = False) -> None:
    """Show a push and what came of it so far."""

    async def work(resources: Resources) -> tuple[Push, Counts, int]:
        async with resources.engine.connect() as connection:
            return await watching.find(connection, push_id)

    push, counts, opens = session.run(work)
    value = {"push": views.shown(push, counts, opens=opens)}
    result(value, *watching.shown(push, counts, opens), as_json=as_json)


@app.command()
def watch(push_id: PushId, *, as_json: Json = False) -> int:
    """Watch a push until every device has its outcome. Exits with 1 if it could not be sent."""

    async def work(resources: Resources) -> tuple[Push, Counts, int]:
        return await follow(resources, push_id, as_json=as_json)

    push, counts, opens = session.run(work)
    value = {"push": views.shown(push, counts, opens=opens)}
    result(value, *watching.shown(push, counts, opens), as_json=as_json)
    return int(push.state in {PushState.FAILED, PushState.CANCELLED})


async def follow(resources: Resources, push_id: str, *, as_json: bool) -> tuple[Push, Counts, int]:
    """Show a push's progress until it has ended; return it and what came of it."""

    async def find() -> tuple[Push, Counts, int]:
        async with resources.engine.connect() as connection:
            return await watching.find(connection, push_id)

    async def look() -> watching.Look:
        push, counts, _ = await find()
        return watching.look_at(push, counts)

    await watching.until_done(look, progress(as_json=as_json), title=f"push {push_id}")
    return await find()


def _row(push: Push, counts: Counts) -> tuple[object, ...]:
    sums = tally.by_outcome(tally.total(counts))
    alert = push.content["data"].get("alert", "")
    return (
        push.object_id,
        watching.state_of(push),
        push.due_at,
        push.devices,
        sums[Outcome.SENT],
        sums[Outcome.FAILED],
        str(alert)[:40],
    )
