"""`pushsvc campaign`: pushes that are sent by rules, from a file to the report."""

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import typer

from pushsvc.campaigns import desk
from pushsvc.campaigns.desk import Asked
from pushsvc.cli import (
    campaign_documents as documents,
    campaign_files,
    campaign_halting,
    campaign_looks,
    campaign_previewing,
    campaign_reporting,
    session,
)
from pushsvc.cli.campaign_files import Document, File, by_line, document_in
from pushsvc.cli.campaign_words import (
    campaign_shown,
    campaigns_table,
    no_times,
    schedule_words,
    time_cell,
)
from pushsvc.cli.display import result
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import AppName, CampaignName, ConfirmRecipients, Json
from pushsvc.errors import ConfirmationRequiredError
from pushsvc.model import App, Campaign, CampaignState
from pushsvc.resources import Resources
from pushsvc.storage import campaigns

T = TypeVar("T")

#: The last ones, which `show` has.
RUNS_SHOWN: Final = 10

app = typer.Typer(add_completion=False, no_args_is_help=True)
app.command()(campaign_files.validate)
app.command()(campaign_previewing.preview)


@app.command()
def create(
    file: File,
    *,
    app_name: AppName,
    confirm_recipients: ConfirmRecipients = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change the campaign of this name, if there is one.")
    ] = False,
    run_now: Annotated[bool, typer.Option("--run", help="Start a run at once, too.")] = False,
    as_json: Json = False,
) -> None:
    """Store the campaign of a file: from now on it runs by itself."""
    document = document_in(file)

    async def work(resources: Resources, confirmed: int | None) -> dict[str, Any]:
        owner = await documents.owner(resources, app_name)
        with by_line(document):
            stored = await _stored(resources, owner, document, confirmed=confirmed, replace=replace)
        value = {"campaign": await documents.campaign_shown(resources, stored)}
        if run_now:
            value["run"] = await _run(resources, owner, stored, confirmed=confirmed)
        return value

    value = _confirmed(work, confirm_recipients, as_json=as_json)
    result(value, *_stored_told(value), as_json=as_json)


@app.command()
def run(
    name: CampaignName,
    *,
    app_name: AppName,
    confirm_recipients: ConfirmRecipients = None,
    as_json: Json = False,
) -> None:
    """Start a run of a campaign now, beside its schedule."""

    async def work(resources: Resources, confirmed: int | None) -> dict[str, Any]:
        owner, there = await documents.found(resources, app_name, name)
        return {"run": await _run(resources, owner, there, confirmed=confirmed)}

    value = _confirmed(work, confirm_recipients, as_json=as_json)
    result(value, _run_told(value["run"]), as_json=as_json)


@app.command(name="list")
def list_(
    *,
    app_name: AppName,
    state: Annotated[CampaignState | None, typer.Option(help="Only those in this state.")] = None,
    as_json: Json = False,
) -> None:
    """List the campaigns of an app, newest first, with their next and their last time."""
    found = session.run(lambda resources: documents.campaigns_shown(resources, app_name, state))
    nothing = "No campaigns yet. Make one with `pushsvc campaign create`."
    if state is not None:
        nothing = f"No campaign is {state}."
    result({"campaigns": found}, campaigns_table(found) if found else nothing, as_json=as_json)


@app.command()
def show(name: CampaignName, *, app_name: AppName, as_json: Json = False) -> None:
    """Show a campaign: its definition, its state and why, its last runs and next times."""

    async def work(resources: Resources) -> dict[str, Any]:
        _, there = await documents.found(resources, app_name, name)
        return {
            "campaign": await documents.campaign_shown(resources, there),
            "runs": await documents.runs_shown(resources, there, limit=RUNS_SHOWN),
        }

    value = session.run(work)
    result(value, *campaign_shown(value["campaign"], value["runs"]), as_json=as_json)


app.command()(campaign_looks.watch)
app.command()(campaign_halting.pause)


@app.command()
def resume(
    name: CampaignName,
    *,
    app_name: AppName,
    confirm_recipients: ConfirmRecipients = None,
    as_json: Json = False,
) -> None:
    """Go on with a paused campaign, and with what is left of a run under way."""

    async def work(resources: Resources, confirmed: int | None) -> dict[str, Any]:
        owner, there = await documents.found(resources, app_name, name)
        gone_on = await desk.resume(resources, owner, there.object_id, confirmed=confirmed)
        return {"campaign": await documents.campaign_shown(resources, gone_on)}

    value = _confirmed(work, confirm_recipients, as_json=as_json)
    campaign = value["campaign"]
    told = f"Campaign {campaign['name']} is {campaign['state']}. {_next_told(campaign)}"
    result(value, told, as_json=as_json)


app.command()(campaign_halting.cancel)
app.command()(campaign_reporting.report)


# ---------------------------------------------------------------- what they share


async def _stored(
    resources: Resources, owner: App, document: Document, *, confirmed: int | None, replace: bool
) -> Campaign:
    definition = document.definition
    async with resources.engine.connect() as connection:
        there = await campaigns.named_campaign(connection, app_id=owner.id, name=definition.name)
    if there is None:
        made = await desk.create(
            resources, owner, definition, confirmed=confirmed, may_repeat=False
        )
        return made.campaign
    if not replace:
        message = (
            f"There is a campaign {definition.name!r}. Choose another name, or change that one "
            "with --replace."
        )
        raise CommandError(message, code="campaign_exists", status=MISTAKE, field="FILE")
    return await desk.change(
        resources, owner, there.object_id, definition=definition, confirmed=confirmed
    )


async def _run(
    resources: Resources, owner: App, campaign: Campaign, *, confirmed: int | None
) -> dict[str, Any]:
    asked = Asked(confirmed=confirmed)
    started = await desk.run(resources, owner, campaign.object_id, asked=asked)
    return await documents.run_shown_of(resources, started.row)


def _confirmed(
    work: Callable[[Resources, int | None], Awaitable[T]], given: int | None, *, as_json: bool
) -> T:
    """Do it; where the audience is too large, ask at a terminal, and do it with a yes.

    Raises:
        CommandError: it is too large, and there is nobody to say yes, or it was a no.
    """
    try:
        return session.run(lambda resources: work(resources, given))
    except ConfirmationRequiredError as error:
        recipients, said = error.recipients, error.detail.partition(" Send ")[0]
    if as_json or recipients is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        message = f"{said} Give --confirm-recipients {recipients} to go ahead."
        raise CommandError(
            message, code="confirmation_required", status=MISTAKE, field="--confirm-recipients"
        )
    if not typer.confirm(f"{said} Send to all {recipients:,}?"):
        message = "It was not confirmed, and nothing was changed."
        raise CommandError(message, code="confirmation_required")
    return session.run(lambda resources: work(resources, recipients))


def _stored_told(value: dict[str, Any]) -> list[str]:
    campaign = value["campaign"]
    schedule = schedule_words(campaign["definition"]["schedule"])
    told = [f"Campaign {campaign['name']} is stored: {schedule}. {_next_told(campaign)}"]
    return [*told, _run_told(value["run"])] if "run" in value else told


def _next_told(campaign: dict[str, Any]) -> str:
    times = campaign["next_runs"]
    return f"It runs next at {time_cell(times[0])}." if times else no_times(campaign["state"])


def _run_told(run: dict[str, Any]) -> str:
    return f"Run {run['number']} is started: push {run['push_id']}."
