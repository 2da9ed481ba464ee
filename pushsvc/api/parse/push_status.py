"""`_PushStatus`: pushes as Parse shows them, to the master key."""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.api.parse.call import Call, Reply
from pushsvc.api.parse.find import Find, parse_find, parse_get
from pushsvc.api.replies import moment
from pushsvc.errors import ForbiddenError, InvalidQueryError, NotFoundError
from pushsvc.model import Counts, Json, Outcome, Push, PushState
from pushsvc.stats import tally
from pushsvc.storage import pushes

#: Our states in Parse's words; `waiting` is `scheduled` until it is due.
STATUSES: Final[Mapping[PushState, str]] = {
    PushState.WAITING: "pending",
    PushState.PLANNING: "running",
    PushState.SENDING: "running",
    PushState.DONE: "succeeded",
    PushState.FAILED: "failed",
}
#: Parse knows sent and failed. A double is not counted: its device got the push.
FAILED_OUTCOMES: Final = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.EXPIRED, Outcome.CANCELLED)
#: The rows are listed in this order, and may be asked for in it.
NEWEST_FIRST: Final = "createdAt"
#: Pushes loaded at once: each comes with its whole audience, of which only a line is shown.
SLICE: Final = 100


async def get(call: Call, object_id: str) -> Reply:
    """Return one push."""
    if not call.caller.is_master:
        _forbid("get")
    keys = parse_get(call.params)
    async with call.resources.engine.connect() as connection:
        push = await pushes.find_push(connection, app_id=call.caller.app.id, object_id=object_id)
        if push is None:
            raise NotFoundError("Object not found.")
        counts = await pushes.counts_of(connection, push)
    return Reply(body=keys.of(shown(push, counts, now=call.resources.clock.now())))


async def find(call: Call) -> Reply:
    """Return pushes, newest first; `where` may name one by its objectId."""
    if not call.caller.is_master:
        _forbid("find")
    asked = parse_find(call.params, call.resources.settings)
    _check_order(asked)
    now = call.resources.clock.now()
    rows: list[Json] = []
    async with call.resources.engine.connect() as connection:
        async for found in _slices(connection, call, asked):
            counts = await pushes.counts_of_all(connection, found)
            rows += [asked.keys.of(shown(push, counts[push.id], now=now)) for push in found]
    return Reply(body={"results": rows})


def _forbid(operation: str) -> None:
    message = (
        f"Clients aren't allowed to perform the {operation} operation on the _PushStatus "
        "collection."
    )
    raise ForbiddenError(message)


def _check_order(asked: Find) -> None:
    if asked.count:
        raise InvalidQueryError("_PushStatus cannot be counted.")
    newest_first = all(key.field == NEWEST_FIRST and key.descending for key in asked.order)
    if not newest_first:
        raise InvalidQueryError(f"_PushStatus can only be ordered by -{NEWEST_FIRST}.")


async def _slices(
    connection: AsyncConnection, call: Call, asked: Find
) -> AsyncIterator[Sequence[Push]]:
    """Yield the pushes asked for, up to SLICE at a time; what is skipped is not kept."""
    app_id = call.caller.app.id
    if asked.where:
        object_id = asked.where.get("objectId")
        if len(asked.where) > 1 or not isinstance(object_id, str):
            raise InvalidQueryError("_PushStatus can only be queried by objectId.")
        one = await pushes.find_push(connection, app_id=app_id, object_id=object_id)
        yield ([one] if one else [])[asked.skip : asked.skip + asked.limit]
        return
    before: int | None = None
    end = asked.skip + asked.limit
    for first in range(0, end, SLICE):
        size = min(SLICE, end - first)
        found = await pushes.list_pushes(connection, app_id=app_id, before=before, limit=size)
        yield found[max(0, asked.skip - first) :]
        if len(found) < size:
            return
        before = found[-1].id


def shown(push: Push, counts: Counts, *, now: datetime) -> Json:
    """Return a push in the shape of Parse's `_PushStatus`."""
    seen = {
        "objectId": push.object_id,
        "createdAt": moment(push.created_at),
        "updatedAt": moment(push.finished_at or push.started_at or push.created_at),
        "pushTime": push.push_time,
        "source": "rest",
        "query": orjson.dumps(_query(push.audience)).decode(),
        "payload": orjson.dumps(push.content.get("data", {})).decode(),
        "pushHash": push.push_hash,
        "status": _status(push, now=now),
        "ACL": {},
        "numSent": 0,
        **_counted("Sent", {t: _sum(c, (Outcome.SENT,)) for t, c in counts.items()}),
        **_counted("Failed", {t: _sum(c, FAILED_OUTCOMES) for t, c in counts.items()}),
    }
    if push.expires_at is not None:
        seen["expiry"] = math.floor(push.expires_at.timestamp() * 1000)
    if push.expiration_interval is not None:
        seen["expiration_interval"] = push.expiration_interval
    if push.error is not None:
        seen["errorMessage"] = {"message": push.error}
    return seen


def _status(push: Push, *, now: datetime) -> str:
    if push.state is PushState.WAITING and push.due_at > now:
        return "scheduled"
    return STATUSES[push.state]


def _query(audience: Json) -> Json:
    """Return the audience as a where-clause; of explicit devices only how many there are."""
    if "channels" in audience:
        return {"channels": {"$in": audience["channels"]}}
    if "where" in audience:
        where: Json = audience["where"]
        return where
    return {"devices": len(audience["devices"])}


def _sum(classes: Mapping[Any, int], outcomes: tuple[Outcome, ...]) -> int:
    words = tally.by_outcome(classes)
    return sum(words[outcome] for outcome in outcomes)


def _counted(word: str, by_type: Mapping[str, int]) -> dict[str, Any]:
    """Return Parse's two fields of a count, which it leaves out while there is none."""
    present = {device_type: n for device_type, n in by_type.items() if n}
    if not present:
        return {}
    return {f"num{word}": sum(present.values()), f"{word.lower()}PerType": present}
