"""`/v1/pushes/{id}/devices` and `/outcomes`: what came of the devices, one by one."""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from pushsvc.api.replies import NDJSON, json_response
from pushsvc.api.v1 import cursor as cursors
from pushsvc.api.v1.asked import check_parameters, enter, push_of
from pushsvc.api.v1.openapi import export_docs, reply_docs
from pushsvc.api.v1.review_views import ExplanationView, OutcomesPage, explained, outcome_shown
from pushsvc.errors import Fault, InvalidRequestError
from pushsvc.model import OUTCOME_OF, Outcome, OutcomeClass, Push
from pushsvc.resources import Resources
from pushsvc.review import outcomes
from pushsvc.review.explain import explain
from pushsvc.storage.apps import Scope
from pushsvc.storage.ends import Spot

#: Larger pages than of other lists: their rows are small, and lie together.
DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1_000

CLASSES: Final[Mapping[str, OutcomeClass]] = {one.name.lower(): one for one in OUTCOME_OF}
#: A cursor is one number: the batch, then the place in it.
_PLACE_BITS: Final = 32

router = APIRouter(prefix="/v1/pushes", tags=["pushes"])


@router.get(
    "/{push_id}/devices/{installation:path}",
    summary="See why a device got it or did not",
    responses=reply_docs(200, ExplanationView),
)
async def find_device(
    request: Request,
    push_id: str,
    installation: Annotated[
        str,
        Path(description="An objectId, an installationId or, of an explicit device, its token."),
    ],
) -> Response:
    """Return what a push came to on one device: its attempts, or why it is in none."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ())
    async with resources.engine.connect() as connection:
        push = await push_of(connection, app, push_id)
    return json_response(explained(await explain(resources, push, installation)))


@router.get(
    "/{push_id}/outcomes",
    summary="See what came of each device",
    responses=export_docs(200, OutcomesPage),
)
async def find_outcomes(
    request: Request,
    push_id: str,
    *,
    class_: Annotated[
        str | None, Query(alias="class", json_schema_extra={"enum": [*CLASSES]})
    ] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Return the outcomes of the devices that have one, in the order of the push's batches.

    A page may be short, or empty, and have a next one all the same. With
    `Accept: application/x-ndjson` all of them come at once, an object on each line.
    """
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ("class", "outcome", "limit", "cursor"))
    classes = classes_of(class_, outcome)
    since = Spot() if cursor is None else _spot(cursors.read(cursor))
    exported = NDJSON in request.headers.get("Accept", "").lower()
    if exported:
        _refuse_pages(request)
    async with resources.engine.connect() as connection:
        push = await push_of(connection, app, push_id)
    if exported:
        return StreamingResponse(_lines(resources, push, classes), media_type=NDJSON)
    page = await outcomes.page(resources.engine, push, classes=classes, since=since, limit=limit)
    return json_response(
        {
            "outcomes": [outcome_shown(push, end) for end in page.ends],
            "next_cursor": page.after and cursors.write(_number(page.after)),
        }
    )


def classes_of(name: str | None, outcome: Outcome | None) -> frozenset[OutcomeClass]:
    """Return the classes that are asked for.

    Raises:
        InvalidRequestError: there is no such class, or it has another outcome.
    """
    if name is None:
        return frozenset(c for c, word in OUTCOME_OF.items() if outcome in {None, word})
    if name not in CLASSES:
        text = f"class: There is no class {name[:100]!r}. There are: {', '.join(CLASSES)}."
        raise InvalidRequestError([Fault("?class", "invalid_value", text)])
    found = CLASSES[name]
    if outcome not in {None, OUTCOME_OF[found]}:
        text = f"outcome: Devices of the class {name} have the outcome {OUTCOME_OF[found]}."
        raise InvalidRequestError([Fault("?outcome", "invalid_value", text)])
    return frozenset({found})


async def _lines(
    resources: Resources, push: Push, classes: Collection[OutcomeClass]
) -> AsyncIterator[bytes]:
    """Yield the lines of each batch; no connection is held while the client reads them."""
    async for ends in outcomes.parts(resources.engine, push, classes=classes):
        if ends:
            yield b"".join(orjson.dumps(outcome_shown(push, end)) + b"\n" for end in ends)


def _refuse_pages(request: Request) -> None:
    """Raise InvalidRequestError where a page of all is asked for."""
    text = "The export has no pages: leave out {}, or ask for application/json."
    faults: list[Fault] = [
        Fault(f"?{name}", "invalid_value", text.format(name))
        for name in ("limit", "cursor")
        if name in request.query_params
    ]
    if faults:
        raise InvalidRequestError(faults)


def _number(spot: Spot) -> int:
    return spot.seq << _PLACE_BITS | spot.place


def _spot(number: int) -> Spot:
    return Spot(*divmod(number, 1 << _PLACE_BITS))
