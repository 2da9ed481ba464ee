"""The verdict on a run: what a device should have got, what it got, what is reported. Pure."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pushsvc.model import OUTCOME_OF, Outcome, OutcomeClass
from tests.campaigns.acts import DEFERRED_ZONE, HOLDOUT, Act, text_of
from tests.campaigns.world import EARLY, Device
from tests.chaos.ledgers import Receipt, Receipts

#: Differences told.
TOLD: Final = 20
#: Standard deviations between the size of a variant and what its weight says.
SIGMAS: Final = 5
NOTHING: Final = Receipt()


@dataclass(frozen=True, slots=True)
class Ended:
    """What the ledger says of one device."""

    outcome: OutcomeClass
    reason: str
    variant: str | None
    #: empty for none
    zone: str
    #: how often its message went out again although it may have arrived
    resent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """How things were when the run began."""

    #: tokens that are out of use
    retired: frozenset[str]
    #: token -> messages of the campaigns before
    contacts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """What is known when it is done."""

    #: token -> its end, once for each that there is
    ledger: Mapping[str, Sequence[Ended]]
    receipts: Receipts
    #: token -> texts that its gateway took
    texts: Mapping[str, Sequence[str]]
    #: as `/v1/pushes/{id}/report` has it
    report: Mapping[str, Any]
    #: between these moments the run was planned and sent
    begun: datetime
    closed: datetime


@dataclass(slots=True)
class Verdict:
    """What differs, and how many devices there are of each end."""

    differences: int = 0
    examples: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    #: messages that came when quiet hours were over
    deferred: int = 0
    #: lines of reports that were compared
    lines: int = 0

    def blame(self, difference: str) -> None:
        """Count something that differs."""
        self.differences += 1
        if len(self.examples) < TOLD:
            self.examples.append(difference)

    def compare(self, what: str, found: object, wanted: object) -> None:
        """Blame what is found, unless it is what is wanted."""
        if found != wanted:
            self.blame(f"{what}: {found}, and not {wanted}")


def judge(act: Act, devices: Sequence[Device], before: Before, after: After) -> Verdict:
    """Compare device by device, and the report line by line."""
    verdict = Verdict()
    members = [d for d in devices if _is_member(act, d) and d.token not in before.retired]
    if act.quiet is not None and act.quiet.then == "drop":
        _judge_margin(act, members, after, verdict)
    ends: dict[str, Ended] = {}
    for device in members:
        found = after.ledger.get(device.token, ())
        if len(found) != 1:
            verdict.blame(f"{act.name} to {device.token}: {len(found)} outcomes")
            continue
        ends[device.token] = found[0]
        _judge_device(act, device, ends[device.token], before, after=after, verdict=verdict)
        verdict.outcomes[ends[device.token].outcome.name.lower()] += 1
    for token in after.ledger.keys() - {device.token for device in members}:
        verdict.blame(f"{act.name} was not for {token}")
    _judge_shares(act, ends, verdict)
    _judge_report(act, [d for d in members if d.token in ends], ends, after=after, verdict=verdict)
    return verdict


def _is_member(act: Act, device: Device) -> bool:
    return device.early or act.channel != EARLY


def _judge_margin(act: Act, members: Sequence[Device], after: After, verdict: Verdict) -> None:
    """A zone whose quiet hours began or ended meanwhile would have no one right outcome."""
    assert act.quiet is not None
    for zone in sorted({device.zone for device in members if device.zone}):
        if act.quiet.has(zone, after.begun) != act.quiet.has(zone, after.closed):
            verdict.blame(f"{act.name}: took too long, {zone} has come to other hours")


def _wanted(
    act: Act, device: Device, ended: Ended, before: Before, begun: datetime
) -> OutcomeClass:
    """Return what should become of a device; whether it is of the holdout a hash says."""
    quiet = act.quiet
    if quiet is not None and device.zone is None:
        return OutcomeClass.NO_TIME_ZONE
    if ended.variant == HOLDOUT:
        return OutcomeClass.HOLDOUT
    if quiet is not None and quiet.then == "drop" and device.zone and quiet.has(device.zone, begun):
        return OutcomeClass.QUIET_HOURS
    if before.contacts.get(device.token, 0) >= act.cap:
        return OutcomeClass.CAPPED
    return device.answer


def _judge_device(
    act: Act, device: Device, ended: Ended, before: Before, *, after: After, verdict: Verdict
) -> None:
    name = f"{act.name} to {device.token}"
    wanted = _wanted(act, device, ended, before, after.begun)
    verdict.compare(f"{name} ended as", ended.outcome.name, wanted.name)
    verdict.compare(f"{name} is of the zone", ended.zone, device.zone or "")
    marker = act.contents.get(ended.variant, "")
    for one in act.contents.values():
        receipt = after.receipts.get((device.token, one), NOTHING)
        least = int(one == marker and wanted is OutcomeClass.OK)
        most = least + (ended.resent if one == marker else 0)
        if not least <= receipt.delivered <= most:
            verdict.blame(f"{name} came with {one} {receipt.delivered} times, and not {most}")
    shown = {text_of(marker)} if wanted is OutcomeClass.OK else set()
    verdict.compare(f"{name} has the texts", set(after.texts.get(device.token, ())), shown)
    if act.deferred_until is not None and device.zone == DEFERRED_ZONE and shown:
        receipt = after.receipts.get((device.token, marker), NOTHING)
        verdict.deferred += 1
        if receipt.first < act.deferred_until.timestamp():
            verdict.blame(f"{name}: came in quiet hours, at {receipt.first}")


def _judge_shares(act: Act, ends: Mapping[str, Ended], verdict: Verdict) -> None:
    found = Counter(e.variant for e in ends.values() if e.outcome is not OutcomeClass.NO_TIME_ZONE)
    total, whole = found.total(), sum(act.weights.values())
    for variant in act.weights.keys() | found.keys():
        share = act.weights.get(variant, 0) / whole
        most = SIGMAS * math.sqrt(total * share * (1 - share))
        if abs(found[variant] - share * total) > most:
            verdict.blame(f"{act.name}: {found[variant]} of {total} devices in {variant}")


def _judge_report(
    act: Act,
    members: Sequence[Device],
    ends: Mapping[str, Ended],
    *,
    after: After,
    verdict: Verdict,
) -> None:
    """Every line of the report is what devices and gateways say."""
    by: dict[str, dict[str | None, list[Device]]] = {
        key: {} for key in ("by_variant", "by_platform", "by_zone")
    }
    for device in members:
        variant = ends[device.token].variant
        for key, value in (
            ("by_variant", variant),
            ("by_platform", device.device_type),
            ("by_zone", device.zone or ""),
        ):
            by[key].setdefault(value, []).append(device)
    _judge_line(f"{act.name} in all", after.report["total"], members, ends, after, verdict)
    for key, lines in by.items():
        if lines.keys() == {None}:
            lines.clear()  # nothing to tell apart
        shown = {line["value"]: line for line in after.report[key]}
        verdict.compare(f"{act.name} {key} has lines", shown.keys(), lines.keys())
        for value in shown.keys() & lines.keys():
            name = f"{act.name} {key} {value}"
            _judge_line(name, shown[value], lines[value], ends, after, verdict)
    hours = Counter[str]()
    for line in after.report["by_hour"]:
        hours.update({name: line[name] for name in ("audience", "sent", "failed", "excluded")})
    total = {name: after.report["total"][name] for name in hours}
    verdict.compare(f"{act.name} by_hour adds up to", dict(hours), total)


def _judge_line(
    name: str,
    line: Mapping[str, Any],
    devices: Sequence[Device],
    ends: Mapping[str, Ended],
    after: After,
    verdict: Verdict,
) -> None:
    verdict.lines += 1
    came = sum(device.token in after.texts for device in devices)
    verdict.compare(f"{name}: sent", line["sent"], came)
    for key, wanted in _figures(devices, ends):
        verdict.compare(f"{name}: {key}", line[key], wanted)
    reasons = Counter(
        ends[d.token].reason for d in devices if OUTCOME_OF[ends[d.token].outcome] is Outcome.FAILED
    )
    if line["failed_by_reason"] is not None:
        verdict.compare(f"{name}: failed_by_reason", line["failed_by_reason"], dict(reasons))


def _figures(devices: Sequence[Device], ends: Mapping[str, Ended]) -> Iterator[tuple[str, object]]:
    classes = Counter(ends[device.token].outcome for device in devices)
    words = Counter[Outcome]()
    for outcome, count in classes.items():
        words[OUTCOME_OF[outcome]] += count
    yield "audience", len(devices)
    yield "possible_duplicates", sum(ends[device.token].resent for device in devices)
    yield "open", 0
    for word in Outcome:
        yield word.value, words[word]
    for key, word in (("excluded_by", Outcome.EXCLUDED), ("failed_by_class", Outcome.FAILED)):
        yield key, {c.name.lower(): n for c, n in classes.items() if OUTCOME_OF[c] is word}
