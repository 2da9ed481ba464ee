"""When too much of a run fails for it to go on. Pure."""

from collections.abc import Mapping
from typing import Final

from pushsvc.model import AGAINST_TOKENS, OUTCOME_OF, Outcome, OutcomeClass, PauseWhen

#: What a gateway, or what stands in for its answer, has spoken on.
_TRIED: Final = frozenset({Outcome.SENT, Outcome.FAILED, Outcome.UNKNOWN})


def passed(rule: PauseWhen, classes: Mapping[OutcomeClass, int]) -> str | None:
    """Say which share has passed its limit, for people; None while none has.

    Whom the push was not sent to for its expiry, its end or a rule of its own says nothing.
    """
    by = {one: n for one, n in classes.items() if OUTCOME_OF.get(one) in _TRIED}
    tried = sum(by.values())
    if not tried or tried < rule.after_devices:
        return None
    failed = sum(n for one, n in by.items() if OUTCOME_OF[one] is Outcome.FAILED)
    invalid = sum(by.get(one, 0) for one in AGAINST_TOKENS)
    for what, n, limit in (
        ("had invalid tokens", invalid, rule.invalid_share),
        ("failed", failed, rule.failed_share),
    ):
        if limit is not None and n > limit * tried:
            return (
                f"{n:,} of the first {tried:,} devices {what}, which is {n / tried:.1%} and more "
                f"than {limit:.1%}."
            )
    return None
