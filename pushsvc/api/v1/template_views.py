"""A stored template as `/v1` shows it."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from pushsvc.api.replies import moment
from pushsvc.storage.templates import Template


class TemplateView(BaseModel):
    """A stored template: its keys, and the variables that its texts look at."""

    model_config = ConfigDict(extra="allow")

    name: str
    data: dict[str, Any]
    variables_used: list[str]
    created_at: str
    updated_at: str


class TemplatePage(BaseModel):
    """Templates, by name."""

    model_config = ConfigDict(extra="forbid")

    templates: list[TemplateView]
    next_cursor: str | None


def shown(template: Template) -> dict[str, Any]:
    """Return a template as `TemplateView` describes it."""
    return {
        **template.content,
        "name": template.name,
        "variables_used": list(template.variables_used),
        "created_at": moment(template.created_at),
        "updated_at": moment(template.updated_at),
    }
