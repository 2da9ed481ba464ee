"""`/health` and `/serverInfo`: what a Parse Server says of itself, and is true of us."""

import aiohttp
import pytest
from pydantic import SecretStr

import pushsvc
from pushsvc.config import Settings
from pushsvc.storage.sealing import new_secret_key
from tests.integration.api.conftest import Api, running

#: The discard port: nobody listens there.
NOWHERE = "postgresql://nobody:nothing@127.0.0.1:9/nothing"


@pytest.mark.parametrize("mount", ["/parse", "/1"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_health_needs_no_key(api: Api, mount: str, method: str) -> None:
    """The SDK asks by POST, with `_method` in the body."""
    body = {"_method": "GET", "_ApplicationId": "any"} if method == "POST" else None

    answer = await api.call(method, f"{mount}/health", json=body)

    assert answer.status == 200
    assert method == "HEAD" or answer.body == {"status": "ok"}


async def test_without_the_database_it_is_not_healthy() -> None:
    """503 and when to ask again; no word of how the database is called."""
    settings = Settings(
        database_url=NOWHERE,
        redis_url="redis://127.0.0.1:9/0",
        secret_key=SecretStr(new_secret_key()),
        port=0,
    )
    with running(settings) as url:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/parse/health") as response,
        ):
            assert response.status == 503
            assert await response.json() == {"status": "error"}
            assert int(response.headers["Retry-After"]) > 0


async def test_the_features_are_those_of_push(api: Api) -> None:
    """In Parse's shape: a dashboard shows what is there, and hides the rest."""
    answer = await api.master("GET", "/serverInfo")

    assert answer.status == 200
    assert answer.body["parseServerVersion"] == "9.10.0"
    assert answer.body["pushsvcVersion"] == pushsvc.__version__
    features = answer.body["features"]
    assert set(features) == {
        *("globalConfig", "hooks", "cloudCode", "logs", "push", "schemas", "settings")
    }
    assert all(features.pop("push").values())
    assert not any(value for group in features.values() for value in group.values())


async def test_the_features_are_for_the_master_key(api: Api) -> None:
    """As in Parse Server."""
    answer = await api.client("GET", "/serverInfo")

    assert (answer.status, answer.body) == (403, {"error": "unauthorized: master key is required"})
