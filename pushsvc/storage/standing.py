"""Installations as people name them, and how they stand now."""

from collections.abc import Collection

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.model import Standing
from pushsvc.storage.devices import address_of
from pushsvc.storage.tables import installations as i


async def installations_named(
    connection: AsyncConnection, name: str, *, app_ids: Collection[int]
) -> dict[int, Standing]:
    """Return by app the installation with this objectId, or else with this installationId.

    In one app it is at most one: an objectId wins over an id that a device gave itself.
    """
    # Postgres takes no NUL, and what came as broken UTF-8 is nobody's name.
    if not name.isprintable():
        return {}
    by_object_id = i.c.object_id == name
    statement = (
        select(
            *(i.c.id, i.c.app_id, i.c.object_id, i.c.installation_id, i.c.device_type),
            *(i.c.push_type, i.c.time_zone, i.c.device_token, i.c.channel_uris, i.c.token_set_at),
            *(i.c.token_retired_at, i.c.token_quarantined_until, i.c.created_at, i.c.updated_at),
        )
        .where(i.c.app_id.in_(app_ids), or_(by_object_id, i.c.installation_id == name.lower()))
        .order_by(by_object_id, i.c.id.desc())
    )
    found: dict[int, Standing] = {}
    for row in (await connection.execute(statement)).mappings():
        values = dict(row)
        app_id = values.pop("app_id")
        token, uris = values.pop("device_token"), values.pop("channel_uris")
        address = address_of(values["device_type"], values["push_type"], token=token, channels=uris)
        found[app_id] = Standing(**values, token=address)
    return found
