"""Which devices get which variant of a run. Pure.

A device stays in its variant for as long as a campaign's salt and weights are the same: it is a
hash that says so, and nothing is stored.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from pushsvc.model import HOLDOUT, Rules

_MASK: Final = (1 << 64) - 1
#: SplitMix64: the step of its state, and the factors of its finalizer
#: (https://prng.di.unimi.it/splitmix64.c).
_GAMMA: Final = 0x9E3779B97F4A7C15
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB
#: A run with a holdout and one content only: what the two weights come to.
_WHOLE: Final = 100


def mixed(state: int) -> int:
    """Return a 64-bit number in which each bit depends on each of the state's."""
    state &= _MASK
    state = (state ^ state >> 30) * _FIRST & _MASK
    state = (state ^ state >> 27) * _SECOND & _MASK
    return state ^ state >> 31


def drawn(salt: int, installation_id: int) -> int:
    """Return the 64-bit hash of an installation under a salt."""
    return mixed(mixed(salt) + installation_id * _GAMMA)


def weights_of(rules: Rules | None) -> Mapping[str | None, int]:
    """Return the weight of each variant, and of the holdout; None names the push's own content."""
    if rules is None or not (rules.variants or rules.holdout):
        return {None: 1}
    found: dict[str | None, int] = {one.name: one.weight for one in rules.variants}
    if not found:
        found[None] = max(0, _WHOLE - rules.holdout)
    return {**found, HOLDOUT: rules.holdout} if rules.holdout else found


def split(rules: Rules | None, ids: Sequence[int]) -> Mapping[str | None, Sequence[int]]:
    """Return the installations that get each variant, in order; no variant that nobody gets."""
    weights = weights_of(rules)
    names = list(weights)
    if rules is None or len(names) == 1:
        return {names[0]: ids}
    bounds = list(accumulate(weights.values()))
    whole, salt = bounds[-1], mixed(rules.salt)
    parts: list[list[int]] = [[] for _ in names]
    for number in ids:
        parts[bisect_right(bounds, mixed(salt + number * _GAMMA) % whole)].append(number)
    return {name: part for name, part in zip(names, parts, strict=True) if part}
