"""The API on a real socket, in a thread of its own, and a client for it."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from pushsvc.app import run_api
from pushsvc.config import Settings
from tests.integration.conftest import AppRow

#: Small, so that a test can go over them.
BODY_LIMIT_BYTES = 300_000
DEVICES_LIMIT = 50
#: Of the API for suites: less than the guide's.
OBJECT_BYTES_LIMIT = 110_000
BATCH_LIMIT = 5
START_SECONDS = 20


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[str]:
    """Run the API, and yield its URL."""
    port: queue.Queue[int | BaseException] = queue.Queue()
    stops: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        stop = asyncio.Event()
        stops.put((asyncio.get_running_loop(), stop))
        try:
            await run_api(settings, ready=port.put, stop=stop)
        except BaseException as error:
            port.put(error)
            raise

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="API", daemon=True)
    thread.start()
    loop, stop = stops.get(timeout=START_SECONDS)
    bound = port.get(timeout=START_SECONDS)
    if isinstance(bound, BaseException):
        raise bound
    try:
        yield f"http://127.0.0.1:{bound}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=START_SECONDS)
        assert not thread.is_alive(), "the API did not stop"


@pytest.fixture(scope="session")
def server(servers: tuple[str, str], secret_key: str) -> Iterator[str]:
    """The URL of an API that lives as long as the run."""
    settings = Settings(
        database_url=servers[0],
        redis_url=servers[1],
        secret_key=SecretStr(secret_key),
        port=0,
        body_limit_bytes=BODY_LIMIT_BYTES,
        explicit_devices_limit=DEVICES_LIMIT,
    )
    with running(settings) as url:
        yield url


@pytest.fixture(scope="session")
def strict_server(servers: tuple[str, str], secret_key: str) -> Iterator[str]:
    """The URL of an API for a suite's tests: `/1` its only mount, short texts, small batches."""
    settings = Settings(
        database_url=servers[0],
        redis_url=servers[1],
        secret_key=SecretStr(secret_key),
        port=0,
        parse_mount="/1",
        parse_error_texts="short",
        parse_batch_limit=BATCH_LIMIT,
        find_timeout_seconds=0.5,
        object_bytes_limit=OBJECT_BYTES_LIMIT,
        allow_reset=True,
    )
    with running(settings) as url:
        yield url


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def codes(self) -> list[str]:
        """The codes of a problem's faults."""
        return [fault["code"] for fault in self.body["errors"]]

    @property
    def pointers(self) -> list[str]:
        """The pointers of a problem's faults."""
        return [fault["pointer"] for fault in self.body["errors"]]


@dataclass(frozen=True, kw_only=True)
class Api:
    """A client of one app."""

    session: aiohttp.ClientSession
    url: str
    row: AppRow
    mount: str = "/parse"

    async def call(self, method: str, path: str, **request: Any) -> Answer:
        """Send a request as it is."""
        async with self.session.request(method, self.url + path, **request) as response:
            text = await response.read()
            is_json = response.content_type in {"application/json", "application/problem+json"}
            body = await response.json(content_type=None) if is_json else text
            return Answer(status=response.status, headers=response.headers, body=body)

    async def master(self, method: str, path: str, **request: Any) -> Answer:
        """Send a Parse request with the master key."""
        return await self._parse(method, path, {"X-Parse-Master-Key": self.row.master_key}, request)

    async def client(self, method: str, path: str, **request: Any) -> Answer:
        """Send a Parse request with the REST key."""
        return await self._parse(method, path, {"X-Parse-REST-API-Key": self.row.rest_key}, request)

    async def v1(self, method: str, path: str, **request: Any) -> Answer:
        """Send a request with the api key."""
        headers = {"Authorization": f"Bearer {self.row.api_key}"} | request.pop("headers", {})
        return await self.call(method, path, headers=headers, **request)

    async def _parse(
        self, method: str, path: str, key: dict[str, str], request: dict[str, Any]
    ) -> Answer:
        application = {"X-Parse-Application-Id": self.row.app.application_id}
        headers = application | key | request.pop("headers", {})
        return await self.call(method, f"{self.mount}{path}", headers=headers, **request)


@pytest.fixture
async def api(server: str, app_row: AppRow) -> AsyncIterator[Api]:
    """A client of a fresh app."""
    async with aiohttp.ClientSession() as session:
        yield Api(session=session, url=server, row=app_row)


@pytest.fixture
async def strict_api(strict_server: str, app_row: AppRow) -> AsyncIterator[Api]:
    """A client of a fresh app on the other API."""
    async with aiohttp.ClientSession() as session:
        yield Api(session=session, url=strict_server, row=app_row, mount="/1")
