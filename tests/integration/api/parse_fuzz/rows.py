"""Rows that are there before a run, under ids that its requests know."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import App
from pushsvc.storage import tables
from tests.integration.api.parse_fuzz.calls import INSTALLATION, Call
from tests.integration.api.parse_fuzz.client import Client
from tests.integration.api.parse_fuzz.values import KNOWN_ID
from tests.integration.api.parse_fuzz.wire import Keys, master_request

POINTER = {"__type": "Pointer", "className": "Team", "objectId": KNOWN_ID}
PLACE = {"__type": "GeoPoint", "latitude": 1, "longitude": 2}
FIELDS: dict[str, Any] = {
    "a": {"b": {"c": [1, "x", None, {"d": True}, [[]]]}, "0": "zero"},
    "n": 1.5,
    "s": "text",
    "when": {"__type": "Date", "iso": "2026-11-22T10:00:00.000Z"},
    "team": POINTER,
    "place": PLACE,
    "shape": {"__type": "Polygon", "coordinates": [[0, 0], [0, 10], [10, 10]]},
    "members": {"__op": "AddRelation", "objects": [POINTER]},
    "tags": ["a", 1, None, {"x": "é"}, PLACE | {"latitude": -90}, [1, [2]], "\U0001d4b3"],
    "o": {
        "x": [1, "1", 1e300, None],
        "y": {},
        "0": [],
        "é": {"__type": "Date", "iso": "2026-11-22"},
    },
}
UNFIT = ("objectId", "createdAt", "o.x", "location", "team", "tags", "n")
DEVICE = {key: value for key, value in INSTALLATION.items() if key not in UNFIT}
#: path -> the body that makes one
BODIES: Mapping[str, dict[str, Any]] = {
    "classes/Team": FIELDS | {"a": {"b": 1}},
    "users": FIELDS,
    "roles": {"name": "a", "ACL": {}},
    "installations": {**DEVICE, **FIELDS},
    "push_audiences": {"name": "all", "query": json.dumps({"channels": "news"})},
    "push": {"where": {}, "data": {"alert": "hi"}, "expiration_interval": 3_600},
}
TABLES: Mapping[str, Table] = {
    "classes/Team": tables.objects,
    "users": tables.objects,
    "roles": tables.objects,
    "installations": tables.installations,
    "push_audiences": tables.audiences,
    "push": tables.pushes,
}
STATUS_ID = "x-parse-push-status-id"


async def make(url: str, engine: AsyncEngine, app: App, keys: Keys) -> None:
    """Store one row of each kind through the API, and give it the id that requests know."""
    async with Client(url) as client:
        for path, body in BODIES.items():
            call = Call(method="POST", path=path, body=body)
            answer = await client.ask(master_request(call, keys), seconds=20)
            assert answer.status in {200, 201}, (path, answer)
            object_id = answer.headers.get(STATUS_ID) or json.loads(answer.body)["objectId"]
            table = TABLES[path]
            async with engine.begin() as connection:
                await connection.execute(
                    update(table)
                    .where(table.c.app_id == app.id, table.c.object_id == object_id)
                    .values(object_id=KNOWN_ID)
                )


async def good_requests_pass(url: str, keys: Keys) -> None:
    """Each kind of request is still taken, and so nothing behind the API has died."""
    async with Client(url) as client:
        calls = [Call(method="POST", path=path, body=body) for path, body in BODIES.items()]
        finds = [Call(method="GET", path=call.path) for call in calls if call.path != "push"]
        for call in (*calls, *finds, Call(method="GET", path="serverInfo")):
            answer = await client.ask(master_request(call, keys), seconds=20)
            assert answer.status in {200, 201}, (call, answer)
