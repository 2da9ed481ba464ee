"""Each golden file: the installation gets of the push what the file says, to the letter."""

import pytest

from tests.unit.shaping.golden.files import Golden, all_goldens, made_of, text_of

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
