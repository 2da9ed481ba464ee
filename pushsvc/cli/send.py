"""`pushsvc send`: a push from the command line, by the same way as one from the API."""

from typing import Annotated, Any

import typer

from pushsvc import pipeline
from pushsvc.api.v1 import views
from pushsvc.cli import composing, session, watching
from pushsvc.cli.display import cell, result
from pushsvc.cli.options import AppName, Json
from pushsvc.cli.push import follow
from pushsvc.model import Counts, OnUnknown, Outcome, Push, PushState
from pushsvc.resources import Resources
from pushsvc.stats import tally

app = typer.Typer(add_completion=False)


@app.command()
@composing.of_a_push
def send(
    body: dict[str, Any],
    /,
    *,
    app_name: AppName,
    urgent: Annotated[
        bool, typer.Option("--urgent", help="Ahead of pushes to large audiences.")
    ] = False,
    validate_only: Annotated[
        bool,
        typer.Option("--validate-only", help="Have it looked at: FCM is asked, none is delivered."),
    ] = False,
    on_unknown: Annotated[
        OnUnknown | None,
        typer.Option(help="Of a message that was written and never answered: resend or drop."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Watch it until every device has its outcome.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Send a push to channels, to a query, or to devices."""
    if urgent:
        body["priority"] = "urgent"
    if validate_only:
        body["validate_only"] = True
    if on_unknown is not None:
        body["on_unknown"] = on_unknown.value

    async def work(resources: Resources) -> tuple[Push, Counts, int]:
        async with resources.engine.connect() as connection:
            owner = await session.app(connection, app_name)
        limit = resources.settings.explicit_devices_limit
        submission = composing.submission(body, devices_limit=limit)
        stored = await pipeline.submit_push(resources, owner, submission)
        if wait:
            return await follow(resources, stored.push.object_id, as_json=as_json)
        return stored.push, {}, 0

    push, counts, opens = session.run(work)
    shown = watching.shown(push, counts, opens) if wait else [_stored(push)]
    result({"push": views.shown(push, counts, opens=opens)}, *shown, as_json=as_json)
    return int(push.state is PushState.FAILED or (wait and _reached_nobody(counts)))


def _stored(push: Push) -> str:
    local = push.local_time is not None
    at = f"{push.push_time} by each device's clock" if local else cell(push.due_at)
    return f"Push {push.object_id} is stored; it is due at {at}."


def _reached_nobody(counts: Counts) -> bool:
    """Tell whether there were devices, and not one got it."""
    outcomes = tally.by_outcome(tally.total(counts))
    reached = outcomes[Outcome.SENT] + outcomes[Outcome.VALIDATED]
    return any(outcomes.values()) and not reached
