"""`/v1/templates`: store, show, list, delete what pushes can name."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from pushsvc import admission
from pushsvc.api.body import read_object
from pushsvc.api.replies import json_response
from pushsvc.api.v1 import cursor as cursors
from pushsvc.api.v1.asked import DEFAULT_PAGE, MAX_PAGE, check_parameters, enter
from pushsvc.api.v1.bodies import NewTemplate, content_of, parse_new_template
from pushsvc.api.v1.openapi import reply_docs, request_docs
from pushsvc.api.v1.template_views import TemplatePage, TemplateView, shown
from pushsvc.errors import NotFoundError
from pushsvc.storage import templates
from pushsvc.storage.apps import Scope

#: Not checked here: on the way to nothing any name is one that is not found.
Name = Annotated[
    str,
    Path(
        description="1 to 64 letters A to Z, digits, _, - and .; neither . nor ..",
        json_schema_extra={"pattern": f"^{templates.NAME_PATTERN}$"},
    ),
]
_PLACE: Final = "/v1/templates/{}"

router = APIRouter(prefix="/v1/templates", tags=["templates"])


@router.put(
    "/{name}",
    summary="Store a template",
    openapi_extra=request_docs(NewTemplate),
    responses={**reply_docs(200, TemplateView), **reply_docs(201, TemplateView)},
)
async def put(request: Request, name: Name) -> Response:
    """Store a template. 201 if there was none of this name; 200 if it replaces the one there was.

    Pushes that were accepted before keep what they have taken over.
    """
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    asked = parse_new_template(await read_object(request))
    content = content_of(asked)
    template, is_new = await admission.put_template(resources, app, name=name, content=content)
    headers = {"Location": _PLACE.format(template.name)} if is_new else {}
    return json_response(shown(template), status=201 if is_new else 200, headers=headers)


@router.get("/{name}", summary="Look at a template", responses=reply_docs(200, TemplateView))
async def get(request: Request, name: Name) -> Response:
    """Return a template, with the names of the variables that its texts look at."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ())
    async with resources.engine.connect() as connection:
        found = await templates.find_template(connection, app_id=app.id, name=name)
    if found is None:
        raise _unknown()
    return json_response(shown(found))


@router.get("", summary="List templates", responses=reply_docs(200, TemplatePage))
async def find(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Response:
    """Return the app's templates, by name."""
    resources, app = await enter(request, Scope.READ)
    check_parameters(request, ("limit", "cursor"))
    after = None if cursor is None else cursors.read_name(cursor)
    async with resources.engine.connect() as connection:
        found = await templates.list_templates(
            connection, app_id=app.id, after=after, limit=limit + 1
        )
    page, more = cursors.page(found, limit, lambda one: cursors.write_name(one.name))
    return json_response({"templates": [shown(one) for one in page], "next_cursor": more})


@router.delete(
    "/{name}", status_code=204, summary="Delete a template", responses=reply_docs(204, None)
)
async def delete(request: Request, name: Name) -> Response:
    """Delete a template. Pushes that were accepted before keep what they have taken over."""
    resources, app = await enter(request, Scope.SEND)
    check_parameters(request, ())
    async with resources.engine.begin() as connection:
        deleted = await templates.delete_template(connection, app_id=app.id, name=name)
    if not deleted:
        raise _unknown()
    return Response(status_code=204)


def _unknown() -> NotFoundError:
    return NotFoundError("There is no such template. GET /v1/templates lists those there are.")
