"""`pushsvc campaign pause` and `cancel`: stopped, and what got out before."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rich.console import RenderableType

from pushsvc.campaigns import desk
from pushsvc.cli import campaign_documents as documents, session
from pushsvc.cli.campaign_words import got_out
from pushsvc.cli.display import result
from pushsvc.cli.options import AppName, CampaignName, Json
from pushsvc.cli.watching import ENDS, LOOK_SECONDS
from pushsvc.model import App, Campaign, Halt
from pushsvc.resources import Resources
from pushsvc.storage import campaigns, under_way

#: A batch under way stops within two seconds, and is then written down.
STOP_SECONDS: Final = 3.0

Step = Callable[[Resources, App, str], Awaitable[Campaign]]


def pause(name: CampaignName, *, app_name: AppName, as_json: Json = False) -> None:
    """Pause a campaign and its run under way. Tells what of it got out."""
    _stop(name, app_name, desk.pause, as_json=as_json)


def cancel(name: CampaignName, *, app_name: AppName, as_json: Json = False) -> None:
    """Call a campaign off for good, and its run under way. Tells what of it got out."""
    _stop(name, app_name, desk.cancel, as_json=as_json)


def _stop(name: str, app_name: str, step: Step, *, as_json: bool) -> None:
    async def work(resources: Resources) -> dict[str, Any]:
        owner, there = await documents.found(resources, app_name, name)
        async with resources.engine.connect() as connection:
            stopping = await under_way.runs(connection, there.id)
        stopped = await step(resources, owner, there.object_id)
        return {
            "campaign": await documents.campaign_shown(resources, stopped),
            # There are several in local time, where one follows another around the world.
            "run": await _come_to_rest(resources, stopping[-1].id) if stopping else None,
        }

    value = session.run(work)
    result(value, *_told(value), as_json=as_json)


async def _come_to_rest(resources: Resources, push_id: int) -> dict[str, Any] | None:
    """Return a run as it is when nothing of it is on its way to a gateway any more.

    Where no worker is there to stop it, as it is after a while.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STOP_SECONDS
    while True:
        async with resources.engine.connect() as connection:
            row = await campaigns.run_of_push(connection, push_id)
            is_leased = await under_way.is_leased(connection, push_id)
        if row is None or row.push is None:
            return None
        at_rest = row.push.state in ENDS or (row.push.halt is Halt.PAUSE and not is_leased)
        if at_rest or loop.time() > deadline:
            return await documents.run_shown_of(resources, row)
        await asyncio.sleep(LOOK_SECONDS)


def _told(value: dict[str, Any]) -> list[RenderableType]:
    campaign, run = value["campaign"], value["run"]
    told: list[RenderableType] = [f"Campaign {campaign['name']} is {campaign['state']}."]
    if run:
        told.append(f"Run {run['number']} was under way. {got_out(run['counts'])}")
    return told
