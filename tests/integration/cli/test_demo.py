"""The demo, small: every process, both ledgers, and its end."""

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushsvc.config import PREFIX
from tests.integration.cli.conftest import end_of, running
from tests.integration.embedded_fixtures import private_data_directory

pytestmark = pytest.mark.integration

DEVICES = 300


@pytest.fixture
def home() -> Iterator[Path]:
    """A data directory for servers; `demo/N` in it is a demo's own."""
    with private_data_directory() as directory:
        yield directory


def test_the_demo_ends_with_equal_ledgers_and_can_be_kept(home: Path) -> None:
    """Exit status 0 and `ledger_match`; with --keep its API goes on until Ctrl-C.

    A database that is configured is not touched: this one could not even be reached.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    variables |= {
        "PUSHSVC_DATA_DIR": str(home),
        "PUSHSVC_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    with running(["demo", "--devices", str(DEVICES), "--keep"], variables) as (process, told):
        assert told["ledger_match"], told["mismatches"]
        assert told["devices"] == DEVICES == sum(told["outcomes"].values())
        assert told["outcomes"]["failed"] > 0
        assert sorted(told["by_platform"]) == ["android", "ios", "winrt"]
        assert told["seconds"] > 0
        assert told["pushes_per_second"] == pytest.approx(DEVICES / told["seconds"], rel=0.01)
        request = urllib.request.Request(
            f"{told['url']}/v1/pushes", headers={"Authorization": f"Bearer {told['api_key']}"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            [push] = json.load(response)["pushes"]
        assert push["counts"]["sent"] == told["outcomes"]["sent"]
        os.killpg(process.pid, signal.SIGINT)
        assert end_of(process).status == 0
