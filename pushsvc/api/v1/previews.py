"""`/v1/pushes:preview`: a push seen before it is sent."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from pushsvc import pipeline
from pushsvc.api.body import read_object
from pushsvc.api.replies import json_response
from pushsvc.api.v1.asked import check_parameters, enter
from pushsvc.api.v1.bodies import NewPush, parse_new_push
from pushsvc.api.v1.openapi import reply_docs, request_docs
from pushsvc.api.v1.preview_views import PreviewView, shown
from pushsvc.api.v1.submissions import submission_of
from pushsvc.storage.apps import Scope

router = APIRouter(prefix="/v1", tags=["pushes"])


@router.post(
    "/pushes:preview",
    summary="See a push before it is sent",
    openapi_extra=request_docs(NewPush),
    responses=reply_docs(200, PreviewView),
)
async def create(request: Request) -> Response:
    """Check a push as sending it would, and show what would go out. Nothing is stored or sent."""
    resources, app = await enter(request, Scope.SEND, Scope.READ)
    check_parameters(request, ())
    body = await read_object(request)
    asked = parse_new_push(body, devices_limit=resources.settings.explicit_devices_limit)
    found = await pipeline.preview_push(resources, app, submission_of(asked))
    return json_response(shown(found))
