"""`/v1/pushes/{id}/waves`: what there is of each zone."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pushsvc.api.replies import json_response, moment
from pushsvc.api.v1 import cursor as cursors
from pushsvc.api.v1.asked import DEFAULT_PAGE, MAX_PAGE, check_parameters, enter, push_of
from pushsvc.api.v1.openapi import reply_docs
from pushsvc.api.v1.views import WavesPage
from pushsvc.stats import tally
from pushsvc.storage.apps import Scope
from pushsvc.storage.waves import Wave, list_waves

router = APIRouter(prefix="/v1/pushes", tags=["pushes"])


@router.get("/{push_id}/waves", summary="See its zones", responses=reply_docs(200, WavesPage))
async def find_waves(
    request: Request,
    push_id: str,
    *,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Return the zones of a push in local time or of a campaign's run, with what came of each.

    Those that are still to come are the zones that devices of the app have now.
    """
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ("limit", "cursor"))
    after = None if cursor is None else _place(cursors.read_name(cursor))
    async with resources.engine.connect() as connection:
        push = await push_of(connection, app, push_id)
        found = await list_waves(connection, push.id, after=after, limit=limit + 1)
    page, more = cursors.page(found, limit, lambda one: cursors.write_name(_mark(one)))
    return json_response({"waves": [shown(one) for one in page], "next_cursor": more})


def shown(wave: Wave) -> dict[str, object]:
    """Return the devices of a zone as `WaveView` describes it."""
    words = {word.value: n for word, n in tally.by_outcome(wave.counts).items()}
    open_devices = max(0, wave.devices - sum(words.values()))
    return {
        "zone": wave.zone or None,
        "due_at": moment(wave.due_at),
        "devices": wave.devices,
        "counts": {**words, "open": open_devices},
    }


def _mark(wave: Wave) -> str:
    return f"{wave.due_at.isoformat()} {wave.zone}"


def _place(mark: str) -> tuple[datetime, str]:
    """Return where a page begins.

    Raises:
        InvalidRequestError: the cursor is of another list.
    """
    at, space, zone = mark.partition(" ")
    try:
        due_at = datetime.fromisoformat(at)
    except ValueError:
        raise cursors.foreign() from None
    if not space or due_at.tzinfo is None:
        raise cursors.foreign()
    return due_at, zone
