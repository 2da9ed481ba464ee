"""What the embedded PostgreSQL takes of the machine."""

import pytest

from pushsvc.embedded.postgresql import shared_megabytes


@pytest.mark.parametrize(
    ("gigabytes", "shared"), [(0.5, 128), (1, 128), (4, 512), (8, 1024), (64, 1024)]
)
def test_an_eighth_of_the_memory_within_bounds(gigabytes: float, shared: int) -> None:
    """A small machine keeps most of it; a large one gives what a million devices want."""
    assert shared_megabytes(int(gigabytes * (1 << 30))) == shared
