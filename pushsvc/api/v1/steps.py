"""`/v1/pushes/{id}:cancel` and its like: what stops a push, what lets it go on, and its times."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from pushsvc import halting
from pushsvc.api.body import read_object
from pushsvc.api.replies import json_response
from pushsvc.api.v1.asked import OBJECT_ID, check_parameters, enter
from pushsvc.api.v1.bodies import (
    NewTimes,
    Resumption,
    parse_new_times,
    parse_no_body,
    parse_resumption,
)
from pushsvc.api.v1.openapi import reply_docs, request_docs
from pushsvc.api.v1.pushes import rows
from pushsvc.api.v1.views import PushView
from pushsvc.errors import NotFoundError
from pushsvc.halting import Named
from pushsvc.model import App, Push
from pushsvc.resources import Resources
from pushsvc.storage.apps import Scope

HOW: Final = "through the API"

router = APIRouter(prefix="/v1/pushes", tags=["pushes"])


@router.post("/{push_id}:cancel", summary="Cancel a push", responses=reply_docs(200, PushView))
async def cancel(request: Request, push_id: str) -> Response:
    """Cancel a push. What is not handed to a gateway yet never is; `counts` tell what got out."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    parse_no_body(await read_object(request))
    return await _shown(resources, await halting.cancel(resources, _named(app, push_id)))


@router.post("/{push_id}:pause", summary="Pause a push", responses=reply_docs(200, PushView))
async def pause(request: Request, push_id: str) -> Response:
    """Pause a push. Nothing more of it is handed to a gateway before it is resumed."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    parse_no_body(await read_object(request))
    return await _shown(resources, await halting.pause(resources, _named(app, push_id)))


@router.post(
    "/{push_id}:resume",
    summary="Resume a push",
    openapi_extra=request_docs(Resumption),
    responses=reply_docs(200, PushView),
)
async def resume(request: Request, push_id: str) -> Response:
    """Let a paused push go on."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    asked = parse_resumption(await read_object(request))
    push = await halting.resume(
        resources, _named(app, push_id), confirm_recipients=asked.confirm_recipients
    )
    return await _shown(resources, push)


@router.patch(
    "/{push_id}",
    summary="Move a push to another time",
    openapi_extra=request_docs(NewTimes),
    responses=reply_docs(200, PushView),
)
async def reschedule(request: Request, push_id: str) -> Response:
    """Give a push that waits for its time another one, or another expiry."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    times = parse_new_times(await read_object(request))
    return await _shown(resources, await halting.reschedule(resources, _named(app, push_id), times))


def _named(app: App, push_id: str) -> Named:
    """Return the app's push that is meant.

    Raises:
        NotFoundError: no push has such an id.
    """
    if not OBJECT_ID.fullmatch(push_id):
        raise NotFoundError("There is no such push.")
    return Named(object_id=push_id, app_id=app.id, how=HOW)


async def _shown(resources: Resources, push: Push) -> Response:
    async with resources.engine.connect() as connection:
        (row,) = await rows(connection, [push])
    return json_response(row)
