"""`pushsvc push report`."""

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
async def push_id(settings: Settings, app_row: AppRow) -> str:
    """A push that went through all there is."""
    async with open_resources(settings.model_copy(update={"batch_size": 4})) as resources:
        return (await staged(Scene(app=app_row.app, resources=resources))).object_id


async def test_a_report_is_shown_or_written(pushsvc: Pushsvc, push_id: str, tmp_path: Path) -> None:
    """As tables, as one line of JSON, or as a file in each form; two at once are a mistake."""
    asked = ("push", "report", push_id)

    def ask() -> None:
        told = pushsvc(*asked)
        assert told.status == 0
        for part in (push_id, "Unregistered", "platform", "token_dead"):
            assert part in told.out
        found = pushsvc(*asked, "--json").json["report"]
        assert found["total"]["sent"] == 5
        assert json.loads(pushsvc(*asked, "--format", "json").out)["total"] == found["total"]
        assert pushsvc(*asked, "--format", "csv", "--output", "-").out.startswith("dimension,")
        for form, beginning in (("html", "<!doctype html>"), ("table", f"push {push_id}")):
            file = tmp_path / form
            written = pushsvc(*asked, "--format", form, "--output", str(file), "--json").json
            assert written == {"file": str(file), "format": form}
            assert file.read_text(encoding="utf-8").startswith(beginning)
        both = pushsvc(*asked, "--format", "csv", "--json")
        assert (both.status, both.error["code"]) == (2, "usage")

    # Commands have a loop of their own, so they have a thread of their own, too.
    await asyncio.to_thread(ask)
