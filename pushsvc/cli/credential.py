"""`pushsvc credential`: what the gateways want to see. Checked before it is stored."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pushsvc.cli import session
from pushsvc.cli.display import result, table
from pushsvc.cli.failures import MISTAKE, CommandError
from pushsvc.cli.options import MOST_ID, AppName, Json
from pushsvc.delivery import credentials as parsing
from pushsvc.delivery.credentials import CredentialError
from pushsvc.model import Credential, GatewayName
from pushsvc.resources import Resources
from pushsvc.storage import credentials
from pushsvc.storage.credentials import StoredCredential

app = typer.Typer(add_completion=False, no_args_is_help=True)
add = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Add a credential; one that cannot be used is refused.",
)
app.add_typer(add, name="add")


@add.command()
def apns(
    *,
    app_name: AppName,
    p8: Annotated[Path, typer.Option(help="The token-signing key, AuthKey_XXXXXXXXXX.p8.")],
    key_id: Annotated[str, typer.Option(help="The key's id: ten letters and digits.")],
    team_id: Annotated[str, typer.Option(help="The team's id: ten letters and digits.")],
    topic: Annotated[
        list[str] | None,
        typer.Option(help="A bundle id the key serves; repeat for more. Default: all of the team."),
    ] = None,
    environment: Annotated[
        Literal["production", "sandbox"], typer.Option(help="Which APNs to send to.")
    ] = "production",
    as_json: Json = False,
) -> None:
    """Add an APNs token-signing key."""
    secret = _read(p8, "--p8")
    public = {
        "key_id": key_id,
        "team_id": team_id,
        "topics": topic or [],
        "environment": environment,
    }
    options = {"key_id": "--key-id", "team_id": "--team-id", "topics": "--topic"}
    with _told("--p8", p8, options):
        parsing.parse_apns(public, secret)
    _add(app_name, GatewayName.APNS, public=public, secret=secret, as_json=as_json)


@add.command()
def fcm(
    *,
    app_name: AppName,
    service_account: Annotated[
        Path, typer.Option(help="The JSON key file of a Google service account.")
    ],
    as_json: Json = False,
) -> None:
    """Add a service account for FCM."""
    option = "--service-account"
    secret = _read(service_account, option)
    with _told(option, service_account, {}):
        account = parsing.parse_service_account(secret)
    public = {"project_id": account.project_id, "client_email": account.client_email}
    _add(app_name, GatewayName.FCM, public=public, secret=secret, as_json=as_json)


@add.command()
def wns(
    *,
    app_name: AppName,
    secret_file: Annotated[Path, typer.Option(help="File with the client secret; - for stdin.")],
    package_sid: Annotated[str, typer.Option(help="The package SID, ms-app://S-1-15-2-...")] = "",
    tenant: Annotated[str, typer.Option(help="Microsoft Entra: the tenant's id.")] = "",
    client_id: Annotated[str, typer.Option(help="Microsoft Entra: the application's id.")] = "",
    as_json: Json = False,
) -> None:
    """Add a client secret for WNS: of a package, or of an Entra application."""
    if bool(package_sid) is bool(tenant or client_id) or bool(tenant) is not bool(client_id):
        message = "Give --package-sid, or both --tenant and --client-id."
        raise CommandError(message, code="usage", status=MISTAKE, field="--package-sid")
    secret = _read(secret_file, "--secret-file").strip()
    entra = {"tenant": tenant, "client_id": client_id}
    public = entra if tenant else {"package_sid": package_sid}
    options = {"package_sid": "--package-sid", "tenant": "--tenant", "client_id": "--client-id"}
    with _told("--secret-file", secret_file, options):
        parsing.parse_wns(public, secret)
    _add(app_name, GatewayName.WNS, public=public, secret=secret, as_json=as_json)


@app.command(name="list")
def list_(*, app_name: AppName, as_json: Json = False) -> None:
    """List the credentials of an app that are in use; never their secrets."""

    async def work(resources: Resources) -> list[StoredCredential]:
        async with resources.engine.connect() as connection:
            owner = await session.app(connection, app_name)
            return await credentials.list_credentials(connection, app_id=owner.id)

    found = session.run(work)
    rows = [(str(one.id), one.gateway.value, _of(one.public)) for one in found]
    result(
        {"credentials": [_as_json(one) for one in found]},
        table(("id", "gateway", "of"), rows)
        if found
        else "No credentials yet. Add one with `pushsvc credential add apns|fcm|wns`.",
        as_json=as_json,
    )


@app.command()
def revoke(
    credential_id: Annotated[
        int, typer.Argument(min=1, max=MOST_ID, help="The id, from `credential list`.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Take a credential out of use."""

    async def work(resources: Resources) -> bool:
        async with resources.engine.begin() as connection:
            return await credentials.revoke_credential(connection, credential_id) is not None

    if not session.run(work):
        message = (
            f"There is no credential {credential_id} in use. "
            "`pushsvc credential list --app NAME` lists them."
        )
        raise CommandError(
            message, code="unknown_credential", status=MISTAKE, field="CREDENTIAL_ID"
        )
    told = f"Credential {credential_id} is out of use."
    result({"revoked": credential_id}, told, as_json=as_json)


def _read(path: Path, option: str) -> str:
    """Return a file's text.

    Raises:
        CommandError: it cannot be read, or is no text.
    """
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text()
    except OSError as error:
        why = error.strerror or str(error)
    except UnicodeDecodeError:
        why = "it is not a text file"
    message = f"{option} {path}: cannot be read: {why}."
    raise CommandError(message, code="invalid_credential", status=MISTAKE, field=option)


@contextmanager
def _told(option: str, path: Path, options: Mapping[str, str]) -> Iterator[None]:
    """Tell of a credential that cannot be used by the option at fault, or by the file.

    Args:
        option: names the file with the secret.
        path: that file.
        options: field -> the option it came from; any other field lies in the file.

    Raises:
        CommandError: names the option, and what is wrong with it.
    """
    try:
        yield
    except CredentialError as error:
        in_file = f"{option} {path}: "
        at = f"{options[error.field]} " if error.field in options else f"{in_file}{error.field} "
        raise CommandError(
            f"{at}{error.message}.",
            code="invalid_credential",
            status=MISTAKE,
            field=options.get(error.field, option),
        ) from error


def _add(
    app_name: str, gateway: GatewayName, *, public: dict[str, Any], secret: str, as_json: bool
) -> None:
    async def work(resources: Resources) -> Credential:
        async with resources.engine.begin() as connection:
            return await credentials.add_credential(
                connection,
                resources.seal,
                app=await session.app(connection, app_name),
                gateway=gateway,
                public=public,
                secret=secret,
            )

    made = session.run(work)
    told = f"Credential {made.id} for {gateway.value} is in use."
    result({"credential": _as_json(made)}, told, as_json=as_json)


def _of(public: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in public.items() if value}
    return ", ".join(
        f"{name}={','.join(value) if isinstance(value, list) else value}"
        for name, value in shown.items()
    )


def _as_json(one: Credential | StoredCredential) -> dict[str, Any]:
    return {"id": one.id, "gateway": one.gateway.value, **one.public}
