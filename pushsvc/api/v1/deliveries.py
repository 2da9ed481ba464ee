"""`/v1/deliveries`: one content to devices that come with it, and what came of each of them."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from pushsvc import deliveries, pipeline
from pushsvc.api.audience import fingerprint
from pushsvc.api.body import read_object
from pushsvc.api.body_limit import LET_GO
from pushsvc.api.replies import compressed, json_response
from pushsvc.api.v1.asked import OBJECT_ID, check_parameters, enter
from pushsvc.api.v1.delivery_bodies import (
    MOST_WAIT_SECONDS,
    NewDelivery,
    content_faults_told,
    parse_new_delivery,
    recipients_of,
    submission_of,
)
from pushsvc.api.v1.delivery_views import DeliveryView, GroupView, delivery_shown, group_shown
from pushsvc.api.v1.openapi import reply_docs, request_docs
from pushsvc.api.v1.pushes import IDEMPOTENCY_KEY, REPLAYED, idempotency_key
from pushsvc.errors import NotFoundError
from pushsvc.model import DEVICE_COUNT, App
from pushsvc.resources import Resources
from pushsvc.storage import pushes
from pushsvc.storage.apps import Scope
from pushsvc.storage.deliveries import group_of

#: Says how long a call waits, and not what is asked for: a repeat may differ in it.
_WAIT: Final = "wait_seconds"
_NO_DELIVERY: Final = "There is no such delivery. What came of a push is at /v1/pushes."

router = APIRouter(prefix="/v1", tags=["deliveries"])


@router.post(
    "/deliveries",
    summary="Send to devices that come with the request",
    openapi_extra=request_docs(NewDelivery, headers=(IDEMPOTENCY_KEY,)),
    responses=reply_docs(200, DeliveryView) | reply_docs(202, DeliveryView),
)
async def create(request: Request) -> Response:
    """Store a delivery and wait for what comes of it.

    200: every device has its outcome. 202: some have none yet, and get it; ask at `Location`.
    """
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    stored, wait_seconds = await _store(request, resources, app)
    request.scope[LET_GO]()
    headers = {"Location": f"/v1/deliveries/{stored.push.object_id}"}
    if stored.replayed:
        headers[REPLAYED] = "true"
    await resources.closings.wait(stored.push.id, seconds=wait_seconds)
    return await _reply(request, app, stored.push.object_id, headers=headers)


async def _store(request: Request, resources: Resources, app: App) -> tuple[pushes.Stored, float]:
    """Return the stored delivery, and how long its caller waits.

    What was read of thousands of devices, ten times the body's size, is not kept meanwhile.
    """
    key = idempotency_key(request, prefix="delivery")
    body = await read_object(request)
    asked = parse_new_delivery(body)
    told = {name: value for name, value in body.items() if name != _WAIT}
    submission = submission_of(asked, key=key, request_hash=fingerprint(told))
    with content_faults_told():
        stored = await pipeline.submit_delivery(
            resources, app, submission, recipients=recipients_of(asked)
        )
    return stored, asked.wait_seconds


@router.get(
    "/deliveries/{delivery_id}",
    summary="See what came of a delivery",
    responses=reply_docs(200, DeliveryView) | reply_docs(202, DeliveryView),
)
async def find_one(
    request: Request,
    delivery_id: str,
    *,
    wait_seconds: Annotated[float, Query(ge=0, le=MOST_WAIT_SECONDS)] = 0,
) -> Response:
    """Return a delivery when every device has its outcome, or after so long, as the POST does."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, (_WAIT,))
    if not OBJECT_ID.fullmatch(delivery_id):
        raise NotFoundError(_NO_DELIVERY)
    if wait_seconds:
        async with resources.engine.connect() as connection:
            push = await pushes.find_push(connection, app_id=app.id, object_id=delivery_id)
        if push is None or DEVICE_COUNT not in push.audience:
            raise NotFoundError(_NO_DELIVERY)
        await resources.closings.wait(push.id, seconds=wait_seconds)
    return await _reply(request, app, delivery_id)


@router.get(
    # A caller's name may have slashes.
    "/groups/{group:path}",
    summary="See what came of a group of deliveries",
    responses=reply_docs(200, GroupView),
)
async def find_group(
    request: Request, group: Annotated[str, Path(description="As the deliveries name it.")]
) -> Response:
    """Return how many deliveries a group has, and what came of their devices."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    # U+0000 is in no name, and Postgres takes no question with it.
    found = None
    if "\0" not in group:
        found = await group_of(resources.engine, app_id=app.id, group_id=group)
    if found is None:
        raise NotFoundError("There is no such group.")
    return json_response(group_shown(group, found))


async def _reply(
    request: Request, app: App, object_id: str, *, headers: dict[str, str] | None = None
) -> Response:
    found = await deliveries.find(request.app.state.resources, app, object_id)
    if found is None:
        raise NotFoundError(_NO_DELIVERY)
    push, seen = found
    status = 202 if seen.pending else 200
    reply = json_response(delivery_shown(push, seen), status=status, headers=headers)
    return compressed(reply, request.headers.get("Accept-Encoding", ""))
