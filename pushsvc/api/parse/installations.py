"""`_Installation`: devices register themselves, and their apps look at them."""

from typing import Any, NoReturn

from pushsvc.api.parse.call import Call, Reply
from pushsvc.api.parse.find import parse_find, parse_get
from pushsvc.api.replies import moment
from pushsvc.errors import ForbiddenError, InvalidInstallationError, NotFoundError
from pushsvc.model import Json
from pushsvc.storage import installations
from pushsvc.storage.encoded import mismatch
from pushsvc.storage.fields import parse_installation_fields
from pushsvc.storage.installations import Installation, SaveRequest
from pushsvc.targeting.audience import check_patterns
from pushsvc.targeting.compile import compile_condition, nearness
from pushsvc.targeting.rows import Reader, installation_rows
from pushsvc.targeting.where import nearest_of, parse_where

INVALID_KEY_NAME = 105


async def create(call: Call) -> Reply:
    """Create the installation, or update the one that is the same device."""
    for name in ("objectId", "id"):
        if name in call.body:
            raise InvalidInstallationError(
                f"{name} is an invalid field name.", parse_code=INVALID_KEY_NAME
            )
    saved = await _save(call, object_id=None)
    one = saved.installation
    if not saved.created:
        return Reply(
            body={
                "updatedAt": moment(one.updated_at),
                "objectId": one.object_id,
                "createdAt": moment(one.created_at),
            }
        )
    return Reply(
        status=201,
        body={"objectId": one.object_id, "createdAt": moment(one.created_at)},
        headers={"Location": f"{call.mount}/classes/_Installation/{one.object_id}"},
    )


async def update(call: Call, object_id: str) -> Reply:
    """Change an installation; say what the body's operations came to."""
    if call.body.get("objectId", object_id) != object_id:
        raise InvalidInstallationError(
            "objectId is an invalid field name.", parse_code=INVALID_KEY_NAME
        )
    saved = await _save(call, object_id=object_id)
    return Reply(body={"updatedAt": moment(saved.installation.updated_at), **saved.results})


async def get(call: Call, object_id: str) -> Reply:
    """Return an installation, unless its ACL hides it."""
    keys = parse_get(call.params)
    async with call.resources.engine.connect() as connection:
        one = await installations.get_installation(
            connection, app_id=call.caller.app.id, object_id=object_id
        )
    if one is None or not (call.caller.is_master or installations.may(one, "read")):
        raise NotFoundError("Object not found.")
    return Reply(body=keys.of(_shown(one)))


async def find(call: Call) -> Reply:
    """Return the installations that fit a query; for the master key."""
    if not call.caller.is_master:
        _forbid("find")
    limits = call.resources.limits
    asked = parse_find(call.params, call.resources.settings)
    condition = parse_where(asked.where, limits=limits)
    app_id = call.caller.app.id
    schema = await call.resources.schemas.of(app_id)
    rows = installation_rows(Reader(app_id=app_id, schema=schema))
    where, near = rows.are(compile_condition(condition, rows)), nearest_of(condition)
    await check_patterns(call.resources.engine, {"where": asked.where}, limits=limits)
    body: dict[str, Any] = {"results": []}
    async with call.resources.engine.connect() as connection:
        if asked.limit:
            found = await installations.find_installations(
                connection,
                app_id=app_id,
                where=where,
                order=asked.order or ([] if near is None else [nearness(near, rows)]),
                skip=asked.skip,
                limit=asked.limit,
            )
            body["results"] = [asked.keys.of(_shown(one)) for one in found]
        if asked.count:
            body["count"] = await installations.count_installations(
                connection, app_id=app_id, where=where
            )
    return Reply(body=body)


async def delete(call: Call, object_id: str) -> Reply:
    """Delete an installation; for the master key."""
    if not call.caller.is_master:
        _forbid("delete")
    async with call.resources.engine.begin() as connection:
        deleted = await installations.delete_installation(
            connection, app_id=call.caller.app.id, object_id=object_id
        )
    if not deleted:
        raise NotFoundError("Object not found.")
    return Reply(body={})


def _forbid(operation: str) -> NoReturn:
    message = (
        f"Clients aren't allowed to perform the {operation} operation on the installation "
        "collection."
    )
    raise ForbiddenError(message)


async def _save(call: Call, *, object_id: str | None) -> installations.Saved:
    for name in ("createdAt", "updatedAt"):
        if isinstance(call.body.get(name), str):
            mismatch(name, "Date", call.body[name])
    request = SaveRequest(
        fields=parse_installation_fields(call.body),
        object_id=object_id,
        header_installation_id=call.installation_id,
        is_master=call.caller.is_master,
    )
    return await installations.save_installation(call.resources.engine, call.caller.app.id, request)


def _shown(one: Installation) -> Json:
    return {
        "objectId": one.object_id,
        "createdAt": moment(one.created_at),
        "updatedAt": moment(one.updated_at),
        **one.fields,
    }
