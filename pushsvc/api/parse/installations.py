"""`_Installation`: devices register themselves, and their apps look at them."""

from dataclasses import replace
from typing import Any

from pushsvc.api.parse.call import Call, Reply
from pushsvc.api.parse.find import parse_find, parse_get
from pushsvc.api.parse.query import COLLECTION, compiled
from pushsvc.api.parse.refusals import not_for_clients
from pushsvc.api.parse.sent import check_known, check_new
from pushsvc.api.parse.shown import Showing
from pushsvc.api.replies import moment
from pushsvc.errors import NotFoundError
from pushsvc.finding import finding
from pushsvc.storage import installations
from pushsvc.storage.acl import may
from pushsvc.storage.field_types import relations_in
from pushsvc.storage.fields import CLASS_NAME, RULES, parse_installation_fields
from pushsvc.storage.installations import SaveRequest
from pushsvc.storage.schema import Schema


async def create(call: Call) -> Reply:
    """Create the installation, or update the one that is the same device."""
    check_new(CLASS_NAME, call.body)
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
    check_known(CLASS_NAME, call.body, object_id)
    saved = await _save(call, object_id=object_id)
    return Reply(body={"updatedAt": moment(saved.installation.updated_at), **saved.results})


async def get(call: Call, object_id: str) -> Reply:
    """Return an installation, unless its ACL hides it."""
    shown = parse_get(call.params)
    async with call.resources.engine.connect() as connection:
        found = await installations.get_installations(
            connection, app_id=call.caller.app.id, object_ids=[object_id]
        )
    if not found or not (call.caller.is_master or may(found[0].fields, "read")):
        raise NotFoundError("Object not found.")
    (body,) = await _showing(call, await _schema(call)).show(found, shown)
    return Reply(body=body)


async def find(call: Call) -> Reply:
    """Return the installations that fit a query; for the master key, or of one device."""
    if not (call.caller.is_master or _names_one(call.params.get("where"))):
        raise not_for_clients("find", COLLECTION)
    asked = parse_find(call.params, call.resources.settings)
    app_id = call.caller.app.id
    schema = await call.resources.schemas.now(app_id)
    query = await compiled(call, asked, class_name=CLASS_NAME, schema=schema)
    body: dict[str, Any] = {"results": []}
    async with finding(call.resources) as connection:
        found = (
            await installations.find_installations(
                connection,
                app_id=app_id,
                where=query.where,
                order=query.order,
                skip=asked.skip,
                limit=asked.limit,
            )
            if asked.limit
            else []
        )
        if asked.count:
            body["count"] = await installations.count_installations(
                connection, app_id=app_id, where=query.where
            )
    body["results"] = await _showing(call, schema).show(found, asked.shown)
    return Reply(body=body)


def _names_one(where: Any) -> bool:
    """Tell whether a query is about one installation that the caller knows already.

    Parse's guide lets clients find by an installation id. By an object id is how SDKs send a get.
    """
    if not isinstance(where, dict):
        return False
    return any(isinstance(_equal(where.get(name)), str) for name in ("installationId", "objectId"))


def _equal(asked: Any) -> Any:
    return asked.get("$eq") if isinstance(asked, dict) else asked


async def delete(call: Call, object_id: str) -> Reply:
    """Delete an installation; for the master key."""
    if not call.caller.is_master:
        raise not_for_clients("delete", COLLECTION)
    relations = relations_in((await _schema(call)).of(CLASS_NAME))
    async with call.resources.engine.begin() as connection:
        deleted = await installations.delete_installation(
            connection, app_id=call.caller.app.id, object_id=object_id
        )
        await installations.forget_relations(
            connection, call.caller.app.id, [object_id], fields=relations
        )
    if not deleted:
        raise NotFoundError("Object not found.")
    return Reply(body={})


async def _save(call: Call, *, object_id: str | None) -> installations.Saved:
    rules = replace(RULES, most_bytes=call.resources.settings.object_bytes_limit)
    fields = parse_installation_fields(call.body, creating=object_id is None, rules=rules)
    app_id = call.caller.app.id
    types = await call.resources.schemas.settle(app_id, rules, fields)
    request = SaveRequest(
        fields=fields,
        object_id=object_id,
        header_installation_id=call.installation_id,
        is_master=call.caller.is_master,
        types=types,
        rules=rules,
    )
    return await call.resources.saver.save(app_id, request)


async def _schema(call: Call) -> Schema:
    return await call.resources.schemas.of(call.caller.app.id)


def _showing(call: Call, schema: Schema) -> Showing:
    return Showing(
        resources=call.resources, caller=call.caller, schema=schema, class_name=CLASS_NAME
    )
