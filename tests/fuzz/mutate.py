"""Changes to a script that know what its octets mean: steps, frames, and numbers within them."""

from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz import script
from tests.fuzz.script import Step

_HEAD_BYTES = 9
_MOST_CHANGES = 4
#: Inputs stay small: what needs much is a flood, which is a short step.
MOST_BYTES = 1_024

_LENGTHS = (0, 1, 4, 5, 8, 16_384, 16_385, 2**24 - 1)
_KINDS = (*range(11), 0xFA)
_FLAGS = (0, 1, 4, 5, 8, 9, 0x0D, 0x20, 0x2D, 0xFF)
_STREAM_IDS = (0, 1, 3, 5, 7, 9, 2, 2**31 - 1, 2**31 + 1)
_NUMBERS = (0, 1, 5, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)


class Mutator:
    """Changes scripts; `words` are what may be put into an argument, frames or other pieces."""

    def __init__(self, words: Sequence[bytes], *, framed: bool) -> None:
        self._words = words
        self._argument_changes: tuple[Callable[[bytes, Random], bytes], ...] = (
            (_octet_changed, self._word_put_in, _frame_changed, _frame_changed, _frame_moved)
            if framed
            else (_octet_changed, self._word_put_in, _octets_moved)
        )

    def mutated(self, octets: bytes, random: Random) -> bytes:
        """The script with some changes."""
        setting, steps = script.read(octets)
        for _ in range(random.randint(1, _MOST_CHANGES)):
            if not steps or random.random() < 0.2:
                self._change_steps(steps, random)
                setting = random.choice(
                    (setting, setting, setting, random.randrange(script.SETTINGS))
                )
            else:
                at = random.randrange(len(steps))
                operation, argument = steps[at]
                steps[at] = operation, random.choice(self._argument_changes)(argument, random)
        return script.written(setting, steps)[:MOST_BYTES]

    def _change_steps(self, steps: list[Step], random: Random) -> None:
        """Put one in, take one out, say one again, exchange two, or cut one in two."""
        at = random.randrange(len(steps) + 1)
        other = random.randrange(len(steps) + 1)
        what = random.randrange(5)
        if what == 0 or at == len(steps) or other == len(steps):
            steps.insert(at, (random.randrange(script.OPERATIONS), random.choice(self._words)))
        elif what == 1:
            del steps[at]
        elif what == 2:
            steps.insert(other, steps[at])
        elif what == 3:
            steps[at], steps[other] = steps[other], steps[at]
        else:
            operation, argument = steps[at]
            middle = random.randint(0, len(argument))
            steps[at : at + 1] = (operation, argument[:middle]), (operation, argument[middle:])

    def _word_put_in(self, argument: bytes, random: Random) -> bytes:
        at = random.choice(_bounds(argument))
        return argument[:at] + random.choice(self._words) + argument[at:]


def _octet_changed(argument: bytes, random: Random) -> bytes:
    """An octet more, less, or other."""
    at = random.randint(0, len(argument))
    octet = bytes((random.choice((random.randrange(256), 0, 1, 0x7F, 0x80, 0xFF)),))
    return argument[:at] + random.choice((octet, b"")) + argument[at + random.randint(0, 1) :]


def _octets_moved(argument: bytes, random: Random) -> bytes:
    """Some octets said again elsewhere."""
    start, to = random.randint(0, len(argument)), random.randint(0, len(argument))
    return argument[:to] + argument[start : start + random.randint(1, 40)] + argument[to:]


def _bounds(argument: bytes) -> list[int]:
    """Where frames begin, and the end."""
    at, bounds = 0, [0]
    while at + _HEAD_BYTES <= len(argument):
        at += _HEAD_BYTES + int.from_bytes(argument[at : at + 3], "big")
        bounds.append(min(at, len(argument)))
    return bounds


def _some_frame(argument: bytes, random: Random) -> tuple[int, int]:
    bounds = _bounds(argument)
    which = random.randrange(max(len(bounds) - 1, 1))
    return bounds[which], bounds[min(which + 1, len(bounds) - 1)]


def _frame_moved(argument: bytes, random: Random) -> bytes:
    """A frame goes, or is said again elsewhere."""
    start, end = _some_frame(argument, random)
    to = random.choice((None, *_bounds(argument)))
    if to is None:
        return argument[:start] + argument[end:]
    return argument[:to] + argument[start:end] + argument[to:]


def _frame_changed(argument: bytes, random: Random) -> bytes:
    """A frame of another type, with other flags, on another stream or with another payload."""
    start, end = _some_frame(argument, random)
    if end - start < _HEAD_BYTES:
        return _octet_changed(argument, random)
    length, kind, flags = argument[start : start + 3], argument[start + 3], argument[start + 4]
    stream_id, payload = argument[start + 5 : start + 9], argument[start + 9 : end]
    what = random.randrange(6)
    if what == 0:
        kind = random.choice(_KINDS)
    elif what == 1:
        flags = random.choice((*_FLAGS, flags ^ 1 << random.randrange(8)))
    elif what == 2:
        stream_id = random.choice(_STREAM_IDS).to_bytes(4, "big")
    elif what == 3:
        length = random.choice(_LENGTHS).to_bytes(3, "big")
    else:
        payload = _payload_changed(payload, random)
        length = len(payload).to_bytes(3, "big")
    return b"".join(
        (argument[:start], length, bytes((kind, flags)), stream_id, payload, argument[end:])
    )


def _payload_changed(payload: bytes, random: Random) -> bytes:
    """Other octets, or a number that is on some edge."""
    if random.random() < 0.5:
        return _octet_changed(payload, random)
    number = random.choice(_NUMBERS).to_bytes(4, "big")
    at = random.randint(0, len(payload))
    return payload[:at] + number + payload[at + 4 :]
