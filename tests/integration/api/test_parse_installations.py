"""`_Installation` over HTTP."""

import asyncio
import json
import uuid
from typing import Any

import pytest
from sqlalchemy import select

from pushsvc.resources import Resources
from pushsvc.storage.tables import installations
from tests.integration.api.conftest import Api

IOS: dict[str, Any] = {"deviceType": "ios", "deviceToken": "ab" * 32}
CLASS = "/classes/_Installation"


def new_id() -> str:
    return str(uuid.uuid4())


async def create(api: Api, **fields: Any) -> str:
    answer = await api.client("POST", CLASS, json={"installationId": new_id(), **fields})
    assert answer.status == 201, answer.body
    return str(answer.body["objectId"])


@pytest.mark.parametrize("path", [CLASS, "/installations"])
async def test_a_device_registers_itself(api: Api, path: str) -> None:
    """201, where it is, and no more than Parse says of it."""
    answer = await api.client("POST", path, json={**IOS, "installationId": new_id()})

    object_id = answer.body["objectId"]
    assert answer.status == 201
    assert f"/parse/classes/_Installation/{object_id}" == answer.headers["Location"]
    assert {"objectId", "createdAt"} == set(answer.body)


async def test_every_field_comes_back_as_it_was_sent(api: Api) -> None:
    """Special fields, custom ones and Parse's encoded values."""
    fields = {
        "deviceType": "winrt",
        "channelUris": {"_Default": "https://db5.notify.windows.com/?token=x"},
        "pushType": "wns",
        "GCMSenderId": "42",
        "timeZone": "Europe/Zurich",
        "localeIdentifier": "de-CH",
        "appVersion": "1.0",
        "appName": "Sample",
        "appIdentifier": "com.example.sample",
        "parseVersion": "5.3",
        "badge": 3,
        "channels": ["", "news", "a-b"],
        "born": {"__type": "Date", "iso": "2000-01-01T00:00:00.000Z"},
        "favourite": {"__type": "GeoPoint", "latitude": 47.4, "longitude": 8.5},
        "owner": {"__type": "Pointer", "className": "_User", "objectId": "abcdefghij"},
        "scores": [1, 2.5, {"deep": None}],
        "nothing": None,
        "ACL": {"*": {"read": True, "write": True}},
    }

    object_id = await create(api, **fields)

    answer = await api.client("GET", f"{CLASS}/{object_id}")
    assert answer.status == 200
    assert fields == {name: answer.body[name] for name in fields}
    assert object_id == answer.body["objectId"]
    assert answer.body["createdAt"].endswith("Z")


async def test_a_second_create_of_a_device_updates_it(api: Api) -> None:
    """200; and, which Parse Server lacks, the id by which the device is known."""
    same = {"installationId": new_id().upper(), **IOS}
    first = await api.client("POST", CLASS, json=same)

    again = await api.client("POST", CLASS, json={**same, "channels": ["news"]})

    assert again.status == 200
    assert first.body["objectId"] == again.body["objectId"]
    assert {"updatedAt", "objectId", "createdAt"} == set(again.body)
    one = await api.client("GET", f"{CLASS}/{first.body['objectId']}")
    assert (same["installationId"].lower(), ["news"]) == (
        one.body["installationId"],
        one.body["channels"],
    )


async def test_operations_change_what_is_stored_and_say_the_result(api: Api) -> None:
    """Increment, Add, AddUnique, Remove and Delete, on channels, badge and custom fields."""
    object_id = await create(api, **IOS, channels=["a"], badge=2, tags=["x"], gone=1)

    answer = await api.client(
        "PUT",
        f"{CLASS}/{object_id}",
        json={
            "channels": {"__op": "AddUnique", "objects": ["a", "b"]},
            "badge": {"__op": "Increment", "amount": 3},
            "tags": {"__op": "Add", "objects": ["x"]},
            "score": {"__op": "Increment", "amount": 1.5},
            "none": {"__op": "Remove", "objects": ["x"]},
            "gone": {"__op": "Delete"},
            "plain": 1,
        },
    )

    results = {"channels": ["a", "b"], "badge": 5, "tags": ["x", "x"], "score": 1.5, "none": []}
    assert results == {n: v for n, v in answer.body.items() if n != "updatedAt"}
    one = await api.client("GET", f"{CLASS}/{object_id}")
    assert {**results, "plain": 1} == {n: one.body[n] for n in [*results, "plain"]}
    assert "gone" not in one.body


@pytest.mark.parametrize("unset", [None, {"__op": "Delete"}])
async def test_a_token_can_be_taken_away(api: Api, unset: Any) -> None:
    """By null, and by the operation Android's SDK sends, which Parse Server refuses."""
    object_id = await create(api, **IOS)

    answer = await api.client("PUT", f"{CLASS}/{object_id}", json={"deviceToken": unset})

    assert answer.status == 200
    one = await api.client("GET", f"{CLASS}/{object_id}")
    assert "deviceToken" not in one.body


@pytest.mark.parametrize(
    ("fields", "code", "error"),
    [
        ({"deviceType": "ios", "installationId": None}, 135, "at least one ID field"),
        ({"deviceType": None}, 135, "deviceType must be specified in this operation"),
        ({"deviceType": "toaster"}, 133, "deviceType must be one of"),
        ({"deviceToken": 5}, 114, "deviceToken must be a string"),
        ({"deviceToken": "x" * 2001}, 114, "deviceToken must be a string"),
        ({"installationId": 5}, 132, "installationId must be a string"),
        ({"channels": "news"}, 134, "channels must be an array"),
        ({"channels": ["1st"]}, 112, "Invalid channel name: 1st."),
        ({"timeZone": "Mars/Olympus"}, 111, "timeZone must be a name"),
        ({"timeZone": 1}, 111, "_Installation.timeZone; expected String but got Number"),
        ({"badge": "1"}, 111, "badge must be a whole number"),
        ({"badge": 2**31}, 111, "badge must be a whole number"),
        ({"1st": 1}, 105, "Invalid field name: 1st."),
        ({"className": 1}, 105, "Invalid field name: className."),
        ({"_MasterKey": "x"}, 105, "Invalid field name: _MasterKey."),
        ({"objectId": "abcdefghij"}, 105, "objectId is an invalid field name."),
        ({"id": "abcdefghij"}, 105, "id is an invalid field name."),
        ({"createdAt": "2030-01-01T00:00:00Z"}, 111, "expected Date but got String"),
        ({"a": {"b.c": 1}}, 121, "Nested keys should not contain"),
        ({"a": {"__op": "Divide"}}, 108, "The Divide operator is not supported yet."),
        ({"a": {"__op": "Increment", "amount": "1"}}, 107, "incrementing must provide a number"),
        ({"appName": {"__op": "Increment", "amount": 1}}, 111, "expected String but got Number"),
        ({"a": {"__type": "GeoPoint", "latitude": 91, "longitude": 0}}, 111, "not a valid GeoPoi"),
        ({"a": {"__type": "Date", "iso": "soon"}}, 111, "not a valid Date"),
        ({"a": [{"__type": "Secret"}]}, 111, "not a valid Secret"),
        ({"a": "x" * 140_000}, 116, "larger than 128 KB"),
        ({"ACL": "all"}, 111, "expected ACL but got String"),
    ],
)
async def test_a_bad_installation_is_refused_as_parse_refuses_it(
    api: Api, fields: dict[str, Any], code: int, error: str
) -> None:
    """Status 400, the code of the guide, the text of Parse Server."""
    body = {"deviceType": "ios", "installationId": new_id(), **fields}
    body = {name: value for name, value in body.items() if value is not None}

    answer = await api.client("POST", CLASS, json=body)

    assert (400, code) == (answer.status, answer.body["code"])
    assert error in answer.body["error"]


async def test_an_operation_must_fit_what_is_stored(api: Api) -> None:
    """A text cannot be incremented, and a number is no list."""
    object_id = await create(api, **IOS, text="x", number=1)
    for field, operation in (
        ("text", {"__op": "Increment", "amount": 1}),
        ("number", {"__op": "Add", "objects": [1]}),
        ("badge", {"__op": "Increment", "amount": 2**31}),
        ("badge", {"__op": "Increment", "amount": 0.5}),
    ):
        answer = await api.client("PUT", f"{CLASS}/{object_id}", json={field: operation})

        assert (answer.status, answer.body["code"]) == (400, 111), field


async def test_what_tells_devices_apart_does_not_change(api: Api) -> None:
    """136 for another installation id or type."""
    object_id = await create(api, **IOS)
    for change in ({"installationId": new_id()}, {"deviceType": "android"}, {"deviceType": None}):
        answer = await api.client("PUT", f"{CLASS}/{object_id}", json=change)

        assert (answer.status, answer.body["code"]) == (400, 136), change


async def test_an_installation_that_is_gone_is_404_with_101(api: Api) -> None:
    """By this code every SDK knows that it must create the installation anew."""
    for method, body in (("GET", None), ("PUT", {"badge": 1}), ("PUT", IOS), ("DELETE", None)):
        answer = await api.master(method, f"{CLASS}/abcdefghij", json=body)

        assert (answer.status, answer.body["code"]) == (404, 101), method


@pytest.mark.parametrize("object_id", ["%00", "a.b", "%F0%9F%98%80"])
async def test_an_id_that_can_be_nobodys_is_not_found(api: Api, object_id: str) -> None:
    """Whatever stands in the path, it is a 404."""
    answer = await api.master("GET", f"{CLASS}/{object_id}")

    assert (answer.status, answer.body["code"]) == (404, 101)


@pytest.mark.parametrize(("operation", "suffix"), [("find", ""), ("delete", "/abcdefghij")])
async def test_clients_neither_list_nor_delete(api: Api, operation: str, suffix: str) -> None:
    """119, in Parse's words."""
    method = "GET" if operation == "find" else "DELETE"

    answer = await api.client(method, CLASS + suffix)

    assert (answer.status, answer.body["code"]) == (400, 119)
    assert (
        f"Clients aren't allowed to perform the {operation} operation on the installation "
        "collection." == answer.body["error"]
    )


async def test_the_master_deletes(api: Api) -> None:
    """An empty object, and then there is none."""
    object_id = await create(api, **IOS)

    answer = await api.master("DELETE", f"{CLASS}/{object_id}")

    assert (answer.status, answer.body) == (200, {})
    assert (await api.master("GET", f"{CLASS}/{object_id}")).status == 404


async def test_an_acl_hides_an_installation_from_clients(api: Api) -> None:
    """To all but the master it is as if it was not there."""
    object_id = await create(api, **IOS, ACL={"*": {"read": False}})

    assert (await api.client("GET", f"{CLASS}/{object_id}")).status == 404
    assert (await api.client("PUT", f"{CLASS}/{object_id}", json={"a": 1})).status == 404
    assert (await api.master("PUT", f"{CLASS}/{object_id}", json={"a": 1})).status == 200
    assert (await api.master("GET", f"{CLASS}/{object_id}")).status == 200


async def test_what_is_hidden_is_not_guessed_at_by_changes(api: Api) -> None:
    """Whether a change would fit, too, only those are told who may make it."""
    device = {"installationId": "one", "deviceType": "ios", "tags": ["a"], "ACL": {}}
    made = await api.master("POST", CLASS, json=device)

    for place in (0, 5):
        answer = await api.client(
            "PUT", f"{CLASS}/{made.body['objectId']}", json={f"tags.{place}": "b"}
        )
        assert (answer.status, answer.body["code"]) == (404, 101)


async def test_a_find_fits_sorts_cuts_and_counts(api: Api) -> None:
    """where, order, skip, limit, count and keys."""
    for score in (3, 1, 2, 2):
        await create(api, deviceType="android", score=score, channels=["x"])
    await create(api, deviceType="ios", score=9)
    params = {
        "where": '{"deviceType":"android"}',
        "order": "-score,createdAt",
        "skip": "1",
        "limit": "2",
        "count": "1",
        "keys": "score,channels",
        "excludeKeys": "channels",
    }

    answer = await api.master("GET", CLASS, params=params)

    assert answer.body["count"] == 4
    assert [row["score"] for row in answer.body["results"]] == [2, 2]
    assert {"objectId", "createdAt", "updatedAt", "score"} == set(answer.body["results"][0])


@pytest.mark.parametrize("field", ["badge", "objectId", "appName", "updatedAt", "nobodysField"])
async def test_every_field_sorts(api: Api, field: str) -> None:
    """Columns, the badge, Parse's own, and custom ones."""
    await create(api, deviceType="android", badge=2, appName="b")
    await create(api, deviceType="android", badge=1, appName="a")

    answer = await api.master("GET", CLASS, params={"order": field})

    values = [row.get(field) for row in answer.body["results"]]
    assert len(values) == 2
    assert values[0] is None or sorted(values) == values


async def test_a_find_by_badge(api: Api) -> None:
    """The badge is kept in a table of its own, and is a field like any other."""
    await create(api, deviceType="ios", badge=2)
    await create(api, deviceType="ios", badge=3)
    params = {"where": '{"badge":3}', "order": "-badge", "count": "1"}

    answer = await api.master("GET", CLASS, params=params)

    assert [row["badge"] for row in answer.body["results"]] == [3]
    assert answer.body["count"] == 1


async def test_a_find_near_a_place(api: Api) -> None:
    """The nearest come first, unless another order is asked for."""
    for name, longitude in (("far", -179.5), ("near", 179.9), ("too far", -170)):
        place = {"__type": "GeoPoint", "latitude": 0, "longitude": longitude}
        await create(api, **IOS | {"deviceToken": name}, name=name, place=place)
    here = '{"__type":"GeoPoint","latitude":0,"longitude":180}'
    where = f'{{"place":{{"$nearSphere":{here},"$maxDistanceInKilometers":500}}}}'

    nearest = await api.master("GET", CLASS, params={"where": where, "count": "1"})
    sorted_by_name = await api.master("GET", CLASS, params={"where": where, "order": "name"})

    assert [row["name"] for row in nearest.body["results"]] == ["near", "far"]
    assert nearest.body["count"] == 2
    assert [row["name"] for row in sorted_by_name.body["results"]] == ["far", "near"]


async def test_a_find_goes_on_by_object_id(api: Api) -> None:
    """As `each` of the SDKs does: in order of the ids, and greater than the last."""
    made = sorted([await create(api, deviceType="android") for _ in range(5)])
    first = await api.master("GET", CLASS, params={"order": "objectId", "limit": "3"})
    last = first.body["results"][-1]["objectId"]
    where = f'{{"objectId":{{"$gt":"{last}"}}}}'

    rest = await api.master("GET", CLASS, params={"order": "objectId", "where": where})

    ids = [row["objectId"] for row in (*first.body["results"], *rest.body["results"])]
    assert sorted(ids) == made
    assert len(first.body["results"]) == 3


async def test_a_limit_of_zero_only_counts(api: Api) -> None:
    """As SDKs ask for a count."""
    await create(api, **IOS)

    answer = await api.master("GET", CLASS, params={"limit": "0", "count": "1"})

    assert answer.body == {"results": [], "count": 1}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"limit": "-1"}, 117),
        ({"limit": "many"}, 117),
        ({"skip": "-1"}, 118),
        ({"skip": "10001"}, 118),
        ({"order": "1st"}, 105),
        ({"where": "{"}, 107),
        ({"where": '{"ACL":1}'}, 102),
        ({"where": '{"a":{"$regex":"("}}'}, 102),
        ({"where": '{"a":{"$foo":1}}'}, 107),
        ({"explode": "1"}, 102),
    ],
)
async def test_a_bad_find_is_refused(api: Api, params: dict[str, str], code: int) -> None:
    """Never a 5xx."""
    answer = await api.master("GET", CLASS, params=params)

    assert (400, code) == (answer.status, answer.body["code"])


async def test_a_get_takes_no_query(api: Api) -> None:
    """102, as Parse Server has it."""
    answer = await api.client("GET", f"{CLASS}/abcdefghij", params={"where": "{}"})

    assert (answer.status, answer.body["code"]) == (400, 102)


# ---------------------------------------------------------------- beyond the master key


@pytest.mark.parametrize(
    "pin",
    [
        lambda one: {"installationId": one["installationId"]},
        lambda one: {"installationId": {"$eq": one["installationId"]}, "deviceType": "ios"},
        lambda one: {"objectId": one["objectId"]},
    ],
)
async def test_a_client_finds_the_one_that_it_knows(api: Api, pin: Any) -> None:
    """By its installation id, as the guide lets it; by its object id, as SDKs send a get."""
    await create(api, **IOS)
    object_id = await create(api, **IOS | {"deviceToken": "other"}, name="x")
    one = (await api.client("GET", f"{CLASS}/{object_id}")).body

    answer = await api.client("GET", CLASS, params={"where": json.dumps(pin(one)), "count": "1"})

    assert answer.body == {"results": [one], "count": 1}


async def test_a_find_by_an_id_is_subject_to_the_acl(api: Api) -> None:
    """What is hidden is not found, and not counted."""
    same = {"installationId": new_id(), **IOS}
    await create(api, **same, ACL={})
    where = json.dumps({"installationId": same["installationId"]})

    answer = await api.client("GET", CLASS, params={"where": where, "count": "1"})

    assert answer.body == {"results": [], "count": 0}


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"deviceType": "ios"},
        {"installationId": {"$ne": "x"}},
        {"installationId": {"$in": ["x"]}},
        {"installationId": {"$exists": True}},
        {"installationId": None},
        {"installationId": {"$select": {"query": {"className": "Team"}, "key": "name"}}},
        {"$or": [{"installationId": "x"}]},
    ],
)
async def test_a_client_finds_no_others(api: Api, where: dict[str, Any]) -> None:
    """119 in Parse's words, unless the query is about one by equality."""
    answer = await api.client("GET", CLASS, params={"where": json.dumps(where)})

    assert (answer.status, answer.body["code"]) == (400, 119)
    assert "find operation on the installation collection." in answer.body["error"]


async def test_24_parallel_creates_of_one_installation_leave_one(api: Api) -> None:
    """Over HTTP, with an unknown field each; all are told the same object."""
    body = {**IOS, "installationId": new_id(), "teams": ["x"]}
    send = [api.client("POST", CLASS, json=body | {f"field{n}": n}) for n in range(24)]

    answers = await asyncio.gather(*send)

    assert sorted(answer.status for answer in answers) == [200] * 23 + [201]
    assert len({answer.body["objectId"] for answer in answers}) == 1
    (row,) = (await api.master("GET", CLASS)).body["results"]
    assert {row[f"field{n}"] for n in range(24)} == set(range(24))


# ---------------------------------------------------------------- types and operations


async def test_a_custom_field_keeps_its_type(api: Api) -> None:
    """Across installations; special fields have their own rules."""
    await create(api, **IOS, score=1)

    answer = await api.client("POST", CLASS, json={**IOS, "installationId": "x", "score": "1"})

    text = "schema mismatch for _Installation.score; expected Number but got String"
    assert answer.body == {"code": 111, "error": text}


async def test_dotted_keys_change_parts(api: Api) -> None:
    """Of custom fields, and of the special ones that have parts."""
    uris = {"_Default": "https://db5.notify.windows.com/?token=a"}
    object_id = await create(api, deviceType="winrt", channelUris=uris, prefs={"n": 1})
    body = {
        "prefs.n": {"__op": "Increment", "amount": 1},
        "channelUris.tile": "https://db5.notify.windows.com/?token=b",
    }

    answer = await api.client("PUT", f"{CLASS}/{object_id}", json=body)

    assert answer.body["prefs"] == {"n": 2}
    one = (await api.client("GET", f"{CLASS}/{object_id}")).body
    assert (set(one["channelUris"]), one["prefs"]) == ({"_Default", "tile"}, {"n": 2})
    for bad, code in (
        ({"channelUris.tile": 1}, 111),
        ({"badge.a": 1}, 111),
        ({"deviceToken.a": "x"}, 111),
        ({"channels.0": "1st"}, 112),
        ({"channels": {"__op": "AddUnique", "objects": ["1st"]}}, 112),
    ):
        refused = await api.client("PUT", f"{CLASS}/{object_id}", json=bad)
        assert (refused.status, refused.body["code"]) == (400, code), bad


async def test_an_installation_includes_what_it_points_to(api: Api) -> None:
    """In a get, and in a find with keys of what is included."""
    user = (await api.master("POST", "/users", json={"username": "a", "age": 3})).body["objectId"]
    owner = {"__type": "Pointer", "className": "_User", "objectId": user}
    object_id = await create(api, **IOS, user=owner)

    one = await api.client("GET", f"{CLASS}/{object_id}", params={"include": "user"})
    found = await api.master("GET", CLASS, params={"keys": "user.username"})

    assert (one.body["user"]["__type"], one.body["user"]["age"]) == ("Object", 3)
    (row,) = found.body["results"]
    assert row["user"]["username"] == "a"
    assert "age" not in row["user"]
    assert "deviceType" not in row


async def test_only_the_master_includes_installations(api: Api) -> None:
    """A pointer shows no more of a device than its owner's app may see."""
    object_id = await create(api, **IOS)
    phone = {"__type": "Pointer", "className": "_Installation", "objectId": object_id}
    await api.master("POST", "/classes/Sale", json={"phone": phone})
    params = {"include": "phone"}

    (by_client,) = (await api.client("GET", "/classes/Sale", params=params)).body["results"]
    (by_master,) = (await api.master("GET", "/classes/Sale", params=params)).body["results"]

    assert "phone" not in by_client
    assert by_master["phone"]["deviceToken"] == IOS["deviceToken"]


async def test_a_header_finds_and_is_never_stored(api: Api) -> None:
    """Parse's rule for `X-Parse-Installation-Id`."""
    header = {"X-Parse-Installation-Id": new_id()}

    answer = await api.client("POST", CLASS, json=IOS, headers=header)

    one = await api.client("GET", f"{CLASS}/{answer.body['objectId']}")
    assert "installationId" not in one.body


async def test_the_place_of_an_installation_is_kept_in_columns(
    api: Api, resources: Resources
) -> None:
    """As queries look it up; and a second one is refused."""
    point = {"__type": "GeoPoint", "latitude": 47.4, "longitude": 8.5}
    object_id = await create(api, **IOS, home=point)
    kept = select(installations.c.latitude, installations.c.longitude)

    async with resources.engine.connect() as connection:
        row = (await connection.execute(kept.where(installations.c.object_id == object_id))).one()
    second = await api.client("PUT", f"{CLASS}/{object_id}", json={"away": point})

    assert tuple(row) == (47.4, 8.5)
    assert second.body["code"] == 111


@pytest.mark.parametrize("name", ["installationId", "deviceToken", "deviceType", "appIdentifier"])
async def test_what_tells_devices_apart_is_no_operation(api: Api, name: str) -> None:
    """By an operation's value nobody is found: a second row of the device would be refused late."""
    device = {
        "installationId": "one",
        "deviceToken": "t1",
        "deviceType": "ios",
        "appIdentifier": "com.example",
    }
    assert (await api.master("POST", CLASS, json=device)).status == 201
    operation = {"__op": "SetOnInsert", "amount": device[name]}

    answer = await api.master("POST", CLASS, json={**device, "deviceToken": "t2", name: operation})

    assert (answer.status, answer.body["code"]) == (400, 107)
    assert name in answer.body["error"]
