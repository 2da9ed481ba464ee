"""Strict gateways on real sockets, and our clients pointed at them."""

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pushsvc.clock import SystemClock
from pushsvc.delivery.apns.provider_token import LocalMoments
from pushsvc.delivery.gateway import Gateway
from pushsvc.delivery.tokens import LocalTokenStore
from pushsvc.model import GatewayName
from pushsvc.simulators import Simulators
from tests.integration.delivery.building import (
    Build,
    Transport,
    builder_of,
    credential,
    settings_for,
)
from tests.integration.delivery.sending import Clients


@pytest.fixture(scope="session")
def simulator_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates and credentials, made once for the run."""
    return tmp_path_factory.mktemp("simulators")


@pytest.fixture
async def simulators(simulator_directory: Path) -> AsyncIterator[Simulators]:
    """APNs, FCM and WNS of this test alone."""
    async with Simulators(simulator_directory) as running:
        yield running


@pytest.fixture
async def clients(simulators: Simulators) -> AsyncIterator[Clients]:
    """Makes gateways on the simulators, and closes them."""
    context = ssl.create_default_context(cafile=simulators.endpoints.ca_file)
    # Google's front end speaks HTTP/2 too; the client must say that it wants the other.
    context.set_alpn_protocols(["http/1.1"])
    clock = SystemClock()
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        made = Clients(
            endpoints=simulators.endpoints,
            session=session,
            store=LocalTokenStore(),
            clock=clock,
            moments=LocalMoments(clock),
        )
        yield made
        await made.close()


@pytest.fixture
async def build(clients: Clients) -> AsyncIterator[Build]:
    """Makes gateways on the simulators with a transport."""
    async with AsyncExitStack() as stack:

        def build_one(name: GatewayName, transport: Transport, **changes: Any) -> Gateway[Any]:
            settings = settings_for(clients, transport, **changes)
            builder = builder_of(clients, settings)
            stack.push_async_callback(builder.close)
            gateway = builder.build(credential(clients, name))
            stack.push_async_callback(gateway.close)
            return gateway

        yield build_one
