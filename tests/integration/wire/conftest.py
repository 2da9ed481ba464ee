"""Pools against scripted servers, on both event loops."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import uvloop

from pushsvc.delivery.wire import Limits, Origin, Pool, client_context
from tests.integration.wire.certificates import Authority
from tests.integration.wire.sending import OpenPool


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test of this folder runs on asyncio's loop and on uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates of this run."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def open_pool(authority: Authority) -> AsyncIterator[OpenPool]:
    """Opens pools to a port of this machine, and closes them after the test."""
    async with AsyncExitStack() as stack:

        def open_one(port: int, limits: Limits | None = None, *, host: str = "localhost") -> Pool:
            pool = Pool(
                Origin(host),
                ssl_context=client_context(authority.ca_file),
                connect_to=("127.0.0.1", port),
                limits=limits,
            )
            stack.push_async_callback(pool.close, drain_seconds=1.0)
            return pool

        yield open_one
