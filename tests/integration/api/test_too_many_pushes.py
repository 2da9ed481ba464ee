"""An app that has as many pushes waiting as it may: 429 at both doors, and when to come again."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from pushsvc.config import Settings
from tests.integration.api.conftest import Api, running

PUSH: dict[str, Any] = {"channels": ["news"], "data": {"alert": "hello"}}


@pytest.fixture
def narrow_server(servers: tuple[str, str], secret_key: str) -> Iterator[str]:
    """The URL of an API that takes one push at a time."""
    settings = Settings(
        database_url=servers[0],
        redis_url=servers[1],
        secret_key=SecretStr(secret_key),
        port=0,
        open_pushes_limit=1,
    )
    with running(settings) as url:
        yield url


async def test_more_than_may_wait_is_refused_for_now(api: Api, narrow_server: str) -> None:
    """Each door says so in its words; what was stored before is answered as it was."""
    narrow = replace(api, url=narrow_server)
    once = {"headers": {"Idempotency-Key": "once"}}
    stored = await narrow.v1("POST", "/v1/pushes", json=PUSH, **once)
    assert stored.status == 202

    v1 = await narrow.v1("POST", "/v1/pushes", json=PUSH)
    parse = await narrow.master("POST", "/push", json=PUSH)
    repeated = await narrow.v1("POST", "/v1/pushes", json=PUSH, **once)

    assert (v1.status, v1.body["code"]) == (429, "too_many_pushes")
    assert (parse.status, parse.body["code"]) == (429, 155)
    assert "open_pushes_limit" in parse.body["error"]
    assert int(v1.headers["Retry-After"]) == int(parse.headers["Retry-After"]) > 0
    assert repeated.body["id"] == stored.body["id"]
