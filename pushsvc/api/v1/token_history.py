"""`/v1/installations/{id}/token-history`: what happened to a device's token, and why."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from pushsvc.api.replies import json_response
from pushsvc.api.v1 import cursor as cursors
from pushsvc.api.v1.asked import DEFAULT_PAGE, MAX_PAGE, check_parameters, enter
from pushsvc.api.v1.openapi import reply_docs
from pushsvc.api.v1.token_views import TokenHistoryView, shown
from pushsvc.errors import NotFoundError
from pushsvc.storage.apps import Scope
from pushsvc.storage.standing import installations_named
from pushsvc.storage.token_history import events_of

router = APIRouter(prefix="/v1/installations", tags=["installations"])


@router.get(
    "/{installation}/token-history",
    summary="See what happened to a token",
    responses=reply_docs(200, TokenHistoryView),
)
async def find(
    request: Request,
    installation: Annotated[str, Path(description="Its objectId or installationId.")],
    *,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Return where an installation's token stands, and what happened to it, newest first."""
    resources, app = await enter(request, Scope.SEND, Scope.READ)
    check_parameters(request, ("limit", "cursor"))
    before = None if cursor is None else cursors.read(cursor)
    async with resources.engine.connect() as connection:
        named = await installations_named(connection, installation, app_ids=[app.id])
        standing = named.get(app.id)
        if standing is None or standing.id is None:
            raise NotFoundError("There is no installation with this objectId or installationId.")
        events = await events_of(connection, standing.id, before=before, limit=limit + 1)
    page, more = cursors.page(events, limit, lambda event: cursors.write(event.id))
    return json_response(shown(standing, page, next_cursor=more))
