"""Reports of pushes and campaigns, in three forms; and the opens that they have, as told."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pushsvc.api.body import read_object
from pushsvc.api.replies import JSON, json_response
from pushsvc.api.v1 import cursor as cursors
from pushsvc.api.v1.asked import DEFAULT_PAGE, MAX_PAGE, check_parameters, enter, push_of
from pushsvc.api.v1.bodies import NewOpen, parse_new_open
from pushsvc.api.v1.campaigns import Key
from pushsvc.api.v1.openapi import reply_docs, report_docs, request_docs
from pushsvc.api.v1.report_page import page_of
from pushsvc.api.v1.report_table import csv_of
from pushsvc.api.v1.report_views import (
    CampaignReportView,
    PushReportView,
    campaign_document,
    push_document,
)
from pushsvc.campaigns import desk
from pushsvc.model import Json
from pushsvc.review import reports
from pushsvc.storage.apps import Scope
from pushsvc.storage.opens import Opened

Form = Literal["json", "csv", "html"]
Asked = Annotated[
    Form | None, Query(alias="format", description="Left out, the Accept header says it.")
]
#: form -> media type, and what makes a document one
TEXTS: Final[Mapping[Form, tuple[str, Callable[[Json], str]]]] = {
    "csv": ("text/csv", csv_of),
    "html": ("text/html", page_of),
}
MEDIA_TYPES: Final[Mapping[str, Form]] = {
    JSON: "json",
    **{media_type: form for form, (media_type, _) in TEXTS.items()},
}
#: Of a run; Postgres's integer.
MOST_NUMBER: Final = 2**31 - 1
#: Nothing of a page comes from elsewhere, and nothing in it runs.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"

router = APIRouter(prefix="/v1", tags=["reports"])


@router.get(
    "/pushes/{push_id}/report",
    summary="Report what came of a push",
    responses=report_docs(PushReportView),
)
async def of_push(request: Request, push_id: str, form: Asked = None) -> Response:
    """Return what came of a push so far: in all, and by variant, platform, time zone and hour."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ("format",))
    async with resources.engine.connect() as connection:
        push = await push_of(connection, app, push_id)
    document = push_document(await reports.of_push(resources, push))
    return _reply(request, document, form, name=f"push-{push.object_id}")


@router.get(
    "/campaigns/{campaign}/report",
    summary="Report what came of a campaign",
    responses=report_docs(CampaignReportView),
)
async def of_campaign(
    request: Request,
    campaign: Key,
    *,
    form: Asked = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Return what came of the runs of a campaign, the newest so many, one by one and together."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ("format", "limit", "cursor"))
    before = None if cursor is None else _number(cursors.read(cursor))
    found = await desk.found(resources, app, campaign)
    report = await reports.of_campaign(resources, found, before=before, limit=limit)
    more = None if report.before is None else cursors.write(report.before)
    document = campaign_document(report, next_cursor=more)
    return _reply(request, document, form, name=f"campaign-{found.object_id}")


@router.post(
    "/pushes/{push_id}/opens",
    status_code=204,
    summary="Tell that it was opened",
    openapi_extra=request_docs(NewOpen, required=False),
    responses=reply_docs(204, None),
)
async def opened(request: Request, push_id: str) -> Response:
    """Count an open of a push. 204: it is durable."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    told = parse_new_open(await read_object(request))
    async with resources.engine.connect() as connection:
        push = await push_of(connection, app, push_id)
    await resources.opens.count(Opened(app.id, push.object_id, None, told.at, told.installation_id))
    return Response(status_code=204)


def _number(number: int) -> int:
    """Return the number of a run.

    Raises:
        InvalidRequestError: it is of another list.
    """
    if number > MOST_NUMBER:
        raise cursors.foreign()
    return number


def _reply(request: Request, document: dict[str, Any], form: Form | None, *, name: str) -> Response:
    form = form or accepted(request.headers.get("Accept", ""))
    headers = {"Vary": "Accept", "Cache-Control": "no-store"}
    if form == "json":
        return json_response(document, headers=headers)
    media_type, made_of = TEXTS[form]
    headers["X-Content-Type-Options"] = "nosniff"
    if form == "html":
        headers["Content-Security-Policy"] = _POLICY
    else:
        headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return Response(made_of(document), media_type=media_type, headers=headers)


def accepted(header: str) -> Form:
    """Return the form that an Accept header likes most; JSON where it says nothing of ours."""
    liked: list[tuple[float, Form]] = []
    for part in header.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        if media_type in MEDIA_TYPES:
            liked.append((_quality(parameters), MEDIA_TYPES[media_type]))
    best = max(liked, key=lambda one: one[0], default=(0.0, "json"))
    return best[1] if best[0] > 0 else "json"


def _quality(parameters: list[str]) -> float:
    """Return the weight of a media type (RFC 9110, 12.4.2); 1 where there is none to read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q" and value.replace(".", "", 1).isdecimal():
            return float(value)
    return 1.0
