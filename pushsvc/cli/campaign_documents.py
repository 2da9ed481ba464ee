"""Campaigns, runs and zones as the API shows them, read for the command line."""

from collections.abc import Sequence
from typing import Any, Final

from pushsvc.api.v1.campaign_views import run_shown, shown
from pushsvc.cli import session
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.model import App, Campaign, CampaignState
from pushsvc.resources import Resources
from pushsvc.storage import campaigns, pushes
from pushsvc.storage.campaigns import RunRow

#: Rows of one statement.
PAGE: Final = 500


async def owner(resources: Resources, app_name: str) -> App:
    """Return the app with this name or application id.

    Raises:
        CommandError: there is none.
    """
    async with resources.engine.connect() as connection:
        return await session.app(connection, app_name)


async def found(resources: Resources, app_name: str, key: str) -> tuple[App, Campaign]:
    """Return an app, and its campaign with this name or id.

    Raises:
        CommandError: there is no such app, or no such campaign.
    """
    async with resources.engine.connect() as connection:
        app = await session.app(connection, app_name)
        campaign = await campaigns.find_campaign(connection, app_id=app.id, key=key)
    if campaign is None:
        message = f"There is no campaign {key!r}. See `pushsvc campaign list --app {app_name}`."
        raise CommandError(message, code="unknown_campaign", status=MISTAKE, field="NAME")
    return app, campaign


async def campaigns_shown(
    resources: Resources, app_name: str, state: CampaignState | None
) -> list[dict[str, Any]]:
    """Return all campaigns of an app, newest first, read page by page."""
    app = await owner(resources, app_name)
    told: list[dict[str, Any]] = []
    before: int | None = None
    while True:
        async with resources.engine.connect() as connection:
            page = await campaigns.list_campaigns(
                connection, app_id=app.id, state=state, before=before, limit=PAGE
            )
        told += await _shown(resources, page)
        if len(page) < PAGE:
            return told
        before = page[-1].id


async def campaign_shown(resources: Resources, campaign: Campaign) -> dict[str, Any]:
    """Return a campaign with its next times and its last run."""
    (told,) = await _shown(resources, [campaign])
    return told


async def runs_shown(
    resources: Resources, campaign: Campaign, *, limit: int
) -> list[dict[str, Any]]:
    """Return the last runs of a campaign, newest first."""
    async with resources.engine.connect() as connection:
        rows = await campaigns.runs_of(connection, campaign.id, before=None, limit=limit)
    return await _runs(resources, rows)


async def run_shown_of(resources: Resources, row: RunRow) -> dict[str, Any]:
    """Return one run."""
    (told,) = await _runs(resources, [row])
    return told


async def _shown(resources: Resources, some: Sequence[Campaign]) -> list[dict[str, Any]]:
    async with resources.engine.connect() as connection:
        last = await campaigns.last_runs(connection, some)
    now = resources.clock.now()
    return [shown(one, last.get(one.id), now=now) for one in some]


async def _runs(resources: Resources, rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    some = [row.push for row in rows if row.push is not None]
    async with resources.engine.connect() as connection:
        counts = await pushes.counts_of_all(connection, some)
    return [run_shown(row, counts[row.push.id] if row.push else None) for row in rows]
