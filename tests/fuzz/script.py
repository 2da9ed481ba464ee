"""A conversation as octets and back: any octets are one, so whatever is mutated still is."""

from collections.abc import Sequence

#: What to do, and with what. Frames and header blocks are just said; the core has all of these,
#: and whatever is none of them is said to it.
Step = tuple[int, bytes]
HEAR, OPEN, TAKE, EXPIRE, CANCEL, TICK, FLOOD = range(7)
OPERATIONS = 64

#: The setting says which limits there are. Of so many settings one alone has floods, which are
#: slow.
SETTINGS = 16
SLOW_SETTING = 15

MOST_ARGUMENT_BYTES = 2**16 - 1
_STEP_HEAD_BYTES = 3


def written(setting: int, steps: Sequence[Step]) -> bytes:
    """One octet of setting; then each step as operation, length and argument."""
    pieces = [bytes((setting,))]
    for operation, argument in steps:
        length = min(len(argument), MOST_ARGUMENT_BYTES)
        pieces += (bytes((operation,)), length.to_bytes(2, "big"), argument[:length])
    return b"".join(pieces)


def read(octets: bytes) -> tuple[int, list[Step]]:
    """The setting and the steps; what is cut off at the end is as long as it is."""
    steps: list[Step] = []
    at = 1
    while at < len(octets):
        end = at + _STEP_HEAD_BYTES + int.from_bytes(octets[at + 1 : at + _STEP_HEAD_BYTES], "big")
        steps.append((octets[at], octets[at + _STEP_HEAD_BYTES : end]))
        at = end
    return octets[0] if octets else 0, steps
