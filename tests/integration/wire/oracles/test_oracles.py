"""The wire against servers that others have written: 100,000 mixed requests, no fault, no surprise.

Each server is asked for every kind of answer it can give (kinds.py), and says itself what it
found wrong with its client (servers.py).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pushsvc.delivery.wire import Answered, Limits, Stats, Unknown
from tests.integration.wire.certificates import Authority
from tests.integration.wire.fate import nothing_leaks
from tests.integration.wire.oracles import kinds, raw
from tests.integration.wire.oracles.servers import (
    H2O,
    HYPERCORN,
    NGHTTPD,
    NGINX,
    NODE,
    RETIRING_NGINX,
    Oracle,
    running,
)
from tests.integration.wire.oracles.traffic import Kind, Ledger, Traffic, carry
from tests.integration.wire.sending import SECONDS, OpenPool, Told

pytestmark = pytest.mark.integration

REQUESTS = 100_000
#: Several connections, and no long wait for the second.
LIMITS = Limits(max_connections=4, growth_spacing_seconds=0.05)
#: With fewer streams than RFC 9113 advises, a server refuses what came before its SETTINGS.
PATIENT = Limits(max_connections=4, growth_spacing_seconds=0.05, await_settings=True)

#: h2o before 2.3 uses its table for responses whatever our SETTINGS say of it
#: (https://github.com/h2o/h2o/pull/2916).
WITH_TABLE = replace(LIMITS, response_table_bytes=4_096)

#: What the log tells of.
LOGGED = {
    NGHTTPD: list(raw.ILLEGAL),
    NGINX: [name for name in raw.ILLEGAL if name != "DATA on an idle stream"],
    H2O: ["a body that is too short"],
    NODE: ["a body that is too short"],
    HYPERCORN: list(raw.ILLEGAL),
}
LOGGED_CASES = [
    pytest.param(oracle, illegal, id=f"{oracle.name}, {illegal}")
    for oracle, names in LOGGED.items()
    for illegal in names
]


def problems(oracle: Oracle, ledger: Ledger, stats: Stats) -> list[str]:
    """What is not as expected, but for what the server says."""
    found = list(ledger.wrong)
    if not ledger.complete:
        found.append("not every request has one verdict")
    # More of them end bodies that were answered before they were sent in full.
    if stats.resets_sent < ledger.cuts:
        found.append(f"{stats.resets_sent} streams reset for {ledger.cuts} long bodies")
    # nginx resets, with NO_ERROR, what it has answered without reading it.
    if oracle.name != "nginx" and stats.resets_received != ledger.resets:
        found.append(f"{stats.resets_received} streams were reset, not {ledger.resets}")
    return found


@pytest.mark.parametrize(
    ("oracle", "asked", "limits"),
    [
        pytest.param(NGHTTPD, kinds.NGHTTPD, LIMITS, id="nghttpd"),
        pytest.param(NGINX, kinds.NGINX, LIMITS, id="nginx"),
        pytest.param(H2O, kinds.H2O, WITH_TABLE, id="h2o"),
        pytest.param(NODE, kinds.NODE, LIMITS, id="node"),
        pytest.param(HYPERCORN, kinds.HYPERCORN, LIMITS, id="hypercorn"),
    ],
)
async def test_every_answer_is_the_one_expected(
    oracle: Oracle,
    asked: Sequence[Kind],
    limits: Limits,
    authority: Authority,
    open_pool: OpenPool,
    tmp_path: Path,
) -> None:
    """Status, own id, headers and body of every answer are right, and the server found no fault."""
    with running(oracle, tmp_path, authority) as server:
        pool, traffic = open_pool(server.port, limits), Traffic(asked, REQUESTS)
        ledger = Ledger(traffic, resend=False)
        async with nothing_leaks(pool):
            await carry(pool, traffic, ledger)
    assert problems(oracle, ledger, pool.stats) == []
    assert pool.stats.goaways == 0
    assert server.faults == []


async def test_nothing_is_lost_when_connections_retire(
    authority: Authority, open_pool: OpenPool, tmp_path: Path
) -> None:
    """nginx ends each connection after 1,000 requests: what it did not process is sent again."""
    with running(RETIRING_NGINX, tmp_path, authority) as server:
        pool, traffic = open_pool(server.port, PATIENT), Traffic(kinds.NGINX, REQUESTS)
        ledger = Ledger(traffic, resend=True)
        async with nothing_leaks(pool):
            await carry(pool, traffic, ledger)
    assert problems(RETIRING_NGINX, ledger, pool.stats) == []
    assert pool.stats.goaways >= REQUESTS // 1_000 - PATIENT.max_connections
    assert server.faults == []


async def test_who_breaks_our_table_s_rule_is_given_another(
    authority: Authority, open_pool: OpenPool, tmp_path: Path
) -> None:
    """With h2o before 2.3 the first connection's requests are in doubt, and no other."""
    with running(H2O, tmp_path, authority) as server:
        pool, traffic, told = open_pool(server.port, LIMITS), Traffic(kinds.H2O, 2_000), Told()
        await pool.send_many(traffic.calls(range(2_000)), told, timeout_seconds=SECONDS)
        doubts = {told.verdicts[key] for key in told.keys(Unknown)}
        assert all("COMPRESSION_ERROR" in f"{doubt}" for doubt in doubts)
        assert len(told.keys(Unknown)) <= LIMITS.streams_before_settings
        assert len(told.keys(Answered)) + len(told.keys(Unknown)) == 2_000
        ledger = Ledger(traffic, resend=False)
        await carry(pool, traffic, ledger)
        # The broken connection would wait longer for h2o, and h2o for its end.
        await pool.close(drain_seconds=0.1)
    assert ledger.wrong == []
    assert ledger.complete


@pytest.mark.parametrize(("oracle", "illegal"), LOGGED_CASES)
def test_the_log_tells_of_what_is_illegal(
    oracle: Oracle, illegal: str, authority: Authority, tmp_path: Path
) -> None:
    """A client that breaks a rule is a fault, so that no fault above means that no rule was."""
    with running(oracle, tmp_path, authority) as server:
        raw.write(server.port, authority.ca_file, raw.ILLEGAL[illegal])
    assert server.faults


@pytest.mark.parametrize("illegal", raw.ILLEGAL)
@pytest.mark.parametrize("oracle", [H2O, NODE], ids=lambda oracle: oracle.name)
def test_the_client_is_told_of_what_is_illegal(
    oracle: Oracle, illegal: str, authority: Authority, tmp_path: Path
) -> None:
    """Where the log is silent there is a GOAWAY or a reset: none above means that nothing was."""
    with running(oracle, tmp_path, authority) as server:
        assert raw.write(server.port, authority.ca_file, raw.ILLEGAL[illegal])


@pytest.mark.parametrize("oracle", LOGGED, ids=lambda oracle: oracle.name)
def test_nobody_tells_of_what_is_legal(
    oracle: Oracle, authority: Authority, tmp_path: Path
) -> None:
    """A good request in the same hand is no fault."""
    with running(oracle, tmp_path, authority) as server:
        assert raw.write(server.port, authority.ca_file, raw.LEGAL) == []
    assert server.faults == []
