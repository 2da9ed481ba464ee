"""OpenAPI of what we read and write by hand: the schemas, and where they are used."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

import pushsvc
from pushsvc.api.replies import JSON, NDJSON, PROBLEM
from pushsvc.api.v1.bodies import NewOpen, NewPush, NewTemplate, NewTimes, Resumption
from pushsvc.api.v1.campaign_bodies import NewCampaign
from pushsvc.api.v1.campaign_preview_views import CampaignPreviewView
from pushsvc.api.v1.campaign_views import CampaignPage, CampaignView, RunPage, RunView
from pushsvc.api.v1.delivery_bodies import NewDelivery
from pushsvc.api.v1.delivery_views import DeliveryView, GroupView
from pushsvc.api.v1.preview_views import PreviewView
from pushsvc.api.v1.report_views import CampaignReportView, PushReportView
from pushsvc.api.v1.review_views import ExplanationView, OutcomesPage
from pushsvc.api.v1.template_views import TemplatePage, TemplateView
from pushsvc.api.v1.token_views import TokenHistoryView
from pushsvc.api.v1.views import OpensPage, Problem, PushPage, PushView, WavesPage

PATH: Final = "/v1/openapi.json"
#: What a report can be beside JSON.
REPORT_TEXTS: Final = ("text/csv", "text/html")
_REF: Final = "#/components/schemas/{model}"
_SCHEMAS: Final[Sequence[tuple[type[BaseModel], JsonSchemaMode]]] = (
    (NewPush, "validation"),
    (NewOpen, "validation"),
    (PushView, "serialization"),
    (PushPage, "serialization"),
    (OpensPage, "serialization"),
    (WavesPage, "serialization"),
    (NewDelivery, "validation"),
    (DeliveryView, "serialization"),
    (GroupView, "serialization"),
    (ExplanationView, "serialization"),
    (OutcomesPage, "serialization"),
    (PushReportView, "serialization"),
    (CampaignReportView, "serialization"),
    (PreviewView, "serialization"),
    (NewTimes, "validation"),
    (Resumption, "validation"),
    (NewTemplate, "validation"),
    (TemplateView, "serialization"),
    (TemplatePage, "serialization"),
    (TokenHistoryView, "serialization"),
    (NewCampaign, "validation"),
    (CampaignView, "serialization"),
    (CampaignPage, "serialization"),
    (CampaignPreviewView, "serialization"),
    (RunView, "serialization"),
    (RunPage, "serialization"),
    (Problem, "serialization"),
)


def request_docs(
    model: type[BaseModel], *, headers: Sequence[str] = (), required: bool = True
) -> dict[str, Any]:
    """Return what OpenAPI says of a body that we parse ourselves, and of optional headers."""
    return {
        "requestBody": {"required": required, "content": {JSON: {"schema": _ref(model)}}},
        "parameters": [
            {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
            for name in headers
        ],
    }


def reply_docs(status: int, model: type[BaseModel] | None) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of the replies: the good one, and a problem for all others."""
    content = {"content": {JSON: {"schema": _ref(model)}}} if model else {}
    return {
        status: {"description": "Done.", **content},
        "4XX": {"description": "A problem.", "content": {PROBLEM: {"schema": _ref(Problem)}}},
        "5XX": {"description": "A problem.", "content": {PROBLEM: {"schema": _ref(Problem)}}},
    }


def export_docs(status: int, model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return the same of a reply that can also be had as lines, of what the model is a page of."""
    docs = reply_docs(status, model)
    docs[status]["content"][NDJSON] = {"schema": {"type": "string"}}
    return docs


def report_docs(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return the same of a report, which can also be had as a table and as a page."""
    docs = reply_docs(200, model)
    docs[200]["content"] |= {form: {"schema": {"type": "string"}} for form in REPORT_TEXTS}
    return docs


def document(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return a function that describes the app's `/v1`, made once."""
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            made.update(_described(app))
        return made

    return openapi


def _described(app: FastAPI) -> dict[str, Any]:
    described = get_openapi(
        title="pushsvc", version=pushsvc.__version__, description=__doc__, routes=app.routes
    )
    _, schemas = models_json_schema(_SCHEMAS, ref_template=_REF)
    components = described.setdefault("components", {})
    components["schemas"] = schemas["$defs"]
    components["securitySchemes"] = {"api_key": {"type": "http", "scheme": "bearer"}}
    described["security"] = [{"api_key": []}]
    for path in described["paths"].values():
        for operation in path.values():
            # FastAPI's own validation error: we answer a problem with 400.
            operation["responses"].pop("422", None)
    return described


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
