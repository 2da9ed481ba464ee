"""A batch's requests: run at once up to a bound, and each failure logged once."""

import asyncio
from types import SimpleNamespace
from typing import Any

from structlog.testing import capture_logs

from pushsvc.api.auth import Caller
from pushsvc.api.parse import batch
from pushsvc.api.parse.call import Call, Reply
from pushsvc.config import Settings
from pushsvc.model import App


def call_of(requests: list[Any]) -> Call:
    resources: Any = SimpleNamespace(settings=Settings())
    caller = Caller(app=App(id=1, application_id="a", name="a"), is_master=False)
    return Call(
        resources=resources,
        caller=caller,
        method="POST",
        path="batch",
        mount="/parse",
        body={"requests": requests},
    )


def request(number: int) -> dict[str, Any]:
    return {"method": "POST", "path": "/parse/classes/Team", "body": {"number": number}}


async def test_requests_run_at_once_up_to_a_bound() -> None:
    """Saves that wait together can share a commit; but one batch does not take everything."""
    running, seen = 0, []

    async def dispatch(one: Call) -> Reply:
        nonlocal running
        running += 1
        seen.append(running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return Reply(body=one.body["number"])

    reply = await batch.run(call_of([request(number) for number in range(200)]), dispatch)

    assert max(seen) == batch.AT_ONCE
    assert reply.body == [{"success": number} for number in range(200)]


async def test_what_we_did_not_expect_is_logged_once() -> None:
    """With the path of the request; the caller is told code 1."""

    async def dispatch(one: Call) -> Reply:
        if one.body["number"] == 1:
            raise ZeroDivisionError
        return Reply(body={})

    with capture_logs() as logged:
        reply = await batch.run(call_of([request(number) for number in range(3)]), dispatch)

    assert reply.body[1] == {"error": {"code": 1, "error": "Internal server error."}}
    [line] = logged
    assert (line["event"], line["path"]) == ("request.failed", "/parse/classes/Team")
