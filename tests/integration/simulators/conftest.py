"""Simulators for each test, on certificates and keys that are made once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pushsvc.simulators import Knobs, Simulators
from pushsvc.simulators.authority import open_authority
from pushsvc.simulators.credentials import open_credentials


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates and keys of the whole run are: an RSA key takes a while to make."""
    directory = tmp_path_factory.mktemp("simulators")
    open_authority(directory)
    open_credentials(directory, token_uri="https://127.0.0.1/token")
    return directory


@pytest.fixture
def knobs() -> Knobs:
    """Tests mint often; what tests minting asks for the limit."""
    return Knobs(apns_token_update_seconds=0)


@pytest.fixture
async def simulators(secrets: Path, knobs: Knobs) -> AsyncIterator[Simulators]:
    """All three gateways, running."""
    async with Simulators(secrets, knobs=knobs) as running:
        yield running
