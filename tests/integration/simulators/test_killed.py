"""A simulator that is killed leaves the truth in its ledger file, and starts again where it was."""

import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pushsvc.simulators import Endpoints
from pushsvc.simulators.credentials import open_credentials
from pushsvc.simulators.ledger_file import read_deliveries
from tests.integration.simulators.client import apns_fields, connect

pytestmark = pytest.mark.integration

BODY = b'{"aps":{"alert":"hello"}}'
DEVICES = [f"{number:064x}" for number in range(50)]


@asynccontextmanager
async def simulate(
    secrets: Path, file: Path, port: int
) -> AsyncIterator[tuple[Process, Endpoints]]:
    """`pushsvc simulate` on its own, until it is killed."""
    ports = (f"--apns-port={port}", "--fcm-port=0", "--wns-port=0", "--control-port=0")
    options = ("--directory", str(secrets), "--ledger-file", str(file), "--json")
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "pushsvc", "simulate", *ports, *options), stdout=PIPE
    )
    try:
        assert process.stdout
        told: dict[str, Any] = json.loads(await process.stdout.readline())
        credentials = open_credentials(secrets, token_uri=told["fcm_token_url"])
        addresses = {name: told[name] for name in Endpoints.__slots__ if name != "credentials"}
        addresses["ca_file"] = Path(told["ca_file"])
        yield process, Endpoints(**addresses, credentials=credentials)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_killed_and_started_again(secrets: Path, tmp_path: Path) -> None:
    """After `kill -9` the file has all that was answered; the same ports serve the same sender."""
    file, port = tmp_path / "ledger", 0
    for run in (1, 2):
        async with simulate(secrets, file, port) as (process, endpoints):
            port = urlsplit(endpoints.apns_url).port or 0
            async with connect(endpoints.apns_url, endpoints) as sender:
                jwt = apns_fields(endpoints)["authorization"]
                for device in DEVICES:
                    fields = apns_fields(endpoints, device, authorization=jwt)
                    reply = await sender.ask(fields, BODY)
                    assert reply.status == 200
                os.kill(process.pid, signal.SIGKILL)
                await sender.until_end()
        assert read_deliveries(file).by_token() == {("apns", one): run for one in DEVICES}
