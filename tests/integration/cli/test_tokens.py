"""What happened to tokens, seen and undone from the command line."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pushsvc.config import Settings
from pushsvc.model import OutcomeClass
from pushsvc.storage.engine import create_engine
from pushsvc.storage.tables import installations as i, pushes, token_events as e
from tests.integration.cli.conftest import Pushsvc

pytestmark = pytest.mark.integration

DEVICES = 3
Beside = Callable[[Callable[[AsyncConnection], Awaitable[Any]]], Any]


@pytest.fixture
def beside(settings: Settings) -> Beside:
    """Do something in the database, beside the command line."""

    async def do(work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        assert settings.database_url
        engine = create_engine(settings.database_url, connections=1)
        try:
            async with engine.begin() as connection:
                return await work(connection)
        finally:
            await engine.dispose()

    return lambda work: asyncio.run(do(work))


@pytest.fixture
def name(pushsvc: Pushsvc, tmp_path: Path) -> str:
    """An app of this test alone, with three installations."""
    name = f"app-{uuid.uuid4().hex[:12]}"
    assert pushsvc("app", "create", name).status == 0
    file = tmp_path / "devices.ndjson"
    rows = [
        {"deviceType": "ios", "deviceToken": f"{n:064x}", "installationId": f"{name}-{n}"}
        for n in range(DEVICES)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    assert pushsvc("installation", "import", str(file), "--app", name).status == 0
    return name


@pytest.fixture
def held(pushsvc: Pushsvc, name: str, beside: Beside) -> str:
    """The id of a closed push whose evidence against all of them is held."""
    sent = pushsvc("send", "--app", name, "--channel", "c", "--alert", "x", "--json")
    push_id: str = sent.json["push"]["id"]

    async def blame(connection: AsyncConnection) -> None:
        found = select(pushes.c.id, pushes.c.app_id).where(pushes.c.object_id == push_id)
        push = (await connection.execute(found)).one()
        closed = {"state": "done", "tokens_held": DEVICES, "finished_at": datetime.now(UTC)}
        await connection.execute(update(pushes).where(pushes.c.id == push.id).values(closed))
        there = select(i.c.id, i.c.device_token).where(i.c.app_id == push.app_id)
        for number, token in (await connection.execute(there)).all():
            values = {
                "app_id": push.app_id,
                "installation_id": number,
                "token": token,
                "kind": "held",
                "gateway": "apns",
                "scope": "apns:",
                "outcome": int(OutcomeClass.TOKEN_DEAD),
                "reason": "Unregistered",
                "push_id": push.id,
                "since": datetime.now(UTC) + timedelta(seconds=1),
            }
            await connection.execute(insert(e).values(values))

    beside(blame)
    return push_id


def test_what_is_held_is_listed_applied_and_taken_back(
    pushsvc: Pushsvc, name: str, held: str
) -> None:
    """Counted first, for whom wants to know; each step stands in the history."""
    listed = pushsvc("token", "held", "--app", name, "--json").json["pushes"]
    assert [(one["push"], one["app"], one["tokens_held"]) for one in listed] == [
        (held, name, DEVICES)
    ]
    assert held in pushsvc("token", "held").out
    assert "tokens held" in pushsvc("push", "show", held).out

    def count(*arguments: str) -> int:
        ended = pushsvc("token", *arguments, "--json").json
        return int(ended.get("retired", ended.get("restored")))

    assert count("retire", "--push", held, "--dry-run") == DEVICES
    assert count("retire", "--push", held) == DEVICES
    assert "Nothing is held" in pushsvc("token", "held", "--app", name).out
    assert count("restore", f"{name}-0", "--app", name) == 1
    assert count("restore", "--push", held, "--dry-run") == DEVICES - 1
    hour = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert count("restore", "--app", name, "--since", hour, "--dry-run") == DEVICES - 1
    assert "2 tokens came into use again" in pushsvc("token", "restore", "--push", held).out

    shown = pushsvc("token", "history", f"{name}-0", "--json").json
    assert shown["token"]["state"] == "active"
    assert [one["kind"] for one in shown["events"]] == ["restored", "retired", "held"]
    told = pushsvc("token", "history", f"{name}-1").out
    assert "Unregistered" in told
    assert held in told


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["restore"], "usage", "Give one of these"),
        (["restore", "a", "--push", "b"], "usage", "Give one of these"),
        (["restore", "--since", "2026-03-01T00:00:00Z"], "usage", "--app"),
        (["restore", "--app", "a", "--since", "yesterday"], "usage", "--since"),
        (["restore", "--app", "a", "--since", "2026-03-01T00:00:00"], "usage", "zone"),
        (["restore", "--push", "nosuch"], "unknown_push", "pushsvc push list"),
        (["restore", "nobody"], "unknown_installation", "'nobody'"),
        (["retire", "--push", "nosuch"], "unknown_push", "pushsvc push list"),
        (["history", "nobody"], "unknown_installation", "'nobody'"),
        (["history", "a\udcff"], "unknown_installation", "'a"),
        (["held", "--app", "no such app"], "unknown_app", "no such app"),
    ],
)
def test_mistakes_are_told(pushsvc: Pushsvc, arguments: list[str], code: str, told: str) -> None:
    """With status 2, a code, and what to do."""
    ended = pushsvc("token", *arguments, "--json")

    assert (ended.status, ended.error["code"]) == (2, code)
    assert told in ended.err


def test_a_push_on_its_way_is_not_overruled(pushsvc: Pushsvc, name: str) -> None:
    """Its evidence is not judged yet."""
    sent = pushsvc("send", "--app", name, "--channel", "c", "--alert", "x", "--json")

    ended = pushsvc("token", "retire", "--push", sent.json["push"]["id"], "--json")

    assert (ended.status, ended.error["code"]) == (2, "push_open")


def test_an_installation_of_several_apps_needs_a_name(pushsvc: Pushsvc, tmp_path: Path) -> None:
    """Ids that devices gave themselves are unique within an app only."""
    names = sorted(f"app-{uuid.uuid4().hex[:12]}" for _ in range(2))
    own = uuid.uuid4().hex
    file = tmp_path / "one.ndjson"
    file.write_text(json.dumps({"deviceType": "ios", "deviceToken": "t", "installationId": own}))
    for one in names:
        pushsvc("app", "create", one)
        pushsvc("installation", "import", str(file), "--app", one)

    ended = pushsvc("token", "history", own, "--json")

    assert (ended.status, ended.error["code"]) == (2, "ambiguous")
    assert ", ".join(names) in ended.err
    assert pushsvc("token", "history", own, "--app", names[0], "--json").status == 0
