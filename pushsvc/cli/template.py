"""`pushsvc template`: stored templates, which pushes can name."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pushsvc import admission
from pushsvc.api.v1.bodies import content_of, parse_new_template
from pushsvc.api.v1.template_views import shown
from pushsvc.cli import session
from pushsvc.cli.display import result, table
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.files import object_in
from pushsvc.cli.options import AppName, Json
from pushsvc.model import App
from pushsvc.resources import Resources
from pushsvc.storage import templates
from pushsvc.storage.templates import Template

#: More than a template's 128 KB can be with each character escaped.
FILE_MEGABYTES: Final = 1

Name = Annotated[str, typer.Argument(help="The template's name.")]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command(name="list")
def list_(*, app_name: AppName, as_json: Json = False) -> None:
    """List the templates of an app, by name."""

    async def work(resources: Resources) -> list[Template]:
        owner = await _owner(resources, app_name)
        async with resources.engine.connect() as connection:
            return await templates.list_templates(
                connection, app_id=owner.id, after=None, limit=templates.TEMPLATES_LIMIT
            )

    found = session.run(work)
    rows = [(one.name, one.updated_at, ", ".join(one.variables_used)) for one in found]
    result(
        {"templates": [shown(one) for one in found]},
        table(("name", "updated", "variables"), rows)
        if rows
        else "No templates yet. Store one with `pushsvc template set`.",
        as_json=as_json,
    )


@app.command()
def show(name: Name, *, app_name: AppName, as_json: Json = False) -> None:
    """Show a template, in the form that `set` reads, and the variables that its texts look at."""

    async def work(resources: Resources) -> Template | None:
        owner = await _owner(resources, app_name)
        async with resources.engine.connect() as connection:
            return await templates.find_template(connection, app_id=owner.id, name=name)

    found = session.run(work)
    if found is None:
        raise _unknown(name, app_name)
    result({"template": shown(found)}, *_told(found), as_json=as_json)


@app.command(name="set")
def set_(
    name: Name,
    file: Annotated[Path, typer.Argument(help="A file with the template in JSON; - is stdin.")],
    *,
    app_name: AppName,
    as_json: Json = False,
) -> None:
    """Store a template, or replace the one of that name."""
    content = _read(file)

    async def work(resources: Resources) -> tuple[Template, bool]:
        owner = await _owner(resources, app_name)
        return await admission.put_template(resources, owner, name=name, content=content)

    stored, is_new = session.run(work)
    told = f"Template {name} is {'stored' if is_new else 'replaced'}."
    result({"template": shown(stored), "created": is_new}, told, as_json=as_json)


@app.command()
def delete(name: Name, *, app_name: AppName, as_json: Json = False) -> None:
    """Delete a template. Pushes that were accepted before keep what they have taken over."""

    async def work(resources: Resources) -> bool:
        owner = await _owner(resources, app_name)
        async with resources.engine.begin() as connection:
            return await templates.delete_template(connection, app_id=owner.id, name=name)

    if not session.run(work):
        raise _unknown(name, app_name)
    result({"deleted": name}, f"Template {name} is deleted.", as_json=as_json)


async def _owner(resources: Resources, app_name: str) -> App:
    async with resources.engine.connect() as connection:
        return await session.app(connection, app_name)


def _read(file: Path) -> dict[str, Any]:
    """Return the content in a file, after the checks that a body of the API has.

    Raises:
        CommandError: the file cannot be read, or holds no JSON object.
        CallerError: what the API would answer.
    """
    read = object_in(file, field="FILE", most_megabytes=FILE_MEGABYTES)
    return content_of(parse_new_template(read))


def _told(template: Template) -> tuple[str, str]:
    text = json.dumps(template.content, indent=2, ensure_ascii=False)
    return text, f"Variables: {', '.join(template.variables_used) or 'none'}."


def _unknown(name: str, app_name: str) -> CommandError:
    message = f"There is no template {name!r}. See `pushsvc template list --app {app_name}`."
    return CommandError(message, code="unknown_template", status=MISTAKE, field="NAME")
