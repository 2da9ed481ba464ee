"""What each worker process works on."""

import pytest

from pushsvc.cli import service
from pushsvc.config import Settings


@pytest.mark.parametrize(
    ("processes", "lanes", "expected"),
    [
        pytest.param(1, "both", ["both"], id="one has both"),
        pytest.param(2, "both", ["urgent", "bulk", "bulk"], id="one more for what is urgent"),
        pytest.param(2, "bulk", ["bulk", "bulk"], id="as the setting says"),
    ],
)
def test_beside_several_processes_one_more_has_the_urgent_lane(
    processes: int, lanes: str, expected: list[str]
) -> None:
    """What keeps them busy is nothing to it, and who asks for two has two for large pushes."""
    read = Settings(processes=processes, lanes=lanes, database_url="postgresql://h/d")
    recipes = service.worker_recipes(read)
    assert [recipe.environment["PUSHSVC_LANES"] for recipe in recipes] == expected
