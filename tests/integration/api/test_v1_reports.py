"""Reports of pushes and of campaigns, and the opens in them."""

import csv
import io
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import pytest
from sqlalchemy import text, update

from pushsvc.api.v1.report_views import CampaignReportView, PushReportView
from pushsvc.config import Settings
from pushsvc.planning import variants
from pushsvc.resources import open_resources
from pushsvc.stats import tally
from pushsvc.storage import tables
from tests.integration import reported
from tests.integration.api.conftest import Api
from tests.integration.conftest import AppRow
from tests.integration.reported import ODD, RULES, C, Piece
from tests.integration.reviewed import Scene, staged

MIXED = ("ios", "android", "android", "ios")
PIECES = [
    Piece(
        variant="a",
        zone="Europe/Berlin",
        ends=[C.OK, C.OK, C.TOKEN_DEAD, C.CARRIED],
        types=MIXED,
        reasons={"UNREGISTERED": [2], "InternalServerError": [3]},
        again=[3],
    ),
    Piece(
        variant=ODD,
        zone="Asia/Tokyo",
        ends=[C.OK, C.TOKEN_DEAD, C.EXPIRED, C.RETRY_BACKOFF],
        types=MIXED,
        reasons={"Unregistered": [1], "@odd": [3], "Expired": [2]},
    ),
    Piece(variant=ODD, zone="", ends=[C.NO_TIME_ZONE, C.NO_TIME_ZONE]),
    Piece(variant="holdout", zone="Asia/Tokyo", ends=[C.HOLDOUT]),
]
AGAIN = [Piece(variant="a", zone="Europe/Berlin", ends=[C.OK])]


@pytest.fixture
async def scene(settings: Settings, app_row: AppRow) -> AsyncIterator[Scene]:
    """An app whose pushes have batches of four."""
    async with open_resources(settings.model_copy(update={"batch_size": 4})) as resources:
        yield Scene(app=app_row.app, resources=resources)


async def report(api: Api, path: str, **params: Any) -> dict[str, Any]:
    answer = await api.v1("GET", f"/v1/{path}/report", params=params)
    assert answer.status == 200, answer.body
    model = CampaignReportView if path.startswith("campaigns") else PushReportView
    model.model_validate(answer.body)
    found: dict[str, Any] = answer.body
    return found


def sums(found: list[dict[str, Any]], *names: str) -> dict[str | None, list[Any]]:
    """Return some figures of each line, by its value."""
    return {line["value"]: [line[name] for name in names] for line in found}


async def test_a_report_adds_up_to_the_push_s_counts(api: Api, scene: Scene) -> None:
    """In all and by each thing it is by; a device that was tried again counts once, at its end."""
    key, _ = await reported.campaign(scene)
    push = await reported.run(scene, key, PIECES, follow_ups=AGAIN)

    found = await report(api, f"pushes/{push.object_id}")

    counts = tally.total(await reported.counts_of(scene, push))
    total = found["total"]
    words = {outcome.value: n for outcome, n in tally.by_outcome(counts).items()}
    assert {word: total[word] for word in words} == words
    assert (total["audience"], total["open"], push.devices) == (11, 0, 11)
    assert total["excluded_by"] == {"holdout": 1, "no_time_zone": 2}
    # Of places whose end is another one there is no reason to tell.
    assert total["failed_by_reason"] == {"@odd": 1, "UNREGISTERED": 1, "Unregistered": 1}
    assert total["failed_by_class"] == {"token_dead": 2, "retry_backoff": 1}
    for key_of in ("by_variant", "by_platform", "by_zone", "by_hour"):
        for word in (*words, "audience"):
            assert sum(line[word] for line in found[key_of]) == total[word], (key_of, word)
    of_variants = sums(found["by_variant"], "audience", "sent", "failed_by_reason")
    assert list(of_variants) == [ODD, "a", "holdout"]
    assert of_variants["a"] == [4, 3, {"UNREGISTERED": 1}]
    assert sums(found["by_zone"], "sent", "excluded") == {
        "": [0, 2],
        "Asia/Tokyo": [1, 1],
        "Europe/Berlin": [3, 0],
    }
    assert sums(found["by_platform"], "sent", "failed") == {"android": [1, 2], "ios": [3, 1]}
    failed = {(one["reason"], one["class"]): one["devices"] for one in found["failures"]}
    assert failed == {
        ("@odd", "retry_backoff"): 1,
        ("UNREGISTERED", "token_dead"): 1,
        ("Unregistered", "token_dead"): 1,
    }


async def test_a_report_of_a_push_under_way_has_what_is_open(api: Api, scene: Scene) -> None:
    """Devices in batches that are not finished: of their variant and zone, and of no hour yet."""
    key, _ = await reported.campaign(scene)
    waiting = Piece(variant="a", zone="Asia/Tokyo", ends=None, size=3)
    push = await reported.run(scene, key, [*PIECES, waiting])

    found = await report(api, f"pushes/{push.object_id}")

    assert found["push"]["state"] == "sending"
    # Three and the one that is carried on.
    assert (found["total"]["audience"], found["total"]["open"]) == (14, 4)
    assert sums(found["by_zone"], "open")["Asia/Tokyo"] == [3]
    assert (found["by_hour"][-1]["value"], found["by_hour"][-1]["open"]) == (None, 4)
    assert sums(found["by_platform"], "open")[None] == [4]


async def test_a_push_without_variants_is_reported_by_platform_and_hour(
    api: Api, scene: Scene
) -> None:
    """There is nothing to tell apart by variant or zone, and its opens have hours only."""
    push = await staged(scene)
    await api.v1("POST", f"/v1/pushes/{push.object_id}/opens")

    found = await report(api, f"pushes/{push.object_id}")

    assert (found["by_variant"], found["by_zone"]) == ([], [])
    assert found["total"]["possible_duplicates"] == 1
    assert found["total"]["audience"] == push.devices == 8
    assert found["by_platform"][0]["opens"] is None
    assert (found["by_hour"][0]["opens"], found["total"]["opens"]) == (1, 1)


async def test_a_ledger_that_was_dropped_leaves_the_counts(api: Api, scene: Scene) -> None:
    """They are the push's own, and the report says what it lacks."""
    key, object_id = await reported.campaign(scene)
    push = await reported.run(scene, key, PIECES, follow_ups=AGAIN)
    await api.client("POST", "/events/AppOpened", json={"push_hash": reported.B})
    whole = await report(api, f"pushes/{push.object_id}")
    assert sums(whole["by_variant"], "opens") == {ODD: [1], "a": [0], "holdout": [0]}
    async with scene.resources.engine.begin() as connection:
        await connection.execute(text("DELETE FROM batches WHERE push_id = :id"), {"id": push.id})

    found = await report(api, f"pushes/{push.object_id}")

    assert (whole["ledger_dropped"], found["ledger_dropped"]) == (False, True)
    assert (found["total"]["audience"], found["total"]["opens"]) == (11, 1)
    assert sums(found["by_platform"], "sent") == sums(whole["by_platform"], "sent")
    assert (found["by_variant"], found["failures"]) == ([], [])
    await reported.run(scene, key, PIECES, follow_ups=AGAIN, number=2)
    both = await report(api, f"campaigns/{object_id}")
    assert (both["ledger_dropped"], both["total"]["opens"]) == (True, 1)
    # An open rate is of opens and messages of the same runs.
    assert sums(both["by_variant"], "audience", "opens") == {
        ODD: [6, 0],
        "a": [4, 0],
        "holdout": [1, 0],
        None: [11, 1],
    }


async def test_opens_of_a_run_have_variant_platform_and_zone(api: Api, scene: Scene) -> None:
    """By the installation that tells them, or by the alert's hash; the newest run is meant."""
    key, object_id = await reported.campaign(scene)
    await reported.run(scene, key, PIECES, follow_ups=AGAIN)
    push = await reported.run(scene, key, PIECES, follow_ups=AGAIN, number=2)
    await scene.install("known", time_zone="Asia/Tokyo", device_type="android")
    await scene.install("nowhere", time_zone="Nowhere/Land")
    (mine,) = variants.split(RULES, [scene.keys["known"]])
    (other,) = variants.split(RULES, [scene.keys["nowhere"]])
    told = {"push_hash": reported.B}

    for body in (told, {"push_hash": "of nobody"}):
        answer = await api.client("POST", "/events/AppOpened", json=body)
        assert answer.status == 200
    device = {"X-Parse-Installation-Id": f"KNOWN-{scene.app.id}"}
    await _parse_event(api, told, device)
    path = f"/v1/pushes/{push.object_id}/opens"
    body = {"installation_id": f"nowhere-{scene.app.id}", "at": "2001-01-01T00:00:00Z"}
    assert (await api.v1("POST", path, json=body)).status == 204

    found = await report(api, f"pushes/{push.object_id}")
    total = found["total"]
    assert (total["opens"], total["open_rate"]) == (3, 0.75)
    expected: dict[str | None, int] = {ODD: 1}
    for name in (mine, other):
        expected[name] = expected.get(name, 0) + 1
    opens = {line["value"]: line["opens"] for line in found["by_variant"] if line["opens"]}
    assert opens == expected
    assert sums(found["by_zone"], "opens") == {
        "": [1],
        "Asia/Tokyo": [1],
        "Europe/Berlin": [0],
        None: [1],
    }
    assert sums(found["by_platform"], "opens") == {"android": [1], "ios": [1], None: [1]}
    assert sum(line["opens"] for line in found["by_hour"]) == 3
    together = await report(api, f"campaigns/{object_id}")
    figures = [(run["number"], run["figures"]["opens"]) for run in together["runs"]]
    assert figures == [(2, 3), (1, 0)]


async def _parse_event(api: Api, body: dict[str, Any], headers: dict[str, str]) -> None:
    keys = {
        "X-Parse-Application-Id": api.row.app.application_id,
        "X-Parse-REST-API-Key": api.row.rest_key,
    }
    path = "/parse/events/AppOpened"
    assert (await api.call("POST", path, json=body, headers={**keys, **headers})).status == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"at": "soon"}, "/at"),
        ({"at": 5}, "/at"),
        ({"installation_id": 5}, "/installation_id"),
        ({"device": "x"}, "/device"),
    ],
)
async def test_a_malformed_open_is_refused(
    api: Api, scene: Scene, body: dict[str, Any], pointer: str
) -> None:
    """With a pointer to the key at fault; an open of no push of the app is 404."""
    push = await scene.push()

    answer = await api.v1("POST", f"/v1/pushes/{push.object_id}/opens", json=body)

    assert (answer.status, answer.pointers) == (400, [pointer])
    assert (await api.v1("POST", "/v1/pushes/nothereyet/opens")).status == 404


async def test_a_campaign_is_reported_run_by_run(api: Api, scene: Scene) -> None:
    """Newest first and in pages, by id or name; those that were skipped or forgotten, too."""
    key, object_id = await reported.campaign(scene, "sale-1")
    first = await reported.run(scene, key, PIECES, follow_ups=AGAIN)
    second = await reported.run(scene, key, AGAIN, number=2)
    await reported.run(scene, key, AGAIN, number=3)
    runs = tables.campaign_runs.c
    async with scene.resources.engine.begin() as connection:
        skipped = {"push_id": None, "state": "skipped", "reason": "overlap"}
        of_key = update(tables.campaign_runs).where(runs.campaign_id == key)
        await connection.execute(of_key.where(runs.number == 3).values(skipped))

    found = await report(api, "campaigns/sale-1", limit=2)

    assert found["campaign"] == {"id": object_id, "name": "sale-1", "state": "active"}
    assert [(one["number"], one["push_id"], one["reason"]) for one in found["runs"]] == [
        (3, None, "overlap"),
        (2, second.object_id, None),
    ]
    assert (found["runs"][0]["figures"], found["total"]["sent"]) == (None, 1)
    older = await report(api, f"campaigns/{object_id}", cursor=found["next_cursor"])
    assert [one["push_id"] for one in older["runs"]] == [first.object_id]
    assert (older["total"]["audience"], older["next_cursor"]) == (11, None)
    assert (await api.v1("GET", "/v1/campaigns/other/report")).status == 404
    wrong = await api.v1("GET", "/v1/campaigns/sale-1/report", params={"cursor": "x"})
    assert (wrong.status, wrong.pointers) == (400, ["?cursor"])


async def test_a_report_can_be_a_table(api: Api, scene: Scene) -> None:
    """Of one line for each value and each reason of failures; no cell is a formula."""
    key, _ = await reported.campaign(scene)
    push = await reported.run(scene, key, PIECES, follow_ups=AGAIN)
    found = await report(api, f"pushes/{push.object_id}")

    path = f"/v1/pushes/{push.object_id}/report"
    answer = await api.v1("GET", path, headers={"Accept": "text/csv, */*;q=0.1"})

    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    total, *reasons = [row for row in rows if row["dimension"] == "total"]
    assert (total["audience"], total["sent"]) == ("11", str(found["total"]["sent"]))
    assert total["excluded_holdout"] == "1"
    assert {row["reason"]: row["failed"] for row in reasons} == {
        "'@odd": "1",
        "UNREGISTERED": "1",
        "Unregistered": "1",
    }
    of_variants = {r["value"] for r in rows if r["dimension"] == "variant"}
    assert of_variants == {"a", f"'{ODD}", "holdout"}
    assert not [cell for row in rows for cell in row.values() if cell[:1] in {"=", "+", "-", "@"}]


class Page(HTMLParser):
    """A page as a browser reads it: its cells, and what it would load or run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self._is_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is there."""
        self.tags.append(tag)
        self.links += [name for name, _ in attrs if name in {"href", "src", "style"}]
        if tag == "tr":
            self.rows.append([])
        self._is_cell = tag in {"td", "th"}
        if self._is_cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        if tag in {"td", "th"}:
            self._is_cell = False

    def handle_data(self, data: str) -> None:
        """Read a cell."""
        if self._is_cell:
            self.rows[-1][-1] += data


async def test_a_report_can_be_a_page(api: Api, scene: Scene) -> None:
    """It needs nothing from elsewhere, names are escaped, and its figures are the report's."""
    key, object_id = await reported.campaign(scene)
    push = await reported.run(scene, key, PIECES, follow_ups=AGAIN)
    path = f"/v1/pushes/{push.object_id}"
    await api.v1("POST", f"{path}/opens")
    found = await report(api, f"pushes/{push.object_id}")

    answer = await api.v1("GET", f"{path}/report", params={"format": "html"})

    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    shown = answer.body.decode()
    page = Page(shown)
    assert not {"script", "link", "img", "b", "iframe"} & set(page.tags)
    assert (page.links, "//" in shown.replace("<!doctype", "")) == ([], False)
    assert page.tags.count("svg") == 5
    cells = {row[0]: row for row in page.rows}
    for line in found["by_variant"]:
        name = line["value"] or "(not known)"
        figures = [str(line["audience"]), str(line["sent"]), str(line["failed"])]
        assert set(figures) <= set(cells[name]), name
    assert cells["@odd"] == ["@odd", "retry_backoff", "1", "33.3%"]
    whole = await api.v1("GET", f"/v1/campaigns/{object_id}/report?format=html")
    assert push.object_id in whole.body.decode()
    wrong = await api.v1("GET", f"{path}/report", params={"format": "pdf"})
    assert (wrong.status, wrong.pointers) == (400, ["?format"])
