"""A shop: an app with a Parse Server that sends through the service, and the gateways' ledgers."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import node_packages
from tests.acceptance.faulty import FaultyRoad, faulty_road
from tests.acceptance.parse_devices import GATEWAYS, Device, expected
from tests.acceptance.parse_server import HOME, ParseServer, counts, parse_server
from tests.acceptance.service import Service, service
from tests.integration.pushing import until


@dataclass(frozen=True, kw_only=True)
class Site:
    """The service on its simulators, and a road to it that can be faulty."""

    service: Service
    road: FaultyRoad
    directory: Path

    @asynccontextmanager
    async def shop(
        self, *, options: dict[str, Any] | None = None, **push: Any
    ) -> AsyncIterator["Shop"]:
        """Open one with these options of the adapter, and these of Parse Server."""
        told = {"serverURL": self.road.url, "apiKey": self.service.api_key, **push}
        url = self.service.environment["PUSHSVC_DATABASE_URL"]
        async with parse_server(url, self.directory, told, **(options or {})) as parse:
            yield Shop(service=self.service, parse=parse)


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Its Parse Server, and the service behind it."""

    service: Service
    parse: ParseServer

    async def install(self, devices: Sequence[Device], channel: str) -> Sequence[Device]:
        """Save these in a channel, and return them."""
        await self.parse.install(*(device.row(self.service.topic, channel) for device in devices))
        return devices

    async def agreed(self, push: str, devices: Sequence[Device]) -> dict[str, Any]:
        """Wait for the status; it and the ledgers say that each device met its fate, once."""
        status = await self.parse.settled(push, len(devices))
        assert counts(status) == expected(devices)
        await self.received_once(devices)
        return status

    async def received_once(self, devices: Iterable[Device]) -> None:
        """Whoever can be reached has one message, the others none."""
        had = await self.had(devices)
        assert had == {device.address: int(device.sent) for device in devices}

    async def had(self, devices: Iterable[Device]) -> dict[str, int]:
        """Return address -> how many messages its gateway took."""
        found = {name: await self.service.delivered(name) for name in ("apns", "fcm", "wns")}
        every: Counter[str] = sum(found.values(), Counter())
        return {device.address: every[device.address] for device in devices}

    async def message(self, device: Device) -> dict[str, Any]:
        """Return the last request that a device's gateway had for it."""
        gateway = GATEWAYS[device.device_type]
        query = {"gateway": gateway, "token": device.address}
        async with self.service.session.get(
            f"{self.service.control_url}/ledger", params=query
        ) as response:
            entry: dict[str, Any] = (await response.json())["entries"][-1]
            return entry

    async def aps(self, device: Device) -> dict[str, Any]:
        """Return what Apple's part of a device's last message says."""
        found: dict[str, Any] = json.loads((await self.message(device))["payload"])["aps"]
        return found

    async def in_doubt(self, push: str) -> int:
        """Return of how many devices the service does not know whether they were sent to."""
        headers = {"Authorization": f"Bearer {self.service.api_key}"}
        url = f"{self.service.api_url}/v1/groups/{push}"
        async with self.service.session.get(url, headers=headers) as response:
            found = (await response.json())["by_device_type"]
        return sum(counted.get("unknown", 0) for counted in found.values())

    async def pruned(self, devices: Iterable[Device]) -> None:
        """Wait until the dead have lost their tokens; nobody else has."""
        dead = {device.installation_id for device in devices if device.dead}
        ours = {device.installation_id for device in devices}

        async def without_a_token() -> set[str]:
            rows = await self.parse.installations()
            return {key for key in ours if "deviceToken" not in rows[key]}

        async def are_pruned() -> bool:
            return await without_a_token() >= dead

        await until(are_pruned)
        assert await without_a_token() == dead


@asynccontextmanager
async def site(servers: tuple[str, str], directory: Path, **settings: str) -> AsyncIterator[Site]:
    """Start the service with these settings, and open a road to it."""
    try:
        node_packages.install(HOME)
    except node_packages.MissingError as error:
        pytest.skip(f"Parse Server is not tried: {error}")
    async with service(servers, directory, **settings) as running:
        await running.start("api", "serve")
        await running.start("worker", "worker", "--processes", "1")
        async with faulty_road(lambda: running.api_url) as road:
            yield Site(service=running, road=road, directory=directory)
