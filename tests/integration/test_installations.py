"""Installations in the database: one row for one device, whoever races."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.errors import InvalidInstallationError, NotFoundError
from pushsvc.storage.fields import parse_installation_fields, parse_installation_row
from pushsvc.storage.installation_import import ImportResult, import_installations
from pushsvc.storage.installations import Installation, Saved, SaveRequest
from pushsvc.storage.saving.group import save_installation
from pushsvc.storage.tables import badges, installations as i
from tests.integration.conftest import AppRow

TOKEN = "ab" * 32


class Store:
    """Installations of one app."""

    def __init__(self, database: AsyncEngine, app_id: int) -> None:
        self.database = database
        self.app_id = app_id

    async def save(
        self, object_id: str | None = None, *, header: str | None = None, **body: Any
    ) -> Saved:
        """Create, or update the one with the object id."""
        request = SaveRequest(
            fields=parse_installation_fields(body),
            object_id=object_id,
            header_installation_id=header,
        )
        return await save_installation(self.database, self.app_id, request)

    async def create(self, **body: Any) -> Installation:
        """Create, and be sure of it."""
        saved = await self.save(**{"deviceType": "ios", **body})
        assert saved.created
        return saved.installation

    async def load(self, *bodies: dict[str, Any]) -> ImportResult:
        """Import these."""
        rows = [parse_installation_row(body) for body in bodies]
        async with self.database.begin() as connection:
            return await import_installations(connection, self.app_id, rows)

    async def rows(self) -> Sequence[Any]:
        """Return all rows with their badges, the oldest first."""
        statement = (
            select(i, badges.c.badge)
            .outerjoin(badges, badges.c.installation_id == i.c.id)
            .where(i.c.app_id == self.app_id)
            .order_by(i.c.id)
        )
        async with self.database.connect() as connection:
            return (await connection.execute(statement)).all()

    async def object_ids(self) -> list[str]:
        """Return the object ids, the oldest first."""
        return [row.object_id for row in await self.rows()]


@pytest.fixture
def store(database: AsyncEngine, app_row: AppRow) -> Store:
    """The installations of a fresh app."""
    return Store(database, app_row.app.id)


def new_id() -> str:
    return str(uuid.uuid4())


# ---------------------------------------------------------------- one device, one row


async def test_24_parallel_creates_leave_one_row(store: Store) -> None:
    """One of them creates; the others find its row, and all learn its id."""
    body = {"installationId": new_id(), "deviceType": "ios", "deviceToken": TOKEN}

    saved = await asyncio.gather(*(store.save(**body) for _ in range(24)))

    assert sum(one.created for one in saved) == 1
    assert len({one.installation.object_id for one in saved}) == 1
    [row] = await store.rows()
    assert (row.badge, row.token_shared) == (0, False)


async def test_parallel_saves_of_one_token_and_many_ids_leave_the_last(store: Store) -> None:
    """Each reinstalled app takes the token over from the one before."""
    saves = (store.create(installationId=new_id(), deviceToken=TOKEN) for _ in range(12))

    made = await asyncio.gather(*saves)

    [row] = await store.rows()
    assert row.object_id in {one.object_id for one in made}


async def test_parallel_increments_all_count(store: Store) -> None:
    """The row is locked between reading and writing."""
    one = await store.create(installationId=new_id())
    change: dict[str, Any] = {
        "badge": {"__op": "Increment", "amount": 1},
        "n": {"__op": "Increment", "amount": 1},
    }

    await asyncio.gather(*(store.save(one.object_id, **change) for _ in range(10)))

    [row] = await store.rows()
    assert (row.badge, row.custom) == (10, {"n": 10})


async def test_devices_that_trade_tokens_do_not_block_each_other(store: Store) -> None:
    """Locks are taken in one order; a deadlock would fail a save."""
    ids = [new_id() for _ in range(4)]
    tokens = [f"token-{n}" for n in range(4)]
    saves = [
        store.save(installationId=one, deviceToken=token, deviceType="android")
        for one in ids
        for token in tokens
    ]

    await asyncio.gather(*saves)

    rows = await store.rows()
    assert {row.installation_id for row in rows} <= set(ids)
    assert len({row.device_token for row in rows}) == len(rows)


async def test_a_save_that_meets_a_writer_without_locks_tries_again(store: Store) -> None:
    """A restore, or a statement by hand: the unique index tells of it, and the save finds it."""
    row = {"app_id": store.app_id, "object_id": new_id(), "device_type": "ios"}
    async with store.database.begin() as connection:
        number = await connection.execute(
            insert(i).values(installation_id="one", **row).returning(i.c.id)
        )
        badge = insert(badges).values(installation_id=number.scalar_one())
        await connection.execute(badge)
        save = asyncio.create_task(store.save(installationId="one", deviceType="ios"))
        await _blocked(store.database)

    saved = await save

    assert (saved.created, saved.installation.object_id) == (False, row["object_id"])


async def _blocked(database: AsyncEngine) -> None:
    """Wait until a statement waits for another transaction."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid' "
        "AND datname = current_database()"
    )
    async with asyncio.timeout(20), database.connect() as connection:
        while (await connection.execute(waiting)).scalar_one() == 0:
            await connection.rollback()


# ---------------------------------------------------------------- Parse's rules, on rows


async def test_a_token_known_without_id_is_taken_by_the_first_id(store: Store) -> None:
    """A device that was imported by its token goes on with what it has gathered."""
    old = await store.create(deviceToken=TOKEN, channels=["news"])

    saved = await store.save(installationId=new_id(), deviceToken=TOKEN, deviceType="ios")

    assert (saved.created, saved.installation.object_id) == (False, old.object_id)
    assert saved.installation.fields["channels"] == ["news"]
    assert await store.object_ids() == [old.object_id]


async def test_an_id_and_a_token_that_were_two_rows_become_one(store: Store) -> None:
    """The row of the token lives on; the other is deleted, and its id is 404 from then on."""
    by_token = await store.create(deviceToken=TOKEN)
    by_id = await store.create(installationId=new_id())

    saved = await store.save(by_id.object_id, deviceToken=TOKEN, **_id(by_id))

    assert saved.installation.object_id == by_token.object_id
    assert await store.object_ids() == [by_token.object_id]
    with pytest.raises(NotFoundError):
        await store.save(by_id.object_id, badge=1)


async def test_a_reinstalled_app_replaces_its_old_installation(store: Store) -> None:
    """The same token under a new id: the old row would get every push twice."""
    await store.create(installationId=new_id(), deviceToken=TOKEN)

    new = await store.create(installationId=new_id(), deviceToken=TOKEN)

    assert await store.object_ids() == [new.object_id]


async def test_apps_of_one_device_keep_their_rows(store: Store) -> None:
    """Another bundle with the same token is another installation; both know of the double."""
    first = await store.create(installationId=new_id(), deviceToken=TOKEN, appIdentifier="a")

    second = await store.create(installationId=new_id(), deviceToken=TOKEN, appIdentifier="b")

    assert await store.object_ids() == [first.object_id, second.object_id]
    assert [row.token_shared for row in await store.rows()] == [True, True]


async def test_a_new_token_of_a_known_device_drops_its_former_owner(store: Store) -> None:
    """Tokens move between devices when phones are restored from backups."""
    await store.create(installationId=new_id(), deviceToken=TOKEN)
    mine = await store.create(installationId=new_id(), deviceToken="other")

    await store.save(mine.object_id, deviceToken=TOKEN, **_id(mine))

    [row] = await store.rows()
    assert (row.object_id, row.device_token) == (mine.object_id, TOKEN)


async def test_an_unnamed_device_leaves_the_double_and_marks_it(store: Store) -> None:
    """Nothing in the body says which row is the device: both stay, and plans will look."""
    await store.create(installationId=new_id(), deviceToken=TOKEN)
    mine = await store.create(installationId=new_id(), deviceToken="other")

    await store.save(mine.object_id, deviceToken=TOKEN)

    assert [row.token_shared for row in await store.rows()] == [True, True]


async def test_the_url_of_one_and_the_header_of_another_update_the_other(store: Store) -> None:
    """Parse Server's rule: the installation id wins."""
    one = await store.create(installationId=new_id())
    other = await store.create(installationId=new_id())

    await store.save(
        one.object_id,
        header=other.fields["installationId"],
        appVersion="2",
    )

    assert [row.app_version for row in await store.rows()] == [None, "2"]


async def test_a_token_that_is_sent_again_is_alive_again(store: Store) -> None:
    """A gateway called it dead, and the device still uses it."""
    one = await store.create(installationId=new_id(), deviceToken=TOKEN)
    statement = update(i).where(i.c.id == one.id).values(token_retired_at=datetime.now(UTC))
    async with store.database.begin() as connection:
        await connection.execute(statement)

    await store.save(one.object_id, badge=1)
    [row] = await store.rows()
    assert row.token_retired_at is not None
    before = row.token_set_at
    await store.save(one.object_id, deviceToken=TOKEN)
    [row] = await store.rows()
    assert row.token_retired_at is None
    assert row.token_set_at > before


URIS = {"_Default": "https://db3.notify.windows.com/?token=a"}


async def retire(store: Store) -> datetime:
    """Take the app's tokens out of use; return when the last of them was registered."""
    async with store.database.begin() as connection:
        statement = update(i).where(i.c.app_id == store.app_id)
        await connection.execute(statement.values(token_retired_at=datetime.now(UTC)))
    moment: datetime = (await store.rows())[-1].token_set_at
    return moment


async def test_another_channel_uri_revives_a_windows_device(store: Store) -> None:
    """It is reached by its channels; the same ones again are no news."""
    one = await store.create(installationId=new_id(), deviceType="winrt", channelUris=URIS)
    registered = await retire(store)

    await store.save(one.object_id, channelUris=URIS, badge=1)
    [row] = await store.rows()
    assert (row.token_set_at, row.token_retired_at is None) == (registered, False)

    await store.save(one.object_id, channelUris={"_Default": f"{URIS['_Default']}b"})
    [row] = await store.rows()
    assert row.token_set_at > registered
    assert row.token_retired_at is None


async def test_another_token_is_registered_when_it_comes(store: Store) -> None:
    """What was said of the one before does not hold for it."""
    one = await store.create(installationId=new_id(), deviceToken=TOKEN)
    registered = await retire(store)

    await store.save(one.object_id, deviceToken="cd" * 32)

    [row] = await store.rows()
    assert row.token_set_at > registered
    assert row.token_retired_at is None


async def test_a_device_without_channel_uris_has_none(store: Store) -> None:
    """They are NULL and no JSON null, by which a device without a token would be in audiences."""
    saved = await store.create(installationId=new_id())
    await store.save(saved.object_id, appVersion="2")
    with_uris = select(i.c.id).where(i.c.app_id == store.app_id, i.c.channel_uris.is_not(None))
    async with store.database.connect() as connection:
        assert (await connection.execute(with_uris)).all() == []


async def test_apps_do_not_see_each_other(store: Store, database: AsyncEngine) -> None:
    """The same installation id in two apps is two installations."""
    async with database.begin() as connection:
        statement = text("INSERT INTO apps (application_id, name) VALUES (:one, :one) RETURNING id")
        number = (await connection.execute(statement, {"one": new_id()})).scalar_one()
    mine = await store.create(installationId="shared", deviceToken=TOKEN)

    other = await Store(database, number).create(installationId="shared", deviceToken=TOKEN)

    assert mine.object_id != other.object_id
    assert [row.token_shared for row in await store.rows()] == [False]


def _id(one: Installation) -> dict[str, str]:
    return {"installationId": one.fields["installationId"]}


# ---------------------------------------------------------------- import


def device(**fields: Any) -> dict[str, Any]:
    return {"deviceType": "android", **fields}


async def test_an_import_stores_every_field(store: Store) -> None:
    """As a save does; a badge row comes with each."""
    body = device(
        installationId=new_id(),
        deviceToken="t",
        channels=["a", "b"],
        channelUris={"_Default": "https://db5.notify.windows.com/?token=x"},
        timeZone="Europe/Zurich",
        badge=4,
        custom={"deep": [1, None]},
        score=2.5,
    )

    result = await store.load(body, device(deviceToken="u"))

    assert result == ImportResult(inserted=2, updated=0)
    first, second = await store.rows()
    assert (first.channels, first.time_zone, first.badge) == (["a", "b"], "Europe/Zurich", 4)
    assert first.channel_uris == body["channelUris"]
    assert first.custom == {"custom": {"deep": [1, None]}, "score": 2.5}
    assert (second.installation_id, second.badge, second.channels) == (None, 0, None)


async def test_an_import_keeps_the_place_in_columns(store: Store) -> None:
    """As queries look it up; a row without one leaves it as it is."""
    one = device(installationId=new_id())
    place = {"__type": "GeoPoint", "latitude": 47.4, "longitude": 8.5}
    await store.load({**one, "home": place})
    await store.load({**one, "name": "x"})
    (row,) = await store.rows()
    assert (row.latitude, row.longitude, row.custom["home"]) == (47.4, 8.5, place)

    await store.load({**one, "home": {**place, "latitude": 0}})
    (row,) = await store.rows()
    assert (row.latitude, row.longitude) == (0, 8.5)


async def test_a_second_import_changes_what_it_names(store: Store) -> None:
    """And nothing else; by installation id, or by token where there is none."""
    await store.load(
        device(installationId="one", deviceToken="t", channels=["a"], badge=3, kept=1),
        device(deviceToken="u", appName="Old"),
    )

    result = await store.load(
        device(installationId="ONE", badge=5, new=2), device(deviceToken="u", appVersion="2")
    )

    assert result == ImportResult(inserted=0, updated=2)
    first, second = await store.rows()
    assert (first.device_token, first.channels, first.badge) == ("t", ["a"], 5)
    assert first.custom == {"kept": 1, "new": 2}
    assert (second.app_name, second.app_version, second.badge) == ("Old", "2", 0)


async def test_rows_about_one_device_are_one_installation(store: Store) -> None:
    """In one import: by id, by token, or by a token that another row gives an id to."""
    result = await store.load(
        device(installationId="one", deviceToken="t", badge=1),
        device(installationId="one", badge=2),
        device(deviceToken="t", appName="Sample"),
        device(deviceToken="u"),
        device(deviceToken="u"),
    )

    assert result == ImportResult(inserted=2, updated=3)
    first, second = await store.rows()
    assert (first.installation_id, first.badge, first.app_name) == ("one", 2, "Sample")
    assert second.device_token == "u"


async def test_an_import_gives_an_id_to_a_token(store: Store) -> None:
    """But to one installation only: the second device with the token is new."""
    await store.load(device(deviceToken="t"))

    result = await store.load(
        device(installationId="one", deviceToken="t"),
        device(installationId="two", deviceToken="t"),
    )

    assert result == ImportResult(inserted=1, updated=1)
    assert [row.installation_id for row in await store.rows()] == ["one", "two"]


async def test_an_import_marks_tokens_that_are_shared(store: Store) -> None:
    """With rows of before, and among its own."""
    await store.create(installationId=new_id(), deviceToken="before")

    await store.load(
        device(installationId="one", deviceToken="before"),
        device(installationId="two", deviceToken="twice"),
        device(installationId="three", deviceToken="twice"),
        device(installationId="four", deviceToken="single"),
    )

    shared = {row.device_token: row.token_shared for row in await store.rows()}
    assert shared == {"before": True, "twice": True, "single": False}


async def test_a_new_installation_keeps_its_object_id_if_it_is_free(store: Store) -> None:
    """Clients of the service before know it, and what points to it does."""
    taken = await store.create(installationId=new_id())
    await store.load(
        device(deviceToken="t", objectId="imported01", createdAt="2020-01-02T03:04:05.678Z"),
        device(deviceToken="u", objectId="imported01"),
        device(deviceToken="v", objectId=taken.object_id),
    )

    _, first, second, third = await store.rows()

    assert (first.object_id, first.created_at.isoformat()) == (
        "imported01",
        "2020-01-02T03:04:05.678000+00:00",
    )
    assert len({taken.object_id, first.object_id, second.object_id, third.object_id}) == 4
    assert first.custom == {}


async def test_a_retired_token_stays_retired_until_it_changes(store: Store) -> None:
    """An old file is no sign of life."""
    await store.load(device(installationId="one", deviceToken="t"))
    async with store.database.begin() as connection:
        statement = update(i).where(i.c.app_id == store.app_id)
        await connection.execute(statement.values(token_retired_at=datetime.now(UTC)))

    registered = (await store.rows())[0].token_set_at
    await store.load(device(installationId="one", deviceToken="t"))
    [row] = await store.rows()
    assert (row.token_set_at, row.token_retired_at is None) == (registered, False)
    await store.load(device(installationId="one", deviceToken="u"))
    [row] = await store.rows()
    assert row.token_retired_at is None
    assert row.token_set_at > registered


async def test_an_imported_channel_uri_revives_a_windows_device(store: Store) -> None:
    """Only where it is another one."""
    windows = {"deviceType": "winrt", "installationId": "one"}
    await store.load(device(**windows, channelUris=URIS))
    registered = await retire(store)

    for same in (device(**windows, channelUris=URIS), device(**windows, appVersion="2")):
        await store.load(same)
        [row] = await store.rows()
        assert (row.token_set_at, row.token_retired_at is None) == (registered, False)

    await store.load(device(**windows, channelUris={"_Default": f"{URIS['_Default']}b"}))
    [row] = await store.rows()
    assert row.token_set_at > registered
    assert row.token_retired_at is None


async def test_imports_and_saves_at_once_leave_one_row_for_each_device(store: Store) -> None:
    """An import has the app's installations to itself while it writes."""
    ids = [f"id-{n}" for n in range(20)]
    bodies = [device(installationId=one, deviceToken=f"t-{one}") for one in ids]

    await asyncio.gather(
        store.load(*bodies),
        store.load(*reversed(bodies)),
        *(store.save(**body) for body in bodies),
    )

    assert sorted(row.installation_id for row in await store.rows()) == sorted(ids)


@pytest.mark.parametrize(
    "body", [{"deviceType": "ios"}, {"installationId": "one"}, {"deviceToken": "t"}]
)
def test_an_imported_row_must_be_complete(body: dict[str, Any]) -> None:
    """An id field and a device type."""
    with pytest.raises(InvalidInstallationError):
        parse_installation_row(body)
