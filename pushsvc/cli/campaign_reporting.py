"""`pushsvc campaign report`: what came of all runs of a campaign, or of one."""

from typing import Annotated

import typer

from pushsvc.api.v1.report_views import campaign_document, push_document
from pushsvc.cli import campaign_documents as documents, reporting, session, watching
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import AppName, CampaignName, Json
from pushsvc.cli.reporting import Document
from pushsvc.model import Campaign, Push
from pushsvc.resources import Resources
from pushsvc.review import reports
from pushsvc.storage import campaigns

RunNumber = Annotated[int | None, typer.Option("--run", min=1, help="Only the run of this number.")]
RunPush = Annotated[str | None, typer.Option("--push", help="Only the run that is this push.")]


def report(
    name: CampaignName,
    *,
    app_name: AppName,
    run: RunNumber = None,
    push: RunPush = None,
    form: reporting.Form = "table",
    output_file: reporting.Output = None,
    as_json: Json = False,
) -> None:
    """Report what came of a campaign's runs: by run, variant, platform, time zone and hour."""
    if run is not None and push is not None:
        message = "--push: --run names the run already. Leave one of them out."
        raise CommandError(message, code="usage", status=MISTAKE, field="--push")

    async def work(resources: Resources) -> Document:
        _, there = await documents.found(resources, app_name, name)
        if run is None and push is None:
            return await _of_all(resources, there)
        one = await _push_of_run(resources, there, number=run, object_id=push)
        return push_document(await reports.of_push(resources, one))

    reporting.refuse_two_forms(form, output_file, as_json=as_json)
    reporting.show(session.run(work), form, output_file, as_json=as_json)


async def _of_all(resources: Resources, campaign: Campaign) -> Document:
    found = await reports.of_campaign(resources, campaign, before=None, limit=documents.PAGE)
    older = None if found.before is None else str(found.before)
    return campaign_document(found, next_cursor=older)


async def _push_of_run(
    resources: Resources, campaign: Campaign, *, number: int | None, object_id: str | None
) -> Push:
    """Return the push of a run that is named by its number, or by its push.

    Raises:
        CommandError: the campaign has no such run, or there is no push of it.
    """
    async with resources.engine.connect() as connection:
        if object_id is not None:
            push = await watching.find_push(connection, object_id, field="--push")
            if push.campaign_id == campaign.id:
                return push
            message = f"--push: Push {object_id} is no run of campaign {campaign.name}."
            raise CommandError(message, code="unknown_run", status=MISTAKE, field="--push")
        assert number is not None
        rows = await campaigns.runs_of(connection, campaign.id, before=number + 1, limit=1)
    if not rows or rows[0].run.number != number:
        message = f"--run: Campaign {campaign.name} has no run {number}; it has {campaign.runs}."
        raise CommandError(message, code="unknown_run", status=MISTAKE, field="--run")
    if rows[0].push is None:
        why = rows[0].run.reason
        message = (
            f"--run: There is no push of run {number}: {why or 'it is older than what is kept'}."
        )
        raise CommandError(message, code="unknown_run", status=MISTAKE, field="--run")
    return rows[0].push
