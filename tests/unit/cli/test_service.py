"""What each worker process works on."""

import pytest

from pushsvc.cli import service
from pushsvc.config import Settings


@pytest.mark.parametrize(
    ("processes", "lanes", "expected"),
    [
        pytest.param(1, "both", ["both"], id="one has both"),
        pytest.param(3, "both", ["urgent", "bulk", "bulk"], id="the first has the urgent lane"),
        pytest.param(2, "bulk", ["bulk", "bulk"], id="as the setting says"),
    ],
)
def test_of_several_processes_the_first_has_the_urgent_lane(
    processes: int, lanes: str, expected: list[str]
) -> None:
    """What keeps the others busy is nothing to it."""
    read = Settings(processes=processes, lanes=lanes, database_url="postgresql://h/d")
    recipes = service.worker_recipes(read)
    assert [recipe.environment["PUSHSVC_LANES"] for recipe in recipes] == expected
