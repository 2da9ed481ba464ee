"""Objects of any class: what installations point to, and whatever else an app keeps."""

from typing import Any, Final, NoReturn

from pushsvc.api.parse.call import Call, Reply
from pushsvc.api.parse.class_names import ROLE, USER, check_class
from pushsvc.api.parse.find import parse_find, parse_get
from pushsvc.api.parse.query import compiled
from pushsvc.api.parse.sent import check_known, check_new
from pushsvc.api.parse.shown import Showing
from pushsvc.api.replies import moment
from pushsvc.errors import ForbiddenError, InvalidObjectError, NotFoundError, NotOursError
from pushsvc.finding import finding
from pushsvc.model import Json
from pushsvc.storage import objects
from pushsvc.storage.acl import may
from pushsvc.storage.object_fields import ClassRules, Fields, parse_fields, rules_of
from pushsvc.storage.objects import Place
from pushsvc.storage.schema import Schema

#: What Parse Server keeps of a user so that people can log in.
_OF_LOGINS: Final = ("password", "authData", "sessionToken")
#: Parse Server's rule of its own classes: what a new object must have.
_REQUIRED: Final = {ROLE: ("name", "ACL")}


async def create(call: Call, class_name: str) -> Reply:
    """Create an object."""
    _check_write(call, class_name, "create")
    check_new(class_name, call.body)
    for name in _REQUIRED.get(class_name, ()):
        if call.body.get(name) is None:
            raise InvalidObjectError(f"{name} is required.", field=f"/{name}")
    rules = _rules(call, class_name)
    fields = parse_fields(rules, call.body, creating=True)
    place = await _place(call, rules, fields)
    one = await objects.create_object(call.resources.engine, place, fields)
    path = "users" if class_name == USER else f"classes/{class_name}"
    return Reply(
        status=201,
        body={"objectId": one.object_id, "createdAt": moment(one.created_at)},
        headers={"Location": f"{call.mount}/{path}/{one.object_id}"},
    )


async def update(call: Call, object_id: str, class_name: str) -> Reply:
    """Change an object; say what the body's operations came to."""
    _check_write(call, class_name, "update")
    check_known(class_name, call.body, object_id)
    rules = _rules(call, class_name)
    fields = parse_fields(rules, call.body)
    place = await _place(call, rules, fields)
    changed = await objects.update_object(
        call.resources.engine, place, object_id, fields=fields, is_master=call.caller.is_master
    )
    return Reply(body={"updatedAt": moment(changed.updated_at), **changed.results})


async def get(call: Call, object_id: str, class_name: str) -> Reply:
    """Return an object, unless its ACL hides it."""
    check_class(class_name)
    shown = parse_get(call.params)
    app_id = call.caller.app.id
    async with call.resources.engine.connect() as connection:
        found = await objects.get_objects(
            connection, app_id=app_id, class_name=class_name, object_ids=[object_id]
        )
    if not found or not (call.caller.is_master or may(found[0].fields, "read")):
        raise NotFoundError("Object not found.")
    schema = await call.resources.schemas.of(app_id)
    (one,) = await _showing(call, class_name, schema).show(found, shown)
    return Reply(body=one)


async def find(call: Call, class_name: str) -> Reply:
    """Return the objects that fit a query, as far as the caller may read them."""
    check_class(class_name)
    asked = parse_find(call.params, call.resources.settings)
    schema = await call.resources.schemas.now(call.caller.app.id)
    query = await compiled(call, asked, class_name=class_name, schema=schema)
    table, where = query.rows.table, query.where
    body: dict[str, Any] = {"results": []}
    async with finding(call.resources) as connection:
        found = (
            await objects.find_objects(
                connection,
                table,
                where=where,
                order=query.order,
                skip=asked.skip,
                limit=asked.limit,
            )
            if asked.limit
            else []
        )
        if asked.count:
            body["count"] = await objects.count_objects(connection, table, where=where)
    body["results"] = await _showing(call, class_name, schema).show(found, asked.shown)
    return Reply(body=body)


async def delete(call: Call, object_id: str, class_name: str) -> Reply:
    """Delete an object."""
    _check_write(call, class_name, "delete")
    place = await _place(call, _rules(call, class_name), {})
    await objects.delete_object(
        call.resources.engine, place, object_id, is_master=call.caller.is_master
    )
    return Reply(body={})


def _rules(call: Call, class_name: str) -> ClassRules:
    return rules_of(class_name, most_bytes=call.resources.settings.object_bytes_limit)


async def _place(call: Call, rules: ClassRules, fields: Fields) -> Place:
    app_id = call.caller.app.id
    types = await call.resources.schemas.settle(app_id, rules, fields)
    return Place(app_id=app_id, rules=rules, types=types)


def _showing(call: Call, class_name: str, schema: Schema) -> Showing:
    return Showing(
        resources=call.resources, caller=call.caller, schema=schema, class_name=class_name
    )


# ---------------------------------------------------------------- who may write


def _check_write(call: Call, class_name: str, operation: str) -> None:
    """Raise an error where the caller may not write objects of the class, or nobody may."""
    check_class(class_name)
    if class_name == USER:
        _check_user(call.body)
    if not call.caller.is_master and not _may_write(call, class_name):
        _forbid(class_name, operation)


def _may_write(call: Call, class_name: str) -> bool:
    """Tell whether a client may: by the app's setting, else in all classes but Parse's own."""
    classes = call.caller.app.settings.client_writes
    return class_name in classes if classes is not None else not class_name.startswith("_")


def _forbid(class_name: str, operation: str) -> NoReturn:
    raise ForbiddenError(f"Permission denied for action {operation} on class {class_name}.")


def _check_user(body: Json) -> None:
    for name in _OF_LOGINS:
        if name in body:
            message = (
                f"{name}: logins, passwords and sessions are Parse Server's. Sign users up there; "
                "here a user is an object that installations point to."
            )
            raise NotOursError(message, field=f"/{name}")
