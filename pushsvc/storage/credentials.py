"""What the gateways want to see before they take an app's messages; secrets sealed."""

from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import func

from pushsvc.model import App, Credential, GatewayName, Json
from pushsvc.storage.sealing import Seal
from pushsvc.storage.tables import credentials


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


async def credentials_of(
    connection: AsyncConnection, seal: Seal, *, app_id: int
) -> list[Credential]:
    """Return the app's credentials in use, oldest first.

    Raises:
        SealingError: the secret key is not the one they were stored with.
    """
    statement = (
        select(credentials)
        .where(credentials.c.app_id == app_id, credentials.c.revoked_at.is_(None))
        .order_by(credentials.c.id)
    )
    return [
        Credential(
            id=row.id,
            app_id=app_id,
            gateway=GatewayName(row.gateway),
            public=row.public,
            secret=seal.open(row.secret, owner=_owner(app_id, row.gateway)),
        )
        for row in await connection.execute(statement)
    ]


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
