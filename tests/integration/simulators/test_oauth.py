"""The three token endpoints: what they demand, what they issue, and their faults by script."""

import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from pushsvc.simulators import Endpoints, Simulators
from tests.integration.simulators.client import assertion, connect
from tests.integration.simulators.fcm_sender import GRANT_TYPE, fcm, fetch_token, http1, message

pytestmark = pytest.mark.integration

LEGACY = {"grant_type": "client_credentials", "scope": "notify.windows.com"}
ENTRA = {"grant_type": "client_credentials", "scope": "https://wns.windows.com/.default"}


async def post(endpoints: Endpoints, url: str, form: Any) -> tuple[int, dict[str, Any]]:
    """A form post; status and JSON."""
    async with http1(endpoints) as session, session.post(url, data=form) as reply:
        return reply.status, await reply.json()


async def test_google_issues_a_token(simulators: Simulators) -> None:
    """A good assertion gets a bearer token for an hour; fetches are counted."""
    status, body = await fetch_token(simulators.endpoints)

    assert (status, body["token_type"], body["expires_in"]) == (200, "Bearer", 3600)
    assert simulators.control.stats()["oauth_fetches"]["fcm"] == 1


async def test_google_auth_names_another_audience(simulators: Simulators) -> None:
    """google-auth always names Google's own endpoint as audience, wherever it asks."""
    status, _ = await fetch_token(simulators.endpoints, aud="https://oauth2.googleapis.com/token")

    assert status == 200


async def test_google_issues_over_http2(simulators: Simulators) -> None:
    """The token endpoint speaks HTTP/2 as well."""
    form = (
        f"grant_type={GRANT_TYPE.replace(':', '%3A')}&assertion={assertion(simulators.endpoints)}"
    )
    async with connect(simulators.endpoints.fcm_url, simulators.endpoints) as sender:
        reply = await sender.ask(
            {
                ":method": "POST",
                ":scheme": "https",
                ":authority": "oauth2.googleapis.com",
                ":path": "/token",
                "content-type": "application/x-www-form-urlencoded",
            },
            form.encode(),
        )

    assert reply.status == 200


def later(seconds: int) -> Callable[[], int]:
    """Return what tells a time so far from when it is asked: tests run long after they are read."""
    return lambda: int(time.time()) + seconds


ASSERTIONS = [
    pytest.param({"iss": "nobody@example.com"}, "invalid_grant", id="unknown account"),
    pytest.param({"kid": "0" * 40}, "invalid_grant", id="unknown key id"),
    pytest.param({"aud": "https://example.com/token"}, "invalid_grant", id="other audience"),
    pytest.param({"exp": later(7300)}, "invalid_grant", id="longer than an hour"),
    pytest.param(
        {"iat": later(-7200), "exp": later(-3600)},
        "invalid_grant",
        id="expired",
    ),
    pytest.param(
        {"iat": later(600), "exp": later(4000)},
        "invalid_grant",
        id="from the future",
    ),
    pytest.param({"iat": "x"}, "invalid_grant", id="iat is no number"),
    pytest.param({"scope": "https://mail.google.com/"}, "invalid_scope", id="other scope"),
]


@pytest.mark.parametrize(("claims", "error"), ASSERTIONS)
async def test_google_refuses(simulators: Simulators, claims: dict[str, Any], error: str) -> None:
    """An assertion with one defect is 400 with the OAuth error."""
    told = {name: value() if callable(value) else value for name, value in claims.items()}
    status, body = await fetch_token(simulators.endpoints, **told)

    assert (400, error) == (status, body["error"])


async def test_google_refuses_forgeries(simulators: Simulators) -> None:
    """An assertion that another key signed is refused."""
    status, body = await fetch_token(
        simulators.endpoints, key=rsa.generate_private_key(65537, 2048)
    )

    assert (status, body["error_description"]) == (400, "Invalid JWT Signature.")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        pytest.param({"grant_type": "password"}, "unsupported_grant_type", id="grant type"),
        pytest.param({"grant_type": GRANT_TYPE}, "invalid_grant", id="no assertion"),
        pytest.param({"grant_type": GRANT_TYPE, "assertion": "x.y.z"}, "invalid_grant", id="junk"),
        pytest.param(b"{}", "invalid_request", id="not a form"),
    ],
)
async def test_google_refuses_other_forms(simulators: Simulators, form: Any, error: str) -> None:
    """What is no service account's form is 400."""
    status, body = await post(simulators.endpoints, simulators.endpoints.fcm_token_url, form)

    assert (400, error) == (status, body["error"])


async def test_legacy_wns_issues_a_token(simulators: Simulators) -> None:
    """Package SID and secret get a token from accesstoken.srf."""
    wns = simulators.endpoints.credentials.wns
    form = LEGACY | {"client_id": wns.package_sid, "client_secret": wns.client_secret}
    status, body = await post(simulators.endpoints, simulators.endpoints.wns_token_url, form)

    assert (status, body["token_type"]) == (200, "bearer")
    assert simulators.control.stats()["oauth_fetches"]["wns"] == 1


async def test_entra_issues_a_token(simulators: Simulators) -> None:
    """App id and secret get a token from their tenant."""
    wns = simulators.endpoints.credentials.wns
    form = ENTRA | {"client_id": wns.client_id, "client_secret": wns.client_secret}
    url = simulators.endpoints.wns_entra_url.format(tenant=wns.tenant_id)
    status, body = await post(simulators.endpoints, url, form)

    assert (status, body["token_type"]) == (200, "Bearer")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"client_id": "ms-app://other"}, "invalid_client", id="other app"),
        pytest.param({"client_secret": "x"}, "invalid_client", id="other secret"),
        pytest.param({"scope": "x"}, "invalid_scope", id="other scope"),
        pytest.param({"grant_type": "x"}, "unsupported_grant_type", id="other grant"),
        pytest.param({"resource": "x"}, "invalid_request", id="one field more"),
    ],
)
async def test_legacy_wns_refuses(
    simulators: Simulators, changes: dict[str, str], error: str
) -> None:
    """The form is checked to the letter."""
    wns = simulators.endpoints.credentials.wns
    form = LEGACY | {"client_id": wns.package_sid, "client_secret": wns.client_secret} | changes
    status, body = await post(simulators.endpoints, simulators.endpoints.wns_token_url, form)

    assert (400, error) == (status, body["error"])


@pytest.mark.parametrize(
    ("tenant", "changes", "status", "error"),
    [
        pytest.param("other", {}, 400, "unauthorized_client", id="other tenant"),
        pytest.param(None, {"client_secret": "x"}, 401, "invalid_client", id="other secret"),
        pytest.param(
            None, {"scope": "notify.windows.com"}, 400, "invalid_scope", id="legacy scope"
        ),
    ],
)
async def test_entra_refuses(
    simulators: Simulators, tenant: str | None, changes: dict[str, str], status: int, error: str
) -> None:
    """Tenant, secret and scope must fit."""
    wns = simulators.endpoints.credentials.wns
    form = ENTRA | {"client_id": wns.client_id, "client_secret": wns.client_secret} | changes
    url = simulators.endpoints.wns_entra_url.format(tenant=tenant or wns.tenant_id)
    answer = await post(simulators.endpoints, url, form)

    assert (status, error) == (answer[0], answer[1]["error"])


@pytest.mark.parametrize(
    ("fault", "status"),
    [("ok", 200), ("slow", 200), ("invalid_grant", 400), ("internal", 500), ("unavailable", 503)],
)
async def test_scripted_faults(simulators: Simulators, fault: str, status: int) -> None:
    """The next fetch meets the scripted fault, the one after it does not."""
    rule = {"gateway": "fcm-oauth", "scope": "next", "fault": fault, "parameter": 1}
    simulators.control.add_rules(rule)
    form = {"grant_type": GRANT_TYPE, "assertion": assertion(simulators.endpoints)}
    statuses = []
    async with http1(simulators.endpoints) as session:
        for _ in range(2):
            async with session.post(simulators.endpoints.fcm_token_url, data=form) as reply:
                statuses.append(reply.status)

    assert [status, 200] == statuses


@pytest.mark.parametrize(
    ("fault", "reason"), [("short", None), ("revoked", "ACCESS_TOKEN_TYPE_UNSUPPORTED")]
)
async def test_tokens_that_do_not_last(
    simulators: Simulators, fault: str, reason: str | None
) -> None:
    """A token may live PP seconds only, or not be good from the start."""
    simulators.control.add_rules(
        {"gateway": "fcm-oauth", "scope": "next", "fault": fault, "parameter": 7}
    )
    async with fcm(simulators.endpoints) as sender:
        reply = await sender.ask(message())

    (entry,), _ = simulators.ledger.page(gateway="fcm", token=None, after=0, limit=1)
    token = simulators.registry.fcm_tokens.find(f"Bearer {sender.token}".encode())
    assert token is not None
    assert (200 if reason is None else 401, token.revoked) == (reply.status, reason is not None)
    assert token.expires_at - entry.time <= (7 if fault == "short" else 3600)


async def test_never(simulators: Simulators) -> None:
    """A token endpoint may never answer; whoever leaves is forgotten."""
    simulators.control.add_rules({"gateway": "fcm-oauth", "scope": "next", "fault": "never"})
    form = {"grant_type": GRANT_TYPE, "assertion": assertion(simulators.endpoints)}
    async with http1(simulators.endpoints) as session:
        with pytest.raises(TimeoutError):
            await session.post(simulators.endpoints.fcm_token_url, data=form, timeout=short())

    assert simulators.control.stats()["oauth_fetches"]["fcm"] == 1


def short() -> aiohttp.ClientTimeout:
    """A client's patience."""
    return aiohttp.ClientTimeout(total=0.1)
