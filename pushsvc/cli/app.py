"""`pushsvc app`: apps, each with keys of its own."""

from typing import Annotated, Final

import typer

from pushsvc.cli import session
from pushsvc.cli.display import result, table
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import Json
from pushsvc.model import App
from pushsvc.resources import Resources
from pushsvc.storage import apps
from pushsvc.storage.apps import KeyKind, Scope

#: What a new app gets: Parse's keys, and one of ours that may all.
KINDS: Final = (KeyKind.MASTER, KeyKind.REST, KeyKind.JAVASCRIPT, KeyKind.CLIENT, KeyKind.API)

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name for people; unique.")],
    *,
    application_id: Annotated[
        str | None, typer.Option(help="Parse's application id; a new one if not given.")
    ] = None,
    master_key: Annotated[
        str | None, typer.Option(help="Parse's master key; a new one if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create an app and its keys. The keys are shown now and never again."""
    if not name.strip():
        raise CommandError("NAME: must not be empty.", code="usage", status=MISTAKE, field="NAME")
    _refuse_unsendable("--application-id", application_id)
    _refuse_unsendable("--master-key", master_key)

    async def work(resources: Resources) -> tuple[App, dict[str, str]]:
        return await create_with_keys(
            resources, name, application_id=application_id, master_key=master_key
        )

    made, keys = session.run(work)
    rows = [("application id", made.application_id), *((f"{k} key", v) for k, v in keys.items())]
    result(
        {"app": _as_json(made), "keys": keys},
        table(("", f"app {made.name}"), rows),
        "Keep the keys now: they are stored as hashes and cannot be shown again.",
        as_json=as_json,
    )


@app.command(name="list")
def list_(*, as_json: Json = False) -> None:
    """List the apps."""

    async def work(resources: Resources) -> list[App]:
        async with resources.engine.connect() as connection:
            return await apps.list_apps(connection)

    found = session.run(work)
    result(
        {"apps": [_as_json(one) for one in found]},
        table(("name", "application id"), [(one.name, one.application_id) for one in found])
        if found
        else "No apps yet. Make one with `pushsvc app create NAME`.",
        as_json=as_json,
    )


async def create_with_keys(
    resources: Resources,
    name: str,
    *,
    application_id: str | None = None,
    master_key: str | None = None,
) -> tuple[App, dict[str, str]]:
    """Store an app with one key of each kind; return it and the keys in clear by kind.

    Raises:
        AppExistsError: the name or the application id is taken.
    """
    async with resources.engine.begin() as connection:
        made = await apps.create_app(connection, name=name, application_id=application_id)
        keys: dict[str, str] = {}
        for kind in KINDS:
            _, keys[kind.value] = await apps.create_key(
                connection,
                made,
                kind=kind,
                scopes=[Scope.ADMIN] if kind is KeyKind.API else [],
                key=master_key if kind is KeyKind.MASTER else None,
            )
    return made, keys


def _refuse_unsendable(option: str, value: str | None) -> None:
    """Refuse an id or a key that no header could carry."""
    if value is None or (value and all("!" <= character <= "~" for character in value)):
        return
    message = f"{option}: must be visible ASCII without spaces, as it is sent in a header."
    raise CommandError(message, code="usage", status=MISTAKE, field=option)


def _as_json(one: App) -> dict[str, str]:
    return {"name": one.name, "application_id": one.application_id}
