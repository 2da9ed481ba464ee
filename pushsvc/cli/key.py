"""`pushsvc key`: keys of an app."""

from typing import Annotated, Any

import typer

from pushsvc.cli import session
from pushsvc.cli.display import result, table
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import MOST_ID, AppName, Json
from pushsvc.resources import Resources
from pushsvc.storage import apps
from pushsvc.storage.apps import Key, KeyKind, Scope

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.command()
def create(
    *,
    app_name: AppName,
    scope: Annotated[
        str, typer.Option(help="What an api key may do: admin, or any of send,read.")
    ] = "",
    kind: Annotated[
        KeyKind, typer.Option(help="A scoped key of /v1 (api), or one of Parse's.")
    ] = KeyKind.API,
    as_json: Json = False,
) -> None:
    """Create a key. It is shown now and never again."""
    scopes = _scopes(scope, kind)

    async def work(resources: Resources) -> tuple[Key, str]:
        async with resources.engine.begin() as connection:
            owner = await session.app(connection, app_name)
            return await apps.create_key(connection, owner, kind=kind, scopes=scopes)

    made, clear = session.run(work)
    result(
        {"key": _as_json(made) | {"key": clear}},
        clear,
        f"Key {made.id}. Keep it now: only its hash is stored.",
        as_json=as_json,
    )


@app.command(name="list")
def list_(*, app_name: AppName, as_json: Json = False) -> None:
    """List the keys of an app, revoked ones too."""

    async def work(resources: Resources) -> list[Key]:
        async with resources.engine.connect() as connection:
            return await apps.list_keys(connection, await session.app(connection, app_name))

    found = session.run(work)
    rows = [
        (str(one.id), one.kind.value, ",".join(one.scopes), f"{one.hint}…", one.revoked_at)
        for one in found
    ]
    result(
        {"keys": [_as_json(one) for one in found]},
        table(("id", "kind", "scopes", "begins", "revoked"), rows),
        as_json=as_json,
    )


@app.command()
def revoke(
    key_id: Annotated[
        int, typer.Argument(min=1, max=MOST_ID, help="The key's id, from `key list`.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Revoke a key at once."""

    async def work(resources: Resources) -> bool:
        async with resources.engine.begin() as connection:
            return await apps.revoke_key(connection, key_id)

    if not session.run(work):
        message = f"There is no key {key_id} in use. `pushsvc key list --app NAME` lists them."
        raise CommandError(message, code="unknown_key", status=MISTAKE, field="KEY_ID")
    result({"revoked": key_id}, f"Key {key_id} is revoked.", as_json=as_json)


def _scopes(text: str, kind: KeyKind) -> list[Scope]:
    """Read the scopes of an api key; Parse's keys have none.

    Raises:
        CommandError: says which scopes there are.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    known = {scope.value for scope in Scope}
    wrong = [word for word in words if word not in known]
    if wrong or (kind is KeyKind.API) is not bool(words):
        given = f"not {wrong[0]!r}" if wrong else f"for a key of kind {kind.value}"
        wanted = "none" if kind is not KeyKind.API else "admin, or any of send,read"
        message = f"--scope: give {wanted}, {given}."
        raise CommandError(message, code="usage", status=MISTAKE, field="--scope")
    return [Scope(word) for word in dict.fromkeys(words)]


def _as_json(one: Key) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind.value,
        "scopes": [scope.value for scope in one.scopes],
        "hint": one.hint,
        "created_at": one.created_at,
        "revoked_at": one.revoked_at,
    }
