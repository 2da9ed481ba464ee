"""Whatever is sent, it is never our mistake."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.integration.api.conftest import Api

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["ios", "2030-01-01T00:00:00Z", "Increment", 2**63, 1e308])
)
keys = st.text() | st.sampled_from(
    [
        *("$in", "$eq", "$exists", "$or", "$and", "__type", "__op", "amount", "objects", "iso"),
        *("className", "ops", "latitude", "longitude", "coordinates", "*", "read"),
        *("alert", "badge", "channels", "deviceToken", "objectId", "token", "device_type"),
    ]
)
#: ISO 8601 of the whole calendar, with offsets that lead out of it, too.
moments = st.builds(
    lambda moment, minutes: moment.replace(tzinfo=timezone(timedelta(minutes=minutes))).isoformat(),
    st.datetimes() | st.sampled_from([datetime.min, datetime.max]),  # noqa: DTZ901 - zoned above
    st.integers(-1439, 1439),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


def replaced(base: dict[str, Any], *names: str) -> st.SearchStrategy[dict[str, Any]]:
    """A body that is right but for one field."""
    return st.tuples(st.sampled_from(names), values).map(lambda new: {**base, new[0]: new[1]})


PUSH = {"where": {}, "data": {"alert": "hello"}}
DEVICE = {"deviceType": "ios", "installationId": "one"}
OBJECT = {"name": "x", "ACL": {}, "field": 1}
FIND = {"_method": "GET", "count": 1}
AUDIENCE = {"name": "x", "query": "{}"}
#: Of these few fields can be asked, each by column.
FOUND = ("/parse/classes/_PushStatus", "/parse/push_audiences", "/parse/classes/_Audience")
asked = st.sampled_from(["objectId", "name", "status", "createdAt", "expiry", "timesUsed"])
signs = st.sampled_from(["$eq", "$ne", "$in", "$nin", "$lt", "$gte", "$exists", "__type", "iso"])
dates = moments.map(lambda iso: {"__type": "Date", "iso": iso})
operands = values | dates | st.lists(values | dates, max_size=3)
clauses = st.dictionaries(asked, operands | st.dictionaries(signs, operands, max_size=2))
TIMES = ("push_time", "expiration_time", "expiration_interval")
SHAPES = ("data", "notification", "collapse_id", "push_type", "priority")
bodies = st.one_of(
    st.tuples(st.sampled_from(["/parse/push", "/v1/pushes"]), st.dictionaries(keys, values)),
    st.tuples(
        st.sampled_from(["/parse/push", "/v1/pushes"]),
        st.tuples(st.sampled_from(TIMES), moments).map(lambda new: {**PUSH, new[0]: new[1]}),
    ),
    st.tuples(st.just("/parse/push"), replaced(PUSH, "where", "channels", *TIMES, *SHAPES)),
    st.tuples(st.just("/v1/pushes"), replaced(PUSH, "where", "devices", *TIMES, *SHAPES)),
    st.tuples(
        st.just("/parse/installations"),
        replaced(DEVICE, "deviceToken", "channels", "badge", "timeZone", "custom", "ACL"),
    ),
    st.tuples(
        st.sampled_from(["/parse/classes/Team", "/parse/users", "/parse/roles"]),
        replaced(OBJECT, "field", "name", "ACL", "more"),
    ),
    st.tuples(
        st.just("/parse/classes/Team"),
        replaced(FIND, "where", "order", "include", "keys", "excludeKeys", "count"),
    ),
    st.tuples(
        st.sampled_from([*FOUND, "/parse/installations"]),
        replaced(FIND, "where", "order", "limit", "skip", "keys"),
    ),
    st.tuples(st.sampled_from(FOUND), clauses.map(lambda where: {**FIND, "where": where})),
    st.tuples(st.just("/parse/push"), replaced(PUSH, "audience_id")),
    st.tuples(st.just("/parse/push_audiences"), replaced(AUDIENCE, "name", "query", "ACL")),
    st.tuples(
        st.just("/parse/push_audiences"),
        values.map(json.dumps).map(lambda query: {**AUDIENCE, "query": query}),
    ),
    st.tuples(
        st.just("/parse/events/AppOpened"),
        replaced({"push_hash": "x"}, "push_hash", "push_id", "at", "dimensions"),
    ),
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bodies)
async def test_no_body_is_answered_with_a_5xx(api: Api, request_: tuple[str, Any]) -> None:
    """An SDK would send it again, and again."""
    path, body = request_
    headers = {
        "X-Parse-Application-Id": api.row.app.application_id,
        "X-Parse-Master-Key": api.row.master_key,
        "Authorization": f"Bearer {api.row.api_key}",
    }

    answer = await api.call("POST", path, data=json.dumps(body), headers=headers)

    assert answer.status < 500


@pytest.mark.parametrize("path", ["/parse/push", "/v1/pushes"])
@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_a_time_outside_the_calendar_is_the_callers_mistake(
    api: Api, path: str, moment: str
) -> None:
    """In its own zone it has a year, in UTC it has none."""
    headers = {
        "X-Parse-Application-Id": api.row.app.application_id,
        "X-Parse-Master-Key": api.row.master_key,
        "Authorization": f"Bearer {api.row.api_key}",
    }
    body = {**PUSH, "expiration_time": moment}

    answer = await api.call("POST", path, data=json.dumps(body), headers=headers)

    assert 400 <= answer.status < 500
