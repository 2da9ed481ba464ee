"""`/v1/campaigns`: make, look, change, run at once, pause, resume, call off."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from pushsvc.api.audience import fingerprint
from pushsvc.api.body import read_object
from pushsvc.api.replies import json_response
from pushsvc.api.v1 import campaign_preview_views as previews, cursor as cursors
from pushsvc.api.v1.asked import DEFAULT_PAGE, MAX_PAGE, check_parameters, enter
from pushsvc.api.v1.bodies import Resumption, parse_resumption
from pushsvc.api.v1.campaign_bodies import NewCampaign, parse_new_campaign
from pushsvc.api.v1.campaign_preview_views import CampaignPreviewView
from pushsvc.api.v1.campaign_views import (
    CampaignPage,
    CampaignView,
    RunPage,
    RunView,
    next_times,
    run_shown,
    shown,
)
from pushsvc.api.v1.openapi import reply_docs, request_docs
from pushsvc.api.v1.pushes import IDEMPOTENCY_KEY, REPLAYED, idempotency_key
from pushsvc.campaigns import desk, looking
from pushsvc.campaigns.desk import Asked
from pushsvc.model import Campaign, CampaignState
from pushsvc.resources import Resources
from pushsvc.storage import campaigns
from pushsvc.storage.apps import Scope
from pushsvc.storage.campaigns import RunRow
from pushsvc.storage.pushes import counts_of_all

#: Not checked here: on the way to nothing any name is one that is not found.
Key = Annotated[str, Path(description="The campaign's id or name.")]
_PLACE: Final = "/v1/campaigns/{}"

router = APIRouter(prefix="/v1", tags=["campaigns"])


@router.post(
    "/campaigns",
    status_code=201,
    summary="Create a campaign",
    openapi_extra=request_docs(NewCampaign, headers=(IDEMPOTENCY_KEY,)),
    responses=reply_docs(201, CampaignView),
)
async def create(request: Request) -> Response:
    """Store a campaign, which runs at the times of its schedule from now on."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    may_repeat = idempotency_key(request) is not None
    definition, confirmed = parse_new_campaign(await read_object(request))
    made = await desk.create(resources, app, definition, confirmed=confirmed, may_repeat=may_repeat)
    headers = {"Location": _PLACE.format(made.campaign.object_id)}
    if made.replayed:
        headers[REPLAYED] = "true"
    return await _answer(resources, made.campaign, status=201, headers=headers)


@router.post(
    "/campaigns:preview",
    summary="See a campaign before it is made",
    openapi_extra=request_docs(NewCampaign),
    responses=reply_docs(200, CampaignPreviewView),
)
async def preview(request: Request) -> Response:
    """Check a campaign as creating it would, and show its next run. Nothing is stored or sent."""
    resources, app = await enter(request, Scope.SEND, Scope.READ)
    check_parameters(request, ())
    definition, confirmed = parse_new_campaign(await read_object(request))
    now = resources.clock.now()
    first = desk.first_time(definition, now=now, anchor=now)
    found = await looking.seen(resources, app, definition, first=first)
    times = next_times(definition, first, now=now, anchor=now)
    return json_response(previews.shown(found, definition, next_runs=times, confirmed=confirmed))


@router.get("/campaigns", summary="List campaigns", responses=reply_docs(200, CampaignPage))
async def find(
    request: Request,
    *,
    state: Annotated[CampaignState | None, Query(description="Only those in it.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Return the app's campaigns, newest first."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ("state", "limit", "cursor"))
    before = None if cursor is None else cursors.read(cursor)
    async with resources.engine.connect() as connection:
        found = await campaigns.list_campaigns(
            connection, app_id=app.id, state=state, before=before, limit=limit + 1
        )
        page, more = cursors.page(found, limit, lambda one: cursors.write(one.id))
        last = await campaigns.last_runs(connection, page)
    now = resources.clock.now()
    rows = [shown(one, last.get(one.id), now=now) for one in page]
    return json_response({"campaigns": rows, "next_cursor": more})


@router.get(
    "/campaigns/{campaign}", summary="Look at a campaign", responses=reply_docs(200, CampaignView)
)
async def get(request: Request, campaign: Key) -> Response:
    """Return a campaign, with its next times and its last run."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ())
    return await _answer(resources, await desk.found(resources, app, campaign))


@router.put(
    "/campaigns/{campaign}",
    summary="Change a campaign",
    openapi_extra=request_docs(NewCampaign),
    responses=reply_docs(200, CampaignView),
)
async def put(request: Request, campaign: Key) -> Response:
    """Give a campaign another definition. It holds for runs to come."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    definition, confirmed = parse_new_campaign(await read_object(request))
    changed = await desk.change(
        resources, app, campaign, definition=definition, confirmed=confirmed
    )
    return await _answer(resources, changed)


@router.delete(
    "/campaigns/{campaign}",
    status_code=204,
    summary="Delete a campaign",
    responses=reply_docs(204, None),
)
async def delete(request: Request, campaign: Key) -> Response:
    """Forget a campaign that has ended or was cancelled. The pushes of its runs stay."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    await desk.delete(resources, app, campaign)
    return Response(status_code=204)


@router.post(
    "/campaigns/{campaign}:run",
    status_code=202,
    summary="Run a campaign now",
    openapi_extra=request_docs(Resumption, headers=(IDEMPOTENCY_KEY,)),
    responses=reply_docs(202, RunView),
)
async def run(request: Request, campaign: Key) -> Response:
    """Start a run now, whatever the schedule says. 202: it is durable, and an ordinary push."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    body = await read_object(request)
    asked = Asked(
        confirmed=parse_resumption(body).confirm_recipients,
        idempotency_key=idempotency_key(request),
        request_hash=fingerprint({"run": campaign, **body}),
    )
    started = await desk.run(resources, app, campaign, asked=asked)
    (row,) = await _runs(resources, [started.row])
    headers = {"Location": f"/v1/pushes/{row['push_id']}"}
    if started.replayed:
        headers[REPLAYED] = "true"
    return json_response(row, status=202, headers=headers)


@router.post(
    "/campaigns/{campaign}:pause",
    summary="Pause a campaign",
    responses=reply_docs(200, CampaignView),
)
async def pause(request: Request, campaign: Key) -> Response:
    """Stop a campaign, and its run that is under way, until it is resumed."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    return await _answer(resources, await desk.pause(resources, app, campaign))


@router.post(
    "/campaigns/{campaign}:resume",
    summary="Resume a campaign",
    openapi_extra=request_docs(Resumption),
    responses=reply_docs(200, CampaignView),
)
async def resume(request: Request, campaign: Key) -> Response:
    """Let a paused campaign go on, with its run. Times that have passed are not made up for."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    confirmed = parse_resumption(await read_object(request)).confirm_recipients
    return await _answer(
        resources, await desk.resume(resources, app, campaign, confirmed=confirmed)
    )


@router.post(
    "/campaigns/{campaign}:cancel",
    summary="Cancel a campaign",
    responses=reply_docs(200, CampaignView),
)
async def cancel(request: Request, campaign: Key) -> Response:
    """Call a campaign off for good, and its run that is under way."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    return await _answer(resources, await desk.cancel(resources, app, campaign))


@router.get(
    "/campaigns/{campaign}/runs", summary="List its runs", responses=reply_docs(200, RunPage)
)
async def find_runs(
    request: Request,
    campaign: Key,
    *,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Return what came of each time of a campaign, newest first."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ("limit", "cursor"))
    before = None if cursor is None else cursors.read(cursor)
    there = await desk.found(resources, app, campaign)
    async with resources.engine.connect() as connection:
        found = await campaigns.runs_of(connection, there.id, before=before, limit=limit + 1)
    page, more = cursors.page(found, limit, lambda one: cursors.write(one.run.number))
    return json_response({"runs": await _runs(resources, page), "next_cursor": more})


async def _answer(
    resources: Resources,
    campaign: Campaign,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    async with resources.engine.connect() as connection:
        last = await campaigns.last_runs(connection, [campaign])
    told = shown(campaign, last.get(campaign.id), now=resources.clock.now())
    return json_response(told, status=status, headers=headers)


async def _runs(resources: Resources, rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    some = [row.push for row in rows if row.push is not None]
    async with resources.engine.connect() as connection:
        counts = await counts_of_all(connection, some)
    return [run_shown(row, counts[row.push.id] if row.push else None) for row in rows]
