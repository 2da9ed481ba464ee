"""What of Parse belongs to Parse Server is refused with 108, and a sentence that says so."""

import pytest

from pushsvc.api.parse.refusals import NOT_OURS
from tests.integration.api.conftest import Api


@pytest.mark.parametrize("below", ["", "/one", "/one/two"])
@pytest.mark.parametrize("path", sorted(NOT_OURS))
async def test_what_is_parse_server_s_is_refused(api: Api, path: str, below: str) -> None:
    """The path and what is below it, whatever the method; the SDK's login by GET, too."""
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = await api.master(method, f"/{path}{below}")

        assert (answer.status, answer.body["code"]) == (400, 108)
        assert answer.body["error"].startswith(NOT_OURS[path])
        assert answer.body["error"].endswith("Send the request to a Parse Server.")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "login"),
        ("GET", "loginAs"),
        ("POST", "logout"),
        ("POST", "requestPasswordReset"),
        ("POST", "verificationEmailRequest"),
        ("GET", "verifyPassword"),
        ("GET", "sessions/me"),
        ("GET", "users/me"),
        ("POST", "files/picture.png"),
        ("POST", "functions/hello"),
        ("POST", "jobs/clean"),
        ("GET", "hooks/triggers"),
        ("POST", "graphql"),
        ("GET", "cloud_code/jobs"),
        ("GET", "schemas/Team"),
        ("GET", "config"),
        ("GET", "aggregate/Team"),
        ("DELETE", "purge/Team"),
        ("GET", "scriptlog"),
    ],
)
async def test_the_contract_s_paths_are_in_the_table(api: Api, method: str, path: str) -> None:
    """For clients as for the master key."""
    answer = await api.client(method, f"/{path}")

    assert (answer.status, answer.body["code"]) == (400, 108)


async def test_keys_are_looked_at_first(api: Api) -> None:
    """Who has none is told nothing else."""
    answer = await api.call("POST", "/parse/login")

    assert (answer.status, answer.body) == (403, {"error": "unauthorized"})


@pytest.mark.parametrize("path", ["loginx", "users/meagain/x", "configs", "x/login"])
async def test_a_path_that_only_looks_like_one_is_unknown(api: Api, path: str) -> None:
    """The table names whole parts of paths."""
    answer = await api.master("GET", f"/{path}")

    assert (answer.status, list(answer.body)) == (404, ["error"])
