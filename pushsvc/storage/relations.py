"""The relations that objects own: which others each of them leads to."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import ARRAY, ColumnElement, Text, any_, delete, literal, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.storage.operations import Relating
from pushsvc.storage.tables import relations as r

#: In one order, so that two writers never wait for each other.
_ADD: Final = text("""
    INSERT INTO relations (app_id, class_name, field, owner_id, related_id)
    SELECT :app_id, :class_name, :field, :owner_id, id
    FROM unnest(CAST(:related AS text[])) AS id
    ORDER BY id
    ON CONFLICT DO NOTHING
""")


async def change_relations(
    connection: AsyncConnection,
    *,
    app_id: int,
    class_name: str,
    owner_id: str,
    changes: Mapping[str, Relating],
) -> None:
    """Relate an object to others, and no longer to some; in the transaction of its row."""
    for field, change in changes.items():
        added = [related for related, there in change.related.items() if there]
        removed = [related for related, there in change.related.items() if not there]
        names = {"app_id": app_id, "class_name": class_name, "field": field, "owner_id": owner_id}
        if added:
            await connection.execute(_ADD, {**names, "related": added})
        if removed:
            mine = [r.c[name] == value for name, value in names.items()]
            await connection.execute(delete(r).where(*mine, r.c.related_id == _any_of(removed)))


async def delete_relations(
    connection: AsyncConnection,
    *,
    app_id: int,
    class_name: str,
    fields: Collection[str],
    owner_ids: Collection[str],
) -> None:
    """Forget what these objects are related to by these fields."""
    if fields and owner_ids:
        statement = delete(r).where(
            r.c.app_id == app_id,
            r.c.class_name == class_name,
            r.c.field == _any_of(fields),
            r.c.owner_id == _any_of(owner_ids),
        )
        await connection.execute(statement)


def _any_of(values: Collection[str]) -> ColumnElement[bool]:
    """One array is one parameter: of single ones Postgres takes 32,767."""
    return any_(literal(list(values), ARRAY(Text)))
