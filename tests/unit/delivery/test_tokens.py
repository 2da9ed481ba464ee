"""Tokens: minted early, once for all, and never too often."""

import asyncio
import base64
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, strategies as st

from pushsvc.delivery.apns.provider_token import mint_provider_token, shared_provider_token
from pushsvc.delivery.credentials import ProviderKey, ServiceAccount, WnsIdentity
from pushsvc.delivery.fcm.access_token import assertion
from pushsvc.delivery.tokens import (
    LocalTokenStore,
    SharedToken,
    Token,
    TokenError,
    fingerprint,
    read_token,
)
from pushsvc.delivery.wns.access_token import sign_in_form
from pushsvc.model import Answer, OutcomeClass
from tests.unit.delivery.standing_clock import StandingClock

REFUSED = Answer(OutcomeClass.CREDENTIAL, "token_refused: invalid_grant")
KEY = ProviderKey(
    key=ec.generate_private_key(ec.SECP256R1()),
    key_id="ABC1234567",
    team_id="TEAM123456",
    topics=(),
    environment="production",
)


class Mint:
    """Mints tokens t1, t2 ... of an hour's life, or fails as it is told to."""

    def __init__(self, clock: StandingClock) -> None:
        self.clock = clock
        self.calls = 0
        self.failure: Answer | None = None
        self.gate: asyncio.Event | None = None

    async def __call__(self, _stale: Token | None) -> Token:
        """Mint the next token."""
        self.calls += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise TokenError(self.failure)
        now = self.clock.now().timestamp()
        return Token(
            value=f"t{self.calls}", minted_at=now, refresh_at=now + 3300, expires_at=now + 3600
        )


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def mint(clock: StandingClock) -> Mint:
    return Mint(clock)


@pytest.fixture
def store() -> LocalTokenStore:
    return LocalTokenStore()


@pytest.fixture
def shared(mint: Mint, clock: StandingClock, store: LocalTokenStore) -> SharedToken:
    return SharedToken("name", mint, store=store, clock=clock)


async def test_a_token_is_minted_once_and_refreshed_early(
    shared: SharedToken, mint: Mint, clock: StandingClock
) -> None:
    """One token until its time to refresh has come, then the next."""
    values = []
    for seconds in (0, 3000, 299, 1):
        clock.move(seconds=seconds)
        values.append((await shared.current()).value)

    assert values == ["t1", "t1", "t1", "t2"]
    assert mint.calls == 2


async def test_a_hundred_callers_mint_one_token(shared: SharedToken, mint: Mint) -> None:
    """Single flight: whoever comes while one is minted gets that one."""
    mint.gate = asyncio.Event()
    callers = [asyncio.create_task(shared.current()) for _ in range(100)]
    await asyncio.wait(callers, timeout=0)
    mint.gate.set()

    assert {"t1"} == {token.value for token in await asyncio.gather(*callers)}
    assert mint.calls == 1


async def test_nobody_waits_for_a_refresh(
    shared: SharedToken, mint: Mint, clock: StandingClock
) -> None:
    """While one caller mints early, the others go on with the token that still serves."""
    await shared.current()
    clock.move(seconds=3400)
    mint.gate = asyncio.Event()
    refresher = asyncio.create_task(shared.current())
    await asyncio.wait([refresher], timeout=0)

    assert (await shared.current()).value == "t1"
    mint.gate.set()
    assert (await refresher).value == "t2"


async def test_a_failed_refresh_harms_nobody_before_the_end(
    shared: SharedToken, mint: Mint, clock: StandingClock
) -> None:
    """The old token serves to its end, then the failure is told."""
    await shared.current()
    mint.failure = REFUSED
    clock.move(seconds=3400)
    assert (await shared.current()).value == "t1"

    clock.move(seconds=200)
    with pytest.raises(TokenError) as caught:
        await shared.current()
    assert caught.value.answer == REFUSED


async def test_a_failing_endpoint_is_left_alone_for_a_while(
    shared: SharedToken, mint: Mint, clock: StandingClock
) -> None:
    """After a failure the same answer is given for 10 s without asking."""
    mint.failure = REFUSED
    for seconds in (0, 5, 4.9):
        clock.move(seconds=seconds)
        with pytest.raises(TokenError):
            await shared.current()
    assert mint.calls == 1

    mint.failure = None
    clock.move(seconds=0.1)
    assert (await shared.current()).value == "t2"


async def test_all_who_share_a_store_share_the_token(
    mint: Mint, clock: StandingClock, store: LocalTokenStore
) -> None:
    """Two gateways of one credential mint one token, and renew it once between them."""
    one, other = (SharedToken("name", mint, store=store, clock=clock) for _ in range(2))
    first = await one.current()

    assert first == await other.current()
    renewed = await one.renew(first)
    assert renewed == await other.renew(first)
    assert mint.calls == 2


async def test_a_store_that_forgot_is_told_again(
    mint: Mint, clock: StandingClock, store: LocalTokenStore
) -> None:
    """A store may lose everything; who still has the token puts it back."""
    shared = SharedToken("name", mint, store=LocalTokenStore(), clock=clock)
    first = await shared.current()
    shared._store = store
    mint.failure = REFUSED
    clock.move(seconds=3400)

    assert first == await shared.current()
    assert first == await store.get("name")


async def test_a_young_token_is_not_replaced(
    mint: Mint, clock: StandingClock, store: LocalTokenStore
) -> None:
    """Apple allows one new provider token in 20 minutes, whatever it says of the present one."""
    shared = SharedToken("name", mint, store=store, clock=clock, least_interval_seconds=1200.0)
    first = await shared.current()
    clock.move(seconds=1199)
    assert first == await shared.renew(first)

    clock.move(seconds=1)
    assert (await shared.renew(first)).value == "t2"


async def test_renewing_with_a_dead_endpoint_says_so(shared: SharedToken, mint: Mint) -> None:
    """A refused token is not used again because no other is to be had."""
    first = await shared.current()
    mint.failure = REFUSED

    with pytest.raises(TokenError):
        await shared.renew(first)


def decoded(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    header, claims, signature = token.split(".")
    parts = [base64.urlsafe_b64decode(part + "==") for part in (header, claims, signature)]
    signed = f"{header}.{claims}".encode()
    return orjson.loads(parts[0]), orjson.loads(parts[1]), parts[2], signed


def test_a_provider_token_is_what_apple_asks_for() -> None:
    """ES256 with kid; iss and iat; refreshed between 20 and 60 minutes."""
    token = mint_provider_token(KEY, issued_at=1_770_000_000, now=1_770_000_100)
    header, claims, signature, signed = decoded(token.value)

    assert header == {"alg": "ES256", "kid": "ABC1234567"}
    assert claims == {"iss": "TEAM123456", "iat": 1_770_000_000}
    assert len(signature) == 64
    halves = (int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    KEY.key.public_key().verify(encode_dss_signature(*halves), signed, ec.ECDSA(hashes.SHA256()))
    assert token.refresh_at - 1_770_000_000 >= 20 * 60
    assert token.refresh_at < token.expires_at < 1_770_000_000 + 60 * 60


async def test_a_whole_fleet_shows_one_provider_token(clock: StandingClock) -> None:
    """Processes that share nothing mint the same token, whenever in the period they start."""
    values = []
    for _ in range(3):
        process = shared_provider_token(KEY, store=LocalTokenStore(), clock=clock)
        values.append((await process.current()).value)
        clock.move(seconds=60)

    assert len(set(values)) == 1


@given(start=st.integers(0, 10**5), steps=st.lists(st.integers(1, 1200), max_size=30))
async def test_provider_tokens_are_neither_old_nor_frequent(start: int, steps: list[int]) -> None:
    """Whenever a process starts: no token in use is older than 50 minutes, no two are first shown
    within 20."""
    clock = StandingClock()
    clock.move(seconds=start)
    shared = shared_provider_token(KEY, store=LocalTokenStore(), clock=clock)
    first_shown: dict[str, float] = {}
    for seconds in steps:
        token, now = await shared.current(), clock.now().timestamp()
        assert 0 <= now - decoded(token.value)[1]["iat"] <= 50 * 60
        first_shown.setdefault(token.value, now)
        clock.move(seconds=seconds)

    gaps = [later - earlier for earlier, later in pairwise(first_shown.values())]
    assert all(gap >= 20 * 60 for gap in gaps)


async def test_a_refused_provider_token_is_replaced_by_another(clock: StandingClock) -> None:
    """The half hour's token is not minted once more; the new one begins now."""
    shared = shared_provider_token(KEY, store=LocalTokenStore(), clock=clock)
    first = await shared.current()
    clock.move(seconds=20 * 60 - 1)
    assert first == await shared.renew(first)

    clock.move(seconds=1)
    second = await shared.renew(first)
    assert clock.now().timestamp() == decoded(second.value)[1]["iat"]
    assert second == await shared.current()


async def test_a_key_s_token_is_not_found_by_its_ids_alone(
    clock: StandingClock, store: LocalTokenStore
) -> None:
    """Another tenant may claim our key id, account or app, but has not the secret."""
    stranger = replace(KEY, key=ec.generate_private_key(ec.SECP256R1()))
    ours, theirs = (shared_provider_token(key, store=store, clock=clock) for key in (KEY, stranger))

    assert (await ours.current()).value != (await theirs.current()).value
    assert fingerprint("secret") != fingerprint("Secret")


def test_an_assertion_is_what_google_asks_for(clock: StandingClock) -> None:
    """RS256 with kid; the scope of messaging, for an hour, to the token endpoint."""
    key = rsa.generate_private_key(65537, 2048)
    account = ServiceAccount(
        project_id="p",
        client_email="a@b",
        private_key=key,
        private_key_id="k1",
        token_uri="https://oauth2.googleapis.com/token",
    )
    header, claims, signature, signed = decoded(assertion(account, now=clock.now()))
    now = int(clock.now().timestamp())

    assert header == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert claims == {
        "iss": "a@b",
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": now,
        "exp": now + 3600,
    }
    key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())


def test_a_package_and_a_tenant_sign_in_with_their_scopes() -> None:
    """The same grant, but Partner Center and Entra want different scopes."""
    package = WnsIdentity(client_id="ms-app://S", client_secret="s", tenant=None)
    entra = WnsIdentity(client_id="app", client_secret="s", tenant="t")

    assert sign_in_form(package) == {
        "grant_type": "client_credentials",
        "client_id": "ms-app://S",
        "client_secret": "s",
        "scope": "notify.windows.com",
    }
    assert sign_in_form(entra)["scope"] == "https://wns.windows.com/.default"


@pytest.mark.parametrize(
    ("expires_in", "refresh", "end"),
    [
        pytest.param(3600, 3300, 3600, id="an hour: five minutes early"),
        pytest.param(86400, 86100, 86400, id="a day"),
        pytest.param("3600", 3300, 3600, id="as text"),
        pytest.param(60, 30, 60, id="a minute: at half"),
        pytest.param(None, 3300, 3600, id="missing: an hour"),
        pytest.param(-1, 3300, 3600, id="negative: an hour"),
        pytest.param(True, 3300, 3600, id="nonsense: an hour"),
        pytest.param(10**12, 86100, 86400, id="for ever: a day"),
    ],
)
def test_an_access_token_lives_as_long_as_it_says(
    *, expires_in: object, refresh: int, end: int, clock: StandingClock
) -> None:
    """Refreshed five minutes early, or at half of a short life."""
    body = orjson.dumps({"access_token": "ya29.x", "expires_in": expires_in})
    token = read_token(200, body, retry_after=None, clock=clock)
    now = clock.now().timestamp()

    assert ("ya29.x", now) == (token.value, token.minted_at)
    assert (refresh, end) == (token.refresh_at - now, token.expires_at - now)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "reason"),
    [
        pytest.param(
            400,
            b'{"error":"invalid_grant","error_description":"..."}',
            OutcomeClass.CREDENTIAL,
            "token_refused: invalid_grant",
            id="refused",
        ),
        pytest.param(
            401, b"", OutcomeClass.CREDENTIAL, "token_refused: http_401", id="refused, no body"
        ),
        pytest.param(
            503, b"", OutcomeClass.RETRY_BACKOFF, "token_unavailable: http_503", id="outage"
        ),
        pytest.param(
            429, b"", OutcomeClass.RETRY_BACKOFF, "token_unavailable: http_429", id="throttled"
        ),
        pytest.param(
            302, b"", OutcomeClass.RETRY_BACKOFF, "token_unavailable: http_302", id="redirect"
        ),
        pytest.param(
            200, b"<html>", OutcomeClass.RETRY_BACKOFF, "token_unavailable: http_200", id="HTML"
        ),
        pytest.param(
            200,
            b'{"access_token":"a\\r\\nb"}',
            OutcomeClass.RETRY_BACKOFF,
            "token_unavailable: http_200",
            id="a token that would split the header",
        ),
    ],
)
def test_what_is_no_token_is_refusal_or_outage(
    *, status: int, body: bytes, outcome: OutcomeClass, reason: str
) -> None:
    """4xx is about the credential; everything else passes."""
    with pytest.raises(TokenError) as caught:
        read_token(status, body, retry_after="7", clock=StandingClock())

    after = 7.0 if outcome is OutcomeClass.RETRY_BACKOFF else None
    assert Answer(outcome, reason, after) == caught.value.answer


@given(status=st.integers(100, 599), body=st.binary())
def test_a_token_endpoint_can_say_anything(status: int, body: bytes) -> None:
    """Whatever comes is a token or a TokenError."""
    with pytest.raises(TokenError):
        read_token(status, body, retry_after=None, clock=StandingClock())
