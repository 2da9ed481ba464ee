"""Published Parse SDKs and REST clients work against the service unchanged."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.acceptance import sdks
from tests.acceptance.service import Service, service

pytestmark = [pytest.mark.acceptance, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def packages() -> None:
    """The pinned SDKs; a machine without Node has a reason to skip."""
    try:
        sdks.install()
    except sdks.MissingError as error:
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
@pytest.mark.parametrize("package", sdks.PACKAGES)
async def test_a_published_sdk_works_unchanged(running: Service, package: str, file: str) -> None:
    """What the file tells in Node's words is true of the service, with either SDK."""
    ended = await sdks.run(running, package, file)
    if ended.status != 0:
        pytest.fail(f"{file} with {package}:\n{ended.said}", pytrace=False)
