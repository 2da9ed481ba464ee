"""docs/simulators.md names every fault, with its code, and every route of the control endpoint."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pushsvc.simulators import Endpoints, Knobs
from pushsvc.simulators.apns.faults import FAULTS as APNS
from pushsvc.simulators.faults import Delivered, Fault
from pushsvc.simulators.fcm.faults import FAULTS as FCM
from pushsvc.simulators.storms import KINDS
from pushsvc.simulators.token_endpoint import TOKEN_FAULTS
from pushsvc.simulators.wns.faults import FAULTS as WNS

DOC = (Path(__file__).parents[2] / "docs" / "simulators.md").read_text()
DELIVERED = {Delivered.YES: "A", Delivered.NO: "N", Delivered.BY_PARAMETER: "PP"}


def section(heading: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ {heading}$(.*?)(?=^#)", DOC, re.MULTILINE | re.DOTALL)
    assert found, f"no section {heading}"
    return found[1]


ROWS = [
    pytest.param(heading, fault, id=f"{heading}-{fault.name}")
    for heading, table in {"APNs": APNS, "FCM": FCM, "WNS": WNS}.items()
    for fault in table
]


@pytest.mark.parametrize(("heading", "fault"), ROWS)
def test_every_fault_has_its_row(heading: str, fault: Fault) -> None:
    """Code, name and delivery of every fault stand in the table of its gateway."""
    code = "" if fault.code is None else f"{fault.code:02x}"
    row = rf"^\| ?{code} \| {fault.name} \| .+ \| {DELIVERED[fault.delivered]} \|$"

    assert re.search(row, section(heading), re.MULTILINE)


@pytest.mark.parametrize("heading", ["APNs", "FCM", "WNS"])
def test_no_row_without_a_fault(heading: str) -> None:
    """The tables name nothing that is not there."""
    tables = {"APNs": APNS, "FCM": FCM, "WNS": WNS}
    named = re.findall(r"^\| ?(?:[0-9a-f]{2})? \| (\w+) \|", section(heading), re.MULTILINE)

    assert named == [fault.name for fault in tables[heading]]


def test_token_faults() -> None:
    """The faults of token endpoints are named."""
    named = re.findall(r"^\| (\w+) \|", section("Token endpoints"), re.MULTILINE)

    assert set(named) - {"name"} == {fault.name for fault in TOKEN_FAULTS}


@pytest.mark.parametrize("kind", KINDS)
def test_every_storm(kind: str) -> None:
    """Every storm is told."""
    assert re.search(rf"^\| {kind} \|", section("Control endpoint"), re.MULTILINE)


@pytest.mark.parametrize(
    "route",
    ["GET /health", "GET /endpoints", "GET /stats", "GET /ledger?", "GET /ledger/tokens",
     "POST /script", "GET /script", "DELETE /script", "POST /storm", "DELETE /storm",
     "POST /credentials", "POST /reset"],
)  # fmt: skip
def test_every_route(route: str) -> None:
    """Every route of the control endpoint is told."""
    assert route in section("Control endpoint")


def test_every_knob() -> None:
    """All knobs stand in their table."""
    named = re.findall(r"^\| `(\w+)` \|", DOC[DOC.index("## Knobs") :], re.MULTILINE)

    assert named == [field.name for field in fields(Knobs)]


def test_numbers_are_those_of_the_code() -> None:
    """The bounds that the text states are the defaults."""
    knobs = Knobs()

    assert f"{knobs.ledger_entries:,} requests are kept in full" in DOC
    assert (knobs.apns_streams_at_first, knobs.apns_streams, knobs.fcm_streams) == (1, 1000, 100)
    assert knobs.apns_token_update_seconds == 20 * 60
    assert {"wns_address", "ca_file"} <= {field.name for field in fields(Endpoints)}
