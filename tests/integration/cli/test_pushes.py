"""Pushes from the command line."""

import asyncio
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pushsvc.config import Settings
from pushsvc.worker import run_worker
from tests.integration.cli.conftest import Pushsvc

pytestmark = pytest.mark.integration


@pytest.fixture
def name(pushsvc: Pushsvc) -> str:
    """An app of this test alone."""
    name = f"app-{uuid.uuid4().hex[:12]}"
    assert pushsvc("app", "create", name).status == 0
    return name


def test_a_push_is_stored_listed_and_shown(pushsvc: Pushsvc, name: str) -> None:
    """`send` stores what its options say; `push list` and `push show` have it as /v1 has."""
    sent = pushsvc(
        *("send", "--app", name, "--channel", "news", "--channel", "sports", "--json"),
        *("--alert", "Hi", "--title", "T", "--badge", "Increment", "--sound", "s"),
        *("--data", '{"custom": {"a": [1]}, "badge": 3}', "--at", "2099-01-01T00:00:00Z"),
    )
    assert sent.status == 2
    assert sent.error["code"] == "invalid_push_time"

    sent = pushsvc(
        *("send", "--app", name, "--channel", "news", "--channel", "sports", "--json"),
        *("--alert", "Hi", "--title", "T", "--badge", "Increment", "--sound", "s"),
        *("--data", '{"custom": {"a": [1]}, "badge": 3}', "--expires-in", "60"),
        *("--on-unknown", "drop"),
    ).json["push"]

    assert sent["audience"] == {"channels": ["news", "sports"]}
    assert sent["data"] == {
        "alert": "Hi",
        "title": "T",
        "badge": "Increment",
        "sound": "s",
        "custom": {"a": [1]},
    }
    assert sent["expires_at"] is not None
    assert sent["on_unknown"] == "drop"
    shown = pushsvc("push", "show", sent["id"], "--json").json["push"]
    assert (shown["id"], shown["data"], shown["state"]) == (sent["id"], sent["data"], "waiting")
    listed = pushsvc("push", "list", "--app", name, "--json").json["pushes"]
    assert [one["id"] for one in listed] == [sent["id"]]
    assert sent["id"] in pushsvc("push", "show", sent["id"]).out
    assert "Hi" in pushsvc("push", "list", "--app", name).out


@pytest.mark.parametrize(
    ("arguments", "lane"),
    [
        pytest.param(["--where", '{"deviceType": "ios"}'], "bulk", id="a query is bulk"),
        pytest.param(["--where", "{}", "--urgent"], "urgent", id="unless it is urgent"),
        pytest.param(["--device", "A-B"], "urgent", id="a device is urgent by itself"),
    ],
)
def test_the_lane_is_by_audience_or_by_wish(
    pushsvc: Pushsvc, name: str, arguments: list[str], lane: str
) -> None:
    """The rules of the API hold here, too."""
    sent = pushsvc("send", "--app", name, "--alert", "x", "--badge", "7", *arguments, "--json")

    assert sent.json["push"]["lane"] == lane
    assert sent.json["push"]["data"]["badge"] == 7


def test_a_push_in_local_time_is_sent_and_previewed(pushsvc: Pushsvc, name: str) -> None:
    """`--at` without a zone; `--late` says what of it is still sent when it is past."""
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    push = ("--app", name, "--channel", "news", "--alert", "Hi", "--at", at, "--late", "skip")

    sent = pushsvc("send", *push, "--json").json["push"]
    told = pushsvc("push", "preview", *push)

    assert (sent["local_time"], sent["late"]) == (f"{at}.000", "skip")
    assert f"In local time, {at}.000: at " in told.out
    assert f"due at {at}.000 by each device's clock" in pushsvc("send", *push).out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["--channel", "c"], "data", id="nothing to say"),
        pytest.param(["--channel", "no spaces", "--alert", "x"], "--channel", id="no channel name"),
        pytest.param(["--where", '{"a": {"$no": 1}}', "--alert", "x"], "$no", id="no operator"),
        pytest.param(["--channel", "c", "--alert", "x", "--badge", "many"], "badge", id="badge"),
        pytest.param(
            ["--channel", "c", "--alert", "x", "--at", "tomorrow"], "not valid time", id="time"
        ),
        pytest.param(
            ["--channel", "c", "--alert", "x", "--expires-in", "-1"], "greater than 0", id="expiry"
        ),
    ],
)
def test_what_the_api_refuses_is_refused_here(
    pushsvc: Pushsvc, name: str, arguments: list[str], told: str
) -> None:
    """The same checks, with status 2 and nothing stored."""
    ended = pushsvc("send", "--app", name, *arguments)

    assert ended.status == 2
    assert told in ended.err
    assert pushsvc("push", "list", "--app", name, "--json").json["pushes"] == []


def test_a_push_can_be_seen_before_it_is_sent(pushsvc: Pushsvc, name: str, tmp_path: Path) -> None:
    """`push preview` takes the options of `send`, and a body as the API takes it."""
    devices, body = tmp_path / "in.ndjson", tmp_path / "body.json"
    row = {"deviceType": "ios", "deviceToken": "0" * 64, "appIdentifier": "com.example.app"}
    devices.write_text(json.dumps(row))
    body.write_text(json.dumps({"where": {}, "data": {"alert": "Hi", "alert-de": "Na", "a": 1}}))
    pushsvc("installation", "import", str(devices), "--app", name)
    asked = ("push", "preview", "--app", name, "--file", str(body), "--badge", "7")

    found = pushsvc(*asked, "--json").json["preview"]

    assert found["audience"]["excluded"] == {"no_credential": 1}
    assert {one["locale"] for one in found["variants"]} == {None, "de"}
    request = found["variants"][0]["request"]
    assert request["body"] == {"aps": {"alert": "Hi", "badge": 7}, "a": 1}
    told = pushsvc(*asked).out
    for part in ("/3/device/0000", "apns-push-type: alert", '"alert": "Na"', "no_credential"):
        assert part in told
    assert pushsvc("push", "list", "--app", name, "--json").json["pushes"] == []


def test_options_win_over_the_file(pushsvc: Pushsvc, name: str, tmp_path: Path) -> None:
    """Within `data` key by key; another audience replaces the file's."""
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"where": {}, "data": {"alert": "Hi", "a": 1}, "collapse_id": "c"}))

    sent = pushsvc(
        *("send", "--app", name, "--file", str(body), "--alert", "Ho", "--channel", "news"),
        *("--validate-only", "--json"),
    ).json["push"]

    assert sent["data"] == {"alert": "Ho", "a": 1}
    assert sent["audience"] == {"channels": ["news"]}
    assert (sent["collapse_id"], sent["validate_only"]) == ("c", True)
    assert sent["expires_at"] is None
    body.write_text(json.dumps({"where": {}, "data": {"alert": "Hi"}, "expiration_time": 1}))
    once_more = ("send", "--app", name, "--file", str(body), "--expires-in", "60", "--json")
    assert pushsvc(*once_more).json["push"]["expires_at"] is not None
    nowhere = pushsvc("send", "--app", name, "--file", str(tmp_path / "none.json"), "--json")
    assert (nowhere.status, nowhere.error["field"]) == (2, "--file")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--at", "yesterday"),
        ("--expires-in", "-5"),
        ("--rate-per-minute", "0"),
        ("--badge", "foo"),
        ("--alert", "{{ a"),
        ("--data", '{"sound": 5}'),
        ("--template", "nothere"),
        ("--channel", "1"),
        ("--where", '{"a": {"$no": 1}}'),
    ],
)
@pytest.mark.parametrize("command", [("send",), ("push", "preview")], ids="-".join)
def test_a_mistake_has_the_name_of_its_option(
    pushsvc: Pushsvc, name: str, command: tuple[str, ...], option: str, value: str
) -> None:
    """What was written is what is told, and not where the API would have it."""
    whom = () if option in {"--channel", "--where"} else ("--channel", "news")
    ended = pushsvc(*command, "--app", name, *whom, "--title", "T", option, value, "--json")
    assert (ended.status, ended.error["field"]) == (2, option)
    assert ended.error["message"].startswith(f"{option}: ")


def test_the_alert_may_be_shortened(pushsvc: Pushsvc, name: str) -> None:
    """Without that, a text that no gateway takes is refused."""
    long = ("send", "--app", name, "--channel", "news", "--alert", "a" * 9000, "--json")
    assert "truncate" in pushsvc(*long).error["message"]
    assert pushsvc(*long, "--truncate").json["push"]["truncate"] is True


def test_an_unknown_push_is_a_mistake(pushsvc: Pushsvc) -> None:
    """`show` and `watch` say how to find pushes."""
    for command in ("show", "watch"):
        ended = pushsvc("push", command, "nothere", "--json")
        assert (ended.status, ended.error["code"]) == (2, "unknown_push")
        assert "pushsvc push list" in ended.err


async def test_send_waits_until_every_device_has_its_outcome(
    settings: Settings, pushsvc: Pushsvc, name: str, tmp_path: Path
) -> None:
    """`send --wait` and `push watch` return when a worker has closed the push."""
    file = tmp_path / "in.ndjson"
    rows = [{"deviceType": "ios", "deviceToken": f"{n:064x}"} for n in range(3)]
    file.write_text("\n".join(map(json.dumps, rows)))
    stop, ready = asyncio.Event(), asyncio.Event()

    def wait() -> None:
        pushsvc("installation", "import", str(file), "--app", name)
        sent = pushsvc("send", "--app", name, "--where", "{}", "--alert", "x", "--wait", "--json")
        # There is no credential, so no gateway is asked: each device fails for that reason, and
        # a script that sends to somebody in particular must notice.
        assert sent.status == 1
        assert sent.json["push"]["state"] == "done"
        assert sent.json["push"]["by_device_type"]["ios"]["failed"] == 3
        watched = pushsvc("push", "watch", sent.json["push"]["id"])
        assert watched.status == 0
        assert "failed" in watched.out

    worker = asyncio.create_task(run_worker(settings, stop=stop, ready=ready.set))
    await ready.wait()
    try:
        # Commands have a loop of their own, so they have a thread of their own, too.
        await asyncio.to_thread(wait)
    finally:
        stop.set()
        await worker
