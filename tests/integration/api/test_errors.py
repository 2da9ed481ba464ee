"""What goes wrong beside the caller, and how it is told."""

import aiohttp
import pytest
from pydantic import SecretStr

from pushsvc.config import Settings
from pushsvc.storage.sealing import new_secret_key
from tests.integration.api.conftest import BODY_LIMIT_BYTES, Api, running

#: The discard port: nobody listens there.
NOWHERE = "postgresql://nobody:nothing@127.0.0.1:9/nothing"


@pytest.mark.parametrize("given", ["a-request", None, "with space", "x" * 129])
async def test_every_reply_has_a_request_id(api: Api, given: str | None) -> None:
    """The caller's, if it can stand in a header and in a log; else ours."""
    headers = {} if given is None else {"X-Request-Id": given}

    answer = await api.call("GET", "/v1/pushes", headers=headers)

    used = answer.headers["X-Request-Id"]
    assert used == answer.body["request_id"]
    assert (given == "a-request") == (used == given)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_route"),
        ("GET", "/v1", 404, "unknown_route"),
        ("GET", "/v1/pushes/", 404, "unknown_route"),
        ("GET", "/v1/nothing", 404, "unknown_route"),
        ("GET", "/docs", 404, "unknown_route"),
        ("GET", "/parsed/push", 404, "unknown_route"),
        ("DELETE", "/v1/pushes", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
    ],
)
async def test_an_unknown_route_is_a_problem(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    """JSON, whatever the path."""
    answer = await api.v1(method, path)

    assert (status, code) == (answer.status, answer.body["code"])
    assert f"urn:pushsvc:error:{code}" == answer.body["type"]
    assert path == answer.body["instance"]


async def test_a_wrong_method_is_told_the_right_ones(api: Api) -> None:
    """RFC 9110 wants an `Allow` header."""
    answer = await api.v1("DELETE", "/v1/pushes")

    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{", "malformed_json"),
        (b"[]", "invalid_request"),
        (b'{"where": {}, "data": {"alert": "\\u0000"}}', "unstorable"),
    ],
)
async def test_a_broken_body_is_a_problem(api: Api, data: bytes, code: str) -> None:
    """Status 400."""
    answer = await api.v1("POST", "/v1/pushes", data=data)

    assert (400, code) == (answer.status, answer.body["code"])


async def test_a_body_over_the_limit_is_a_problem(api: Api) -> None:
    """Status 413."""
    answer = await api.v1("POST", "/v1/pushes", data=b" " * (BODY_LIMIT_BYTES + 1))

    assert (answer.status, answer.body["code"]) == (413, "body_too_large")


def unreachable(servers: tuple[str, str]) -> Settings:
    return Settings(
        database_url=NOWHERE,
        redis_url=servers[1],
        secret_key=SecretStr(new_secret_key()),
        port=0,
    )


async def test_without_a_database_callers_are_asked_to_come_back(servers: tuple[str, str]) -> None:
    """503 and `Retry-After` at both doors; nothing was stored, so SDKs may try again."""
    with running(unreachable(servers)) as url:
        async with aiohttp.ClientSession() as session:
            bearer = {"Authorization": "Bearer psk_any"}
            async with session.get(f"{url}/v1/pushes", headers=bearer) as response:
                problem = await response.json(content_type=None)
                assert (response.status, problem["code"]) == (503, "unavailable")
                assert response.headers["Retry-After"].isdecimal()
            parse = {"X-Parse-Application-Id": "any"}
            async with session.post(f"{url}/parse/push", headers=parse) as response:
                assert (response.status, (await response.json())["code"]) == (503, 100)
                assert response.headers["Retry-After"].isdecimal()
                assert response.headers["Access-Control-Allow-Origin"] == "*"
            async with session.get(f"{url}/readyz") as response:
                checks = (await response.json())["checks"]
                assert response.status == 503
                assert (
                    checks["database"],
                    checks["redis"],
                ) == ("The database cannot be reached. Try again.", "ok")


@pytest.mark.parametrize("path", ["/parse/push", "/v1/pushes"])
@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_a_time_outside_the_calendar_is_the_callers_mistake(
    api: Api, path: str, moment: str
) -> None:
    """In its own zone it has a year, in UTC it has none."""
    ask = api.master if path.startswith("/parse") else api.v1
    body = {"where": {}, "data": {"alert": "hello"}, "expiration_time": moment}

    answer = await ask("POST", path.removeprefix(api.mount), json=body)

    assert 400 <= answer.status < 500
