"""Stored templates: content under a name, which pushes take over when they are submitted."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import RowMapping, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.errors import TooManyTemplatesError
from pushsvc.model import Json
from pushsvc.storage.tables import apps, templates

#: Of one app: a thousand of 128 KB are the most that its templates can take.
TEMPLATES_LIMIT: Final = 1_000
#: What `PUT /v1/templates/{name}` takes for a name.
NAME_PATTERN: Final = "[A-Za-z0-9_.-]{1,64}"
#: URLs are read as if a path without them had been written (RFC 3986 5.2.4).
_NO_NAMES: Final = frozenset({".", ".."})


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A stored template."""

    name: str
    content: Json
    #: the variables that its texts look at, in alphabetical order
    variables_used: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


_COLUMNS: Final = (
    templates.c.name,
    templates.c.content,
    templates.c.variables_used,
    templates.c.created_at,
    templates.c.updated_at,
)


def is_name(text: str) -> bool:
    """Tell whether a template can have this name."""
    return re.fullmatch(NAME_PATTERN, text) is not None and text not in _NO_NAMES


async def put_template(
    connection: AsyncConnection,
    *,
    app_id: int,
    name: str,
    content: Json,
    variables_used: Collection[str],
) -> tuple[Template, bool]:
    """Store a template in place of the one of that name; tell whether there was none.

    Raises:
        TooManyTemplatesError: it would be one more than an app may have.
    """
    values = {"content": content, "variables_used": sorted(variables_used)}
    change = (
        update(templates)
        .where(templates.c.app_id == app_id, templates.c.name == name)
        .values(**values, updated_at=func.now())
        .returning(*_COLUMNS)
    )
    replaced = (await connection.execute(change)).mappings().first()
    if replaced is None:
        # New ones take turns, so that two of them cannot both be the last one that is allowed.
        await connection.execute(_turn(app_id))
        replaced = (await connection.execute(change)).mappings().first()
    if replaced is not None:
        return _template(replaced), False
    await _check_room(connection, app_id)
    addition = insert(templates).values(app_id=app_id, name=name, **values).returning(*_COLUMNS)
    return _template((await connection.execute(addition)).mappings().one()), True


async def find_template(connection: AsyncConnection, *, app_id: int, name: str) -> Template | None:
    """Return the app's template of this name; None also where none can have it."""
    if not is_name(name):
        return None
    statement = select(*_COLUMNS).where(templates.c.app_id == app_id, templates.c.name == name)
    row = (await connection.execute(statement)).mappings().first()
    return _template(row) if row else None


async def list_templates(
    connection: AsyncConnection, *, app_id: int, after: str | None, limit: int
) -> list[Template]:
    """Return the app's templates by name, from the one after this name on."""
    statement = select(*_COLUMNS).where(templates.c.app_id == app_id)
    if after is not None:
        statement = statement.where(templates.c.name > after)
    statement = statement.order_by(templates.c.name).limit(limit)
    return [_template(row) for row in (await connection.execute(statement)).mappings()]


async def delete_template(connection: AsyncConnection, *, app_id: int, name: str) -> bool:
    """Delete a template; return whether there was one."""
    if not is_name(name):
        return False
    statement = delete(templates).where(templates.c.app_id == app_id, templates.c.name == name)
    return (await connection.execute(statement)).rowcount == 1


def _turn(app_id: int) -> Select[tuple[int]]:
    """Return the statement that waits for whoever adds a template, and for nobody else."""
    return select(apps.c.id).where(apps.c.id == app_id).with_for_update(key_share=True)


async def _check_room(connection: AsyncConnection, app_id: int) -> None:
    counted = select(func.count()).select_from(templates).where(templates.c.app_id == app_id)
    if (await connection.execute(counted)).scalar_one() >= TEMPLATES_LIMIT:
        message = (
            f"The app has {TEMPLATES_LIMIT:,} templates, which is the most it can have. Delete "
            "those that no push names any more: DELETE /v1/templates/{name}."
        )
        raise TooManyTemplatesError(message)


def _template(row: RowMapping) -> Template:
    return Template(**{**row, "variables_used": tuple(row["variables_used"])})
