"""What the single sends of a bench prove, and how long they took."""

import pytest

from bench.singles import latency, proof, rates
from bench.singles_client import Sent

ALL_SENT = {"done": 2, "sent": 2, "others": 0}
SENT = Sent(posted={"a": 1.0, "b": 1.1}, accepted={"a": 1.01, "b": 1.2})


def test_a_run_is_whole_when_each_push_came_once() -> None:
    """Accepted, received once and sent by the ledger: then nothing is wrong."""
    found = proof([SENT], [("a", 1.02), ("b", 1.3)], ledger=ALL_SENT)
    assert found["delivered_once"]


@pytest.mark.parametrize(
    ("received", "ledger"),
    [
        ([("a", 1.02)], ALL_SENT),
        ([("a", 1.02), ("b", 1.3), ("b", 1.4)], ALL_SENT),
        ([("a", 1.02), ("b", 1.3), ("c", 1.4)], ALL_SENT),
        ([("a", 1.02), ("b", 1.3)], {"done": 1, "sent": 2, "others": 0}),
        ([("a", 1.02), ("b", 1.3)], {"done": 2, "sent": 1, "others": 1}),
    ],
)
def test_a_run_is_not_whole_otherwise(
    received: list[tuple[str, float]], ledger: dict[str, int]
) -> None:
    """Missing, double, nobody's, open, or not sent by the ledger: each is found."""
    assert not proof([SENT], received, ledger=ledger)["delivered_once"]


def test_what_is_delivered_counts_to_the_last_receipt() -> None:
    """Two sends, the last of which came 0.5 s after the first POST: four a second."""
    received = {"a": 1.02, "b": 1.5}
    assert rates(SENT, received)["delivered_per_second"] == 4
    assert latency(SENT.posted, received)["most_ms"] == 400
