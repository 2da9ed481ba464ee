"""What a campaign asks of each of its runs: variants, quiet hours, caps and limits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import time
from enum import StrEnum
from typing import Any, Final

#: JSON as the callers send it and as the tables keep it.
Json = Mapping[str, Any]

#: The variant of those who are sent nothing, so that one can see what a campaign does.
HOLDOUT: Final = "holdout"


class QuietThen(StrEnum):
    """What becomes of a message whose device has quiet hours."""

    #: it waits until they are over
    DEFER = "defer"
    #: it is not sent
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One of several contents, for a share of the audience."""

    name: str
    #: its share is this over the sum of all, the holdout's included
    weight: int
    #: in full, as a push has it
    content: Json
    push_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """Hours of a device's own clock; from an evening to a morning where `start` is after `end`."""

    start: time
    end: time
    then: QuietThen


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyCap:
    """So many messages of all campaigns of the app, in so long, and a device gets no more."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseWhen:
    """Shares of what was tried beyond which a run is paused; None for a limit there is not."""

    #: of failures of all kinds
    failed_share: float | None
    #: of tokens that are dead or suspected
    invalid_share: float | None
    #: devices tried before a share says anything
    after_devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of one run."""

    #: the same for all runs of a campaign, so that a device stays in its variant
    salt: int
    #: empty where there is one content, the push's own
    variants: tuple[Variant, ...] = ()
    #: weight of those who get nothing
    holdout: int = 0
    quiet_hours: QuietHours | None = None
    cap: FrequencyCap | None = None
    #: a larger audience is not sent to before somebody says yes
    max_recipients: int | None = None
    #: its audience, where it was paused because that is larger, and nobody has said yes yet
    unconfirmed: int | None = None
    pause_when: PauseWhen | None = None


def rules_json(rules: Rules) -> Json:
    """Return the rules as the table keeps them."""
    told = asdict(rules)
    if rules.quiet_hours is not None:
        quiet = rules.quiet_hours
        told["quiet_hours"] = {
            "start": quiet.start.isoformat(),
            "end": quiet.end.isoformat(),
            "then": quiet.then.value,
        }
    return told


def rules_of(stored: Json) -> Rules:
    """Return the rules that the table keeps."""
    quiet, cap, pause = stored["quiet_hours"], stored["cap"], stored["pause_when"]
    return Rules(
        salt=stored["salt"],
        variants=tuple(Variant(**one) for one in stored["variants"]),
        holdout=stored["holdout"],
        quiet_hours=None if quiet is None else _quiet_hours(quiet),
        cap=None if cap is None else FrequencyCap(**cap),
        max_recipients=stored["max_recipients"],
        unconfirmed=stored.get("unconfirmed"),
        pause_when=None if pause is None else PauseWhen(**pause),
    )


def _quiet_hours(stored: Json) -> QuietHours:
    return QuietHours(
        start=time.fromisoformat(stored["start"]),
        end=time.fromisoformat(stored["end"]),
        then=QuietThen(stored["then"]),
    )
