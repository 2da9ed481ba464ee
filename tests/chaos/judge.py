"""The verdict: what was planned, what Postgres says, what the gateways had, held together. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pushsvc.model import OUTCOME_OF, OutcomeClass
from tests.chaos.fleet import Fleet
from tests.chaos.ledgers import OK, Database, Ends, Receipt, Receipts, Stored
from tests.chaos.pushes import Planned

#: Examples told of each thing that must not be.
TOLD: Final = 5
#: Figures that must be nought.
MUST_BE_ZERO: Final = (
    "lost",
    "not_one_outcome",
    "delivered_twice_without_doubt",
    "tokens_wrongly_retired",
    "counts_differ",
    "pushes_not_closed",
    "sent_not_delivered",
    "delivered_not_sent",
    "cancel_forgotten",
    "delivered_while_halted",
    "submits_refused",
)
NOTHING: Final = Receipt()
NOWHERE: Final = Ends()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A push that got a 2xx."""

    object_id: str
    #: Unix seconds when its caller first posted it, and when there was the 2xx
    posted: float
    answered: float
    #: when it was to go out, if not at once
    due: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """When a push was not to be sent, in Unix seconds: from the 2xx on, until it was resumed."""

    since: float
    until: float | None = None


@dataclass(slots=True, kw_only=True)
class Verdict:
    """Figures, and examples of what must not be."""

    figures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    #: of each single urgent push: seconds from POST to the gateway, and from its 2xx
    latencies: list[float] = field(default_factory=list)
    after_answers: list[float] = field(default_factory=list)
    #: of each single push that had to wait: seconds from its time, or its 2xx, to the gateway
    lateness: list[float] = field(default_factory=list)

    def blame(self, figure: str, example: str, *, times: int = 1) -> None:
        """Count something that must not be."""
        self.figures[figure] += times
        told = self.examples.setdefault(figure, [])
        if len(told) < TOLD:
            told.append(example)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that is known after a storm."""

    fleet: Fleet
    #: number of the push -> what its caller was told
    accepted: Mapping[int, Accepted]
    #: object id -> outcome -> devices, as the API shows it
    shown: Mapping[str, Mapping[str, int]]
    database: Database
    receipts: Receipts
    #: number of the push -> when it was paused or cancelled, where that came in time
    halted: Mapping[int, Halted] = field(default_factory=dict)
    #: the moment of a halt -> from when on nothing may arrive
    deaf_until: Callable[[float], float] = lambda moment: moment


def judge(plan: Sequence[Planned], evidence: Evidence) -> Verdict:
    """Compare, push by push and device by device."""
    verdict = Verdict()
    for push in plan:
        accepted = evidence.accepted.get(push.number)
        if accepted is not None:
            verdict.figures["accepted_pushes"] += 1
            _judge_push(push, accepted, evidence, verdict)
    _judge_tokens(evidence, verdict)
    return verdict


def _judge_push(push: Planned, accepted: Accepted, evidence: Evidence, verdict: Verdict) -> None:
    name = f"push {push.number} ({accepted.object_id})"
    stored = evidence.database.pushes.get(accepted.object_id)
    if stored is None:
        verdict.blame("lost", f"{name}: no row", times=push.size)
        return
    if stored.state not in {"done", "cancelled"}:
        verdict.blame("pushes_not_closed", f"{name}: {stored.state} {stored.error or ''}")
    _judge_halt(push, stored, evidence, verdict)
    _judge_audience(push, stored, evidence, verdict)
    counted: Counter[str] = Counter()
    for token, ends in stored.ends.items():
        receipt = evidence.receipts.get((token, push.marker), NOTHING)
        _judge_device(f"{name} to {token}", ends, receipt, verdict)
        counted.update(_words(ends))
    verdict.outcomes += counted
    shown = {word: n for word, n in evidence.shown.get(accepted.object_id, {}).items() if n}
    if shown != dict(counted):
        verdict.blame("counts_differ", f"{name}: shown {shown}, in the ledger {dict(counted)}")
    if push.urgent:
        _time(push, accepted, evidence, verdict)


def _judge_halt(push: Planned, stored: Stored, evidence: Evidence, verdict: Verdict) -> None:
    """Hold what arrived, and how the push ended, against what its caller did to it."""
    halted = evidence.halted.get(push.number)
    is_cancelled = halted is not None and halted.until is None
    if is_cancelled != (stored.state == "cancelled"):
        said = "cancelled" if is_cancelled else "never cancelled"
        verdict.blame("cancel_forgotten", f"push {push.number}: {said}, and {stored.state}")
    if halted is None:
        return
    verdict.figures["cancelled" if is_cancelled else "paused"] += 1
    begin, end = evidence.deaf_until(halted.since), halted.until or math.inf
    for device in push.members(evidence.fleet):
        receipt = evidence.receipts.get((device.token, push.marker), NOTHING)
        ends = stored.ends.get(device.token, NOWHERE)
        times = [at - halted.since for at in (receipt.first, receipt.last) if begin < at < end]
        if times and not ends.in_doubt:
            name = f"push {push.number} ({stored.object_id}) to {device.token}"
            verdict.blame("delivered_while_halted", f"{name}: {times[0]:.1f} s after it")
        if receipt.delivered and ends is NOWHERE:
            verdict.blame("delivered_not_sent", f"push {push.number} to {device.token}: no batch")


def _judge_audience(push: Planned, stored: Stored, evidence: Evidence, verdict: Verdict) -> None:
    """Each device that can be sent to has its end; one whose token is retired may be left out.

    So may those that were not planned when the push was cancelled.
    """
    is_cancelled = stored.state == "cancelled"
    members = push.members(evidence.fleet)
    for device in members:
        ends = stored.ends.get(device.token)
        if ends is not None or not device.dead:
            verdict.figures["devices"] += 1
        if not (ends and ends.final) and not (ends is None and (device.dead or is_cancelled)):
            verdict.blame("lost", f"push {push.number} {stored.object_id} to {device.token}")
    for token in stored.ends.keys() - {device.token for device in members}:
        verdict.blame("not_one_outcome", f"push {push.number} was not for {token}")


def _judge_device(name: str, ends: Ends, receipt: Receipt, verdict: Verdict) -> None:
    figures = verdict.figures
    if len(ends.final) != 1:
        verdict.blame("not_one_outcome", f"{name}: {ends.final}")
    figures["possible_duplicates"] += ends.resent > 0
    figures["delivered"] += receipt.delivered > 0
    if receipt.delivered > 1:
        figures["delivered_twice"] += 1
        if not ends.in_doubt:
            verdict.blame("delivered_twice_without_doubt", f"{name}: {receipt.delivered} times")
    if OK in ends.final and receipt.delivered < 1:
        verdict.blame("sent_not_delivered", name)
    if ends.final and OK not in ends.final and receipt.delivered and not ends.in_doubt:
        verdict.blame("delivered_not_sent", f"{name}: {ends.final}")


def _judge_tokens(evidence: Evidence, verdict: Verdict) -> None:
    dead = {device.token for app in evidence.fleet.apps for device in app if device.dead}
    verdict.figures["tokens_retired"] = len(evidence.database.retired)
    for token in evidence.database.retired - dead:
        verdict.blame("tokens_wrongly_retired", token)


def _words(ends: Ends) -> Iterator[str]:
    for byte in ends.final:
        yield OUTCOME_OF[OutcomeClass(byte)].value


def _time(push: Planned, accepted: Accepted, evidence: Evidence, verdict: Verdict) -> None:
    (device,) = push.members(evidence.fleet)
    receipt = evidence.receipts.get((device.token, push.marker))
    if receipt is None or push.number in evidence.halted:
        return
    if accepted.due is not None:
        verdict.lateness.append(receipt.first - max(accepted.due, accepted.answered))
    else:
        verdict.latencies.append(receipt.first - accepted.posted)
        # The gateway may have had it before the caller had the answer.
        verdict.after_answers.append(max(0.0, receipt.first - accepted.answered))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of them does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def figures_of(verdict: Verdict) -> dict[str, Any]:
    """Return the figures by name, those that must be nought first."""
    figures = verdict.figures
    delivered = max(1, figures["delivered"])
    urgent = {
        f"{name}_p{share}_ms": round(1000 * percentile(values, share / 100), 1)
        for name, values in (
            ("urgent", verdict.latencies),
            ("urgent_from_2xx", verdict.after_answers),
            ("scheduled", verdict.lateness),
        )
        for share in (50, 90, 99)
    }
    return {
        "accepted_pushes": figures["accepted_pushes"],
        "devices": figures["devices"],
        **{name: figures[name] for name in MUST_BE_ZERO},
        "delivered": figures["delivered"],
        "delivered_twice": figures["delivered_twice"],
        "delivered_twice_rate": round(figures["delivered_twice"] / delivered, 6),
        "possible_duplicates": figures["possible_duplicates"],
        "tokens_retired": figures["tokens_retired"],
        "outcomes": dict(sorted(verdict.outcomes.items())),
        "cancelled": figures["cancelled"],
        "paused": figures["paused"],
        "urgent_pushes": len(verdict.latencies),
        "scheduled_pushes": len(verdict.lateness),
        **urgent,
    }
