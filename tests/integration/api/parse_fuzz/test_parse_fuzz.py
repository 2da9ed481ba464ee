"""Whatever is sent to the Parse API, it is never our mistake; nor is it when it has been taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.config import Settings
from tests.integration.api.parse_fuzz import corpus
from tests.integration.api.parse_fuzz.client import Answer
from tests.integration.api.parse_fuzz.fuzzing import fuzz, ground
from tests.integration.api.parse_fuzz.laws import EXPOSED, broken
from tests.integration.api.parse_fuzz.run import run
from tests.integration.api.parse_fuzz.wire import Keys, Request

#: `make fuzz-api` has as many as one likes.
CASES = 5_000
STRIDE = 8
KEYS = Keys(application_id="app", master="m", rest="r", javascript="j")
SPARE = Keys(application_id="spare", master="m", rest="r", javascript="j")


@pytest.mark.timeout(240)
async def test_no_request_is_answered_or_followed_by_a_failure_of_ours(
    settings: Settings, database: AsyncEngine, tmp_path: Path
) -> None:
    """Bad ones get a 4xx with a code, in time and within bounds; what is taken can be sent."""
    async with ground(settings, database, tmp_path) as place:
        found = await fuzz(place, seed=1, cases=CASES, stride=STRIDE, tell=print)

    assert not found, "\n\n".join(found)


# ---------------------------------------------------------------- what fuzzes


def test_the_same_seed_gives_the_same_requests() -> None:
    """So that a finding can be looked at again."""
    first, second, other = (
        list(islice(corpus.at_random(KEYS, SPARE, seed=seed), 1_000)) for seed in (7, 7, 8)
    )

    assert first == second != other
    resets = [request for request in first if request.target.endswith(b"/_reset")]
    assert resets
    assert all((b"X-Parse-Application-Id", b"spare") in request.headers for request in resets)


def test_the_tables_reach_every_door() -> None:
    """Each path has its odd values."""
    targets = {request.target.split(b"?")[0].split(b"/")[2] for request in corpus.each(KEYS)}

    assert targets >= {
        b"push",
        b"installations",
        b"classes",
        b"batch",
        b"push_audiences",
        b"events",
    }


@pytest.mark.parametrize(
    ("status", "body", "law"),
    [
        (200, b'{"results":[{"objectId":"x"}],"count":1}', None),
        (200, b'{"result":true}', "a push without an id"),
        (200, b'{"results":[{}]}', "a result without objectId"),
        (200, b'{"results":[],"count":-1}', "a count"),
        (200, b'[{"success":{}},{"error":{"code":101,"error":"x"}}]', None),
        (200, b'[{"error":{"error":"x"}}]', "an error without code"),
        (200, b"[1]", "a batch's answer"),
        (200, b"NaN", "no JSON"),
        (200, b"", "no JSON"),
        (400, b'{"code":107,"error":"x"}', None),
        (400, b'{"error":"The body is not JSON: x."}', None),
        (400, b'{"error":"x"}', "no code"),
        (400, b'{"code":1,"error":"x"}', "a code that is none"),
        (400, b'{"code":107,"error":""}', "no text"),
        (400, b'{"code":107,"message":"x"}', "no error object"),
        (403, b'{"error":"unauthorized"}', None),
        (404, b"<html>", "no JSON"),
        (503, b'{"code":100,"error":"x"}', "a status of a server"),
    ],
)
def test_a_law_is_found_broken(status: int, body: bytes, law: str | None) -> None:
    """By the answer alone."""
    headers = {"access-control-expose-headers": EXPOSED}
    found = broken(
        Request(method="POST", target=b"/parse/x", headers=()),
        Answer(status=status, headers=headers, body=body),
    )

    assert found is None if law is None else found is not None and found.startswith(law)


async def test_a_finding_is_made_small() -> None:
    """To what the failure needs, as a command to try."""
    body = b'{"where": {"a": 1}, "data": {"alert": "x", "badge": null}, "channels": [1, 2]}'
    headers = ((b"X-A", b"1"), (b"X-Key", b"it's"))
    request = Request(method="POST", target=b"/parse/push", headers=headers, body=body)

    async with _server_that_fails_at(b'"badge": null') as url:
        came = await run(url, iter([request]))

    (finding,) = came.findings
    assert finding.law.startswith("a status of a server")
    assert finding.request.headers == ()
    assert finding.request.body == b'{"data": {"badge": null}}'
    assert finding.told(url).endswith(
        f"""printf '%b' $'{{"data": {{"badge": null}}}}' | """
        f"""curl -sS -i -X POST {url}/parse/push --data-binary @-"""
    )


@asynccontextmanager
async def _server_that_fails_at(octets: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        status = b"500 No" if octets in await reader.readexactly(length) else b"200 OK"
        lines = (b"HTTP/1.1 " + status, b"Access-Control-Expose-Headers: " + EXPOSED.encode())
        writer.write(b"\r\n".join((*lines, b"Connection: close", b"Content-Length: 2", b"", b"{}")))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
