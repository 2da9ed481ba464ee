"""What an app lets callers do who have no master key, from the command line."""

import asyncio
import uuid

import pytest

from pushsvc.cli import session
from pushsvc.config import Settings
from pushsvc.model import AppSettings
from pushsvc.storage import apps
from tests.integration.cli.conftest import Pushsvc

pytestmark = pytest.mark.integration


@pytest.fixture
def name(pushsvc: Pushsvc) -> str:
    """An app of this test alone."""
    name = f"app-{uuid.uuid4().hex[:12]}"
    assert pushsvc("app", "create", name).status == 0
    return name


def stored(settings: Settings, name: str) -> AppSettings:
    """Return the settings as the service reads them."""

    async def read() -> AppSettings:
        async with session.reached(settings) as engine, engine.connect() as connection:
            found = await apps.find_app(connection, name)
            assert found is not None
            return found.settings

    return asyncio.run(read())


def test_a_new_app_has_the_defaults(pushsvc: Pushsvc, name: str) -> None:
    """Shown as such: no push without the master key, every class may be written."""
    shown = pushsvc("app", "show", name, "--json").json

    assert shown["app"]["name"] == name
    assert shown["settings"] == {
        "client_push": "default",
        "rest_push": "default",
        "client_writes": "all",
        "time_zone": "default",
    }


def test_settings_are_changed_one_by_one(settings: Settings, pushsvc: Pushsvc, name: str) -> None:
    """What is not named stays as it is; `default` and `all` take a setting back."""
    steps = [
        (["--client-push", "on"], AppSettings(client_push=True)),
        (
            ["--rest-push", "off", "--client-writes", "Team, Place,Team"],
            AppSettings(
                client_push=True, rest_push=False, client_writes=frozenset({"Team", "Place"})
            ),
        ),
        (
            ["--client-push", "default", "--client-writes", "none"],
            AppSettings(rest_push=False, client_writes=frozenset()),
        ),
        (["--rest-push", "default", "--client-writes", "all"], AppSettings()),
        (["--time-zone", "Europe/Berlin"], AppSettings(time_zone="Europe/Berlin")),
        (["--time-zone", "default"], AppSettings()),
    ]

    for options, expected in steps:
        ended = pushsvc("app", "set", name, *options, "--json")

        assert ended.status == 0
        assert stored(settings, name) == expected
        assert ended.json["settings"] == pushsvc("app", "show", name, "--json").json["settings"]


def test_settings_and_hints_of_keys_are_shown_to_people(pushsvc: Pushsvc, name: str) -> None:
    """A revoked key is not, and no key is in clear."""
    pushsvc("app", "set", name, "--client-writes", "Team,Place")
    made = pushsvc("key", "create", "--app", name, "--kind", "windows", "--json").json["key"]
    gone = pushsvc("key", "create", "--app", name, "--kind", "rest", "--json").json["key"]
    pushsvc("key", "revoke", str(gone["id"]))

    told = pushsvc("app", "show", name)

    assert "Place, Team" in told.out
    assert f"{made['hint']}…" in told.out
    assert made["key"] not in told.out
    shown = pushsvc("app", "show", name, "--json").json["keys"]
    assert made["id"] in {key["id"] for key in shown}
    assert gone["id"] not in {key["id"] for key in shown}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "give --client-push, --rest-push, --client-writes or --time-zone"),
        (["--time-zone", "europe/berlin"], "Did you mean Europe/Berlin?"),
        (["--time-zone", ""], "--time-zone: '' is no zone of the IANA database. Give"),
        (["--client-push", "yes"], "--client-push"),
        (["--client-writes", "Team;Place"], "--client-writes: 'Team;Place' is no name of a class"),
        (["--client-writes", ""], "--client-writes: '' is no name of a class"),
        (["--client-writes", "Team,"], "--client-writes: '' is no name of a class"),
    ],
)
def test_what_cannot_be_set_is_a_mistake(
    pushsvc: Pushsvc, name: str, options: list[str], told: str
) -> None:
    """Named with the option, and nothing is changed."""
    ended = pushsvc("app", "set", name, *options, "--json")

    assert (ended.status, ended.error["code"]) == (2, "usage")
    assert told in ended.error["message"]


@pytest.mark.parametrize("command", [["show"], ["set", "--client-push", "on"]])
def test_an_unknown_app_is_a_mistake(pushsvc: Pushsvc, command: list[str]) -> None:
    """It is named by the argument, not by an option that there is not."""
    ended = pushsvc("app", *command, "nobody", "--json")

    assert (ended.status, ended.error["code"]) == (2, "unknown_app")
    assert ended.error["field"] == "NAME"
