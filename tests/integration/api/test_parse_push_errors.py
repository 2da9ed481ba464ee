"""`POST {mount}/push` refuses: every code of Parse's push table, in Parse Server's order."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from pydantic import SecretStr

from pushsvc.config import Settings
from tests.integration.api.conftest import Api, running
from tests.integration.conftest import AppRow

DATA: Final = {"data": {"alert": "hello"}}
EVERYONE: Final = {"where": {}, **DATA}
BADGE: Final = "Invalid value for badge, expected number or 'Increment' or {increment: number}"
INTERVAL: Final = "expiration_interval must be a number greater than 0"


def hours(number: float) -> str:
    """A moment so many hours from now, as SDKs write it."""
    moment = datetime.now(UTC) + timedelta(hours=number)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: name -> body, code, the whole text: what Parse Server checks, to the letter
OF_PARSE_SERVER: Final[dict[str, tuple[dict[str, Any], int, str]]] = {
    "both audiences": (
        {**EVERYONE, "channels": ["a"]},
        115,
        "Channels and query can not be set at the same time.",
    ),
    "both, one null": (
        {**EVERYONE, "channels": None},
        115,
        "Channels and query can not be set at the same time.",
    ),
    "no audience": (
        DATA,
        115,
        'Sending a push requires either "channels" or a "where" query.',
    ),
    "expiration_time words": (
        {**EVERYONE, "expiration_time": "soon"},
        115,
        "soon is not valid time.",
    ),
    "expiration_time null": (
        {**EVERYONE, "expiration_time": None},
        115,
        "null is not valid time.",
    ),
    "expiration_time bool": (
        {**EVERYONE, "expiration_time": True},
        115,
        "true is not valid time.",
    ),
    "expiration_time object": (
        {**EVERYONE, "expiration_time": {"a": 1}},
        115,
        "[object Object] is not valid time.",
    ),
    "interval text": ({**EVERYONE, "expiration_interval": "60"}, 115, INTERVAL),
    "interval null": ({**EVERYONE, "expiration_interval": None}, 115, INTERVAL),
    "interval zero": ({**EVERYONE, "expiration_interval": 0}, 115, INTERVAL),
    "interval negative": ({**EVERYONE, "expiration_interval": -1}, 115, INTERVAL),
    "both expiries": (
        {**EVERYONE, "expiration_interval": 1, "expiration_time": 4e9},
        115,
        "Both expiration_time and expiration_interval cannot be set",
    ),
    "push_time null": ({**EVERYONE, "push_time": None}, 115, "null is not valid time."),
    "push_time number as text": (
        {**EVERYONE, "push_time": "1440226800"},
        115,
        "1440226800 is not valid time.",
    ),
    "push_time of the guide's malformed sample": (
        {**EVERYONE, "push_time": "2015-08-022T12:00:00"},
        115,
        "2015-08-022T12:00:00 is not valid time.",
    ),
    "badge words": ({"where": {}, "data": {"badge": "many"}}, 115, BADGE),
    "badge numeric text": ({"where": {}, "data": {"badge": "5"}}, 115, BADGE),
    "badge other operation": (
        {"where": {}, "data": {"badge": {"__op": "Delete"}}},
        115,
        BADGE,
    ),
}

#: name -> body, code, words of the text: what Parse's guide adds
OF_THE_GUIDE: Final[dict[str, tuple[dict[str, Any], int, str]]] = {
    "a wns block": ({**EVERYONE, "wns": {"ttl": 0}}, 115, "ttl must be"),
    "PushMissingData": ({"where": {}}, 115, 'needs "data"'),
    "PushMissingData null": ({"where": {}, "data": None}, 115, 'needs "data"'),
    "PushMissingData empty": ({"where": {}, "data": {}}, 115, 'needs "data"'),
    "data text": ({"where": {}, "data": "hello"}, 115, '"data" must be an object'),
    "PushWhereAndType": ({**EVERYONE, "type": "ios"}, 115, '"type" and a "where" query'),
    "PushWhereAndDeviceType": ({**EVERYONE, "deviceType": "ios"}, 115, '"deviceType" and a'),
    "a type beside channels": ({"channels": ["a"], **DATA, "type": "ios"}, 115, '"type" is not'),
    "InvalidChannelName": ({"channels": ["1st"], **DATA}, 112, "Invalid channel name: 1st."),
    "InvalidChannelsArray": ({"channels": "a", **DATA}, 134, "channels must be an array"),
    "InvalidChannelsArray null": ({"channels": None, **DATA}, 134, "channels must be an array"),
    "InvalidChannelsArray item": ({"channels": [1], **DATA}, 134, "channels must be an array"),
    "InvalidPushTime past": ({**EVERYONE, "push_time": 1_440_226_800}, 152, "in the past"),
    "InvalidPushTime far": ({**EVERYONE, "push_time": hours(15 * 24)}, 152, "two weeks ahead"),
    "InvalidExpiration past": ({**EVERYONE, "expiration_time": hours(-1)}, 138, "in the past"),
    "InvalidExpiration early": (
        {**EVERYONE, "push_time": hours(2), "expiration_time": hours(1)},
        138,
        "after the time of the push",
    ),
    "InvalidExpiration moment as interval": (
        {**EVERYONE, "expiration_interval": 1_440_226_800_000},
        138,
        "counts in seconds",
    ),
    "InvalidExpiration seconds of 1970": (
        {**EVERYONE, "expiration_interval": 1_440_226_800},
        138,
        "more than ten years",
    ),
    "milliseconds for seconds": (
        {**EVERYONE, "push_time": 1_440_226_800_000},
        115,
        "seconds since 1970",
    ),
    "no zone, too far": ({**EVERYONE, "push_time": "2099-01-01T12:00:00"}, 152, "two weeks ahead"),
    "no zone, past": ({**EVERYONE, "push_time": "2020-01-01"}, 152, "in the past"),
    "an expiry without a zone": (
        {**EVERYONE, "expiration_time": "2099-01-01T12:00:00"},
        115,
        "needs a zone",
    ),
    "a date with an offset": ({**EVERYONE, "push_time": "2099-01-01-02:00"}, 115, "local time"),
    "PushQueryTooLarge": (
        {"where": {"a": {"$in": ["x" * 131_072]}}, **DATA},
        115,
        "query is larger than 128 KB",
    ),
    "PushPayloadTooLarge": (
        {"where": {}, "data": {"k": "x" * 131_072}},
        115,
        "push is larger than 128 KB",
    ),
    "too large for every gateway": (
        {"where": {}, "data": {"k": "x" * 5_100}},
        115,
        "every gateway",
    ),
    "query: text": ({"where": '{"a":1}', **DATA}, 107, "as a query parameter"),
    "query: null": ({"where": None, **DATA}, 107, "You cannot use null as a query parameter."),
    "query: operator": ({"where": {"a": {"$foo": 1}}, **DATA}, 107, "bad constraint: $foo"),
    "query: $or": ({"where": {"$or": 1}, **DATA}, 102, "Bad $or format"),
    "query: pattern": ({"where": {"a": {"$regex": "("}}, **DATA}, 102, "Invalid $regex value"),
    "query: key": ({"where": {"a-b": 1}, **DATA}, 105, "Invalid key name: a-b"),
    "query: value": (
        {"where": {"a": {"$gt": {"__type": "Date", "iso": "x"}}}, **DATA},
        111,
        "not a valid Date",
    ),
    "channels: operator": ({"channels": {"$foo": 1}, **DATA}, 107, "bad constraint: $foo"),
    "channels: operand": ({"channels": {"$in": "a"}, **DATA}, 107, "bad $in value"),
    "channels: no operator": ({"channels": {}, **DATA}, 107, "as a query parameter"),
    "audience_id": ({**EVERYONE, "audience_id": 5}, 115, "audience_id must be"),
    "unknown audience": ({**EVERYONE, "audience_id": "abcdefghij"}, 115, "audience_id: there is"),
    "unknown audience alone": ({**DATA, "audience_id": "abcdefghij"}, 115, "audience_id: there"),
}


@pytest.mark.parametrize("name", OF_PARSE_SERVER)
async def test_what_parse_server_refuses_is_refused_in_its_words(api: Api, name: str) -> None:
    """400, 115 and the exact text; nothing is stored."""
    body, code, text = OF_PARSE_SERVER[name]

    answer = await api.master("POST", "/push", data=json.dumps(body))

    assert (answer.status, answer.body) == (400, {"code": code, "error": text})
    assert (await api.master("GET", "/classes/_PushStatus")).body["results"] == []


@pytest.mark.parametrize("name", OF_THE_GUIDE)
async def test_what_the_guide_refuses_is_refused_by_its_code(api: Api, name: str) -> None:
    """400, the guide's code and a sentence; nothing is stored."""
    body, code, words = OF_THE_GUIDE[name]

    answer = await api.master("POST", "/push", data=json.dumps(body))

    assert (400, code) == (answer.status, answer.body["code"])
    assert words in answer.body["error"]
    assert (await api.master("GET", "/classes/_PushStatus")).body["results"] == []


async def test_the_first_mistake_in_parse_servers_order_is_told(api: Api) -> None:
    """Each mistake is mended in turn, and the next one comes to light."""
    body: dict[str, Any] = {
        "where": {"a": {"$foo": 1}},
        "channels": "a",
        "type": "ios",
        "expiration_time": "soon",
        "expiration_interval": "60",
        "push_time": "later",
        "data": {"badge": "many"},
    }
    told = []
    changes: list[dict[str, Any]] = [
        {},
        {"channels": ...},
        {"expiration_time": hours(3)},
        {"expiration_interval": 60},
        {"expiration_time": ...},
        {"push_time": hours(1)},
        {"data": {"badge": 1}},
        {"type": ...},
    ]
    for change in changes:
        body = {k: v for k, v in {**body, **change}.items() if v is not ...}
        answer = await api.master("POST", "/push", json=body)
        told.append((answer.body["code"], answer.body["error"][:40]))

    assert told == [
        (115, "Channels and query can not be set at the"),
        (115, "soon is not valid time."),
        (115, INTERVAL[:40]),
        (115, "Both expiration_time and expiration_inte"),
        (115, "later is not valid time."),
        (115, BADGE[:40]),
        (115, '"type" and a "where" query can not be se'),
        (107, "bad constraint: $foo"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"where": {}, "notification": {"title": "Hi"}}, id="a notification"),
        pytest.param({**EVERYONE, "wns": {"type": "tile", "tag": None}}, id="a wns block"),
        pytest.param({"where": {}, "data": {"badge": 0}}, id="badge 0"),
        pytest.param({"where": {}, "data": {"badge": "increment"}}, id="badge in small letters"),
        pytest.param({**EVERYONE, "push_time": time.time() + 3_600}, id="seconds with a fraction"),
        pytest.param({**EVERYONE, "audience_id": None}, id="no audience"),
        pytest.param({"channels": [""], **DATA}, id="the broadcast channel"),
        pytest.param({"channels": ["a-b"], **DATA}, id="a channel with a dash"),
    ],
)
async def test_what_looks_odd_and_is_right(api: Api, body: dict[str, Any]) -> None:
    """What old clients send, and Parse takes, is taken."""
    answer = await api.master("POST", "/push", json=body)

    assert answer.status == 200, answer.body


async def test_missing_data_is_a_setting(
    app_row: AppRow, api: Api, servers: tuple[str, str], secret_key: str
) -> None:
    """With `push_data_required` off a push without data is sent empty, as by Parse Server."""
    settings = Settings(
        database_url=servers[0],
        redis_url=servers[1],
        secret_key=SecretStr(secret_key),
        port=0,
        push_data_required=False,
    )
    with running(settings) as url:
        lenient = Api(session=api.session, url=url, row=app_row)
        bodies: list[dict[str, Any]] = [{}, {"data": {}}, {"data": 5}]
        answers = [
            await lenient.master("POST", "/push", json={"where": {}, **body}) for body in bodies
        ]

    assert [answer.status for answer in answers] == [200, 200, 400]
    rows = (await api.master("GET", "/classes/_PushStatus")).body["results"]
    assert [row["payload"] for row in rows] == ["{}", "{}"]
    assert {row["pushHash"] for row in rows} == {"d41d8cd98f00b204e9800998ecf8427e"}
