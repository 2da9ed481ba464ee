"""One message for each row of the simulator's table that is about the wire, and one after it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pushsvc.delivery.wire import Answered, NotProcessed, Unknown, Verdict
from pushsvc.simulators.apns.faults import FAULTS
from tests.integration.wire.sending import SECONDS, Told
from tests.integration.wire.simulated import ONE, LocalApns, asking, fair, local_apns, plain

pytestmark = pytest.mark.integration

#: Rows below only choose a reason; rows above are Apple's other reasons.
WIRE_CODES = range(0x12, 0x80)
#: Rows that are silent are waited for, though not for long.
LIMITS = replace(ONE, ping_after_seconds=0.2, ping_deadline_seconds=0.2)

REFUSED = ("rst_refused", "goaway_below", "goaway_zero_error", "goaway_idle", "goaway_maxstreams",
           "goaway_calm", "goaway_on_connect")  # fmt: skip
UNKNOWN = ("never", "never_n", "rst_internal", "rst_cancel", "rst_after_headers", "rst_calm",
           "goaway_then_eof", "tcp_rst", "eof", "half_close", "blackhole", "push_promise",
           "settings_length", "headers_on_zero", "even_stream", "interleaved", "hpack_garbage",
           "window_illegal", "oversize_frame", "reset_idle", "data_idle", "settings_flood",
           "ping_flood", "continuation_flood", "hpack_bomb", "interim_end")  # fmt: skip
#: After the others the same connection goes on.
LAST = ("goaway_graceful", "goaway_below", "goaway_zero_error", "goaway_idle", "goaway_maxstreams",
        "goaway_calm", "goaway_on_connect", "goaway_then_eof", "tcp_rst", "eof", "half_close",
        "blackhole", "push_promise", "settings_length", "headers_on_zero", "even_stream",
        "interleaved", "hpack_garbage", "window_illegal", "oversize_frame", "reset_idle",
        "data_idle", "settings_flood", "ping_flood", "continuation_flood",
        "hpack_bomb")  # fmt: skip
#: PP, where it is not 0; rows that do two things come twice.
PARAMETERS = {
    "slow": (1,),
    "slow_body": (1,),
    "tcp_rst": (0, 1),
    "eof": (0, 1),
    "stall_read": (2,),
    "continuation": (1, 10),
    "window_shrink": (1,),
    "window_starved": (1,),
    "table_size": (1,),
    "ping": (1, 50),
    "window_illegal": (0, 1),
}
ROWS: list[Any] = [
    pytest.param(fault.name, parameter, id=f"{fault.name}-{parameter}")
    for fault in FAULTS
    if fault.code in WIRE_CODES
    for parameter in PARAMETERS.get(fault.name, (0,))
]


@pytest.fixture(scope="module")
def simulator_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates and keys, made once for these tests."""
    return tmp_path_factory.mktemp("simulators")


@pytest.fixture
async def apns(simulator_directory: Path) -> AsyncIterator[LocalApns]:
    """An APNs of this test alone."""
    async with local_apns(simulator_directory) as running:
        yield running


def kind_of(name: str) -> type[Verdict]:
    """The verdict that a row deserves."""
    if name in REFUSED:
        return NotProcessed
    return Unknown if name in UNKNOWN else Answered


@pytest.mark.parametrize(("name", "parameter"), ROWS)
async def test_row(apns: LocalApns, name: str, parameter: int) -> None:
    """The verdict is what the row deserves and never contradicts the ledger; the pool goes on."""
    fault = FAULTS.named(name)
    assert fault is not None
    asked = asking(name, parameter, 2)
    pool, told = apns.pool(LIMITS), Told()
    async with fair(apns, pool):
        for tokens in (plain([1]), asked, plain([3])):
            timeout = 0.5 if name in {"never", "never_n"} and tokens is asked else SECONDS
            await pool.send_many(apns.calls(tokens), told, timeout_seconds=timeout)
    verdict, entry = told.verdicts[2], apns.entries()[asked[2]]
    assert type(verdict) is kind_of(name)
    assert (entry.fault, entry.delivered) == (name, fault.takes_message(parameter))
    if name == "data_past_window":
        # The ledger counts what breaks the protocol as no answer; its head was one all the same.
        assert isinstance(verdict, Answered)
        assert (verdict.status, len(verdict.body)) == (400, LIMITS.max_body_bytes)
    elif isinstance(verdict, Answered):
        assert (verdict.status, entry.answered) == (entry.status, True)
        assert (verdict.header(b"apns-id") is None) == (name == "no_apns_id")
    if isinstance(verdict, NotProcessed):
        assert not entry.delivered
    assert set(told.keys(Answered)) >= {1, 3}
    assert apns.wire["connections_opened"] == (2 if name in LAST else 1)
