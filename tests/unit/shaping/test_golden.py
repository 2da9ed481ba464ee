"""Each golden file: the installation gets of the push what the file says, to the letter."""

from collections.abc import Iterator
from typing import Any

import pytest

from pushsvc.shaping import aps, fcm_message
from pushsvc.shaping.apns import PUSH_TYPES
from tests.unit.shaping.golden.files import Golden, all_goldens, fields_of, made_of, text_of

GOLDENS = all_goldens()


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)
def test_golden(golden: Golden) -> None:
    """What our code makes is what was written down by hand, with where that is said."""
    assert text_of(made_of(golden)) == text_of(golden.expected)


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.name)
def test_every_golden_file_says_why(golden: Golden) -> None:
    """One sentence, which ends in its source in brackets; and it lies with its gateway."""
    assert golden.why.endswith("]")
    assert "[" in golden.why
    gateway = golden.expected.get("gateway")
    assert gateway in {None, golden.path.parent.name}


def test_every_field_has_a_golden_file() -> None:
    """Each push type, key of `aps` and of its alert, and field of FCM's messages is sent in one."""
    sent = {place for golden in GOLDENS if golden.is_sent for place in places(golden.expected)}
    types = {golden.expected.get("headers", {}).get("apns-push-type") for golden in GOLDENS}
    wanted = {
        *(f"/body/aps/{key}" for key in aps.OWN),
        *(f"/body/aps/alert/{key}" for key in aps.ALERT),
        *fields_of(fcm_message.RAW, "/body/message"),
    }
    assert wanted - sent == set()
    assert PUSH_TYPES.keys() - types == set()


def places(value: Any, where: str = "") -> Iterator[str]:
    for key, part in value.items() if isinstance(value, dict) else ():
        yield f"{where}/{key}"
        yield from places(part, f"{where}/{key}")
