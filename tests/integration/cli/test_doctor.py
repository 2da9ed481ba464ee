"""The doctor finds what is wrong, and says what to do."""

import asyncio
import uuid
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.cli import session
from pushsvc.clock import SystemClock
from pushsvc.config import Settings
from pushsvc.delivery.circuit import Heard, Trouble
from pushsvc.delivery.pacing import Pacing, Rate
from pushsvc.model import GatewayName
from pushsvc.storage import apps, credentials
from pushsvc.storage.sealing import Seal, new_secret_key
from tests.integration.cli.conftest import Ended, Pushsvc

pytestmark = pytest.mark.integration

NOWHERE = "postgresql://user:secret@127.0.0.1:1/none"


def check(ended: Ended, name: str) -> dict[str, Any]:
    [found] = [one for one in ended.json["checks"] if one["check"] == name]
    return dict(found)


def test_a_healthy_service_is_told_healthy(pushsvc: Pushsvc) -> None:
    """Every check is fine, and the exit status says so."""
    ended = pushsvc("doctor", "--json")

    assert [one["check"] for one in ended.json["checks"] if not one["ok"]] == []
    assert (ended.status, ended.json["ok"]) == (0, True)
    assert "PostgreSQL" in pushsvc("doctor").out


def test_a_database_that_does_not_answer_is_told(pushsvc: Pushsvc) -> None:
    """What needs the database is then not looked at; no secret is shown."""
    ended = pushsvc("doctor", "--json", PUSHSVC_DATABASE_URL=NOWHERE)

    assert ended.status == 1
    assert "PUSHSVC_DATABASE_URL" in check(ended, "database")["remedy"]
    assert check(ended, "migrations")["found"] == "not looked at"
    assert check(ended, "redis")["ok"]
    assert "secret@" not in ended.out


def test_a_redis_that_does_not_answer_is_told(pushsvc: Pushsvc) -> None:
    """Redis is looked at by itself."""
    ended = pushsvc("doctor", "--json", PUSHSVC_REDIS_URL="redis://127.0.0.1:1/0")

    assert ended.status == 1
    assert "PUSHSVC_REDIS_URL" in check(ended, "redis")["remedy"]
    assert check(ended, "database")["ok"]


def test_a_gateway_ca_that_is_not_there_is_told(pushsvc: Pushsvc) -> None:
    """A CA file with a wrong path would fail only with the first push."""
    ended = pushsvc("doctor", "--json", PUSHSVC_GATEWAY_CA_FILE="/no/such.pem")

    assert ended.status == 1
    assert "PUSHSVC_GATEWAY_CA_FILE" in check(ended, "gateway CA")["remedy"]


def test_a_missing_secret_key_is_told(pushsvc: Pushsvc, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a configured database there must be a key."""
    pushsvc("doctor")
    monkeypatch.delenv("PUSHSVC_SECRET_KEY")
    ended = pushsvc("doctor", "--json", PUSHSVC_SECRET_KEY="short")

    assert ended.status == 1
    assert "openssl rand" in check(ended, "secret key")["found"]


@pytest.fixture
def broken(settings: Settings, database: AsyncEngine) -> str:  # noqa: ARG001 - migrated
    """An app with a credential that is none, as a former version may have let it in."""
    assert settings.secret_key
    seal = Seal(settings.secret_key.get_secret_value())

    async def add() -> tuple[str, int]:
        async with session.reached(settings) as engine, engine.begin() as connection:
            app = await apps.create_app(connection, name=f"broken-{uuid.uuid4().hex[:8]}")
            added = await credentials.add_credential(
                connection, seal, app=app, gateway=GatewayName.FCM, public={}, secret="{}"
            )
            return app.name, added.id

    name, number = asyncio.run(add())
    return f"{number} (fcm) of {name}"


def test_a_broken_credential_is_told(pushsvc: Pushsvc, broken: str) -> None:
    """The doctor names the credential, and the command that takes it out of use."""
    ended = pushsvc("doctor", "--json")
    number = broken.split(maxsplit=1)[0]

    found = check(ended, "credentials")
    assert ended.status == 1
    assert broken in found["found"]
    assert f"credential revoke {number}" in found["remedy"]
    assert pushsvc("credential", "revoke", number).status == 0


def test_another_secret_key_is_told(pushsvc: Pushsvc, broken: str) -> None:
    """A key that does not open what is stored is found before a push needs it."""
    ended = pushsvc("doctor", "--json", PUSHSVC_SECRET_KEY=new_secret_key())

    assert not check(ended, "secret key")["ok"]
    assert f"credential {broken}" in check(ended, "secret key")["found"]
    assert f"credential {broken}" in check(ended, "credentials")["found"]
    assert "PUSHSVC_SECRET_KEY" in check(ended, "secret key")["remedy"]
    assert pushsvc("credential", "revoke", broken.split(maxsplit=1)[0]).status == 0


def test_one_credential_under_another_key_hides_no_other(
    pushsvc: Pushsvc, settings: Settings, broken: str
) -> None:
    """The doctor names it by its id, and `credential list` goes on listing all."""
    number, name = broken.split(maxsplit=1)[0], broken.rpartition(" ")[2]
    found = asyncio.run(_add_under(new_secret_key(), settings, name))

    ended = pushsvc("doctor", "--json")
    listed = pushsvc("credential", "list", "--app", name, "--json")

    told = check(ended, "secret key")["found"]
    assert f"credential {found} (fcm)" in told
    assert f"credential {number} (fcm)" not in told
    assert [str(one["id"]) for one in listed.json["credentials"]] == [number, str(found)]
    for each in (number, str(found)):
        assert pushsvc("credential", "revoke", each).status == 0


def test_an_open_circuit_is_told(pushsvc: Pushsvc, settings: Settings, broken: str) -> None:
    """Which credential, why, since when, and when it is tried again; a closed one is not."""
    number = broken.split(maxsplit=1)[0]
    assert check(pushsvc("doctor", "--json"), "circuits")["ok"]

    asyncio.run(_open_circuit(settings, int(number)))
    ended = check(pushsvc("doctor", "--json"), "circuits")

    assert not ended["ok"]
    assert f"credential {number} (fcm)" in ended["found"]
    assert "unreached (no connection) since 20" in ended["found"]
    assert pushsvc("credential", "revoke", number).status == 0


async def _open_circuit(settings: Settings, number: int) -> None:
    assert settings.redis_url
    redis = Redis.from_url(settings.redis_url)
    pace = Pacing(redis, clock=SystemClock()).of(number, Rate(), narrow=frozenset())
    heard = Heard(failures=20, trouble=Trouble.UNREACHED, reason="no connection")
    await pace.tell(heard, probe=True)
    await redis.aclose()


async def _add_under(key: str, settings: Settings, name: str) -> int:
    async with session.reached(settings) as engine, engine.begin() as connection:
        owner = await session.app(connection, name)
        added = await credentials.add_credential(
            connection, Seal(key), app=owner, gateway=GatewayName.FCM, public={}, secret="{}"
        )
        return added.id
