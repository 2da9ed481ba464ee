"""A campaign with all that its definition names: what its run would be, checked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc import admission
from pushsvc.campaigns import composing
from pushsvc.campaigns.composing import Stock
from pushsvc.campaigns.definition import Definition, Group
from pushsvc.errors import CallerError, InvalidAudienceError, InvalidTemplateError
from pushsvc.model import App, Json, Submission
from pushsvc.resources import Resources
from pushsvc.storage import audiences, templates

#: Of saved audiences with one name: that there are two is enough to know.
_TWO: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A campaign that can run."""

    app: App
    definition: Definition
    #: of a run, but for its times
    submission: Submission
    #: object ids of the saved audiences that a run uses
    audience_ids: tuple[str, ...]


async def ready(resources: Resources, app: App, definition: Definition, *, object_id: str) -> Ready:
    """Return what a run would be; `object_id` is the campaign's.

    Raises:
        CallerError: what is wrong with it, and in which field of the definition.
    """
    async with resources.engine.connect() as connection:
        saved = await _saved(connection, app, definition)
        stock = Stock(
            templates=await _templates(connection, app, definition),
            audiences={name: orjson.loads(one.query) for name, one in saved.items()},
        )
    await _check(resources, definition.audience, stock, at="/audience")
    if definition.audience.exclude is not None:
        await _check(resources, definition.audience.exclude, stock, at="/audience/exclude")
    salt = composing.salt_of(object_id)
    submission = composing.submission_of(definition, stock, salt=salt)
    # Each alone is right: what is wrong now is that the one stands within the other.
    together = "/audience/exclude" if definition.audience.exclude else None
    with _placed("/audience", whole=together):
        await admission.check_audience(resources, submission.audience)
    return Ready(
        app=app,
        definition=definition,
        submission=submission,
        audience_ids=tuple(one.object_id for one in saved.values()),
    )


async def _saved(
    connection: AsyncConnection, app: App, definition: Definition
) -> Mapping[str, audiences.Audience]:
    found = {}
    for name in composing.names_of_audiences(definition):
        some = await audiences.named_audiences(connection, app_id=app.id, key=name, limit=_TWO)
        if len(some) != 1:
            message = f'There is no saved audience "{name}": write its name or its objectId.'
            if some:
                message = f'Several saved audiences are named "{name}": write the objectId of one.'
            raise InvalidAudienceError(message, field=_place_of(definition, name))
        found[name] = some[0]
    return found


def _place_of(definition: Definition, audience: str) -> str:
    within = "" if definition.audience.audience == audience else "/exclude"
    return f"/audience{within}/audience"


async def _templates(
    connection: AsyncConnection, app: App, definition: Definition
) -> Mapping[str, Json]:
    found = {}
    for name in composing.names_of_templates(definition):
        one = await templates.find_template(connection, app_id=app.id, name=name)
        if one is None:
            message = f'There is no template "{name}". GET /v1/templates lists those there are.'
            raise InvalidTemplateError(message, field=_place_of_template(definition, name))
        found[name] = one.content
    return found


def _place_of_template(definition: Definition, name: str) -> str:
    if definition.content is not None and definition.content.template == name:
        return "/content/template"
    of_variants = [one.content.template for one in definition.variants]
    return f"/variants/{of_variants.index(name)}/content/template"


async def _check(resources: Resources, group: Group, stock: Stock, *, at: str) -> None:
    with _placed(at, whole=f"{at}/audience" if group.audience is not None else None):
        await admission.check_audience(resources, composing.group_of(group, stock))


@contextmanager
def _placed(at: str, *, whole: str | None = None) -> Iterator[None]:
    """Have an error name its field in the definition; of what is saved, the name of that."""
    try:
        yield
    except CallerError as error:
        error.field = whole or f"{at}{error.field or ''}"
        raise


def told(error: CallerError) -> str:
    """Return why a campaign cannot run, for its state."""
    return error.detail if error.field is None else f"{error.field}: {error.detail}"


def as_read(stored: Mapping[str, Any]) -> Definition:
    """Return a definition that was checked when it was stored."""
    return Definition.model_validate(stored)
