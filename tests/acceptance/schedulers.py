"""Schedulers of the package for Parse Server, as `npx pushsvc-parse-scheduler` starts them."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.acceptance.parse_server import APPLICATION, MASTER_KEY
from tests.acceptance.shop import Shop

COMMAND: Final = (
    Path(__file__).parents[2] / "adapters" / "parse-server" / "bin" / "pushsvc-parse-scheduler.js"
)
END_SECONDS: Final = 10


@asynccontextmanager
async def schedulers(shop: Shop, count: int, *arguments: str) -> AsyncIterator[None]:
    """Run so many for a shop, which look often; in the end they stop when they are told to."""
    environment = {
        **os.environ,
        "PARSE_PUSHSVC_SERVER_URL": shop.service.api_url,
        "PARSE_PUSHSVC_API_KEY": shop.service.api_key,
        "PARSE_SERVER_URL": shop.parse.url,
        "PARSE_SERVER_APPLICATION_ID": APPLICATION,
        "PARSE_SERVER_MASTER_KEY": MASTER_KEY,
        "PARSE_PUSHSVC_POLL_MS": "100",
    }
    started = [
        await asyncio.create_subprocess_exec("node", str(COMMAND), *arguments, env=environment)
        for _ in range(count)
    ]
    try:
        yield
        for process in started:
            process.terminate()
        ends = await asyncio.wait_for(
            asyncio.gather(*(process.wait() for process in started)), END_SECONDS
        )
        assert ends == [0] * count
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
                await process.wait()
