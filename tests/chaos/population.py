"""The apps and their installations, before the storm."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from pushsvc.model import App
from pushsvc.storage import apps, migrate
from pushsvc.storage.apps import KeyKind, Scope
from pushsvc.storage.engine import create_engine
from pushsvc.storage.sealing import Seal
from tests.acceptance.service import equip
from tests.chaos import senders
from tests.chaos.callers import Keys
from tests.chaos.fleet import Device, Fleet
from tests.chaos.stage import Stage

CONNECTIONS: Final = 2


async def populate(stage: Stage, fleet: Fleet, told: Sequence[dict[str, Any]]) -> list[Keys]:
    """Make each app with its credentials, and import its installations by the command line."""
    keys = await _make_apps(stage, told)
    await asyncio.gather(*(_import(stage, app, devices) for app, devices in enumerate(fleet.apps)))
    return keys


async def _make_apps(stage: Stage, told: Sequence[dict[str, Any]]) -> list[Keys]:
    engine = create_engine(stage.environment["PUSHSVC_DATABASE_URL"], connections=CONNECTIONS)
    try:
        await migrate.upgrade(engine)
        return [
            (await make_app(stage, engine, f"chaos-{number}", credentials))[1]
            for number, credentials in enumerate(told)
        ]
    finally:
        await engine.dispose()


async def make_app(
    stage: Stage, engine: AsyncEngine, name: str, credentials: dict[str, Any]
) -> tuple[App, Keys]:
    """Store an app with credentials for the simulated gateways, and its keys."""
    seal = Seal(stage.environment["PUSHSVC_SECRET_KEY"])
    async with engine.begin() as connection:
        app = await apps.create_app(connection, name=name)
        _, master = await apps.create_key(connection, app, kind=KeyKind.MASTER)
        _, api = await apps.create_key(connection, app, kind=KeyKind.API, scopes=[Scope.ADMIN])
        await equip(connection, seal, app, credentials)
    return app, Keys(application_id=app.application_id, master=master, api=api)


async def _import(stage: Stage, app: int, devices: Sequence[Device]) -> None:
    file = stage.directory / f"app-{app}.ndjson"
    await asyncio.to_thread(_write, file, devices, senders.topic(app))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pushsvc", "installation", "import", str(file)),
        *("--app", f"chaos-{app}", "--json"),
        env=stage.environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        message = f"The import of {file} ended with {process.returncode}: {said.decode()}"
        raise RuntimeError(message)


def _write(file: Path, devices: Sequence[Device], topic: str) -> None:
    with file.open("wb") as lines:
        for device in devices:
            lines.write(orjson.dumps(device.body(topic), option=orjson.OPT_APPEND_NEWLINE))
