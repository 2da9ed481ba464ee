"""`/classes/<Class>`, `/users` and `/roles` over HTTP."""

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import select

from pushsvc.resources import Resources
from pushsvc.storage.tables import objects
from tests.integration.api.conftest import OBJECT_BYTES_LIMIT, Answer, Api

TEAM = "/classes/Team"
ROLE = {"name": "fans", "ACL": {"*": {"read": True}}}


async def create(api: Api, path: str = TEAM, **fields: Any) -> str:
    answer = await api.master("POST", path, json=fields)
    assert answer.status == 201, answer.body
    return str(answer.body["objectId"])


async def find(api: Api, path: str = TEAM, **params: Any) -> list[dict[str, Any]]:
    answer = await search(api, path, **params)
    assert answer.status == 200, answer.body
    results: list[dict[str, Any]] = answer.body["results"]
    return results


async def search(api: Api, path: str = TEAM, **params: Any) -> Answer:
    texts = {n: v if isinstance(v, str) else json.dumps(v) for n, v in params.items()}
    return await api.client("GET", path, params=texts)


def pointer(class_name: str, object_id: str) -> dict[str, str]:
    return {"__type": "Pointer", "className": class_name, "objectId": object_id}


def included(row: dict[str, Any]) -> set[str]:
    return set(row) - {"__type", "className", "createdAt", "updatedAt", "objectId"}


# ---------------------------------------------------------------- one object


async def test_an_object_is_created_shown_changed_and_deleted(api: Api) -> None:
    """With Parse's statuses and shapes; a client may, in an app's own classes."""
    made = await api.client("POST", TEAM, json={"name": "Giants", "score": 1})
    object_id = made.body["objectId"]
    path = f"{TEAM}/{object_id}"
    assert (made.status, set(made.body)) == (201, {"objectId", "createdAt"})
    assert made.headers["Location"] == f"/parse{path}"

    changed = await api.client(
        "PUT", path, json={"score": {"__op": "Increment", "amount": 2}, "city": "SF"}
    )
    assert (changed.status, set(changed.body)) == (200, {"updatedAt", "score"})
    assert changed.body["score"] == 3

    one = await api.client("GET", path)
    assert one.body == {
        "objectId": object_id,
        "createdAt": made.body["createdAt"],
        "updatedAt": changed.body["updatedAt"],
        "name": "Giants",
        "score": 3,
        "city": "SF",
    }

    assert (await api.client("DELETE", path)).body == {}
    for method in ("GET", "PUT", "DELETE"):
        gone = await api.client(method, path, json={} if method == "PUT" else None)
        told = (gone.status, gone.body)
        assert told == (404, {"code": 101, "error": "Object not found."}), method


async def test_every_value_comes_back_as_it_was_sent(api: Api) -> None:
    """Parse's encoded values; only Dates and Polygons are brought into one form."""
    ring = [[0, 0], [0, 1], [1, 0]]
    fields: dict[str, Any] = {
        "text": "x",
        "number": 1.5,
        "bool": False,
        "nothing": None,
        "list": [1, {"deep": [None]}],
        "object": {"a": {"b": 1}},
        "date": {"__type": "Date", "iso": "2026-11-22T10:00:00.000Z"},
        "bytes": {"__type": "Bytes", "base64": "AAEC"},
        "file": {"__type": "File", "name": "a.txt", "url": "http://files.example/a.txt"},
        "place": {"__type": "GeoPoint", "latitude": 47.4, "longitude": 8.5},
        "area": {"__type": "Polygon", "coordinates": [*ring, ring[0]]},
        "owner": pointer("_User", "abcdefghij"),
        "ACL": {"*": {"read": True, "write": True}, "role:admin": {"write": True}},
    }

    object_id = await create(api, **fields)

    one = await api.client("GET", f"{TEAM}/{object_id}")
    assert fields == {name: one.body[name] for name in fields}


async def test_dotted_keys_change_parts_and_operations_tell_theirs(api: Api) -> None:
    """As Parse expands them in the reply."""
    object_id = await create(api, prefs={"news": False, "count": 1}, tags=["a", "b"])

    answer = await api.client(
        "PUT",
        f"{TEAM}/{object_id}",
        json={
            "prefs.news": True,
            "prefs.count": {"__op": "Increment", "amount": 1},
            "prefs.gone": {"__op": "Delete"},
            "tags.1": "c",
        },
    )

    assert {n: v for n, v in answer.body.items() if n != "updatedAt"} == {"prefs": {"count": 2}}
    one = await api.client("GET", f"{TEAM}/{object_id}")
    assert (one.body["prefs"], one.body["tags"]) == ({"news": True, "count": 2}, ["a", "c"])


async def test_parallel_changes_of_one_object_all_count(api: Api) -> None:
    """Each takes its turn at the row."""
    path = f"{TEAM}/{await create(api, score=0)}"
    increment = {"score": {"__op": "Increment", "amount": 1}}

    await asyncio.gather(*(api.client("PUT", path, json=increment) for _ in range(24)))

    assert (await api.client("GET", path)).body["score"] == 24


@pytest.mark.parametrize(
    ("path", "body", "code", "error"),
    [
        (TEAM, {"1st": 1}, 105, "Invalid field name: 1st."),
        (TEAM, {"length": 1}, 105, "Invalid field name: length."),
        (TEAM, {"a.b": 1}, 105, "Invalid field name: a.b."),
        (TEAM, {"objectId": "abcdefghij"}, 105, "objectId is an invalid field name."),
        (TEAM, {"id": "abcdefghij"}, 105, "id is an invalid field name."),
        (TEAM, {"createdAt": "2026-11-22"}, 111, "Team.createdAt; expected Date but got String"),
        (TEAM, {"a": {"b.c": 1}}, 121, "Nested keys should not contain"),
        (TEAM, {"a": {"__op": "Divide"}}, 108, "The Divide operator is not supported yet."),
        (TEAM, {"ACL": "all"}, 111, "schema mismatch for Team.ACL; expected ACL but got String"),
        (TEAM, {"a": "x" * 140_000}, 116, "larger than 128 KB"),
        ("/classes/1st", {}, 103, "Invalid classname: 1st, classnames can only have"),
        ("/classes/_Secret", {}, 103, "Invalid classname: _Secret"),
        ("/classes/a-b", {}, 103, "Invalid classname: a-b"),
        ("/users", {"username": "a", "password": "b"}, 108, "are Parse Server's"),
        ("/classes/_User", {"authData": {}}, 108, "are Parse Server's"),
        ("/users", {"username": 1}, 111, "_User.username; expected String but got Number"),
        ("/roles", {"name": "fans"}, 111, "ACL is required."),
    ],
)
async def test_a_bad_object_is_refused_as_parse_refuses_it(
    api: Api, path: str, body: dict[str, Any], code: int, error: str
) -> None:
    """Status 400, Parse's code, and its words."""
    answer = await api.master("POST", path, json=body)

    assert (answer.status, answer.body["code"]) == (400, code)
    assert error in answer.body["error"]


async def test_a_field_keeps_the_type_of_its_first_value(api: Api) -> None:
    """Across objects, for operations and targets of pointers too; null is of no type."""
    await create(api, score=1, owner=pointer("_User", "a"), empty=None)
    for body, expected, got in (
        ({"score": "1"}, "Number", "String"),
        ({"score": {"__op": "Add", "objects": [1]}}, "Number", "Array"),
        ({"owner": pointer("Team", "a")}, "Pointer<_User>", "Pointer<Team>"),
    ):
        answer = await api.master("POST", TEAM, json=body)
        field = next(iter(body))
        text = f"schema mismatch for Team.{field}; expected {expected} but got {got}"
        assert answer.body == {"code": 111, "error": text}
    await create(api, score=None, owner=None, empty="x")
    await create(api, "/classes/Other", score="1")


async def test_first_values_at_once_agree_on_one_type(api: Api) -> None:
    """Whoever is first gives it; the others are refused, and no row contradicts it."""
    values: list[Any] = [1, "a", True, [1], {"a": 1}] * 4

    answers = await asyncio.gather(
        *(api.master("POST", TEAM, json={"raced": value}) for value in values)
    )

    assert {answer.status for answer in answers} == {201, 400}
    kept = {type(row["raced"]) for row in await find(api)}
    assert len(kept) == 1


async def test_a_class_has_one_place(api: Api) -> None:
    """Which is kept where queries look it up, and follows its field."""
    point = {"__type": "GeoPoint", "latitude": 1, "longitude": 2}
    object_id = await create(api, home=point)

    answer = await api.master("POST", TEAM, json={"away": point})

    assert answer.body == {"code": 111, "error": "there can only be one geopoint field in a class"}
    near = {"home": {"$nearSphere": point, "$maxDistanceInKilometers": 1}}
    assert [row["objectId"] for row in await find(api, where=near)] == [object_id]
    moved = {**point, "latitude": 50}
    await api.master("PUT", f"{TEAM}/{object_id}", json={"home": moved})
    assert await find(api, where=near) == []


async def test_the_place_is_kept_in_columns(api: Api, resources: Resources) -> None:
    """And is nowhere when the field is deleted."""
    point = {"__type": "GeoPoint", "latitude": 1, "longitude": 2}
    object_id = await create(api, home=point)
    kept = select(objects.c.latitude, objects.c.longitude).where(objects.c.object_id == object_id)

    async with resources.engine.connect() as connection:
        before = (await connection.execute(kept)).one()
    await api.master("PUT", f"{TEAM}/{object_id}", json={"home": {"__op": "Delete"}})
    async with resources.engine.connect() as connection:
        after = (await connection.execute(kept)).one()

    assert (tuple(before), tuple(after)) == ((1, 2), (None, None))


# ---------------------------------------------------------------- users and roles


async def test_users_and_roles_are_classes_with_paths_of_their_own(api: Api) -> None:
    """As in Parse Server, where only users also live there."""
    user = await api.master("POST", "/users", json={"username": "alice", "email": "a@b.example"})
    role = await api.master("POST", "/roles", json=ROLE)

    assert user.headers["Location"] == f"/parse/users/{user.body['objectId']}"
    assert role.headers["Location"] == f"/parse/classes/_Role/{role.body['objectId']}"
    for path, name in ((f"/users/{user.body['objectId']}", "alice"),):
        for at in (path, path.replace("/users", "/classes/_User")):
            assert (await api.client("GET", at)).body["username"] == name
    changed = await api.master("PUT", f"/users/{user.body['objectId']}", json={"username": "bob"})
    assert changed.status == 200
    assert [row["username"] for row in await find(api, "/users")] == ["bob"]
    assert (await api.master("DELETE", f"/roles/{role.body['objectId']}")).body == {}


@pytest.mark.parametrize("path", ["/users/abcdefghij", "/classes/_User/abcdefghij"])
async def test_a_password_is_none_of_ours(api: Api, path: str) -> None:
    """108, with a sentence that says whose it is."""
    answer = await api.master("PUT", path, json={"password": "secret"})

    assert (answer.status, answer.body["code"]) == (400, 108)
    assert "Parse Server" in answer.body["error"]


# ---------------------------------------------------------------- find


async def test_a_find_fits_sorts_cuts_and_counts(api: Api) -> None:
    """where, order, skip, limit, count, keys and excludeKeys."""
    for score in (3, 1, 2, 2):
        await create(api, score=score, name="x", city="y")
    await create(api, score=9, name="z")

    answer = await search(
        api,
        where={"name": "x"},
        order="-score,createdAt",
        skip=1,
        limit=2,
        count=1,
        keys="score,city",
        excludeKeys="city",
    )

    assert answer.body["count"] == 4
    assert [row["score"] for row in answer.body["results"]] == [2, 2]
    shown = {"objectId", "createdAt", "updatedAt", "score"}
    assert set(answer.body["results"][0]) == shown


@pytest.mark.parametrize(
    ("values", "ascending"),
    [
        ([2, 10, 1.5, None], [None, 1.5, 2, 10]),
        (["b", "B", "a", "ä"], ["B", "a", "b", "ä"]),
        ([True, False], [False, True]),
    ],
)
async def test_every_field_sorts(api: Api, values: list[Any], ascending: list[Any]) -> None:
    """Numbers as such, texts by code point; null is less than all."""
    for value in values:
        await create(api, field=value, within={"it": value})
    for order, key in (("field", "field"), ("within.it", "within")):
        rows = [row["field"] for row in await find(api, order=order)]
        assert rows == ascending, key
        rows = [row["field"] for row in await find(api, order=f"-{order}")]
        assert rows == ascending[::-1], key


async def test_times_and_ids_sort(api: Api) -> None:
    """The oldest first where nothing is said."""
    made = [await create(api) for _ in range(3)]

    assert [row["objectId"] for row in await find(api)] == made
    for order in ("-createdAt", "-_created_at"):
        found = [row["createdAt"] for row in await find(api, order=order)]
        assert found == sorted(found, reverse=True)
    assert [row["objectId"] for row in await find(api, order="objectId")] == sorted(made)


async def test_classes_and_apps_do_not_see_each_other(api: Api) -> None:
    """One id in two classes is two objects."""
    object_id = await create(api, name="x")

    assert await find(api, "/classes/Other") == []
    assert (await api.client("GET", f"/classes/Other/{object_id}")).status == 404
    assert (await api.master("DELETE", f"/classes/Other/{object_id}")).status == 404


async def test_a_count_without_a_limit_is_exact(api: Api) -> None:
    """As SDKs ask for a count."""
    await create(api)

    answer = await search(api, limit=0, count=1)

    assert answer.body == {"results": [], "count": 1}


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        (TEAM, {"limit": "-1"}, 117),
        (TEAM, {"skip": "10001"}, 118),
        (TEAM, {"where": "{"}, 107),
        (TEAM, {"where": '{"ACL":1}'}, 102),
        (TEAM, {"where": '{"a":{"$regex":"("}}'}, 102),
        (TEAM, {"order": "1st"}, 105),
        (TEAM, {"explode": "1"}, 102),
        (f"{TEAM}/abcdefghij", {"where": "{}"}, 102),
        (f"{TEAM}/abcdefghij", {"include": "a.b.c.d.e.f.g.h.i"}, 102),
        ("/classes/_Secret", {}, 103),
        ("/classes/_Secret/abcdefghij", {}, 103),
    ],
)
async def test_a_bad_find_is_refused(
    api: Api, path: str, params: dict[str, str], code: int
) -> None:
    """Never a 5xx."""
    answer = await api.client("GET", path, params=params)

    assert (answer.status, answer.body["code"]) == (400, code)


@pytest.mark.parametrize("path", ["/classes/Team/a/b", "/classes", "/users/a/b"])
async def test_a_path_that_leads_nowhere_is_none(api: Api, path: str) -> None:
    """404 without a code: 101 would tell an SDK that its object is gone."""
    answer = await api.client("GET", path)

    assert answer.status == 404
    assert "code" not in answer.body


# ---------------------------------------------------------------- include


async def test_pointers_are_replaced_by_their_objects(api: Api) -> None:
    """In fields and lists, at any depth, in a find and in a get."""
    city = await create(api, "/classes/City", name="SF", mayor="x")
    home = await create(api, name="Giants", city=pointer("City", city))
    away = await create(api, name="Mets")
    game = await create(
        api, "/classes/Game", home=pointer("Team", home), teams=[pointer("Team", away)]
    )

    (row,) = await find(api, "/classes/Game", include="home.city,teams")
    one = await api.client("GET", f"/classes/Game/{game}", params={"include": "home.city,teams"})

    assert one.body == row
    assert (row["home"]["__type"], row["home"]["className"]) == ("Object", "Team")
    assert (row["home"]["name"], row["home"]["city"]["name"]) == ("Giants", "SF")
    assert [team["name"] for team in row["teams"]] == ["Mets"]
    everything = (await find(api, "/classes/Game", include="*"))[0]
    assert (everything["home"]["city"]["__type"], everything["teams"]) == ("Pointer", row["teams"])


async def test_keys_choose_fields_of_what_is_included(api: Api) -> None:
    """A dotted key includes by itself, and shows no more than it names."""
    team = await create(api, name="Giants", city="SF", score=1)
    await create(api, "/classes/Game", home=pointer("Team", team), place="x")

    (named,) = await find(api, "/classes/Game", keys="home.name")
    (rest,) = await find(api, "/classes/Game", include="home", excludeKeys="home.name,place")

    assert (included(named), included(named["home"])) == ({"home"}, {"name"})
    assert (included(rest), included(rest["home"])) == ({"home"}, {"city", "score"})


async def test_a_pointer_to_nothing_is_left_out(api: Api) -> None:
    """Or to what an ACL hides, or to what is no object of a class."""
    hidden = await create(api, name="x", ACL={})
    lists = [pointer("Team", hidden), pointer("Team", "abcdefghij"), pointer("_Session", "a")]
    await create(api, "/classes/Game", home=lists[0], teams=lists)

    (row,) = await find(api, "/classes/Game", include="home,teams")
    by_master = await api.master("GET", "/classes/Game", params={"include": "home,teams"})

    assert ("home" in row, row["teams"]) == (False, [])
    (seen,) = by_master.body["results"]
    assert seen["home"]["name"] == "x"
    assert [team["objectId"] for team in seen["teams"]] == [hidden]


async def test_an_include_that_is_too_much_is_refused(api: Api) -> None:
    """Lists of pointers multiply: 102, and what to do."""
    team = await create(api, name="x")
    for _ in range(11):
        await create(api, "/classes/Game", teams=[pointer("Team", team)] * 1_000)

    answer = await search(api, "/classes/Game", include="teams")

    assert (answer.status, answer.body["code"]) == (400, 102)
    assert "limit" in answer.body["error"]
    assert len((await find(api, "/classes/Game", include="teams", limit=1))[0]["teams"]) == 1_000


async def test_objects_are_found_by_what_they_point_to(api: Api) -> None:
    """`$inQuery`, as the guide's push chapter asks for installations."""
    near = await create(api, name="near", open=True)
    far = await create(api, name="far", open=False)
    for team in (near, far):
        await create(api, "/classes/Game", home=pointer("Team", team), name=team)
    inner = {"className": "Team", "where": {"open": True}}

    found = await find(api, "/classes/Game", where={"home": {"$inQuery": inner}})

    assert [row["name"] for row in found] == [near]


@pytest.mark.parametrize("where", [{"text": {"$exists": True}}, None], ids=["no search", "search"])
async def test_what_fits_a_search_best_comes_first(api: Api, where: dict[str, Any] | None) -> None:
    """By `$score`, which SDKs ask for as a key as well; without a search it sorts nothing."""
    texts = ["tea, and once more coffee", "coffee coffee coffee", "coffee"]
    for text in texts:
        await create(api, text=text)
    searching = {"text": {"$text": {"$search": {"$term": "coffee"}}}}

    found = await find(api, where=where or searching, order="$score", keys="$score")

    first = texts[0] if where else texts[1]
    assert len(found) == 3
    assert found[0]["text"] == first


@pytest.mark.parametrize("path", [TEAM, "/installations"])
async def test_objects_are_as_large_as_the_setting_says(
    api: Api, strict_api: Api, path: str
) -> None:
    """116 beyond; also for what operations come to."""
    device = {"deviceType": "ios", "installationId": "one"}
    made = (await strict_api.master("POST", path, json=device)).body["objectId"]
    long = ["x" * OBJECT_BYTES_LIMIT]
    half = ["x" * (OBJECT_BYTES_LIMIT // 2)]
    added = {"list": {"__op": "Add", "objects": half}}

    whole = await strict_api.master("PUT", f"{path}/{made}", json={"list": long})
    first = await strict_api.master("PUT", f"{path}/{made}", json=added)
    second = await strict_api.master("PUT", f"{path}/{made}", json=added)

    assert [(one.status, one.body.get("code")) for one in (whole, first, second)] == [
        (400, 116),
        (200, None),
        (400, 116),
    ]
    other = device | {"installationId": "two", "list": long}
    assert (await api.master("POST", path, json=other)).status == 201
