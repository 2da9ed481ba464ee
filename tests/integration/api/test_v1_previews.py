"""`/v1/pushes:preview`: what would go out, to how many, and what stands against it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.api.v1.preview_views import PreviewView
from pushsvc.model import GatewayName
from pushsvc.resources import Resources
from pushsvc.simulators.credentials import Credentials, open_credentials
from pushsvc.storage import apps, tables
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.credentials import add_credential
from pushsvc.storage.ids import new_object_id
from tests.integration.api.conftest import Answer, Api

pytestmark = pytest.mark.integration

PATH = "/v1/pushes:preview"
BUNDLE = "com.example.app"
WINDOWS = "https://db5.notify.windows.com/?token="
CONTENT: dict[str, Any] = {
    "data": {"alert": "Hello", "alert-de": "Hallo", "badge": "Increment", "kind": "greeting"}
}
EVERYBODY: dict[str, Any] = {"where": {}, **CONTENT}


async def install(
    database: AsyncEngine, api: Api, token: str | None, device_type: str = "ios", **columns: Any
) -> str:
    """Store an installation with badge 4; return its objectId."""
    row: dict[str, Any] = {
        "app_id": api.row.app.id,
        "object_id": new_object_id(),
        "device_token": token,
        "device_type": device_type,
        "app_identifier": BUNDLE,
        "channels": ["all"],
    } | columns
    statement = insert(tables.installations).values(row).returning(tables.installations.c.id)
    async with database.begin() as connection:
        number = (await connection.execute(statement)).scalar_one()
        await connection.execute(insert(tables.badges).values(installation_id=number, badge=4))
    object_id: str = row["object_id"]
    return object_id


@cache
def credentials() -> Credentials:
    """Credentials that can be read; no gateway is ever shown them."""
    with TemporaryDirectory() as directory:
        return open_credentials(Path(directory), token_uri="https://oauth2.googleapis.com/token")


async def add_credentials(resources: Resources, api: Api, *gateways: GatewayName) -> None:
    """Store credentials."""
    found = credentials()
    account = orjson.dumps(dict(found.fcm.service_account)).decode()
    kept: Mapping[GatewayName, tuple[dict[str, Any], str]] = {
        GatewayName.APNS: (
            {"key_id": "A" * 10, "team_id": "B" * 10, "topics": [BUNDLE]},
            found.apns.p8,
        ),
        GatewayName.FCM: ({"project_id": "a-project"}, account),
        GatewayName.WNS: ({"package_sid": found.wns.package_sid}, found.wns.client_secret),
    }
    async with resources.engine.begin() as connection:
        for gateway in gateways or tuple(GatewayName):
            await add_credential(
                connection,
                resources.seal,
                app=api.row.app,
                gateway=gateway,
                public=kept[gateway][0],
                secret=kept[gateway][1],
            )


async def preview(api: Api, body: Mapping[str, Any]) -> Any:
    answer = await api.v1("POST", PATH, json=body)
    assert answer.status == 200, answer.body
    PreviewView.model_validate(answer.body)
    return answer.body


def variant(found: Any, form: str, locale: str | None = None) -> Any:
    """The one variant of this form and locale."""
    (one,) = (v for v in found["variants"] if (v["form"], v["locale"]) == (form, locale))
    return one


@pytest.fixture
async def mixed(api: Api, resources: Resources, database: AsyncEngine) -> dict[str, str]:
    """An audience of all kinds; objectIds by what is said of each."""
    await add_credentials(resources, api)
    now = datetime.now(UTC)
    return {
        name: await install(database, api, token, device_type, **columns)
        for name, token, device_type, columns in (
            ("ios", "ab" * 32, "ios", {"token_shared": True}),
            ("double", "ab" * 32, "ios", {"token_shared": True}),
            ("german", "ad" * 32, "ios", {"locale_identifier": "de-CH"}),
            ("retired", "ae" * 32, "ios", {"token_retired_at": now}),
            ("junk", "not hex", "ios", {}),
            ("stranger", "af" * 32, "ios", {"app_identifier": "com.example.other"}),
            ("topicless", "aa" * 32, "ios", {"app_identifier": None}),
            ("by_fcm", "one:ios", "ios", {"locale_identifier": "de"}),
            ("android", "one:android", "android", {"locale_identifier": "de_DE"}),
            ("tokenless", None, "android", {}),
            ("browser", "one:web", "web", {}),
            ("subscription", '{"endpoint": "x"}', "web", {}),
            ("windows", None, "winrt", {"channel_uris": {"_Default": f"{WINDOWS}1"}}),
            ("channelless", None, "winrt", {"channel_uris": {"a": "https://evil.example/"}}),
            ("phone", "http://s.notify.live.net/u/1", "winphone", {}),
            ("toaster", "t:1", "embedded", {}),
        )
    }


async def test_a_push_in_local_time_tells_its_moments(
    api: Api, resources: Resources, database: AsyncEngine
) -> None:
    """The first and the last in the world, and a message as of the next of them."""
    await add_credentials(resources, api)
    await install(database, api, "ab" * 32)
    local = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    body = {**EVERYBODY, "push_time": f"{local:%Y-%m-%dT%H:%M:%S}", "expiration_interval": 60}

    found = await preview(api, body)

    first = local - timedelta(hours=14)
    assert found["waves"] == {
        "local_time": f"{local:%Y-%m-%dT%H:%M:%S.000}",
        "moments": found["waves"]["moments"],
        "first": f"{first:%Y-%m-%dT%H:%M:%S.000Z}",
        "last": f"{local + timedelta(hours=12):%Y-%m-%dT%H:%M:%S.000Z}",
    }
    assert 30 < found["waves"]["moments"] < 50
    request = next(one["request"] for one in found["variants"] if one["form"] == "apns")
    expires_at = first + timedelta(seconds=60)
    assert request["headers"]["apns-expiration"] == str(int(expires_at.timestamp()))


async def test_whom_a_push_in_local_time_leaves_out_is_told(
    api: Api, resources: Resources, database: AsyncEngine
) -> None:
    """No zone, or one that is past; a device is the double only of one that gets the push."""
    await add_credentials(resources, api)
    await install(database, api, "ab" * 32, time_zone="Pacific/Auckland", token_shared=True)
    await install(database, api, "ab" * 32, time_zone="Africa/Lagos", token_shared=True)
    for zone in (None, "Nowhere/Land"):
        await install(database, api, f"{len(zone or '') + 10:064x}", time_zone=zone)
    local = (datetime.now(UTC) + timedelta(hours=2)).replace(tzinfo=None).isoformat()
    token = {"token": "cd" * 32, "device_type": "ios", "app_identifier": BUNDLE}

    sent = await preview(api, {**EVERYBODY, "push_time": local})
    skipped = await preview(api, {**EVERYBODY, "push_time": local, "late": "skip"})
    named = await preview(api, {"devices": [token], **CONTENT, "push_time": local})

    assert sent["audience"]["devices"] == skipped["audience"]["devices"] == 1
    assert sent["audience"]["excluded"] == {"no_time_zone": 2, "duplicate_token": 1}
    assert skipped["audience"]["excluded"] == {"no_time_zone": 2, "late": 1}
    assert named["audience"]["excluded"] == {"no_time_zone": 1}


async def test_a_wave_that_has_expired_is_told_and_who_is_of_no_plan_is_of_no_wave(
    api: Api, resources: Resources, database: AsyncEngine
) -> None:
    """What is left of a push in local time when its first zones are past, as its plan has it."""
    await add_credentials(resources, api)
    for number, zone in enumerate(("Pacific/Auckland", "Africa/Lagos")):
        token = f"{number:064x}"
        await install(database, api, token, time_zone=zone)
        await install(database, api, None, time_zone=zone)
        await install(
            database, api, f"9{token[1:]}", time_zone=zone, token_retired_at=datetime.now(UTC)
        )
    local = (datetime.now(UTC) + timedelta(hours=2)).replace(tzinfo=None).isoformat()
    body = {**EVERYBODY, "push_time": local, "expiration_interval": 3600}

    for late, reason in (("send", "expired"), ("skip", "late")):
        audience = (await preview(api, {**body, "late": late}))["audience"]
        assert audience["devices"] == 1
        assert audience["excluded"] == {reason: 1, "no_token": 2, "token_retired": 2}


async def test_every_device_of_the_audience_is_counted_once(
    api: Api, mixed: dict[str, str]
) -> None:
    """Those who get it by platform and locale, the others by what stands against it."""
    audience = (await preview(api, EVERYBODY))["audience"]

    assert audience == {
        "devices": 6,
        "by_platform": {"android": 1, "ios": 3, "web": 1, "winrt": 1},
        "by_locale": audience["by_locale"],
        "other_locales": 0,
        "excluded": {
            "bad_channel_uri": 1,
            "bad_device_token": 1,
            "duplicate_token": 1,
            "missing_topic": 1,
            "no_credential": 1,
            "no_token": 1,
            "provider_retired": 1,
            "token_retired": 1,
            "unknown_device_type": 1,
            "web_push_subscription": 1,
        },
    }
    locales = {one["locale"]: one["devices"] for one in audience["by_locale"]}
    assert locales == {None: 3, "de-CH": 1, "de": 1, "de_DE": 1}
    both = {one["locale"]: one["by_platform"] for one in audience["by_locale"]}
    assert both[None] == {"ios": 1, "web": 1, "winrt": 1}
    assert both["de_DE"] == {"android": 1}
    assert sum(audience["excluded"].values()) + audience["devices"] == len(mixed)


async def test_each_form_is_shown_in_each_choice_of_texts(api: Api, mixed: dict[str, str]) -> None:
    """For a device of the audience where there is one, with the badge it would have."""
    found = await preview(api, EVERYBODY)

    assert {(one["platform"], one["form"], one["locale"]) for one in found["variants"]} == {
        (platform, form, locale)
        for platform, form in (
            ("ios", "apns"),
            ("android", "fcm_android"),
            ("ios", "fcm_apple"),
            ("web", "fcm_web"),
            ("winrt", "wns"),
        )
        for locale in (None, "de")
    }
    assert sum(one["devices"] for one in found["variants"]) == found["audience"]["devices"]
    german = variant(found, "apns", "de")
    assert (german["example"], german["made_up"], german["devices"]) == (mixed["german"], False, 1)
    request = german["request"]
    assert request["path"] == f"/3/device/{'ad' * 32}"
    assert request["headers"]["apns-topic"] == BUNDLE
    assert request["body"]["aps"] == {"alert": "Hallo", "badge": 5}
    assert (german["fits"], german["limit_bytes"]) == (True, 4096)
    windows = variant(found, "wns")
    assert windows["example"] == mixed["windows"]
    assert windows["request"]["path"] == "/?token=1"
    assert "Hello" in windows["request"]["body"]
    android = variant(found, "fcm_android", "de")
    assert android["request"]["path"] == "/v1/projects/a-project/messages:send"
    assert android["request"]["body"]["message"]["token"] == "one:android"


async def test_what_nobody_of_the_audience_gets_is_shown_for_a_made_up_device(api: Api) -> None:
    """Apple devices through FCM are only shown where there are some."""
    found = await preview(api, {"channels": ["nobody"], **CONTENT})

    assert found["audience"] == {
        "devices": 0,
        "by_platform": {},
        "by_locale": [],
        "other_locales": 0,
        "excluded": {},
    }
    assert {(one["example"], one["made_up"], one["devices"]) for one in found["variants"]} == {
        (None, True, 0)
    }
    assert {one["form"] for one in found["variants"]} == {"apns", "fcm_android", "fcm_web", "wns"}
    assert all(one["fits"] for one in found["variants"])
    assert variant(found, "apns")["request"]["body"]["aps"]["badge"] == 1


async def test_nothing_is_stored_and_no_badge_moves(
    api: Api, mixed: dict[str, str], database: AsyncEngine
) -> None:
    """However often one looks."""

    async def state() -> list[Any]:
        ids = select(tables.installations.c.id).where(
            tables.installations.c.app_id == api.row.app.id
        )
        pushes = select(func.count()).where(tables.pushes.c.app_id == api.row.app.id)
        badges = select(func.array_agg(tables.badges.c.badge)).where(
            tables.badges.c.installation_id.in_(ids)
        )
        async with database.connect() as connection:
            return [(await connection.execute(one)).scalar() for one in (pushes, badges)]

    before = await state()
    await preview(api, EVERYBODY)
    await preview(api, EVERYBODY)

    assert await state() == before == [0, [4] * len(mixed)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"where": {}},
        {"where": {}, "data": {"badge": "x"}},
        {"where": {"a": {"$foo": 1}}, **CONTENT},
        {"where": {"a": {"$regex": "("}}, **CONTENT},
        {"channels": ["1st"], **CONTENT},
        {"where": {}, "push_time": "soon", **CONTENT},
        {"where": {}, "push_time": 1, **CONTENT},
        {"where": {}, "validate_only": 1, **CONTENT},
        {"where": {}, "data": {"alert": "{{ a"}},
        {"where": {}, "data": {"alert": "x" * 6000}},
        {"where": {}, "template": "none"},
        {"devices": [{"token": "a", "device_type": "toaster"}], **CONTENT},
    ],
)
async def test_what_cannot_be_sent_cannot_be_previewed(api: Api, body: dict[str, Any]) -> None:
    """With the same answer."""

    def told(answer: Answer) -> Any:
        return answer.status, answer.body["code"], answer.body["detail"], answer.body["errors"]

    sent = await api.v1("POST", "/v1/pushes", json=body)
    previewed = await api.v1("POST", PATH, json=body)

    assert sent.status == 400
    assert told(previewed) == told(sent)


async def test_explicit_devices_are_counted_as_they_are_planned(
    api: Api, mixed: dict[str, str]
) -> None:
    """Installations come first; of one token the first gets it, and what is not there is told."""
    devices = [
        {"object_id": mixed["ios"]},
        {"object_id": mixed["double"]},
        {"object_id": mixed["retired"]},
        {"object_id": "notthere00"},
        {"token": "ab" * 32, "device_type": "ios", "app_identifier": BUNDLE},
        {"token": "new:one", "device_type": "android", "locale": "de", "badge": 9},
        {"token": "new:one", "device_type": "android"},
    ]

    found = await preview(api, {"devices": devices, **CONTENT})

    assert found["audience"]["devices"] == 2
    assert found["audience"]["excluded"] == {
        "duplicate_token": 3,
        "no_installation": 1,
        "token_retired": 1,
    }
    explicit = variant(found, "fcm_android", "de")
    assert (explicit["example"], explicit["made_up"], explicit["devices"]) == (None, False, 1)
    assert explicit["request"]["body"]["message"]["token"] == "new:one"


async def test_variables_are_filled_with_the_fields_of_the_example(
    api: Api, resources: Resources, database: AsyncEngine
) -> None:
    """A made-up device has no fields, so what has no default is named."""
    await add_credentials(resources, api)
    await install(database, api, "ab" * 32, custom={"name": "Ann"})

    found = await preview(api, {"where": {}, "data": {"alert": "Hi {{ name }}"}})

    assert variant(found, "apns")["request"]["body"]["aps"]["alert"] == "Hi Ann"
    android = variant(found, "fcm_android")
    assert (android["refused"], android["fits"]) == ("MissingVariable:name", None)
    assert (android["request"], android["size_bytes"], android["limit_bytes"]) == (None, None, 4096)


@pytest.mark.usefixtures("mixed")
async def test_a_variant_that_is_too_large_is_told_with_its_size_and_devices(api: Api) -> None:
    """And only that one: others get theirs."""
    large = {"data": {"alert": "Hello", "alert-de": "x" * 5200}}

    found = await preview(api, {"where": {"deviceType": "ios"}, **large})

    large_one = variant(found, "apns", "de")
    assert (large_one["refused"], large_one["fits"]) == ("PayloadTooLarge", False)
    assert (large_one["request"], large_one["limit_bytes"]) == (None, 4096)
    assert variant(found, "apns", "de")["devices"] == 0
    assert variant(found, "apns")["fits"]
    assert found["audience"]["excluded"]["too_large"] == 2
    # By how much it is too large; browsers get a text twice.
    for form, times in {
        "apns": 1,
        "fcm_android": 1,
        "fcm_apple": 1,
        "fcm_web": 2,
        "wns": 1,
    }.items():
        small = variant(found, form)["size_bytes"]
        assert variant(found, form, "de")["size_bytes"] == small + times * (5200 - len("Hello"))


async def test_a_call_that_is_too_large_is_told_with_the_limit_of_calls(api: Api) -> None:
    """Apple takes more of them."""
    data = {"alert": "x", "alert-de": "x" * 5200}

    found = await preview(api, {"where": {}, "data": data, "push_type": "voip"})

    one = variant(found, "apns", "de")
    assert (one["fits"], one["limit_bytes"]) == (False, 5120)


async def test_an_app_without_credentials_reaches_nobody(api: Api, database: AsyncEngine) -> None:
    """The devices are there, and the requests are shown all the same."""
    device = await install(database, api, "ab" * 32)

    found = await preview(api, EVERYBODY)

    assert (found["audience"]["devices"], found["audience"]["excluded"]) == (
        0,
        {"no_credential": 1},
    )
    assert variant(found, "apns")["example"] == device
    assert variant(found, "fcm_android")["request"]["path"] == (
        "/v1/projects/{project_id}/messages:send"
    )


@pytest.mark.usefixtures("mixed")
async def test_a_clause_about_tokens_says_itself_whom_it_wants(api: Api) -> None:
    """Lifting our own filter on tokens lifts nothing of the caller's."""
    with_token = {"where": {"deviceToken": {"$exists": True}, "deviceType": "android"}, **CONTENT}
    without = {"where": {"deviceToken": {"$exists": False}, "deviceType": "android"}, **CONTENT}

    assert (await preview(api, with_token))["audience"]["excluded"] == {}
    assert (await preview(api, without))["audience"]["excluded"] == {"no_token": 1}


async def test_an_audience_of_pointers_is_counted_too(api: Api, resources: Resources) -> None:
    """It is found from the objects that it points to, with and without tokens."""
    await add_credentials(resources, api)
    team = (await api.master("POST", "/classes/Team", json={"city": "Rome"})).body["objectId"]
    pointer = {"__type": "Pointer", "className": "Team", "objectId": team}
    for fields in (
        {"deviceType": "ios", "deviceToken": "ab" * 32, "appIdentifier": BUNDLE},
        {"deviceType": "ios", "installationId": "no-token"},
    ):
        made = await api.master("POST", "/installations", json={**fields, "team": pointer})
        assert made.status == 201, made.body
    where = {"team": {"$inQuery": {"className": "Team", "where": {"city": "Rome"}}}}

    audience = (await preview(api, {"where": where, **CONTENT}))["audience"]

    assert (audience["devices"], audience["excluded"]) == (1, {"no_token": 1})


@pytest.mark.usefixtures("mixed")
async def test_only_so_many_choices_are_shown(api: Api) -> None:
    """Those that devices get are among them; how many are left out is told."""
    tags = [f"{first}{second}" for first in "qrstuv" for second in "abcdefghijklmnopqrstuvwxyz"]
    texts = {f"alert-{tag}": tag for tag in [*tags, "de"]}

    found = await preview(api, {"where": {}, "data": {"alert": "Hello", **texts}})

    shown = {one["locale"] for one in found["variants"]}
    assert len(shown) == 100
    assert {None, "de"} <= shown
    forms = {one["form"] for one in found["variants"]}
    assert found["variants_left_out"] == (len(texts) + 1 - 100) * len(forms)


async def test_the_time_is_taken_from_recent_pushes(
    api: Api, resources: Resources, database: AsyncEngine
) -> None:
    """The app's own, of a thousand devices and more; not of those that delivered nothing."""
    await add_credentials(resources, api)
    await install(database, api, "ab" * 32)
    guessed = (await preview(api, EVERYBODY))["estimate"]
    assert guessed["based_on"] in {"default", "server"}
    looked: dict[str, Any] = {"validate_only": True}
    for seconds, devices, more in (
        (1, 10, {}),
        (10, 5_000, {}),
        (20, 5_000, {}),
        (10, 100_000, {}),
        *[(1, 100_000, looked)] * 4,
    ):
        answer = await api.v1("POST", "/v1/pushes", json={"channels": [], **CONTENT, **more})
        now = datetime.now(UTC)
        async with database.begin() as connection:
            await connection.execute(
                update(tables.pushes)
                .where(tables.pushes.c.object_id == answer.body["id"])
                .values(
                    state="done",
                    devices_planned=devices,
                    started_at=now - timedelta(seconds=seconds),
                    finished_at=now,
                )
            )

    estimate = (await preview(api, EVERYBODY))["estimate"]

    assert (estimate["based_on"], estimate["pushes"]) == ("app", 3)
    assert estimate["messages_per_second"] == pytest.approx(500, rel=0.01)
    assert estimate["seconds"] == 0.002


async def test_an_audience_that_takes_too_long_to_count_is_told_so(
    strict_api: Api, database: AsyncEngine
) -> None:
    """The database is asked no longer than a find may take."""
    await install(database, strict_api, "ab" * 32, custom={"s": "a" * 100_000})
    where = {"s": {"$regex": "(?=.*c)(?=.*d)a*"}}

    answer = await strict_api.v1("POST", PATH, json={"where": where, **CONTENT})

    assert (answer.status, answer.body["code"]) == (400, "query_timeout")


async def test_a_scheduled_push_is_seen_as_it_is_when_it_is_due(api: Api) -> None:
    """Its expiry counts from then."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    body = {"where": {}, "push_time": due.isoformat(), "expiration_interval": 60, **CONTENT}

    found = await preview(api, body)

    assert found["due_at"] == f"{due:%Y-%m-%dT%H:%M:%S.000Z}"
    assert variant(found, "wns")["request"]["headers"]["X-WNS-TTL"] == "60"
    expiry = int((due + timedelta(seconds=60)).timestamp())
    assert variant(found, "apns")["request"]["headers"]["apns-expiration"] == str(expiry)


@pytest.mark.parametrize(
    ("scopes", "status"),
    [
        ([Scope.READ], 403),
        ([Scope.SEND], 403),
        ([Scope.SEND, Scope.READ], 200),
        ([Scope.ADMIN], 200),
    ],
)
async def test_who_previews_may_send_and_read(
    api: Api, database: AsyncEngine, *, scopes: list[Scope], status: int
) -> None:
    """It shows tokens and fields of devices."""
    async with database.begin() as connection:
        _, key = await apps.create_key(connection, api.row.app, kind=KeyKind.API, scopes=scopes)
    headers = {"Authorization": f"Bearer {key}"}

    answer = await api.call("POST", PATH, headers=headers, json=EVERYBODY)

    assert answer.status == status
    if status == 403:
        lacking = {Scope.SEND, Scope.READ} - set(scopes)
        assert f"`{lacking.pop()}`" in answer.body["detail"]


async def test_a_preview_needs_a_key(api: Api) -> None:
    """And is asked for by POST."""
    assert (await api.call("POST", PATH, json=EVERYBODY)).status == 401
    assert (await api.v1("GET", PATH)).status == 405
