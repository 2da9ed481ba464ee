"""Campaigns from the command line."""

import asyncio
import contextlib
import json
import os
import pty
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pushsvc.config import Settings
from pushsvc.worker import run_worker
from tests.integration.cli.conftest import DEADLINE_SECONDS, Pushsvc

pytestmark = pytest.mark.integration

SALE = """\
name: sale
audience: {channels: [news]}
content: {data: {alert: Grüße}}
variants:
  - {name: plain, weight: 1}
  - {name: eager, weight: 1, content: {data: {alert: Los!}}}
schedule:
  cron: "0 9 * * MON"
  zone: Europe/Berlin
max_recipients: 2
"""


@pytest.fixture
def name(pushsvc: Pushsvc, tmp_path: Path) -> str:
    """An app of this test alone, with three devices in two zones."""
    name = f"app-{uuid.uuid4().hex[:12]}"
    assert pushsvc("app", "create", name).status == 0
    rows = [
        {
            "deviceType": "ios",
            "deviceToken": f"{n:064x}",
            "channels": ["news"],
            "timeZone": "Asia/Tokyo" if n else "Europe/Berlin",
        }
        for n in range(3)
    ]
    file = tmp_path / "in.ndjson"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert pushsvc("installation", "import", str(file), "--app", name).status == 0
    return name


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A campaign's file."""
    path = tmp_path / "sale.yaml"
    path.write_text(SALE, encoding="utf-8")
    return path


def test_a_campaign_is_seen_first_and_stored_with_a_yes(
    pushsvc: Pushsvc, name: str, file: Path
) -> None:
    """Its audience is larger than it says, so the number is to be confirmed."""
    app = ("--app", name)
    assert "No campaigns yet" in pushsvc("campaign", "list", *app).out
    previewed = pushsvc("campaign", "preview", str(file), *app).out
    for part in ("Grüße", "Los!", "eager", "50.0%", "Asia/Tokyo", "+0", "--confirm-recipients 3"):
        assert part in previewed
    seen = pushsvc("campaign", "preview", str(file), *app, "--json").json["preview"]
    assert (seen["audience"]["recipients"], seen["confirmation_required"]) == (3, True)

    large = pushsvc("campaign", "create", str(file), *app, "--json")
    assert (large.status, large.error["code"]) == (2, "confirmation_required")
    assert "--confirm-recipients 3" in large.err
    confirmed = ("--confirm-recipients", "3", "--json")
    made = pushsvc("campaign", "create", str(file), *app, *confirmed).json["campaign"]

    assert (made["state"], len(made["next_runs"])) == ("active", 5)
    assert pushsvc("campaign", "list", *app, "--json").json["campaigns"] == [made]
    assert "sale" in pushsvc("campaign", "list", *app, "--state", "active").out
    assert "No campaign is ended." in pushsvc("campaign", "list", *app, "--state", "ended").out
    again = pushsvc("campaign", "create", str(file), *app, "--json")
    assert (again.status, again.error["code"]) == (2, "campaign_exists")


def test_a_campaign_is_run_paused_resumed_and_called_off(
    pushsvc: Pushsvc, name: str, file: Path
) -> None:
    """Each command tells what has become of it, and `show` all of it."""
    app = ("--app", name)
    confirmed = ("--confirm-recipients", "3")
    pushsvc("campaign", "create", str(file), *app, *confirmed)
    file.write_text(SALE.replace("MON", "TUE"), encoding="utf-8")
    changed = pushsvc("campaign", "create", str(file), *app, "--replace", "--run")
    assert "at 09:00 on Tuesday, by the clock of Europe/Berlin" in changed.out
    assert "Run 1 is started: push " in changed.out

    paused = pushsvc("campaign", "pause", "sale", *app, "--json").json
    assert (paused["campaign"]["state"], paused["run"]["number"]) == ("paused", 1)
    shown = pushsvc("campaign", "show", "sale", *app).out
    for part in ("alert: Grüße", "paused", paused["run"]["push_id"], "by the clock of"):
        assert part in shown
    refused = pushsvc("campaign", "run", "sale", *app)
    assert refused.status == 2
    assert "It is paused" in refused.err
    resumed = pushsvc("campaign", "resume", paused["campaign"]["id"], *app)
    assert "is active. It runs next at" in resumed.out
    called_off = pushsvc("campaign", "cancel", "sale", *app).out
    assert "Campaign sale is cancelled." in called_off
    assert "Run 1 was under way. Nothing of it was sent." in called_off
    value = pushsvc("campaign", "show", "sale", *app, "--json").json
    assert [run["push_state"] for run in value["runs"]] == ["cancelled"]


def test_at_a_terminal_it_asks(
    pushsvc: Pushsvc, variables: Mapping[str, str], name: str, file: Path
) -> None:
    """Whether to send to so many; with a yes it is stored."""
    create = ("campaign", "create", str(file), "--app", name)

    assert answered(create, variables, answer="y") == 0

    assert len(pushsvc("campaign", "list", "--app", name, "--json").json["campaigns"]) == 1


def answered(arguments: Sequence[str], variables: Mapping[str, str], *, answer: str) -> int:
    """Run a command at a terminal and answer its question; return its status."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "pushsvc", *arguments],
        env=variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        told = b""
        with contextlib.closing(os.fdopen(ours, "r+b", buffering=0)) as terminal:
            while b"Send to all 3? [y/N]: " not in told:
                told += terminal.read(1024)
            terminal.write(f"{answer}\n".encode())
            # The end of a terminal is an error (EIO) to who reads it.
            with contextlib.suppress(OSError):
                while terminal.read(1024):
                    pass
        return process.wait(DEADLINE_SECONDS)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("content: {template: nothere}", ":3:21: /content/template: ", id="template"),
        pytest.param("content: {data: {sound: 5}}", ":3:25: /content/data/sound: ", id="content"),
    ],
)
def test_what_only_a_server_knows_names_the_line_too(
    pushsvc: Pushsvc, name: str, tmp_path: Path, *, line: str, told: str
) -> None:
    """A template that is not there, and content that no gateway would take."""
    file = tmp_path / "a.yaml"
    file.write_text(f"name: a\naudience: {{where: {{}}}}\n{line}\nschedule: {{every: 1d}}\n")

    ended = pushsvc("campaign", "create", str(file), "--app", name, "--json")

    assert ended.status == 2
    assert f"{file}{told}" in ended.error["message"]


def test_an_unknown_campaign_is_a_mistake(pushsvc: Pushsvc) -> None:
    """The commands say how to find those there are."""
    app = f"app-{uuid.uuid4().hex[:12]}"
    pushsvc("app", "create", app)
    for command in ("run", "watch", "cancel", "report"):
        ended = pushsvc("campaign", command, "nothere", "--app", app, "--json")

        assert (ended.status, ended.error["code"]) == (2, "unknown_campaign")
        assert f"pushsvc campaign list --app {app}" in ended.err


async def test_a_run_is_watched_and_reported(
    settings: Settings, pushsvc: Pushsvc, name: str, file: Path, tmp_path: Path
) -> None:
    """`watch` ends with the run, with a line of JSON for what changes; `report` has its devices."""
    app = ("--app", name)
    stop, ready = asyncio.Event(), asyncio.Event()

    def at_the_terminal() -> None:
        made = ("campaign", "create", str(file), *app, "--confirm-recipients", "3", "--run")
        assert pushsvc(*made).status == 0
        watched = pushsvc("campaign", "watch", "sale", *app, "--json")
        # There is no credential, so no gateway is asked.
        assert watched.status == 0
        assert watched.json["run"]["counts"]["failed"] == 3
        zones = {one["zone"]: one["devices"] for one in watched.json["waves"]}
        assert zones == {"Asia/Tokyo": 2, "Europe/Berlin": 1}
        events = {json.loads(line)["event"] for line in watched.out.splitlines()[:-1]}
        assert events <= {"waiting", "progress"}
        check_reports(pushsvc, app, watched.json["push"]["id"], tmp_path)
        assert pushsvc("campaign", "cancel", "sale", *app).status == 0
        over = pushsvc("campaign", "watch", "sale", *app).out
        assert "none will come: it is cancelled" in over

    worker = asyncio.create_task(run_worker(settings, stop=stop, ready=ready.set))
    await ready.wait()
    try:
        # Commands have a loop of their own, so they have a thread of their own, too.
        await asyncio.to_thread(at_the_terminal)
    finally:
        stop.set()
        await worker


def check_reports(pushsvc: Pushsvc, app: tuple[str, ...], push_id: str, directory: Path) -> None:
    """All runs, and one by its number or its push; in each form."""
    report = ("campaign", "report", "sale", *app)
    whole = pushsvc(*report, "--json").json["report"]
    assert [run["push_id"] for run in whole["runs"]] == [push_id]
    assert whole["total"]["failed"] == 3
    for one in (("--run", "1"), ("--push", push_id)):
        assert pushsvc(*report, *one, "--json").json["report"]["push"]["id"] == push_id
    assert "Asia/Tokyo" in pushsvc(*report).out
    assert "Asia/Tokyo" in pushsvc(*report, "--format", "csv").out
    page = directory / "sale.html"
    told = pushsvc(*report, "--format", "html", "--output", str(page), "--json").json
    assert told == {"file": str(page), "format": "html"}
    assert "<html" in page.read_text(encoding="utf-8")
    for mistake in (("--run", "2"), ("--push", "nothere"), ("--run", "1", "--push", push_id)):
        assert pushsvc(*report, *mistake).status == 2
