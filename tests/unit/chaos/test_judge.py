"""The judge finds what must not be: a judge that never blames would prove nothing."""

from dataclasses import replace

import pytest

from pushsvc.model import OutcomeClass
from tests.chaos.fleet import DEAD, Device, Fleet
from tests.chaos.judge import MUST_BE_ZERO, Accepted, Evidence, Halted, judge
from tests.chaos.ledgers import CARRIED, OK, OPEN, RESENT, UNKNOWN, Database, Ends, Receipt, Stored
from tests.chaos.pushes import Planned
from tests.chaos.storm import Event, Kind, deaf_until

LIVE, OTHER = Device(0, 0, "ios", "a" * 64), Device(0, 1, "ios", "b" * 64)
GONE = Device(0, 2, "ios", "c" * 56 + DEAD["ios"])
FLEET = Fleet(((LIVE, OTHER, GONE),))
PUSH = Planned(number=1, app=0, at=0.0, door="v1", audience={}, count=3)
TOKEN_DEAD, CANCELLED = 2, int(OutcomeClass.CANCELLED)
#: Halted before the messages of both devices arrive, and after it.
BEFORE, AFTER = Halted(since=1.0), Halted(since=2.0)


def ends(*bytes_of_ledger: int) -> Ends:
    """The ends of a device whose batches have these bytes."""
    found = Ends()
    for byte in bytes_of_ledger:
        found.take(byte)
    return found


def evidence(
    live: Ends | None,
    *,
    delivered: int = 1,
    state: str = "done",
    retired: frozenset[str] = frozenset({GONE.token}),
    shown: dict[str, int] | None = None,
    halted: Halted | None = None,
) -> Evidence:
    """A push whose other devices are in order; `live` is what the ledger says of the first."""
    stored = {OTHER.token: ends(OK), GONE.token: ends(TOKEN_DEAD)}
    words = {"sent": 1, "failed": 1}
    if live is not None:
        stored[LIVE.token] = live
        for byte in live.final:
            word = {OK: "sent", UNKNOWN: "unknown", CANCELLED: "cancelled"}[byte]
            words[word] = words.get(word, 0) + 1
    row = Stored(object_id="p", state=state, error=None, ends=stored)
    return Evidence(
        fleet=FLEET,
        accepted={1: Accepted(object_id="p", posted=1.0, answered=1.25)},
        shown={"p": words if shown is None else shown},
        database=Database(pushes={"p": row}, retired=retired),
        halted={} if halted is None else {1: halted},
        receipts={
            (LIVE.token, PUSH.marker): Receipt(delivered, 1.5, 1.5) if delivered else Receipt(),
            (OTHER.token, PUSH.marker): Receipt(1, 1.5, 1.5),
        },
    )


def blamed(found: Evidence) -> dict[str, int]:
    """What is found that must not be."""
    figures = judge([PUSH], found).figures
    return {name: figures[name] for name in MUST_BE_ZERO if figures[name]}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (evidence(ends(OK)), {}),
        (evidence(ends(CARRIED, OK)), {}),
        (evidence(ends(RESENT, OK), delivered=2), {}),
        (evidence(ends(UNKNOWN), delivered=0), {}),
        (evidence(ends(UNKNOWN), delivered=1), {}),
        (evidence(None, delivered=0), {"lost": 1}),
        (evidence(ends(OPEN), delivered=0), {"lost": 1, "not_one_outcome": 1}),
        (evidence(ends(CARRIED), delivered=0), {"lost": 1, "not_one_outcome": 1}),
        (evidence(ends(OK, OK)), {"not_one_outcome": 1}),
        (evidence(ends(OK), delivered=2), {"delivered_twice_without_doubt": 1}),
        (evidence(ends(CARRIED, OK), delivered=2), {"delivered_twice_without_doubt": 1}),
        (evidence(ends(OK), delivered=0), {"sent_not_delivered": 1}),
        (evidence(ends(OK), state="sending"), {"pushes_not_closed": 1}),
        (evidence(ends(OK), shown={"sent": 3}), {"counts_differ": 1}),
        (evidence(ends(OK), retired=frozenset({LIVE.token})), {"tokens_wrongly_retired": 1}),
        (evidence(ends(CANCELLED), delivered=0, state="cancelled", halted=AFTER), {}),
        (evidence(None, delivered=0, state="cancelled", halted=AFTER), {}),
        (evidence(None, state="cancelled", halted=AFTER), {"delivered_not_sent": 1}),
        (evidence(ends(CANCELLED), state="cancelled", halted=AFTER), {"delivered_not_sent": 1}),
        (evidence(ends(OK), halted=AFTER), {"cancel_forgotten": 1}),
        (evidence(ends(OK), state="cancelled"), {"cancel_forgotten": 1}),
        (evidence(ends(OK), state="cancelled", halted=BEFORE), {"delivered_while_halted": 2}),
        (evidence(ends(UNKNOWN), state="cancelled", halted=BEFORE), {"delivered_while_halted": 1}),
        (evidence(ends(OK), halted=replace(BEFORE, until=2.0)), {"delivered_while_halted": 2}),
        (evidence(ends(OK), halted=replace(BEFORE, until=1.2)), {}),
    ],
)
def test_what_must_not_be_is_found(found: Evidence, expected: dict[str, int]) -> None:
    """Each kind of breach is counted where it belongs, and doubt that is on record is none."""
    assert blamed(found) == expected


def test_a_retired_token_may_be_left_out() -> None:
    """Who was retired before the push was planned is not in its audience, and not lost."""
    found = evidence(ends(OK), shown={"sent": 2})
    row = found.database.pushes["p"]
    left = {token: end for token, end in row.ends.items() if token != GONE.token}
    database = replace(found.database, pushes={"p": replace(row, ends=left)})
    assert blamed(replace(found, database=database)) == {}


def test_a_halt_is_heard_when_it_can_be() -> None:
    """Two seconds later; and where Postgres is away or a gateway reads nothing, that much later."""
    events = [
        Event(at=10.0, kind=Kind.SLOW_READERS, seconds=8.0),
        Event(at=50.0, kind=Kind.RESTART_POSTGRES),
        Event(at=54.0, kind=Kind.KILL_WORKER),
    ]
    heard = [deaf_until(events, moment) for moment in (5.0, 9.0, 17.0, 30.0, 49.0, 54.5, 70.0)]
    assert heard == [7.0, 20.0, 20.0, 32.0, 58.0, 58.0, 72.0]


def test_lateness_is_from_the_time_of_the_push() -> None:
    """Of a single push that has to wait, from its time; or its 2xx, if that came later."""
    single = replace(PUSH, count=1, urgent=True, due_in=0.1)
    row = Stored(object_id="p", state="done", error=None, ends={LIVE.token: ends(OK)})
    found = replace(evidence(ends(OK)), database=Database(pushes={"p": row}, retired=frozenset()))
    late = []
    for due in (1.0, 1.375):
        accepted = {1: replace(found.accepted[1], due=due)}
        late += judge([single], replace(found, accepted=accepted)).lateness
    assert late == [0.25, 0.125]


def test_latency_is_from_the_post_to_the_gateway() -> None:
    """Of a single urgent push, from its first POST and from its 2xx to its first delivery."""
    single = replace(PUSH, count=1, urgent=True)
    row = Stored(object_id="p", state="done", error=None, ends={LIVE.token: ends(OK)})
    found = replace(evidence(ends(OK)), database=Database(pushes={"p": row}, retired=frozenset()))
    verdict = judge([single], found)
    assert (verdict.latencies, verdict.after_answers) == ([0.5], [0.25])
