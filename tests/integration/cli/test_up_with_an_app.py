"""`up --app-id`: a server with fixed keys, for suites that expect them."""

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from tests.integration.cli.conftest import Pushsvc, running

pytestmark = pytest.mark.integration


def asked(url: str, method: str, headers: Mapping[str, str], body: Any = None) -> tuple[int, Any]:
    """Send a request; return status and body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def keys_in_use(pushsvc: Pushsvc, app_id: str) -> dict[int, str]:
    listed = pushsvc("key", "list", "--app", app_id, "--json").json["keys"]
    return {key["id"]: key["kind"] for key in listed if key["revoked_at"] is None}


def test_a_suite_finds_its_app_keys_and_mount(
    pushsvc: Pushsvc, variables: Mapping[str, str]
) -> None:
    """Each key works, the printed address is right, and the app can be emptied."""
    app_id = f"suite-{uuid.uuid4().hex}"
    options = [
        *("up", "--mount", "/1", "--allow-reset", "--app-id", app_id),
        *("--master-key", "test", "--rest-key", "rest", "--javascript-key", "test"),
        *("--client-key", "client", "--windows-key", "windows"),
    ]
    of_app = {"X-Parse-Application-Id": app_id}
    master = of_app | {"X-Parse-Master-Key": "test"}
    with running(options, variables) as (_, told):
        assert told["parse"] == f"{told['url']}/1"
        assert told["app"] == app_id
        classes = f"{told['parse']}/classes/_Installation"
        for number, (name, key) in enumerate(
            (
                ("Master-Key", "test"),
                ("REST-API-Key", "rest"),
                ("Javascript-Key", "test"),
                ("Client-Key", "client"),
                ("Windows-Key", "windows"),
            )
        ):
            body = {"deviceType": "ios", "installationId": str(number)}
            assert asked(classes, "POST", of_app | {f"X-Parse-{name}": key}, body)[0] == 201
        assert asked(classes, "GET", of_app | {"X-Parse-REST-API-Key": "client"})[0] == 403
        assert len(asked(classes, "GET", master)[1]["results"]) == 5
        assert asked(f"{told['parse']}/_reset", "POST", master) == (200, {})
        assert asked(classes, "GET", master) == (200, {"results": []})
    made = keys_in_use(pushsvc, app_id)
    assert sorted(made.values()) == ["client", "javascript", "master", "rest", "windows"]
    shown = pushsvc("app", "show", app_id, "--json").json["keys"]
    assert all(len(key["hint"]) == 1 for key in shown), "short keys are not shown"

    with running(options, variables):
        assert keys_in_use(pushsvc, app_id) == made


def test_changed_keys_replace_those_of_before(
    pushsvc: Pushsvc, variables: Mapping[str, str]
) -> None:
    """The app has exactly the keys given; what is not Parse's is left to it."""
    app_id = f"suite-{uuid.uuid4().hex}"
    first = ["up", "--app-id", app_id, "--master-key", "one", "--rest-key", "rest"]
    with running(first, variables):
        pushsvc("key", "create", "--app", app_id, "--scope", "admin")
    before = keys_in_use(pushsvc, app_id)
    second = ["up", "--app-id", app_id, "--master-key", "two", "--client-key", "client"]
    with running(second, variables) as (_, told):
        where = f"{told['parse']}/classes/_Installation"
        of_app = {"X-Parse-Application-Id": app_id}
        assert asked(where, "GET", of_app | {"X-Parse-Master-Key": "one"})[0] == 403
        assert asked(where, "GET", of_app | {"X-Parse-REST-API-Key": "rest"})[0] == 403
        assert asked(where, "GET", of_app | {"X-Parse-Master-Key": "two"})[0] == 200
        assert (
            asked(f"{told['parse']}/_reset", "POST", of_app | {"X-Parse-Master-Key": "two"})[0]
            == 404
        )

    after = keys_in_use(pushsvc, app_id)
    assert sorted(after.values()) == ["api", "client", "master"]
    assert [kind for key, kind in after.items() if key in before] == ["api"]


def test_a_run_that_fails_leaves_the_keys_alone(
    pushsvc: Pushsvc, variables: Mapping[str, str]
) -> None:
    """Another one that serves the app on the same port goes on serving it."""
    app_id = f"suite-{uuid.uuid4().hex}"
    first = ["up", "--app-id", app_id, "--master-key", "one", "--rest-key", "rest"]
    with running(first, variables) as (_, told):
        before = keys_in_use(pushsvc, app_id)
        port = told["url"].rpartition(":")[2]
        ended = pushsvc("up", "--app-id", app_id, "--master-key", "two", "--port", port, "--json")
        assert (ended.status, ended.error["code"]) == (1, "port_taken")
        assert keys_in_use(pushsvc, app_id) == before


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (["--rest-key", "r"], "--rest-key"),
        (["--windows-key", "w"], "--windows-key"),
        (["--app-id", "a"], "--app-id"),
        (["--app-id", "a", "--rest-key", "r"], "--app-id"),
        (["--app-id", "", "--master-key", "m"], "--app-id"),
        (["--app-id", "a", "--master-key", "with space"], "--master-key"),
        (["--app-id", "a", "--master-key", "m", "--client-key", "ä"], "--client-key"),
    ],
)
def test_options_that_contradict_are_a_mistake(
    pushsvc: Pushsvc, options: list[str], field: str
) -> None:
    """Before anything is started."""
    ended = pushsvc("up", *options, "--json")

    assert (ended.status, ended.error["code"], ended.error["field"]) == (2, "usage", field)


@pytest.mark.parametrize("mount", ["/v1", "/v1/parse", "/readyz", "parse", "//", "/a b", ""])
def test_a_mount_that_cannot_be_is_a_mistake(pushsvc: Pushsvc, mount: str) -> None:
    """It names the setting."""
    ended = pushsvc("up", "--mount", mount, "--json")

    assert (ended.status, ended.error["code"]) == (2, "settings")
    assert "parse_mount" in ended.error["message"]


def test_a_name_that_another_app_has_is_told(pushsvc: Pushsvc) -> None:
    """The application id becomes the new app's name, too."""
    name = f"suite-{uuid.uuid4().hex}"
    pushsvc("app", "create", name)

    ended = pushsvc("up", "--app-id", name, "--master-key", "m", "--port", "0", "--json")

    assert (ended.status, ended.error["code"]) == (1, "exists")
