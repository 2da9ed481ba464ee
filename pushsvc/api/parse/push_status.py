"""`_PushStatus`: pushes as Parse shows them, to the master key."""

import math
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, NoReturn

import orjson

from pushsvc import halting
from pushsvc.api.parse.call import Call, Reply
from pushsvc.api.parse.find import parse_find, parse_get
from pushsvc.api.parse.refusals import not_for_clients
from pushsvc.api.replies import moment
from pushsvc.errors import ForbiddenError, NotFoundError, WrongStateError
from pushsvc.halting import Named
from pushsvc.model import Counts, Json, Outcome, Push, device_count
from pushsvc.planning.localtime import utc_offset, zone_of
from pushsvc.stats import tally
from pushsvc.storage import push_statuses, pushes
from pushsvc.storage.push_statuses import PushStatus, ZoneCounts

#: Parse knows sent and failed. A double is not counted: its device got the push.
FAILED_OUTCOMES: Final = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.EXPIRED, Outcome.CANCELLED)
#: The one change of a push that its caller makes; all else follows from what happens to it.
CANCELLED: Final = {"status": "cancelled"}


async def get(call: Call, object_id: str) -> Reply:
    """Return one push."""
    _require_master(call, "get")
    keys = parse_get(call.params)
    async with call.resources.engine.connect() as connection:
        found = await push_statuses.find_status(
            connection, app_id=call.caller.app.id, object_id=object_id
        )
        if found is None:
            raise NotFoundError("Object not found.")
        counts = await pushes.counts_of(connection, found.push)
        by_zone = await push_statuses.counts_by_zone(connection, [found.push])
    return Reply(body=keys.of(shown(found, counts, by_zone=by_zone[found.push.id])))


async def find(call: Call) -> Reply:
    """Return the pushes of the last days that fit a query."""
    _require_master(call, "find")
    asked = parse_find(call.params, call.resources.settings)
    app_id, days = call.caller.app.id, call.resources.settings.push_history_days
    rows: list[Json] = []
    async with call.resources.engine.connect() as connection:
        async for found in push_statuses.find_statuses(
            connection,
            app_id=app_id,
            days=days,
            where=asked.where,
            order=asked.order,
            skip=asked.skip,
            limit=asked.limit,
        ):
            counts = await pushes.counts_of_all(connection, [one.push for one in found])
            zones = await push_statuses.counts_by_zone(connection, [one.push for one in found])
            rows += [
                asked.keys.of(shown(one, counts[one.push.id], by_zone=zones[one.push.id]))
                for one in found
            ]
        body: dict[str, Any] = {"results": rows}
        if asked.count:
            body["count"] = await push_statuses.count_statuses(
                connection, app_id=app_id, days=days, where=asked.where
            )
    return Reply(body=body)


async def create(call: Call) -> NoReturn:
    """Refuse: a push is made by sending it."""
    _require_master(call, "create")
    message = "A _PushStatus cannot be created: send a push, and it is there."
    raise ForbiddenError(message)


async def update(call: Call, object_id: str) -> Reply:
    """Cancel a push; nothing else of it can be changed.

    Raises:
        ForbiddenError: another change, or the push is over.
        NotFoundError: there is no such push.
    """
    _require_master(call, "update")
    if call.body != CANCELLED:
        message = (
            "A _PushStatus follows from what happens to the push. It takes one change, "
            '{"status": "cancelled"}, before all is sent.'
        )
        raise ForbiddenError(message)
    cancelled = await _cancel(call, object_id)
    changed_at = cancelled.finished_at or cancelled.halted_at
    assert changed_at is not None
    return Reply(body={"updatedAt": moment(changed_at)})


async def delete(call: Call, object_id: str) -> Reply:
    """Delete a push that waits for its time; cancel one that is on its way.

    Raises:
        ForbiddenError: the push is over.
        NotFoundError: there is no such push.
    """
    _require_master(call, "delete")
    app_id = call.caller.app.id
    async with call.resources.engine.begin() as connection:
        deleted = await push_statuses.delete_push(connection, app_id=app_id, object_id=object_id)
    if not deleted:
        # What got out of it stays on record.
        await _cancel(call, object_id)
    return Reply(body={})


async def _cancel(call: Call, object_id: str) -> Push:
    named = Named(object_id=object_id, app_id=call.caller.app.id, how="through the Parse API")
    try:
        return await halting.cancel(call.resources, named)
    except NotFoundError:
        raise NotFoundError("Object not found.") from None
    except WrongStateError as error:
        raise ForbiddenError(error.detail) from error


def _require_master(call: Call, operation: str) -> None:
    if not call.caller.is_master:
        raise not_for_clients(operation, "_PushStatus")


# ---------------------------------------------------------------- what is shown


def shown(status: PushStatus, counts: Counts, *, by_zone: ZoneCounts) -> Json:
    """Return a push in the shape of Parse's `_PushStatus`."""
    push = status.push
    seen = {
        "objectId": push.object_id,
        "createdAt": moment(push.created_at),
        "updatedAt": moment(status.updated_at),
        "pushTime": push.push_time,
        "source": "rest",
        "query": status.query or _text(_query(push.audience)),
        "payload": status.payload or _text(push.content["data"]),
        "pushHash": push.push_hash,
        "status": status.status,
        "ACL": {},
        "numSent": 0,
        **_counted("Sent", {t: _sum(c, (Outcome.SENT,)) for t, c in counts.items()}),
        **_counted("Failed", {t: _sum(c, FAILED_OUTCOMES) for t, c in counts.items()}),
        **_per_offset(push, by_zone),
    }
    if status.status == "running" and status.open_batches:
        seen["count"] = status.open_batches
    if push.expires_at is not None:
        seen["expiry"] = math.floor(push.expires_at.timestamp() * 1000)
    if push.expiration_interval is not None:
        seen["expiration_interval"] = push.expiration_interval
    if push.error is not None:
        seen["errorMessage"] = {"message": push.error}
    return seen


def _per_offset(push: Push, by_zone: ZoneCounts) -> dict[str, Any]:
    """Return Parse's counts by the offset that each zone had at its wave, in hours."""
    told: dict[str, Counter[str]] = {"sentPerUTCOffset": Counter(), "failedPerUTCOffset": Counter()}
    for name, classes in by_zone.items():
        zone = zone_of(name) or push.zoneless
        if push.local_time is None or zone is None:
            continue
        hours = f"{utc_offset(push.local_time, zone) / timedelta(hours=1):g}"
        told["sentPerUTCOffset"][hours] += _sum(classes, (Outcome.SENT,))
        told["failedPerUTCOffset"][hours] += _sum(classes, FAILED_OUTCOMES)
    return {key: dict(+counts) for key, counts in told.items() if +counts}


def _text(value: Json) -> str:
    return orjson.dumps(value).decode()


def _query(audience: Json) -> Json:
    """Return the audience as a where-clause; of explicit devices only how many there are."""
    if "channels" in audience:
        return {"channels": {"$in": audience["channels"]}}
    if "where" in audience:
        where: Json = audience["where"]
        return where
    return {"devices": device_count(audience)}


def _sum(classes: Mapping[Any, int], outcomes: tuple[Outcome, ...]) -> int:
    words = tally.by_outcome(classes)
    return sum(words[outcome] for outcome in outcomes)


def _counted(word: str, by_type: Mapping[str, int]) -> dict[str, Any]:
    """Return Parse's two fields of a count, which it leaves out while there is none."""
    present = {device_type: n for device_type, n in by_type.items() if n}
    if not present:
        return {}
    return {f"num{word}": sum(present.values()), f"{word.lower()}PerType": present}
