"""`/v1/pushes`: send, list, look."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from pushsvc import pipeline
from pushsvc.api.audience import fingerprint
from pushsvc.api.body import read_object
from pushsvc.api.replies import json_response, moment
from pushsvc.api.v1 import cursor as cursors
from pushsvc.api.v1.asked import DEFAULT_PAGE, MAX_PAGE, check_parameters, enter, push_of
from pushsvc.api.v1.bodies import NewPush, parse_new_push
from pushsvc.api.v1.openapi import reply_docs, request_docs
from pushsvc.api.v1.submissions import submission_of
from pushsvc.api.v1.views import OpensPage, PushPage, PushView, shown
from pushsvc.errors import Fault, InvalidRequestError
from pushsvc.model import Push
from pushsvc.storage import campaigns, pushes
from pushsvc.storage.apps import Scope
from pushsvc.storage.opens import hours_of, opens_of

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
IDEMPOTENCY_KEY_CHARACTERS: Final = 255
REPLAYED: Final = "Idempotent-Replayed"

router = APIRouter(prefix="/v1/pushes", tags=["pushes"])


@router.post(
    "",
    status_code=202,
    summary="Send a push",
    openapi_extra=request_docs(NewPush, headers=(IDEMPOTENCY_KEY,)),
    responses=reply_docs(202, PushView),
)
async def create(request: Request) -> Response:
    """Store a push for delivery. 202: it is durable, and its way can be followed at `Location`."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    key = idempotency_key(request)
    body = await read_object(request)
    asked = parse_new_push(body, devices_limit=resources.settings.explicit_devices_limit)
    # Without a key nothing repeats it.
    request_hash = None if key is None else fingerprint(body)
    submission = submission_of(asked, key=key, request_hash=request_hash)
    stored = await pipeline.submit_push(resources, app, submission)
    headers = {"Location": f"/v1/pushes/{stored.push.object_id}"}
    if not stored.replayed:
        # No further query: what is stored must not be answered with an error.
        return json_response(shown(stored.push, {}, opens=0), status=202, headers=headers)
    headers[REPLAYED] = "true"
    async with resources.engine.connect() as connection:
        (row,) = await rows(connection, [stored.push])
    return json_response(row, status=202, headers=headers)


@router.get("", summary="List pushes", responses=reply_docs(200, PushPage))
async def find(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Return the app's pushes of the last days, newest first, and what came of them so far."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ("limit", "cursor"))
    before = None if cursor is None else cursors.read(cursor)
    async with resources.engine.connect() as connection:
        found = await pushes.list_pushes(
            connection,
            app_id=app.id,
            days=resources.settings.push_history_days,
            before=before,
            limit=limit + 1,
        )
        page, more = cursors.page(found, limit, lambda push: cursors.write(push.id))
        page_rows = await rows(connection, page)
    return json_response({"pushes": page_rows, "next_cursor": more})


@router.get("/{push_id}", summary="Look at a push", responses=reply_docs(200, PushView))
async def get(request: Request, push_id: str) -> Response:
    """Return a push, with live counts: they are what the ledger says at this moment."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ())
    async with resources.engine.connect() as connection:
        (row,) = await rows(connection, [await push_of(connection, app, push_id)])
    return json_response(row)


@router.get("/{push_id}/opens", summary="See its opens", responses=reply_docs(200, OpensPage))
async def find_opens(
    request: Request,
    push_id: str,
    *,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Return the hours in which a push was opened, oldest first, with their opens."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ("limit", "cursor"))
    after = None if cursor is None else _hour(cursors.read(cursor))
    async with resources.engine.connect() as connection:
        push = await push_of(connection, app, push_id)
        found = await hours_of(connection, push.id, after=after, limit=limit + 1)
    page, more = cursors.page(found, limit, lambda one: cursors.write(int(one.hour.timestamp())))
    hours = [{"hour": moment(one.hour), "opens": one.opens} for one in page]
    return json_response({"hours": hours, "next_cursor": more})


def _hour(seconds: int) -> datetime:
    """Return the hour of a cursor.

    Raises:
        InvalidRequestError: it is of another list.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise cursors.foreign() from None


async def rows(connection: AsyncConnection, some: Sequence[Push]) -> list[dict[str, Any]]:
    """Return pushes as they are shown, with live counts."""
    counts = await pushes.counts_of_all(connection, some)
    opened = await opens_of(connection, [push.id for push in some])
    named = await campaigns.object_ids_of(connection, [push.campaign_id for push in some])
    return [
        shown(
            push,
            counts[push.id],
            opens=opened[push.id],
            campaign=named.get(push.campaign_id or 0),
        )
        for push in some
    ]


def idempotency_key(request: Request, *, prefix: str = "v1") -> str | None:
    """Return what tells a repeat of this request.

    Raises:
        InvalidRequestError: it is too long, or empty.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not 0 < len(key) <= IDEMPOTENCY_KEY_CHARACTERS:
        text = f"{IDEMPOTENCY_KEY} has 1 to {IDEMPOTENCY_KEY_CHARACTERS} characters."
        raise InvalidRequestError([Fault("", "invalid_idempotency_key", text)])
    return f"{prefix}:{key}"
