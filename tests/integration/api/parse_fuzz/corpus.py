"""The requests of a run, the same for the same seed: each value in each place, then at random."""

from collections.abc import Iterator
from random import Random

from tests.integration.api.parse_fuzz import large
from tests.integration.api.parse_fuzz.calls import any_call, resets
from tests.integration.api.parse_fuzz.queries import OPERANDS
from tests.integration.api.parse_fuzz.tables import each_operand, each_place
from tests.integration.api.parse_fuzz.values import ODD
from tests.integration.api.parse_fuzz.wire import (
    Keys,
    Request,
    by_headers,
    carried,
    master_request,
    spoiled,
)

RESETS = 0.01
SPOILED = 0.25


def each(keys: Keys) -> Iterator[Request]:
    """Yield a request for each value in each place, and each operand of each operator."""
    for call in each_operand(OPERANDS):
        yield master_request(call, keys)
    for place in each_place():
        for odd in ODD:
            yield master_request(place(odd), keys)


def too_much(keys: Keys) -> Iterator[Request]:
    """Yield a request for each thing of which there is too much."""
    for call in large.calls():
        yield master_request(call, keys)


def at_random(keys: Keys, spare: Keys, *, seed: int) -> Iterator[Request]:
    """Yield requests near the grammar, by any transport, one in four of them spoiled; no end.

    What empties an app is sent to the spare one.
    """
    dice = Random(seed)
    while True:
        if dice.random() < RESETS:
            request = by_headers(dice, resets(dice), spare)
        else:
            request = carried(dice, any_call(dice), keys)
        yield spoiled(dice, request) if dice.random() < SPOILED else request
