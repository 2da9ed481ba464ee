"""`_Audience`: saved queries over installations. `/push_audiences` shows a query as an object."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import orjson

from pushsvc.admission import check_audience
from pushsvc.api.body import parse
from pushsvc.api.parse.call import Call, Reply
from pushsvc.api.parse.find import parse_find, parse_get
from pushsvc.api.parse.refusals import not_for_clients
from pushsvc.api.replies import moment
from pushsvc.errors import InvalidAudienceError, MalformedJsonError, NotFoundError
from pushsvc.model import Json
from pushsvc.storage import audiences
from pushsvc.storage.audiences import Audience
from pushsvc.storage.encoded import OBJECT_BYTES, type_name

#: What a caller sets of an audience; the rest says how pushes use it.
FIELDS: Final = ("name", "query")
#: Sent along by SDKs and dashboards, and without a meaning here: audiences are the master's alone.
IGNORED: Final = "ACL"
INVALID_FIELD_NAME: Final = 105
INVALID_JSON: Final = 107
MISSING_FIELD: Final = 135
TOO_LARGE: Final = 116

#: Shows an audience at one of the two doors.
Show = Callable[[Audience], Json]


def of_class(audience: Audience) -> Json:
    """Return an audience as `/classes/_Audience` shows it: the query as the text that it is."""
    seen: dict[str, Any] = {
        "objectId": audience.object_id,
        "createdAt": moment(audience.created_at),
        "updatedAt": moment(audience.updated_at),
        "name": audience.name,
        "query": audience.query,
        "timesUsed": audience.times_used,
        "ACL": {},
    }
    if audience.last_used is not None:
        seen["lastUsed"] = {"__type": "Date", "iso": moment(audience.last_used)}
    return seen


def of_route(audience: Audience) -> Json:
    """Return an audience as `/push_audiences` shows it: the query as an object."""
    return {**of_class(audience), "query": orjson.loads(audience.query)}


async def create(call: Call) -> Reply:
    """Save a query over installations under a name."""
    fields = await _fields(call)
    for name in FIELDS:
        if name not in fields:
            raise InvalidAudienceError(
                f"An audience needs {name}.", field=f"/{name}", parse_code=MISSING_FIELD
            )
    async with call.resources.engine.begin() as connection:
        one = await audiences.create_audience(connection, app_id=call.caller.app.id, **fields)
    return Reply(
        status=201,
        body={"objectId": one.object_id, "createdAt": moment(one.created_at)},
        headers={"Location": f"{call.mount}/classes/_Audience/{one.object_id}"},
    )


async def update(call: Call, object_id: str) -> Reply:
    """Change an audience's name or query."""
    fields = await _fields(call)
    async with call.resources.engine.begin() as connection:
        changed = await audiences.change_audience(
            connection, app_id=call.caller.app.id, object_id=object_id, changes=fields
        )
    if changed is None:
        raise NotFoundError("Object not found.")
    return Reply(body={"updatedAt": moment(changed)})


async def delete(call: Call, object_id: str) -> Reply:
    """Delete an audience; pushes that used it are not touched."""
    async with call.resources.engine.begin() as connection:
        if not await audiences.delete_audience(
            connection, app_id=call.caller.app.id, object_id=object_id
        ):
            raise NotFoundError("Object not found.")
    return Reply(body={})


async def get(call: Call, object_id: str, *, show: Show) -> Reply:
    """Return one audience."""
    keys = parse_get(call.params)
    async with call.resources.engine.connect() as connection:
        one = await audiences.find_audience(
            connection, app_id=call.caller.app.id, object_id=object_id
        )
    if one is None:
        raise NotFoundError("Object not found.")
    return Reply(body=keys.of(show(one)))


async def find(call: Call, *, show: Show) -> Reply:
    """Return the audiences that fit a query."""
    asked = parse_find(call.params, call.resources.settings)
    app_id = call.caller.app.id
    async with call.resources.engine.connect() as connection:
        found = await audiences.list_audiences(
            connection,
            app_id=app_id,
            where=asked.where,
            order=asked.order,
            skip=asked.skip,
            limit=asked.limit,
        )
        body: dict[str, Any] = {"results": [asked.keys.of(show(one)) for one in found]}
        if asked.count:
            body["count"] = await audiences.count_audiences(
                connection, app_id=app_id, where=asked.where
            )
    return Reply(body=body)


async def _fields(call: Call) -> dict[str, str]:
    """Return what the body sets, checked: an audience that is saved can be pushed to.

    Raises:
        InvalidAudienceError: a field that cannot be set, or has no such value.
        InvalidQueryError: a query that cannot be understood.
    """
    fields: dict[str, str] = {}
    for name, value in call.body.items():
        if name == IGNORED:
            continue
        if name not in FIELDS:
            message = f"Invalid field name: {name[:100]}. An audience has {' and '.join(FIELDS)}."
            raise InvalidAudienceError(
                message, field=f"/{name[:100]}", parse_code=INVALID_FIELD_NAME
            )
        if not isinstance(value, str):
            message = (
                f"schema mismatch for _Audience.{name}; expected String but got {type_name(value)}"
            )
            raise InvalidAudienceError(message, field=f"/{name}")
        if len(value.encode()) > OBJECT_BYTES:
            message = f"The audience's {name} is larger than 128 KB."
            raise InvalidAudienceError(message, field=f"/{name}", parse_code=TOO_LARGE)
        fields[name] = value
    if "query" in fields:
        await check_audience(call.resources, {"where": _parsed(fields["query"])})
    return fields


def _parsed(query: str) -> Any:
    try:
        where = parse(query.encode()) if query.strip() else None
    except MalformedJsonError:
        where = None
    if not isinstance(where, dict):
        message = "query must be the JSON text of a where-clause, an object."
        raise InvalidAudienceError(message, field="/query", parse_code=INVALID_JSON)
    return where


# ---------------------------------------------------------------- the two doors

Endpoints = Mapping[str, Callable[..., Awaitable[Reply]]]


def _doors(show: Show, check: Callable[[Call, str], None]) -> tuple[Endpoints, Endpoints]:
    """Return the endpoints of all audiences and of one, each behind a check of who calls."""

    def behind(operation: str, endpoint: Callable[..., Awaitable[Reply]]) -> Any:
        async def checked(call: Call, *object_id: str) -> Reply:
            check(call, operation)
            return await endpoint(call, *object_id)

        return checked

    return (
        {"GET": behind("find", partial(find, show=show)), "POST": behind("create", create)},
        {
            "GET": behind("get", partial(get, show=show)),
            "PUT": behind("update", update),
            "DELETE": behind("delete", delete),
        },
    )


def _check_route(call: Call, _operation: str) -> None:
    call.caller.require_master()


def _check_class(call: Call, operation: str) -> None:
    if not call.caller.is_master:
        raise not_for_clients(operation, "_Audience")


#: `/push_audiences`, and one of them
ROUTE, ROUTE_OF_ONE = _doors(of_route, _check_route)
#: `/classes/_Audience`, and one of them
CLASS, CLASS_OF_ONE = _doors(of_class, _check_class)
