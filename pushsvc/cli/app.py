"""`pushsvc app`: apps, each with keys of its own."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import typer

from pushsvc.cli import session
from pushsvc.cli.display import result, table
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import Json, refuse_unsendable
from pushsvc.model import App, AppSettings
from pushsvc.planning.localtime import nearest_zone, zone_of
from pushsvc.resources import Resources
from pushsvc.storage import apps
from pushsvc.storage.apps import Key, KeyKind, Scope

#: What a new app gets: Parse's keys, and one of ours that may all.
KINDS: Final = (KeyKind.MASTER, KeyKind.REST, KeyKind.JAVASCRIPT, KeyKind.CLIENT, KeyKind.API)

Switch = Literal["on", "off", "default"]
SWITCHES: Final[Mapping[str, bool | None]] = {"on": True, "off": False, "default": None}
_CLASS: Final = re.compile(r"_?[A-Za-z][A-Za-z0-9_]*")

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
    refuse_unsendable("--application-id", application_id)
    refuse_unsendable("--master-key", master_key)

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


@app.command(name="set")
def set_(
    name: Annotated[str, typer.Argument(help="Name or application id of the app.")],
    *,
    client_push: Annotated[
        Switch | None,
        typer.Option(help="Whether the client, JavaScript and Windows keys may send pushes."),
    ] = None,
    rest_push: Annotated[
        Switch | None, typer.Option(help="Whether the REST key may send pushes.")
    ] = None,
    client_writes: Annotated[
        str | None,
        typer.Option(
            help="Classes whose objects may be written without the master key: names with commas "
            "between them, or all, or none."
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            help="Of devices that name none, where the setting zoneless_devices is app: a name "
            "such as Europe/Berlin, or default."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Change an app: what callers may without its master key, its zone; in seconds it counts."""
    changes: dict[str, Any] = {}
    if client_push is not None:
        changes["client_push"] = SWITCHES[client_push]
    if rest_push is not None:
        changes["rest_push"] = SWITCHES[rest_push]
    if client_writes is not None:
        changes["client_writes"] = _classes(client_writes)
    if time_zone is not None:
        changes["time_zone"] = _zone(time_zone)
    if not changes:
        message = "Nothing to set: give --client-push, --rest-push, --client-writes or --time-zone."
        raise CommandError(message, code="usage", status=MISTAKE)

    async def work(resources: Resources) -> AppSettings:
        async with resources.engine.begin() as connection:
            found = await session.app(connection, name, field="NAME")
            return await apps.change_settings(connection, found, changes)

    held = session.run(work)
    result(
        {"settings": _settings_as_json(held)},
        table(("setting", "value"), _settings_rows(held)),
        as_json=as_json,
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name or application id of the app.")],
    *,
    as_json: Json = False,
) -> None:
    """Show an app's settings, and its keys by what they begin with."""

    async def work(resources: Resources) -> tuple[App, list[Key]]:
        async with resources.engine.connect() as connection:
            found = await session.app(connection, name, field="NAME")
            return found, await apps.list_keys(connection, found)

    found, keys = session.run(work)
    used = [key for key in keys if key.revoked_at is None]
    shown = [{"id": key.id, "kind": key.kind.value, "hint": key.hint} for key in used]
    rows = [("application id", found.application_id), *_settings_rows(found.settings)]
    result(
        {"app": _as_json(found), "settings": _settings_as_json(found.settings), "keys": shown},
        table(("", f"app {found.name}"), rows),
        table(("key", "kind", "begins"), [(str(k.id), k.kind.value, f"{k.hint}…") for k in used]),
        as_json=as_json,
    )


def _classes(text: str) -> list[str] | None:
    """Read the classes that clients may write: None for all of them.

    Raises:
        CommandError: a name that no class can have.
    """
    if text in {"all", "none"}:
        return None if text == "all" else []
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not _CLASS.fullmatch(name):
            message = (
                f"--client-writes: {name!r} is no name of a class. Give names with commas between "
                "them, or all, or none."
            )
            raise CommandError(message, code="usage", status=MISTAKE, field="--client-writes")
    return sorted(set(names))


def _zone(text: str) -> str | None:
    """Read the app's time zone: None for the default.

    Raises:
        CommandError: there is no such zone.
    """
    if text == "default" or zone_of(text):
        return zone_of(text)
    near = nearest_zone(text)
    hint = f" Did you mean {near}?" if near else ""
    message = (
        f"--time-zone: {text!r} is no zone of the IANA database.{hint} Give a name such as "
        "Europe/Berlin, or default."
    )
    raise CommandError(message, code="usage", status=MISTAKE, field="--time-zone")


def _settings_as_json(settings: AppSettings) -> dict[str, Any]:
    words = {value: word for word, value in SWITCHES.items()}
    classes = settings.client_writes
    return {
        "client_push": words[settings.client_push],
        "rest_push": words[settings.rest_push],
        "client_writes": "all" if classes is None else sorted(classes),
        "time_zone": settings.time_zone or "default",
    }


def _settings_rows(settings: AppSettings) -> list[tuple[str, str]]:
    held = _settings_as_json(settings)
    classes = held["client_writes"]
    written = classes if isinstance(classes, str) else ", ".join(classes) or "none"
    return [
        ("client push", held["client_push"]),
        ("REST push", held["rest_push"]),
        ("client writes", written),
        ("time zone", held["time_zone"]),
    ]


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


def _as_json(one: App) -> dict[str, str]:
    return {"name": one.name, "application_id": one.application_id}
