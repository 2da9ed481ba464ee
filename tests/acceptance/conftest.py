"""Real servers for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.integration.embedded_fixtures import session_servers


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[str, str]]:
    """The URLs of a PostgreSQL and a Redis that live as long as the run."""
    with session_servers() as urls:
        yield urls
