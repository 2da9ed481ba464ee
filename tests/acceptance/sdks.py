"""The published Parse SDKs for JavaScript, each run on an app of its own."""

import asyncio
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pushsvc.storage import apps
from pushsvc.storage.apps import KeyKind
from pushsvc.storage.ids import new_object_id
from pushsvc.storage.sealing import Seal
from tests.acceptance.service import Service, equip

HOME: Final = Path(__file__).parents[1] / "node"
FILES: Final = sorted(path.name for path in HOME.glob("*.test.mjs"))
#: Names in package.json: the newest SDK, and the newest of those that send by XMLHttpRequest.
PACKAGES: Final = ("parse", "parse-5")
#: Many times what a file takes on an idle machine.
RUN_SECONDS: Final = 60
#: file -> settings of its app, where they are not those of a new app
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "client_push.test.mjs": {"client_push": True, "rest_push": True},
    "closed_app.test.mjs": {"client_push": False, "rest_push": False, "client_writes": ["Score"]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a file's run ended, and what it printed."""

    status: int
    said: str


async def run(running: Service, package: str, file: str) -> Ended:
    """Run a file with one SDK, on an app that nobody else uses."""
    environment = await _new_app(running, SETTINGS.get(file, {}))
    process = await asyncio.create_subprocess_exec(
        *("node", "--test-reporter=spec", file),
        cwd=HOME,
        env={**os.environ, **environment, "PARSE_PACKAGE": package},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    late = asyncio.get_running_loop().call_later(RUN_SECONDS, process.kill)
    try:
        said, _ = await process.communicate()
    finally:
        late.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    text = f"{file} with {package}:\n{said.decode(errors='replace')}"
    if process.returncode < 0:
        text += f"\nKilled: it was not done in {RUN_SECONDS} s."
    return Ended(status=process.returncode, said=text)


async def _new_app(running: Service, settings: Mapping[str, Any]) -> dict[str, str]:
    """Store an app with Parse keys and credentials; return what its clients must know."""
    kinds = (KeyKind.MASTER, KeyKind.JAVASCRIPT, KeyKind.REST, KeyKind.CLIENT)
    told = {**await _credentials(running), "apns": await _new_apns_key(running)}
    seal = Seal(running.environment["PUSHSVC_SECRET_KEY"])
    async with running.engine.begin() as connection:
        app = await apps.create_app(connection, name=f"sdk-{new_object_id()}")
        if settings:
            await apps.change_settings(connection, app, settings)
        keys = {kind: (await apps.create_key(connection, app, kind=kind))[1] for kind in kinds}
        await equip(connection, seal, app, told)
    return {
        "PARSE_SERVICE": running.api_url,
        "PARSE_APPLICATION_ID": app.application_id,
        **{f"PARSE_{kind.upper()}_KEY": key for kind, key in keys.items()},
        "SIMULATORS": running.control_url,
        "APNS_TOPIC": running.topic,
    }


async def _credentials(running: Service) -> dict[str, Any]:
    async with running.session.get(f"{running.control_url}/endpoints") as response:
        found: dict[str, Any] = (await response.json())["credentials"]
        return found


async def _new_apns_key(running: Service) -> dict[str, Any]:
    """Register a key of a team of its own: a team may bring a new token every 20 minutes only."""
    p8 = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = {
        "key_id": secrets.token_hex(5).upper(),
        "team_id": secrets.token_hex(5).upper(),
        "topics": [running.topic],
    }
    document = {"apns": [{**public, "key": p8.decode()}]}
    async with running.session.post(
        f"{running.control_url}/credentials", json=document
    ) as response:
        assert response.status == 200, await response.text()
    return {**public, "p8": p8.decode()}
