"""Tokens: minted early, once for all, and never too often."""

import asyncio
import base64
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, strategies as st

from pushsvc.delivery.apns.provider_token import (
    LocalMoments,
    Moments,
    mint_provider_token,
    shared_provider_token,
)
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


def provider_token(
    clock: StandingClock, moments: Moments, *, store: LocalTokenStore | None = None
) -> SharedToken:
    """A process's share in the key's token, with what it finds at its start."""
    return shared_provider_token(
        KEY, store=store or LocalTokenStore(), clock=clock, moments=moments
    )


async def test_a_whole_fleet_shows_one_provider_token(clock: StandingClock) -> None:
    """Processes that share no store sign the same token, until its time is over."""
    values, moments = [], LocalMoments(clock)
    for seconds in (0, 60, 46 * 60 - 1, 1):
        clock.move(seconds=seconds)
        values.append((await provider_token(clock, moments).current()).value)

    assert len(set(values[:3])) == 1
    assert values[3] != values[0]


class Step(NamedTuple):
    """Some time, and what comes after it."""

    seconds: int
    #: Redis is flushed, and a process starts anew
    forgets: bool
    #: APNs calls the token expired
    refused: bool


@given(st.lists(st.builds(Step, st.integers(1, 1500), st.booleans(), st.booleans()), max_size=30))
async def test_provider_tokens_are_neither_old_nor_frequent(steps: list[Step]) -> None:
    """Whatever is flushed, started or refused: no token in use is older than 48 minutes, and no
    two are made within 20."""
    clock = StandingClock()
    moments = LocalMoments(clock)
    shared = provider_token(clock, moments)
    made: dict[int, None] = {}
    for step in steps:
        if step.forgets:
            shared = provider_token(clock, moments)
        token = await shared.current()
        if step.refused:
            token = await shared.renew(token)
        issued_at = decoded(token.value)[1]["iat"]
        assert 0 <= clock.now().timestamp() - issued_at <= 48 * 60
        made[issued_at] = None
        clock.move(seconds=step.seconds)

    assert all(later - earlier >= 20 * 60 for earlier, later in pairwise(made))


async def test_a_refused_provider_token_is_replaced_by_another(clock: StandingClock) -> None:
    """Once it is 20 minutes old; until then it is kept, and tried on another connection."""
    shared = provider_token(clock, LocalMoments(clock))
    first = await shared.current()
    clock.move(seconds=20 * 60)
    assert first == await shared.renew(first)

    clock.move(seconds=1)
    second = await shared.renew(first)
    assert clock.now().timestamp() == decoded(second.value)[1]["iat"]
    assert second == await shared.current()


TOO_MANY = Answer(OutcomeClass.RETRY_BACKOFF, "TooManyProviderTokenUpdates", 400)


async def test_one_token_too_many_gives_way_to_the_one_before(
    clock: StandingClock, store: LocalTokenStore
) -> None:
    """The fleet goes back to it until its end; then there is none for a while, and none is made."""
    moments = LocalMoments(clock)
    one, other = (provider_token(clock, moments, store=store) for _ in range(2))
    before = await one.current()
    clock.move(seconds=47 * 60)
    second = await one.current()
    assert second == await other.current()

    assert (await one.step_back(second, TOO_MANY)).value == before.value
    assert (await other.step_back(second, TOO_MANY)).value == before.value
    clock.move(seconds=11 * 60)
    assert (await one.current()).value == before.value
    clock.move(seconds=2 * 60)
    with pytest.raises(TokenError) as caught:
        await one.current()
    assert caught.value.answer == TOO_MANY
    clock.move(seconds=8 * 60)
    assert (await one.current()).value == second.value


async def test_a_first_token_that_is_one_too_many_stays(clock: StandingClock) -> None:
    """Somebody else signs with this key, too: another token would make it worse."""
    shared = provider_token(clock, LocalMoments(clock))
    only = await shared.current()

    assert only == await shared.step_back(only, TOO_MANY)
    assert only == await shared.current()


async def test_a_database_that_is_away_costs_no_token_that_serves(clock: StandingClock) -> None:
    """What is known serves to its end; where nothing is known, messages are tried again later."""
    local, away = LocalMoments(clock), False

    async def moments(name: str, refused: float | None) -> int:
        if away:
            raise ConnectionRefusedError
        return await local(name, refused)

    shared = provider_token(clock, moments)
    first = await shared.current()
    away = True
    clock.move(seconds=58 * 60)
    assert first == await shared.current()

    with pytest.raises(TokenError) as caught:
        await provider_token(clock, moments).current()
    assert caught.value.answer.outcome is OutcomeClass.RETRY_BACKOFF


async def test_a_clock_that_runs_ahead_does_not_ask_all_the_time(clock: StandingClock) -> None:
    """The database says when a token is old; who thinks otherwise asks it once in a minute."""
    asked = 0
    moment = int(clock.now().timestamp()) - 50 * 60

    async def moments(_name: str, _refused: float | None) -> int:
        nonlocal asked
        asked += 1
        return moment

    shared = provider_token(clock, moments)
    for _ in range(100):
        await shared.current()
    clock.move(seconds=60)
    await shared.current()

    assert asked == 2


async def test_a_key_s_token_is_not_found_by_its_ids_alone(
    clock: StandingClock, store: LocalTokenStore
) -> None:
    """Another tenant may claim our key id, account or app, but has not the secret."""
    stranger = replace(KEY, key=ec.generate_private_key(ec.SECP256R1()))
    ours, theirs = (
        shared_provider_token(key, store=store, clock=clock, moments=LocalMoments(clock))
        for key in (KEY, stranger)
    )

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
