"""Each odd value in each place where a caller may put one, and as each operator's operand."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.integration.api.parse_fuzz.calls import (
    AUDIENCE,
    DATA,
    EVENT,
    FCM_BLOCKS,
    FIND,
    GOOD,
    INSTALLATION,
    PUSH,
    WNS,
    Call,
)
from tests.integration.api.parse_fuzz.values import KNOWN_ID, ODD


def each_place() -> Iterator[Callable[[Any], Call]]:
    """Yield a function of one value for each place of the API where a caller may put one."""
    device = {"deviceType": "ios", "installationId": "id-2"}
    yield lambda odd: Call(method="POST", path="push", body=odd)
    yield lambda odd: Call(method="POST", path="batch", body={"requests": odd})
    yield lambda odd: Call(method="POST", path="batch", body={"requests": [odd]})
    yield from places("POST", "installations", device, INSTALLATION)
    yield from places("PUT", f"installations/{KNOWN_ID}", {}, INSTALLATION)
    yield from places("POST", "classes/Team", {}, {"n": 1, "ACL": {}, "objectId": "x", "o.x": 1})
    yield from places("POST", "push", {"data": {"alert": "x"}}, {"channels": 1, "where": 1})
    yield from places("POST", "push", {"where": {"channels": GOOD}, "data": {"alert": "x"}}, PUSH)
    yield from (_data(key) for key in DATA)
    yield from (_beside(block, key) for block, keys in FCM_BLOCKS.items() for key in keys)
    yield from (_beside("wns", key) for key in WNS)
    yield from (_part_of_batch(key) for key in ("method", "path", "body"))
    for key in ("channels", "tags", "channelUris"):
        yield lambda odd, key=key: _put(key, [odd])  # type: ignore[misc]
        yield lambda odd, key=key: _put(key, {"news": odd})  # type: ignore[misc]
    yield from places("POST", "push_audiences", AUDIENCE, {**AUDIENCE, "lastUsed": 1})
    yield from places("POST", "events/AppOpened", {}, EVENT)
    yield from places("PUT", f"classes/_PushStatus/{KNOWN_ID}", {}, {"status": 1})
    for path in ("installations", "classes/Team"):
        yield from (_find(path, key) for key in FIND)


def places(
    method: str, path: str, base: Mapping[str, Any], fields: Mapping[str, Any]
) -> Iterator[Callable[[Any], Call]]:
    """Yield one for each of the fields of a body."""
    call = Call(method=method, path=path, body=dict(base))
    for key in fields:
        yield lambda odd, key=key: call.with_body(key, odd)  # type: ignore[misc]


def _data(key: str) -> Callable[[Any], Call]:
    where = {"channels": GOOD}
    return lambda odd: Call(method="POST", path="push", body={"where": where, "data": {key: odd}})


def _beside(block: str, key: str) -> Callable[[Any], Call]:
    body = {"where": {"channels": GOOD}, "data": {"alert": "x"}}
    return lambda odd: Call(method="POST", path="push", body=body | {block: {key: odd}})


def _part_of_batch(key: str) -> Callable[[Any], Call]:
    item = {"method": "POST", "path": "/parse/classes/Other", "body": {"n": 1}}
    return lambda odd: Call(method="POST", path="batch", body={"requests": [item | {key: odd}]})


def _put(key: str, changed: Any) -> Call:
    return Call(method="PUT", path=f"installations/{KNOWN_ID}", body={key: changed})


def _find(path: str, key: str) -> Callable[[Any], Call]:
    return lambda odd: Call(method="GET", path=path, params={key: odd})


#: What they take is a list: every other value stands in one.
OF_LISTS = ("$in", "$nin", "$all", "$containedBy", "$or", "$and", "$nor")


def each_operand(operators: Mapping[str, Any]) -> Iterator[Call]:
    """Yield a find and a push for each operator with each odd value."""
    fields = ("n", "channels", "deviceToken", "createdAt", "location", "team", "objectId")
    for place, operator in enumerate((*operators, "$or", "$and", "$nor", "$relatedTo")):
        for other, wrong in enumerate(ODD):
            key = fields[(place + other) % len(fields)]
            is_top = operator in {"$or", "$and", "$nor", "$relatedTo"}
            listed = [wrong] if operator in OF_LISTS and other % 2 else wrong
            asked = {operator: listed} if is_top else {key: {operator: listed}}
            path = ("installations", "classes/Team")[other % 2]
            yield Call(method="GET", path=path, params={"where": asked})
            if other % 4 == 0:
                yield Call(
                    method="POST", path="push", body={"where": asked, "data": {"alert": "x"}}
                )
