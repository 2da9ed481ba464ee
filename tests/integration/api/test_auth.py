"""Who may do what, and how soon that changes."""

import uuid

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.api import auth
from pushsvc.api.auth import Credentials, Doorkeeper
from pushsvc.clock import Clock, SystemClock
from pushsvc.errors import ForbiddenError, UnauthorizedError
from pushsvc.model import App
from pushsvc.remembered import Remembered
from pushsvc.storage import apps
from pushsvc.storage.apps import KeyKind, Scope
from tests.integration.api.conftest import Api
from tests.integration.conftest import AppRow

BODY = {"where": {}, "data": {"alert": "hello"}}


class HandClock(SystemClock):
    """A clock that goes on by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        """Return what the hand has set."""
        return self.seconds


def doorkeeper(database: AsyncEngine, clock: Clock) -> Doorkeeper:
    return Doorkeeper(database, clock)


async def add_key(database: AsyncEngine, app: App, *scopes: Scope) -> tuple[int, str]:
    async with database.begin() as connection:
        key, clear = await apps.create_key(connection, app, kind=KeyKind.API, scopes=scopes)
    return key.id, clear


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer psk_wrong", "Bearer \xe9"]
)
async def test_v1_wants_an_api_key(api: Api, authorization: str | None) -> None:
    """401, and how to do it."""
    headers = {} if authorization is None else {"Authorization": authorization}

    answer = await api.call("GET", "/v1/pushes", headers=headers)

    assert (answer.status, answer.body["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_parse_key_is_no_api_key(api: Api) -> None:
    """Not even the master's."""
    headers = {"Authorization": f"Bearer {api.row.master_key}"}

    assert (await api.call("GET", "/v1/pushes", headers=headers)).status == 401


@pytest.mark.parametrize(
    ("scope", "post", "get"),
    [(Scope.SEND, 202, 403), (Scope.READ, 403, 200), (Scope.ADMIN, 202, 200)],
)
async def test_a_key_may_do_what_its_scopes_say(
    api: Api, database: AsyncEngine, scope: Scope, post: int, get: int
) -> None:
    """403 otherwise, which names the scope that is missing."""
    _, key = await add_key(database, api.row.app, scope)
    headers = {"Authorization": f"Bearer {key}"}

    posted = await api.call("POST", "/v1/pushes", json=BODY, headers=headers)
    got = await api.call("GET", "/v1/pushes", headers=headers)

    assert (post, get) == (posted.status, got.status)
    for answer in (posted, got):
        if answer.status == 403:
            assert answer.body["code"] == "forbidden"
            assert "lacks the scope" in answer.body["detail"]


async def test_a_revoked_api_key_works_five_seconds_at_most(
    database: AsyncEngine, app_row: AppRow
) -> None:
    """It is remembered that long, and then no more."""
    clock = HandClock()
    door = doorkeeper(database, clock)
    key_id, key = await add_key(database, app_row.app, Scope.SEND)
    await door.api_caller(f"Bearer {key}", Scope.SEND)
    async with database.begin() as connection:
        await apps.revoke_key(connection, key_id)

    assert app_row.app == await door.api_caller(f"Bearer {key}", Scope.SEND)
    clock.seconds += auth.REMEMBERED_SECONDS
    with pytest.raises(UnauthorizedError):
        await door.api_caller(f"Bearer {key}", Scope.SEND)


async def test_a_scope_that_is_missing_is_looked_up_each_time(
    database: AsyncEngine, app_row: AppRow
) -> None:
    """A refusal is never remembered."""
    door = doorkeeper(database, HandClock())
    _, key = await add_key(database, app_row.app, Scope.SEND)
    await door.api_caller(f"Bearer {key}", Scope.SEND)

    for _ in range(2):
        with pytest.raises(ForbiddenError):
            await door.api_caller(f"Bearer {key}", Scope.READ)


async def test_a_revoked_parse_key_works_five_seconds_at_most(
    database: AsyncEngine, app_row: AppRow
) -> None:
    """The same for the master."""
    clock = HandClock()
    door = doorkeeper(database, clock)
    credentials = Credentials(
        application_id=app_row.app.application_id, keys={KeyKind.MASTER: app_row.master_key}
    )
    assert (await door.parse_caller(credentials)).is_master
    async with database.begin() as connection:
        [key] = [
            one
            for one in await apps.list_keys(connection, app_row.app)
            if one.kind is KeyKind.MASTER
        ]
        await apps.revoke_key(connection, key.id)

    assert (await door.parse_caller(credentials)).is_master
    clock.seconds += auth.REMEMBERED_SECONDS
    with pytest.raises(UnauthorizedError):
        await door.parse_caller(credentials)


async def test_a_new_key_works_at_once(database: AsyncEngine, app_row: AppRow) -> None:
    """Though the app was looked up a moment before."""
    door = doorkeeper(database, HandClock())
    fresh = {KeyKind.CLIENT: "a-client-key"}
    credentials = Credentials(application_id=app_row.app.application_id, keys=fresh)
    with pytest.raises(UnauthorizedError):
        await door.parse_caller(credentials)
    async with database.begin() as connection:
        await apps.create_key(
            connection, app_row.app, kind=KeyKind.CLIENT, key=fresh[KeyKind.CLIENT]
        )

    assert not (await door.parse_caller(credentials)).is_master


async def test_an_app_without_client_keys_wants_none(database: AsyncEngine) -> None:
    """Parse's rule: the application id is then enough for a client, and for no more."""
    async with database.begin() as connection:
        app = await apps.create_app(connection, name=uuid.uuid4().hex)
        await apps.create_key(connection, app, kind=KeyKind.MASTER)
    door = doorkeeper(database, HandClock())

    caller = await door.parse_caller(Credentials(application_id=app.application_id))

    assert (app, False) == (caller.app, caller.is_master)


def test_what_is_remembered_is_bounded() -> None:
    """The one that was not asked for the longest goes first."""
    remembered: Remembered[int] = Remembered(HandClock(), seconds=5, entries=2)
    remembered.put("a", 1)
    remembered.put("b", 2)
    remembered.get("a")

    remembered.put("c", 3)

    assert [remembered.get(name) for name in "abc"] == [1, None, 3]
