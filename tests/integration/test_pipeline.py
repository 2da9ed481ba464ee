"""The whole way of a push, on real servers and strict gateways."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pushsvc import pipeline
from pushsvc.config import Settings
from pushsvc.errors import (
    IdempotencyMismatchError,
    InvalidPushError,
    InvalidPushTimeError,
    InvalidQueryError,
)
from pushsvc.model import Lane, NewBatch, OnUnknown, OutcomeClass, PushState
from pushsvc.shaping import body
from pushsvc.storage import batches, plans, tables
from tests.integration.conftest import AppRow
from tests.integration.pushing import (
    Site,
    apns_token,
    fcm_token,
    site as open_site,
    until,
    wns_channel,
    working,
)

pytestmark = pytest.mark.integration


@pytest.fixture
async def site(settings: Settings, app_row: AppRow, tmp_path: Path) -> AsyncIterator[Site]:
    """A service on simulators, without a worker."""
    async with open_site(settings, app_row.app, tmp_path) as opened:
        yield opened


async def test_a_push_reaches_every_device_of_its_channel_once(site: Site) -> None:
    """All three gateways, counts equal to the ledger, and nobody outside of the channel."""
    tokens = {
        await site.install(apns_token()): "ios",
        await site.install(fcm_token(), "android"): "android",
        await site.install(wns_channel(), "winrt"): "winrt",
    }
    other = apns_token()
    await site.install(other, channels=["other"])

    async with working(site):
        push = await site.done(await site.push())

    assert push.state is PushState.DONE
    assert push.devices == 3
    assert await site.ledger(push) == dict.fromkeys(tokens, (OutcomeClass.OK, ""))
    assert await site.outcomes(push) == {"sent": 3}
    assert len(site.sent()) == 3
    assert all(entry.delivered for entry in site.sent())
    assert not site.sent_to(other)


async def test_a_badge_is_incremented_once_whatever_is_retried(site: Site) -> None:
    """The gateway fails twice; the device is sent the same badge each time, and gets it once."""
    token = apns_token("fa170e02")
    number = await site.install(token)

    async with working(site):
        push = await site.push(content={"data": {"alert": "Hello", "badge": "Increment"}})
        await site.done(push)

    assert await site.badge(number) == 1
    attempts = site.sent_to(token)
    assert [entry.status for entry in attempts] == [500, 500, 200]
    assert all(b'"badge":1' in entry.payload for entry in attempts)
    assert await site.ledger(push) == {number: (OutcomeClass.OK, "")}


@pytest.mark.parametrize(
    ("token", "device_type", "outcome", "reason"),
    [
        pytest.param(
            apns_token("fa170100"), "ios", OutcomeClass.TOKEN_DEAD, "Unregistered", id="410"
        ),
        pytest.param(
            apns_token("fa170400"), "ios", OutcomeClass.TOKEN_SUSPECT, "BadDeviceToken", id="400"
        ),
        pytest.param(
            fcm_token("~unregistered"),
            "android",
            OutcomeClass.TOKEN_DEAD,
            "UNREGISTERED",
            id="fcm 404",
        ),
        pytest.param(wns_channel("~gone"), "winrt", OutcomeClass.TOKEN_DEAD, None, id="wns 410"),
        pytest.param(
            "https://evil.example/?token=1",
            "winrt",
            OutcomeClass.REQUEST_BAD,
            "bad_channel_uri",
            id="foreign channel",
        ),
        pytest.param("abc", "webos", OutcomeClass.REQUEST_BAD, "UnknownDeviceType", id="type"),
    ],
)
async def test_what_a_gateway_says_of_a_token_is_in_the_ledger(
    site: Site, token: str, device_type: str, outcome: OutcomeClass, reason: str | None
) -> None:
    """With the class that the vendor's page gives it; the others are sent to."""
    number, good = await site.install(token, device_type), await site.install(apns_token())

    async with working(site):
        push = await site.done(await site.push())

    ledger = await site.ledger(push)
    assert ledger[good] == (OutcomeClass.OK, "")
    assert ledger[number][0] is outcome
    assert reason is None or ledger[number][1] == reason


async def test_a_dead_token_is_not_sent_to_again_unless_it_is_registered_anew(
    site: Site,
) -> None:
    """A 410 retires the token if it was registered before the gateway saw it die."""
    dead, revived = apns_token("fa170100"), apns_token("fa170302")
    long_ago = datetime.now(UTC) - timedelta(days=9)
    await site.install(dead, updated_at=long_ago)
    alive = await site.install(revived)

    async with working(site):
        await site.done(await site.push())
        second = await site.done(await site.push())

    assert set(await site.ledger(second)) == {alive}
    assert len(site.sent_to(dead)) == 1
    assert len(site.sent_to(revived)) == 2


async def test_installations_with_one_token_get_one_message(site: Site) -> None:
    """The double has an outcome of its own."""
    token = apns_token()
    first = await site.install(token, token_shared=True)
    second = await site.install(token, token_shared=True)

    async with working(site):
        push = await site.done(await site.push())

    assert await site.ledger(push) == {
        first: (OutcomeClass.OK, ""),
        second: (OutcomeClass.DEDUPLICATED, ""),
    }
    assert len(site.sent_to(token)) == 1
    assert await site.outcomes(push) == {"sent": 1, "deduplicated": 1}


async def test_a_message_without_an_answer_is_in_doubt_and_follows_its_rule(
    site: Site,
) -> None:
    """Reset by the gateway after it was written: `drop` leaves it at unknown."""
    token = apns_token("fa172100")
    number = await site.install(token)

    async with working(site):
        push = await site.done(await site.push(on_unknown=OnUnknown.DROP))

    assert (await site.ledger(push))[number][0] is OutcomeClass.UNKNOWN
    assert await site.outcomes(push) == {"unknown": 1}
    assert len(site.sent_to(token)) == 1


async def test_a_push_is_sent_when_its_time_has_come(site: Site) -> None:
    """Found by the clock of a worker, by the database's time, and not before."""
    token = apns_token()
    await site.install(token)
    due = datetime.now(UTC) + timedelta(seconds=1)

    async with working(site):
        push = await site.done(await site.push(push_time=due.timestamp()))

    (entry,) = site.sent_to(token)
    assert entry.time >= due.timestamp() - 0.01
    assert push.started_at is not None
    assert push.started_at >= due - timedelta(milliseconds=10)


async def test_an_expired_push_is_sent_to_nobody(site: Site) -> None:
    """Its devices end as expired, and their badges stay."""
    number = await site.install(apns_token())
    push = await site.push(
        expiration_interval=0.05, content={"data": {"alert": "Hello", "badge": "Increment"}}
    )

    async def over() -> bool:
        return datetime.now(UTC) > push.created_at + timedelta(seconds=0.1)

    await until(over)
    async with working(site):
        await site.done(push)

    assert await site.ledger(push) == {number: (OutcomeClass.EXPIRED, "Expired")}
    assert await site.badge(number) == 0
    assert not site.sent()


async def test_an_expiry_goes_to_every_gateway(site: Site) -> None:
    """apns-expiration, ttl and X-WNS-TTL say until when."""
    ios, android, windows = apns_token(), fcm_token(), wns_channel()
    await site.install(ios)
    await site.install(android, "android")
    await site.install(windows, "winrt")

    async with working(site):
        push = await site.done(await site.push(expiration_interval=3600))

    assert push.expires_at is not None
    assert site.sent_to(ios)[0].expiration == str(int(push.expires_at.timestamp()))
    assert b'"ttl":"3' in site.sent_to(android)[0].payload
    assert 3500 < int(site.sent_to(windows)[0].expiration) <= 3600


async def test_redis_may_forget_everything_at_any_time(site: Site) -> None:
    """Flushed after the push was stored: the clock finds it in Postgres."""
    numbers = [await site.install(apns_token()) for _ in range(5)]
    push = await site.push()
    await site.resources.queue.redis.flushall()

    async with working(site):
        await site.done(push)

    assert await site.ledger(push) == dict.fromkeys(numbers, (OutcomeClass.OK, ""))


@pytest.mark.parametrize(
    ("rule", "outcome", "sent"),
    [(OnUnknown.RESEND, OutcomeClass.OK, 1), (OnUnknown.DROP, OutcomeClass.UNKNOWN, 0)],
)
async def test_a_batch_whose_worker_died_goes_to_another(
    site: Site, rule: OnUnknown, outcome: OutcomeClass, sent: int
) -> None:
    """When the lease is over; the badge of its devices moves once all the same."""
    token = apns_token()
    number = await site.install(token)
    push = await site.push(
        on_unknown=rule, content={"data": {"alert": "Hello", "badge": "Increment"}}
    )
    await pipeline.plan_push(site.resources, push.id)
    dead = await batches.lease_batch(
        site.engine,
        push.id,
        0,
        lease_seconds=0.1,
        expires_at=None,
        badge=body.badge_change(push.content),
    )
    assert dead is not None

    async with working(site):
        await site.done(push)

    assert (await site.ledger(push))[number][0] is outcome
    assert await site.badge(number) == 1
    assert len(site.sent_to(token)) == sent


async def test_a_plan_whose_worker_died_goes_on_at_its_checkpoint(site: Site) -> None:
    """No device is planned twice, none is left out."""
    numbers = [await site.install(apns_token()) for _ in range(6)]
    push = await site.push()
    lease = await site.leased(push, lease_seconds=0.1)
    async with site.engine.begin() as connection:
        await plans.record_piece(
            connection,
            push.id,
            lease=lease,
            planned_through=numbers[2],
            batch_count=1,
            devices=3,
            lease_seconds=0.1,
        )
        first = [NewBatch(installation_ids=numbers[:3])]
        await batches.write_batches(connection, first, push_id=push.id, lane=Lane.BULK, first_seq=0)

    async with working(site):
        done = await site.done(push)

    assert done.devices == 6
    assert await site.ledger(push) == dict.fromkeys(numbers, (OutcomeClass.OK, ""))


async def test_explicit_devices_are_found_by_every_name(site: Site) -> None:
    """By object id, by installation id, by token; one that is not there has an outcome, too."""
    tokens = [apns_token() for _ in range(4)]
    await site.install(tokens[0], object_id="explicit01", channels=None)
    await site.install(tokens[1], installation_id="explicit-2", channels=None)
    topic = site.simulators.endpoints.credentials.apns.topics[0]
    explicit = {"device_type": "ios", "app_identifier": topic, "badge": 7}
    devices: list[dict[str, Any]] = [
        {"object_id": "explicit01"},
        {"installation_id": "explicit-2"},
        {"token": tokens[2], **explicit},
        {"token": tokens[2], **explicit},
        {"object_id": "nobody0000"},
    ]

    async with working(site):
        push = await site.done(await site.push(audience={"devices": devices}))

    assert push.lane is Lane.URGENT
    assert push.devices == 5
    assert await site.outcomes(push) == {"sent": 3, "deduplicated": 1, "failed": 1}
    assert [len(site.sent_to(token)) for token in tokens] == [1, 1, 1, 0]


async def test_a_device_deleted_after_the_plan_ends_as_gone(site: Site) -> None:
    """It had been part of the audience, so it has an outcome."""
    number = await site.install(apns_token())
    push = await site.push()
    await pipeline.plan_push(site.resources, push.id)
    async with site.engine.begin() as connection:
        await connection.execute(
            delete(tables.installations).where(tables.installations.c.id == number)
        )

    async with working(site):
        await site.done(push)

    assert await site.ledger(push) == {number: (OutcomeClass.TOKEN_DEAD, "InstallationGone")}


async def test_an_app_without_a_credential_fails_its_devices_and_says_why(
    site: Site,
) -> None:
    """No gateway is asked."""
    number = await site.install(apns_token())
    async with site.engine.begin() as connection:
        await connection.execute(
            update(tables.credentials)
            .where(tables.credentials.c.app_id == site.app.id)
            .values(revoked_at=text("now()"))
        )

    async with working(site):
        push = await site.done(await site.push())

    assert await site.ledger(push) == {number: (OutcomeClass.CREDENTIAL, "MissingCredential")}


async def test_a_push_to_nobody_is_done_at_once(site: Site) -> None:
    """With no batch, and counts of nothing."""
    async with working(site):
        push = await site.done(await site.push(audience={"channels": ["nobody"]}))

    assert push.state is PushState.DONE
    assert push.devices == 0
    assert await site.outcomes(push) == {}


async def test_a_plan_knows_a_relation_that_was_made_just_now(site: Site) -> None:
    """By another process, after this one looked: a plan that did not would ask for everybody."""
    related = await site.install(apns_token())
    other = await site.install(apns_token())
    await site.resources.schemas.of(site.app.id)
    field = {"app_id": site.app.id, "class_name": "_Installation", "field": "owners"}
    installations = tables.installations.c
    async with site.engine.begin() as connection:
        owner = select(installations.object_id).where(installations.id == related)
        of_class = {**field, "type": "Relation", "target_class": "_User"}
        row = {**field, "owner_id": owner.scalar_subquery(), "related_id": "bob"}
        await connection.execute(insert(tables.class_fields).values(of_class))
        await connection.execute(insert(tables.relations).values(row))
    bob = {"__type": "Pointer", "className": "_User", "objectId": "bob"}

    push = await site.push(audience={"where": {"owners": {"$ne": bob}}})
    await pipeline.plan_push(site.resources, push.id)
    async with working(site):
        await site.done(push)

    assert set(await site.ledger(push)) == {other}


async def test_a_repeated_request_stores_no_second_push(site: Site) -> None:
    """The same key and body return the first push; another body is refused."""
    first = await site.push(idempotency_key="once", request_hash=b"1")
    again = await site.push(idempotency_key="once", request_hash=b"1")

    assert again.id == first.id
    with pytest.raises(IdempotencyMismatchError):
        await site.push(idempotency_key="once", request_hash=b"2")


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"content": {}}, InvalidPushError, "/data"),
        ({"content": {"data": {"alert": "x", "badge": "five"}}}, InvalidPushError, "/data/badge"),
        ({"audience": {"where": {"a": {"$foo": 1}}}}, InvalidQueryError, None),
        ({"push_time": "2020-01-01T00:00:00Z"}, InvalidPushTimeError, "/push_time"),
        ({"expiration_interval": -1}, InvalidPushError, "/expiration_interval"),
    ],
)
async def test_a_bad_push_is_refused_by_field_and_not_stored(
    site: Site, changes: dict[str, Any], error: type[InvalidPushError], field: str | None
) -> None:
    """Nothing reaches the database."""
    with pytest.raises(error) as caught:
        await site.push(**changes)

    assert field is None or caught.value.field == field
    async with site.engine.connect() as connection:
        stored = select(tables.pushes.c.id).where(tables.pushes.c.app_id == site.app.id)
        assert (await connection.execute(stored)).first() is None


async def test_many_batches_are_closed_once_with_counts_of_them_all(
    site: Site,
) -> None:
    """Small batches, sent side by side: the push is closed when the last one is."""
    count = 250
    rows = [
        {
            "app_id": site.app.id,
            "object_id": f"many{n:06}",
            "device_token": apns_token(),
            "device_type": "ios",
            "app_identifier": site.simulators.endpoints.credentials.apns.topics[0],
            "channels": ["all"],
        }
        for n in range(count)
    ]
    async with site.engine.begin() as connection:
        await connection.execute(insert(tables.installations).values(rows))
    small = site.resources.settings.model_copy(update={"batch_size": 10})
    object.__setattr__(site.resources, "settings", small)

    async with working(site):
        push = await site.done(await site.push())

    assert push.batches == 25
    assert await site.outcomes(push) == {"sent": count}
    assert len(await site.ledger(push)) == count
    assert len(site.sent()) == count
