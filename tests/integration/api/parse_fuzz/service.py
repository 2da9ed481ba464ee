"""The service as a process of its own, with apps to be fuzzed, and what can be seen of it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.config import Settings
from pushsvc.model import App
from pushsvc.storage import apps
from pushsvc.storage.apps import KeyKind
from pushsvc.storage.ids import new_object_id
from tests.integration.api.parse_fuzz.wire import Keys

#: Small, so that a body over it is cheap.
BODY_LIMIT_BYTES = 300_000
EXIT_SECONDS = 20
#: What the log says of what nobody foresaw.
CRIES = ("Traceback", "request.failed", "never retrieved", "was never awaited")
#: Where a traceback says what it was; to be told of some is enough.
CRY_CHARACTERS = 1_000
MOST_CRIES = 5


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process that answers."""

    url: str
    process: psutil.Process
    log: Path

    def rss_megabytes(self) -> float:
        """The memory it holds."""
        return float(self.process.memory_info().rss) / (1 << 20)

    def cries(self) -> list[str]:
        """Ends of the log's lines that nobody foresaw, each once."""
        lines = self.log.read_text(errors="replace").splitlines()
        ends = dict.fromkeys(line[-CRY_CHARACTERS:] for line in lines if _is_cry(line))
        return list(ends)[:MOST_CRIES]


def _is_cry(line: str) -> bool:
    return any(cry in line for cry in CRIES)


@asynccontextmanager
async def running(settings: Settings, log: Path) -> AsyncIterator[Service]:
    """Run `pushsvc serve` as its users do, with `allow_reset`."""
    assert settings.database_url
    assert settings.redis_url
    assert settings.secret_key
    environment = dict(os.environ) | {
        "PUSHSVC_DATABASE_URL": settings.database_url,
        "PUSHSVC_REDIS_URL": settings.redis_url,
        "PUSHSVC_SECRET_KEY": settings.secret_key.get_secret_value(),
        "PUSHSVC_PORT": "0",
        "PUSHSVC_LOG_LEVEL": "warning",
        "PUSHSVC_LOG_FORMAT": "json",
        "PUSHSVC_ALLOW_RESET": "true",
        "PUSHSVC_BODY_LIMIT_BYTES": str(BODY_LIMIT_BYTES),
    }
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pushsvc", "serve", "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=out,
            env=environment,
        )
    assert process.stdout
    try:
        hello = json.loads(await asyncio.wait_for(process.stdout.readline(), EXIT_SECONDS))
        yield Service(url=hello["url"], process=psutil.Process(hello["pid"]), log=log)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), EXIT_SECONDS)


async def make_app(engine: AsyncEngine) -> tuple[App, Keys]:
    """Store an app with keys of all kinds that clients have."""
    kinds = (KeyKind.MASTER, KeyKind.REST, KeyKind.JAVASCRIPT)
    async with engine.begin() as connection:
        app = await apps.create_app(connection, name=f"fuzz-{new_object_id()}")
        texts = [(await apps.create_key(connection, app, kind=kind))[1] for kind in kinds]
    return app, Keys(
        application_id=app.application_id, master=texts[0], rest=texts[1], javascript=texts[2]
    )
