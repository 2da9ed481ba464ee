"""The control endpoint: stats, ledger pages, scripts, registrations, reset."""

from typing import Any

import aiohttp
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pushsvc.simulators import Knobs, Simulators
from tests.integration.simulators.client import TOKEN, apns_fields, connect
from tests.integration.simulators.fcm_sender import fcm, message
from tests.integration.simulators.wns_sender import wns

pytestmark = pytest.mark.integration

BODY = b'{"aps":{"alert":"hello"}}'


async def call(
    simulators: Simulators, method: str, path: str, document: Any = None
) -> tuple[int, Any]:
    """A request to the control endpoint; status and JSON."""
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    url = simulators.endpoints.control_url + path
    async with aiohttp.ClientSession() as session, session.request(method, url, data=body) as reply:
        return reply.status, await reply.json()


async def push(simulators: Simulators, *tokens: str) -> list[int]:
    """Send to APNs tokens on one connection; returns the statuses."""
    endpoints = simulators.endpoints
    fields = apns_fields(endpoints)
    async with connect(endpoints.apns_url, endpoints) as sender:
        return [
            (await sender.ask(fields | {":path": f"/3/device/{token}"}, BODY)).status
            for token in tokens
        ]


def tokens(count: int) -> list[str]:
    """Tokens without markers."""
    return [f"{number:064x}" for number in range(count)]


async def test_health_and_endpoints(simulators: Simulators) -> None:
    """The control endpoint tells that it lives and where everything is."""
    health = await call(simulators, "GET", "/health")
    endpoints = await call(simulators, "GET", "/endpoints")

    assert health == (200, {"status": "ok"})
    assert (200, simulators.endpoints.as_json()) == endpoints


async def test_stats_cover_all_gateways(simulators: Simulators) -> None:
    """Requests, verdicts and connections are counted by gateway."""
    await push(simulators, TOKEN, "ab" * 28 + "fa170400")
    async with fcm(simulators.endpoints) as sender:
        await sender.ask(message())
    async with wns(simulators) as channel:
        await channel.ask()
    _, stats = await call(simulators, "GET", "/stats")

    apns, google, windows = (stats["gateways"][name] for name in ("apns", "fcm", "wns"))
    assert apns["verdicts"] == {"200": 1, "400 BadDeviceToken": 1}
    assert (
        apns["requests"], apns["delivered"], apns["unanswered"], apns["tokens"],
    ) == (2, 1, 0, 2)  # fmt: skip
    assert {"200": 1} == google["verdicts"] == windows["verdicts"]
    assert apns["wire"]["connections_opened"] == 1
    assert (stats["oauth_fetches"]["fcm"], stats["truncated"]) == (1, False)


async def test_ledger_pages(simulators: Simulators) -> None:
    """The ledger is read page by page, each entry once and in order."""
    await push(simulators, *tokens(5))
    pages = []
    after: int | None = 0
    while after is not None:
        _, page = await call(simulators, "GET", f"/ledger?gateway=apns&after={after}&limit=2")
        pages.append([entry["token"] for entry in page["entries"]])
        after = page["next"]

    assert [tokens(5)[:2], tokens(5)[2:4], tokens(5)[4:]] == pages


async def test_ledger_of_a_token(simulators: Simulators) -> None:
    """One token's entries come alone, whatever its case, with all that was sent."""
    await push(simulators, TOKEN, *tokens(2), TOKEN)
    _, page = await call(simulators, "GET", f"/ledger?gateway=apns&token={TOKEN.upper()}")

    assert [entry["seq"] for entry in page["entries"]] == [1, 4]
    entry = page["entries"][0]
    assert ("com.example.app", "alert", BODY.decode(), len(BODY), 200, True) == (
        entry["topic"], entry["push_type"], entry["payload"], entry["payload_bytes"],
        entry["status"], entry["answered"],
    )  # fmt: skip


async def test_token_pages(simulators: Simulators) -> None:
    """The summary by token is read page by page; a repeated apns-id is a duplicate."""
    await push(simulators, TOKEN, TOKEN, *tokens(1))
    async with fcm(simulators.endpoints) as sender:
        await sender.ask(message())
    _, first = await call(simulators, "GET", "/ledger/tokens?gateway=apns&limit=1")
    _, second = await call(
        simulators, "GET", f"/ledger/tokens?gateway=apns&after={first['next']}&limit=5"
    )

    (summary,) = first["entries"]
    assert (
        summary["token"], summary["attempts"], summary["delivered"], summary["duplicates"],
        summary["last_status"],
    ) == (TOKEN, 2, 2, 1, 200)  # fmt: skip
    assert (tokens(1), None) == ([one["token"] for one in second["entries"]], second["next"])


class TestSmallLedger:
    """What happens when the ledger is full."""

    @pytest.fixture
    def knobs(self) -> Knobs:
        """Room for two entries of ten bytes, and three tokens."""
        return Knobs(
            apns_token_update_seconds=0,
            ledger_entries=2,
            ledger_tokens=3,
            ledger_payload_bytes=10,
        )

    async def test_counts_go_on(self, simulators: Simulators) -> None:
        """Entries beyond the limit are only counted, and the stats say so."""
        await push(simulators, *tokens(4))
        _, stats = await call(simulators, "GET", "/stats")
        _, page = await call(simulators, "GET", "/ledger")
        _, summaries = await call(simulators, "GET", "/ledger/tokens")

        apns = stats["gateways"]["apns"]
        assert (
            stats["truncated"], apns["requests"], apns["delivered"], apns["tokens"],
        ) == (True, 4, 4, 3)  # fmt: skip
        assert [len(entry["payload"]) for entry in page["entries"]] == [10, 10]
        assert len(summaries["entries"]) == 3


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param({"scope": "next", "n": 2}, [500, 500, 200, 200], id="next 2"),
        pytest.param({"scope": "every", "n": 2}, [200, 500, 200, 500], id="every 2nd"),
        pytest.param({"scope": "connection", "n": 3}, [200, 200, 500, 200], id="3rd of each"),
        pytest.param({"scope": "random", "probability": 1}, [500] * 4, id="always by chance"),
    ],
)
async def test_script(simulators: Simulators, rule: dict[str, Any], expected: list[int]) -> None:
    """A rule strikes the requests its scope names."""
    added = await call(simulators, "POST", "/script", {"gateway": "apns", "fault": "e500", **rule})

    assert added == (200, {"added": 1})
    assert expected == await push(simulators, *tokens(4))


async def test_script_by_connection_counts_each(simulators: Simulators) -> None:
    """The n-th request of every connection is struck."""
    await call(
        simulators,
        "POST",
        "/script",
        {"gateway": "apns", "scope": "connection", "n": 2, "fault": "e500"},
    )
    statuses = [await push(simulators, *tokens(2)) for _ in range(2)]

    assert statuses == [[200, 500]] * 2


async def test_rules_come_in_turn(simulators: Simulators) -> None:
    """Rules of scope `next` follow each other; several may be posted at once, and are listed."""
    rules = [
        {"gateway": "apns", "scope": "next", "fault": fault} for fault in ("e500", "unavailable")
    ]
    await call(simulators, "POST", "/script", rules)
    _, listed = await call(simulators, "GET", "/script")
    statuses = await push(simulators, *tokens(3))
    _, left = await call(simulators, "GET", "/script")

    assert [rule["fault"] for rule in listed["rules"]] == ["e500", "unavailable"]
    assert statuses == [500, 503, 200]
    assert left == {"rules": []}


async def test_scripted_fault_takes_its_parameter(simulators: Simulators) -> None:
    """`parameter` is the PP of the fault: a TCP reset after delivery."""
    await call(
        simulators,
        "POST",
        "/script",
        {"gateway": "apns", "scope": "next", "fault": "tcp_rst", "parameter": 1},
    )
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.send(apns_fields(endpoints), BODY)
        await sender.until_end()

    summary = simulators.ledger.summary("apns", TOKEN)
    assert summary is not None
    assert summary.delivered == 1


async def test_script_is_dropped(simulators: Simulators) -> None:
    """DELETE /script drops all rules."""
    await call(
        simulators, "POST", "/script", {"gateway": "apns", "scope": "every", "fault": "e500"}
    )
    await call(simulators, "DELETE", "/script")

    assert await push(simulators, TOKEN) == [200]


BAD_RULES = [
    pytest.param(b"{", "the body is not JSON", id="not JSON"),
    pytest.param([5], "a rule is an object", id="not an object"),
    pytest.param({"gateway": "hms"}, "gateway must be one of", id="unknown gateway"),
    pytest.param({"gateway": "apns", "fault": "x"}, "apns has no fault 'x'", id="unknown fault"),
    pytest.param({"gateway": "apns", "fault": "ok"}, "a rule has gateway, scope", id="no scope"),
    pytest.param(
        {"gateway": "apns", "fault": "ok", "scope": "x"}, "scope must be one of", id="scope"
    ),
    pytest.param(
        {"gateway": "apns", "fault": "ok", "scope": "next", "n": 0}, "n must be 1", id="n of 0"
    ),
    pytest.param(
        {"gateway": "apns", "fault": "ok", "scope": "next", "n": "2"}, "n must be a whole", id="n"
    ),
    pytest.param(
        {"gateway": "apns", "fault": "ok", "scope": "next", "parameter": 256}, "parameter", id="PP"
    ),
    pytest.param(
        {"gateway": "apns", "fault": "ok", "scope": "random"}, "probability", id="no chance"
    ),
    pytest.param({"gateway": "apns", "fault": "ok", "how": 1}, "unknown members: how", id="more"),
    pytest.param(
        [{"gateway": "apns", "fault": "ok", "scope": "next"}] * 101, "at most 100", id="too many"
    ),
]


@pytest.mark.parametrize(("document", "sentence"), BAD_RULES)
async def test_bad_rules(simulators: Simulators, document: Any, sentence: str) -> None:
    """A rule that makes no sense is 400 and says why."""
    status, body = await call(simulators, "POST", "/script", document)

    assert status == 400
    assert body["error"].startswith(sentence)


@pytest.mark.parametrize("query", ["limit=10001", "limit=x", "after=-1", "after=1.5"])
async def test_bad_pages(simulators: Simulators, query: str) -> None:
    """Cursors and limits are numbers within bounds."""
    for path in ("/ledger", "/ledger/tokens"):
        status, _ = await call(simulators, "GET", f"{path}?{query}")
        assert status == 400


async def test_reset(simulators: Simulators) -> None:
    """Reset forgets ledger, counts and script; senders that are signed in go on."""
    async with fcm(simulators.endpoints) as sender:
        await sender.ask(message())
        await call(
            simulators, "POST", "/script", {"gateway": "fcm", "scope": "every", "fault": "internal"}
        )
        await call(simulators, "POST", "/reset")
        _, stats = await call(simulators, "GET", "/stats")
        _, page = await call(simulators, "GET", "/ledger")
        reply = await sender.ask(message())

    google = stats["gateways"]["fcm"]
    assert (
        google["requests"], stats["oauth_fetches"]["fcm"], google["wire"]["connections_opened"],
        google["wire"]["connections_open"],
    ) == (0, 0, 0, 1)  # fmt: skip
    assert (page["entries"], reply.status) == ([], 200)


async def test_reset_while_requests_are_open(simulators: Simulators) -> None:
    """What was begun before a reset is not counted after it."""
    endpoints = simulators.endpoints
    async with connect(endpoints.apns_url, endpoints) as sender:
        await sender.ask(apns_fields(endpoints), BODY)
        stream_id = await sender.send(apns_fields(endpoints, "ab" * 28 + "fa171201"), BODY)
        # Its answer comes after the slow one was read, and before that is answered.
        await sender.ask(apns_fields(endpoints), BODY)
        await call(simulators, "POST", "/reset")
        await sender.reply(stream_id)

    counts = simulators.ledger.sums("apns")
    assert (counts.requests, counts.answered, counts.delivered) == (0, 0, 0)


async def test_registering_ones_own_credentials(simulators: Simulators) -> None:
    """Users test their own keys and accounts: public halves are enough."""
    pem = serialization.Encoding.PEM
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    apns_key = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(pem, public)
    fcm_key = rsa.generate_private_key(65537, 2048).public_key().public_bytes(pem, public)
    answer = await call(
        simulators,
        "POST",
        "/credentials",
        {
            "apns": [
                {"key_id": "K", "team_id": "T", "topics": ["com.mine"], "key": apns_key.decode()}
            ],
            "fcm": [
                {
                    "client_email": "me@example.com",
                    "project_id": "mine",
                    "private_key_id": "1",
                    "token_uri": simulators.endpoints.fcm_token_url,
                    "public_key": fcm_key.decode(),
                }
            ],
            "wns": [{"client_id": "ms-app://mine", "client_secret": "s"}],
        },
    )

    assert answer == (200, {"registered": {"apns": 1, "fcm": 1, "wns": 1}})
    assert simulators.registry.fcm["me@example.com"].project_id == "mine"


NOT_A_KEY = {"key_id": "K", "team_id": "T", "topics": []}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        pytest.param([], "an object with", id="a list"),
        pytest.param({"apns": [{}]}, "missing field: key_id", id="missing field"),
        pytest.param({"apns": [5]}, "apns, fcm and wns are lists", id="no object"),
        pytest.param({"apns": [NOT_A_KEY | {"key": "x"}]}, "the key is not a PEM", id="no PEM"),
        pytest.param(
            {"wns": [{"client_id": str(n), "client_secret": ""} for n in range(1000)]},
            "at most 1000",
            id="too many",
        ),
    ],
)
async def test_bad_registrations(simulators: Simulators, document: Any, sentence: str) -> None:
    """A credential that cannot be used is 400 and says why."""
    status, body = await call(simulators, "POST", "/credentials", document)

    assert status == 400
    assert body["error"].startswith(sentence)


async def test_keys_of_the_wrong_kind(simulators: Simulators) -> None:
    """An RSA key is no APNs key, and an elliptic one no service account's."""
    account = dict(simulators.endpoints.credentials.fcm.service_account)
    p8 = simulators.endpoints.credentials.apns.p8
    errors = []
    for document in (
        {"apns": [NOT_A_KEY | {"key": account["private_key"]}]},
        {"fcm": [account | {"private_key": p8}]},
    ):
        _, body = await call(simulators, "POST", "/credentials", document)
        errors.append(body["error"])

    assert errors == ["the key is not on the curve P-256", "the key is not an RSA key"]
