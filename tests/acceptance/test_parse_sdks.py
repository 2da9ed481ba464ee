"""Published Parse SDKs and REST clients work against the service unchanged."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests import node_packages
from tests.acceptance import sdks
from tests.acceptance.service import Service, service

pytestmark = [pytest.mark.acceptance, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def packages() -> None:
    """The pinned SDKs; a machine without Node has a reason to skip."""
    try:
        node_packages.install(sdks.HOME)
    except node_packages.MissingError as error:
        pytest.skip(f"the Parse SDKs are not tried: {error}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    packages: None, servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """One service for all: an API and a worker, on strict simulators."""
    del packages
    async with service(servers, tmp_path_factory.mktemp("sdks")) as opened:
        await opened.start("api", "serve")
        await opened.start("worker", "worker", "--processes", "1")
        yield opened


@pytest.mark.parametrize("file", sdks.FILES)
async def test_published_sdks_work_unchanged(running: Service, file: str) -> None:
    """What the file tells in Node's words is true of the service, with either SDK."""
    # Side by side: they wait for different things, and neither shall notice the other.
    runs = (sdks.run(running, package, file) for package in sdks.PACKAGES)
    failed = [ended for ended in await asyncio.gather(*runs) if ended.status != 0]
    if failed:
        pytest.fail("\n".join(ended.said for ended in failed), pytrace=False)
