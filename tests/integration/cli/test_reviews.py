"""`pushsvc push explain` and `push outcomes`."""

import asyncio
import json
from pathlib import Path

import pytest

from pushsvc.config import Settings
from pushsvc.resources import open_resources
from tests.integration.cli.conftest import Pushsvc
from tests.integration.conftest import AppRow
from tests.integration.reviewed import Scene, staged


@pytest.fixture
async def ids(settings: Settings, app_row: AppRow) -> dict[str, str]:
    """The ids of a push that went through all there is, and of its installations by name."""
    async with open_resources(settings.model_copy(update={"batch_size": 4})) as resources:
        scene = Scene(app=app_row.app, resources=resources)
        push = await staged(scene)
        await scene.install("new")
    return {**scene.ids, "push": push.object_id}


async def test_a_device_of_a_push_has_its_story(pushsvc: Pushsvc, ids: dict[str, str]) -> None:
    """For people and as JSON; a device that is not there is a mistake."""

    def ask() -> None:
        told = pushsvc("push", "explain", ids["push"], ids["retried"])
        assert told.status == 0
        for part in ("accepted", "possible duplicate", "resent", "Stopped", ids["retried"]):
            assert part in told.out
        found = pushsvc("push", "explain", ids["push"], ids["dead"], "--json").json["explanation"]
        assert (found["class"], found["reason"]) == ("token_dead", "Unregistered")
        assert "created_after_plan" in pushsvc("push", "explain", ids["push"], ids["new"]).out
        nobody = pushsvc("push", "explain", ids["push"], "nobody", "--json")
        assert (nobody.status, nobody.error["code"]) == (2, "not_found")
        assert pushsvc("push", "explain", "nothere", "x", "--json").error["code"] == "unknown_push"

    # Commands have a loop of their own, so they have a thread of their own, too.
    await asyncio.to_thread(ask)


async def test_outcomes_are_shown_and_exported(
    pushsvc: Pushsvc, ids: dict[str, str], tmp_path: Path
) -> None:
    """Some of them in a table or as JSON, all of them as lines, to a file or to stdout."""
    file = tmp_path / "out.ndjson"
    asked = ("push", "outcomes", ids["push"])

    def ask() -> None:
        table = pushsvc(*asked, "--outcome", "failed").out
        assert ids["dead"] in table
        assert ids["sent"] not in table
        some = pushsvc(*asked, "--limit", "3", "--json").json
        assert (len(some["outcomes"]), some["more"]) == (3, True)
        assert "--ndjson" in pushsvc(*asked, "--limit", "3").out
        assert pushsvc(*asked, "--ndjson", str(file), "--json").json == {
            "written": 8,
            "file": str(file),
            "state": "done",
        }
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert lines[:3] == some["outcomes"]
        failed = pushsvc(*asked, "--class", "token_dead", "--ndjson", "-").out.splitlines()
        assert [json.loads(line)["installation"] for line in failed] == [ids["dead"]]

    await asyncio.to_thread(ask)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--class", "carried"], "--class"),
        (["--class", "ok", "--outcome", "failed"], "--outcome"),
        (["--ndjson", "-"], "--json"),
        (["--ndjson", "/no/such/folder/x"], "--ndjson"),
    ],
)
async def test_a_mistake_names_its_option(
    pushsvc: Pushsvc, ids: dict[str, str], arguments: list[str], field: str
) -> None:
    """As everywhere."""

    def ask() -> None:
        ended = pushsvc("push", "outcomes", ids["push"], *arguments, "--json")
        assert (ended.status, ended.error["field"]) == (2, field)

    await asyncio.to_thread(ask)
