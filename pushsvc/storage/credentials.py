"""What the gateways want to see before they take an app's messages; secrets sealed."""

from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import func

from pushsvc.model import App, Credential, GatewayName, Json
from pushsvc.storage.sealing import Seal, SealingError
from pushsvc.storage.tables import credentials

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCredential:
    """A credential whose secret is still sealed."""

    id: int
    app_id: int
    gateway: GatewayName
    public: Json
    sealed: bytes = field(repr=False)


async def add_credential(
    connection: AsyncConnection,
    seal: Seal,
    *,
    app: App,
    gateway: GatewayName,
    public: Json,
    secret: str,
) -> Credential:
    """Seal and store a credential."""
    statement = (
        insert(credentials)
        .values(
            app_id=app.id,
            gateway=gateway,
            public=dict(public),
            secret=seal.close(secret, owner=_owner(app.id, gateway)),
        )
        .returning(credentials.c.id)
    )
    number = (await connection.execute(statement)).scalar_one()
    return Credential(id=number, app_id=app.id, gateway=gateway, public=public, secret=secret)


async def list_credentials(connection: AsyncConnection, *, app_id: int) -> list[StoredCredential]:
    """Return the app's credentials in use, oldest first; no secret is opened."""
    statement = (
        select(credentials)
        .where(credentials.c.app_id == app_id, credentials.c.revoked_at.is_(None))
        .order_by(credentials.c.id)
    )
    return [
        StoredCredential(
            id=row.id,
            app_id=app_id,
            gateway=GatewayName(row.gateway),
            public=row.public,
            sealed=row.secret,
        )
        for row in await connection.execute(statement)
    ]


def open_credential(seal: Seal, stored: StoredCredential) -> Credential:
    """Return the credential with its secret.

    Raises:
        SealingError: the secret key is not the one it was stored with; names the credential.
    """
    try:
        secret = seal.open(stored.sealed, owner=_owner(stored.app_id, stored.gateway))
    except SealingError as error:
        message = (
            f"Credential {stored.id} cannot be decrypted: {error} "
            f"Restore that key, or revoke credential {stored.id} and add it again."
        )
        raise SealingError(message) from error
    return Credential(
        id=stored.id,
        app_id=stored.app_id,
        gateway=stored.gateway,
        public=stored.public,
        secret=secret,
    )


async def credentials_of(
    connection: AsyncConnection, seal: Seal, *, app_id: int
) -> list[Credential]:
    """Return those of the app's credentials in use that open, oldest first.

    One that does not is logged and left out: the app's other gateways go on.
    """
    opened: list[Credential] = []
    for stored in await list_credentials(connection, app_id=app_id):
        try:
            opened.append(open_credential(seal, stored))
        except SealingError as error:
            message = str(error)
            log.error("credential.unusable", credential=stored.id, error=message)  # noqa: TRY400 - the sentence says it all
    return opened


async def revoke_credential(connection: AsyncConnection, credential_id: int) -> datetime | None:
    """Take a credential out of use; return when, or None where there was none in use."""
    statement = (
        update(credentials)
        .where(credentials.c.id == credential_id, credentials.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(credentials.c.revoked_at)
    )
    revoked_at: datetime | None = (await connection.execute(statement)).scalar_one_or_none()
    return revoked_at


def _owner(app_id: int, gateway: str) -> str:
    return f"app {app_id} {gateway}"
