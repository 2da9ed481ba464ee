"""Tallies as a report: what came of the devices, in all and by one thing at a time. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from pushsvc.model import (
    HOLDOUT,
    OUTCOME_OF,
    Counts,
    Dimension,
    FailedBatch,
    OpenTally,
    Outcome,
    OutcomeClass,
    Tally,
    Value,
)
from pushsvc.stats import tally

#: Classes that count as failed, in their order.
FAILED: Final = tuple(c for c, word in OUTCOME_OF.items() if word is Outcome.FAILED)
#: By what the opens of every push are counted; those of campaigns' runs by the other things, too.
_OPENS_OF_ALL: Final = (Dimension.RUN, Dimension.HOUR)
#: reason and class of a failure -> devices
Reasons = Counter[tuple[str, OutcomeClass]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What came of the devices that have one thing in common, or of all of them."""

    value: Value
    #: with `OPEN` for those that have no outcome yet, and `RESENT` beside the outcomes
    classes: Mapping[OutcomeClass, int]
    #: of failures; None where they cannot be told apart by it
    reasons: Mapping[str, int] | None
    #: None where they cannot be told apart by it
    opens: int | None
    #: opens for each message sent; of an hour, for each one of the whole report
    open_rate: float | None

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """Devices by the word for their end; every word is there."""
        return tally.by_outcome(self.classes)

    @property
    def open(self) -> int:
        """Devices without an outcome so far."""
        return self.classes.get(OutcomeClass.OPEN, 0)

    @property
    def audience(self) -> int:
        """All devices."""
        return sum(self.outcomes.values()) + self.open

    @property
    def excluded(self) -> Mapping[OutcomeClass, int]:
        """Devices that a rule left out, by which."""
        return self._of(Outcome.EXCLUDED)

    @property
    def failed(self) -> Mapping[OutcomeClass, int]:
        """Devices that failed, by class."""
        return self._of(Outcome.FAILED)

    def _of(self, outcome: Outcome) -> Mapping[OutcomeClass, int]:
        return {c: n for c, n in sorted(self.classes.items()) if OUTCOME_OF.get(c) is outcome and n}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why devices failed: the gateway's word, or ours, and what it means."""

    reason: str
    outcome: OutcomeClass
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a push, or of the runs of a campaign."""

    total: Line
    #: a dimension in which there is nothing to tell apart has no lines
    by: Mapping[Dimension, Sequence[Line]]
    #: the most frequent first
    failures: Sequence[Failure]


@dataclass(slots=True)
class Reasoned:
    """The reasons of failures, added up batch by batch."""

    found: dict[Dimension, dict[Value, Reasons]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Counter))
    )

    def add(self, batch: FailedBatch) -> None:
        """Count the failures of a batch."""
        reasons = final_reasons(batch.outcomes, batch.exceptions)
        for dimension, value in batch.of.items():
            self.found[dimension][value].update(reasons)


def final_reasons(outcomes: bytes, exceptions: Mapping[str, Sequence[int]]) -> Reasons:
    """Count why devices of a batch failed for good.

    A reason stands at the places of devices, too, that went on into a follow-up or ended in
    another way: the byte there tells. Failures without a reason have an empty one.
    """
    found: Reasons = Counter()
    for reason, places in exceptions.items():
        for byte, n in Counter(_at(outcomes, places)).items():
            if byte in FAILED:
                found[reason, OutcomeClass(byte)] += n
    for outcome in FAILED:
        told = sum(n for (_, of), n in found.items() if of is outcome)
        if untold := outcomes.count(outcome) - told:
            found["", outcome] += untold
    return found


def _at(outcomes: bytes, places: Sequence[int]) -> Sequence[int]:
    if len(places) < 2:  # noqa: PLR2004 - of one place itemgetter makes no tuple
        return [outcomes[place] for place in places]
    found: Sequence[int] = itemgetter(*places)(outcomes)
    return found


def tallies_of(push_id: int, counts: Counts) -> list[Tally]:
    """Return what a push's counts tell where its batches are no longer there."""
    found = [
        Tally(Dimension.PLATFORM, device_type, outcome, n)
        for device_type, classes in counts.items()
        for outcome, n in classes.items()
    ]
    for outcome, n in tally.total(counts).items():
        found.append(Tally(Dimension.RUN, push_id, outcome, n))
        found += [
            Tally(dimension, None, outcome, n)
            for dimension in (Dimension.VARIANT, Dimension.ZONE, Dimension.HOUR)
        ]
    return found


@dataclass(frozen=True, slots=True)
class _Sums:
    """All there is of one dimension."""

    classes: Mapping[Value, Counter[OutcomeClass]]
    opens: Mapping[Value, int] | None
    reasons: Mapping[Value, Reasons] | None

    def at(self, value: Value, *, sent: int | None = None) -> Line:
        """Return the line of a value; `sent` in place of its own messages."""
        classes = self.classes.get(value, Counter())
        opens = None if self.opens is None else self.opens.get(value, 0)
        reasons = None if self.reasons is None else self.reasons.get(value, Reasons())
        return Line(
            value=value,
            classes=classes,
            reasons=None if reasons is None else _by_reason(reasons),
            opens=opens,
            open_rate=_rate(opens, classes[OutcomeClass.OK] if sent is None else sent),
        )


def build(
    tallies: Iterable[Tally],
    opened: Iterable[OpenTally],
    reasoned: Reasoned,
    *,
    of_runs: bool,
) -> Report:
    """Add up a report. Every push is among the runs, so these have the totals.

    Opens are known by device where the pushes are `of_runs` of a campaign.
    """
    classes: dict[Dimension, dict[Value, Counter[OutcomeClass]]] = {d: {} for d in Dimension}
    for one in tallies:
        of_value = classes[one.dimension].setdefault(one.value, Counter())
        of_value[one.outcome] += one.devices
    known = Dimension if of_runs else _OPENS_OF_ALL
    opens: dict[Dimension, Counter[Value]] = {dimension: Counter() for dimension in known}
    for told in opened:
        opens[told.dimension][told.value] += told.opens
    # The ledger has the reasons of places, whose platforms it does not have.
    sums = {
        d: _Sums(
            classes[d],
            opens.get(d),
            None if d is Dimension.PLATFORM else reasoned.found[d],
        )
        for d in Dimension
    }
    total = _total(sums[Dimension.RUN])
    by = {d: _lines(sums[d], of_sent=_sent(total) if d is Dimension.HOUR else None) for d in sums}
    return Report(total=total, by=by, failures=_failures(reasoned))


def _total(runs: _Sums) -> Line:
    classes = sum(runs.classes.values(), Counter[OutcomeClass]())
    reasons = sum((runs.reasons or {}).values(), Reasons())
    opens = sum((runs.opens or {}).values())
    return _Sums({None: classes}, {None: opens}, {None: reasons}).at(None)


def _lines(sums: _Sums, *, of_sent: int | None) -> Sequence[Line]:
    """Return the lines of a dimension; none where there is nothing to tell apart."""
    values = {*sums.classes, *(sums.opens or ())}
    if values <= {None}:
        return ()
    return [sums.at(value, sent=of_sent) for value in sorted(values, key=_order)]


def _sent(line: Line) -> int:
    return line.classes.get(OutcomeClass.OK, 0)


def _order(value: Value) -> tuple[bool, bool, Any]:
    """Order by name, number or time; the holdout behind the variants, None behind all."""
    return value is None, value == HOLDOUT, value


def _rate(opens: int | None, sent: int) -> float | None:
    return None if opens is None or not sent else opens / sent


def _by_reason(reasons: Reasons) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for (reason, _), n in reasons.items():
        found[reason] += n
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def _failures(reasoned: Reasoned) -> Sequence[Failure]:
    reasons = sum(reasoned.found[Dimension.RUN].values(), Reasons())
    return [
        Failure(reason=reason, outcome=outcome, devices=n)
        for (reason, outcome), n in sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    ]
