"""`pushsvc campaign watch`: what is seen of a campaign, look by look."""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rich.console import Console, RenderableType
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.api.v1 import views
from pushsvc.api.v1.campaign_views import run_shown
from pushsvc.api.v1.waves import shown as wave_shown
from pushsvc.cli import campaign_documents as documents, session, watching
from pushsvc.cli.campaign_watching import Drawn, Lines, Screen, Seen, Silent, follow, run_to_watch
from pushsvc.cli.campaign_words import runs_table, waves_table
from pushsvc.cli.display import result
from pushsvc.cli.options import AppName, CampaignName, Json
from pushsvc.model import Campaign, PushState
from pushsvc.resources import Resources
from pushsvc.storage import campaigns, under_way
from pushsvc.storage.waves import Wave, list_waves

#: Of the newest runs, one that ended before it was looked for is hardly further back.
_NEWEST: Final = 10


def watch(name: CampaignName, *, app_name: AppName, as_json: Json = False) -> int:
    """Watch the run under way until it is closed, or wait for the next one.

    Exits with 1 if the run could not be sent, or was cancelled.
    """

    async def work(resources: Resources) -> Seen:
        _, there = await documents.found(resources, app_name, name)
        with ExitStack() as stack:
            screen = _screen(stack, as_json=as_json)
            return await follow(Looks(resources, there, after=there.runs).look, screen)

    seen = session.run(work)
    result(_value(seen), *_told(seen), as_json=as_json)
    failed = {PushState.FAILED, PushState.CANCELLED}
    return int(seen.push is not None and seen.push["state"] in failed)


@dataclass(slots=True)
class Looks:
    """Looks at one campaign; a run that was found is looked at until its end."""

    resources: Resources
    campaign: Campaign
    #: the number of the last run before the one that is waited for
    after: int
    #: of the run that is watched, its public id
    _push: str | None = None

    async def look(self) -> Seen:
        """Return how it is now."""
        async with self.resources.engine.connect() as connection:
            there = await campaigns.find_campaign(
                connection, app_id=self.campaign.app_id, key=self.campaign.object_id
            )
            if self._push is None:
                found = run_to_watch(await self._runs(connection), after=self.after)
                self._push = None if found is None else found["push_id"]
        campaign = await documents.campaign_shown(self.resources, there or self.campaign)
        if self._push is None:
            return Seen(campaign=campaign)
        return await self._seen(campaign, self._push)

    async def _runs(self, connection: AsyncConnection) -> list[dict[str, Any]]:
        """Return the runs under way, however many were skipped since, and the newest."""
        pushes = await under_way.runs(connection, self.campaign.id)
        open_ones = [await campaigns.run_of_push(connection, push.id) for push in pushes]
        newest = await campaigns.runs_of(connection, self.campaign.id, before=None, limit=_NEWEST)
        return [run_shown(row, None) for row in (*open_ones, *newest) if row is not None]

    async def _seen(self, campaign: dict[str, Any], push_id: str) -> Seen:
        async with self.resources.engine.connect() as connection:
            push, counts, opens = await watching.find(connection, push_id)
            row = await campaigns.run_of_push(connection, push.id)
            waves = await _waves(connection, push.id)
        shown = views.shown(push, counts, opens=opens, campaign=campaign["id"])
        halt = {"halt": push.halt and push.halt.value, "halt_reason": push.halt_reason}
        return Seen(
            campaign=campaign,
            run=None if row is None else run_shown(row, counts),
            push={**shown, **halt},
            waves=waves,
        )


async def _waves(connection: AsyncConnection, push_id: int) -> list[dict[str, Any]]:
    """Return all zones of a run, in the order of their times."""
    found: list[Wave] = []
    after: tuple[datetime, str] | None = None
    while True:
        page = await list_waves(connection, push_id, after=after, limit=documents.PAGE)
        found += page
        if len(page) < documents.PAGE:
            return [wave_shown(one) for one in found]
        after = page[-1].due_at, page[-1].zone


def _screen(stack: ExitStack, *, as_json: bool) -> Screen:
    console = Console()
    if as_json:
        return Lines()
    return stack.enter_context(Drawn(console)) if console.is_terminal else Silent()


def _value(seen: Seen) -> dict[str, Any]:
    return {
        "campaign": seen.campaign,
        "run": seen.run,
        "push": seen.push,
        "waves": list(seen.waves),
    }


def _told(seen: Seen) -> list[RenderableType]:
    if seen.run is None:
        name, state = seen.campaign["name"], seen.campaign["state"]
        return [f"No run of campaign {name} is under way, and none will come: it is {state}."]
    waves = [waves_table(seen.waves, most=None)] if seen.waves else []
    return [*waves, runs_table([seen.run])]
