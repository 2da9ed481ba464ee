"""Tokens the gateways want to see: minted early, once for all who share a credential.

APNs takes a JWT we sign; FCM and WNS take what an OAuth endpoint gave for an assertion or a
secret. All three age, and all three gateways punish whoever asks too often. So everyone who
sends with a credential shares one `SharedToken`, and what it holds lies in a `TokenStore`: in
this process, or wherever all processes of a fleet can see it.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Protocol

import aiohttp
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pushsvc.clock import Clock
from pushsvc.delivery import answers, retry, way
from pushsvc.delivery.wire import Proxy
from pushsvc.model import Answer, OutcomeClass

#: After a failure nobody asks again for so long: thousands of messages wait behind one answer.
PAUSE_AFTER_FAILURE_SECONDS: Final = 10.0
#: Access tokens are renewed so long before their end...
REFRESH_EARLY_SECONDS: Final = 300.0
#: ...but not before half of their life, should an endpoint issue very short ones.
REFRESH_EARLY_SHARE: Final = 0.5
#: What RFC 6749 5.1 leaves open where `expires_in` is missing; no vendor issues shorter ones.
DEFAULT_LIFE_SECONDS: Final = 3600.0
#: Nobody's life is longer than a day (WNS); a larger number is a mistake.
LONGEST_LIFE_SECONDS: Final = 86400.0
#: The endpoint must answer within this.
EXCHANGE_TIMEOUT_SECONDS: Final = 10.0
#: Header fields of 8 KB are the common limit; Google's tokens are about 1 KB.
TOKEN_LIMIT_CHARACTERS: Final = 8000
#: 128 bits: nobody makes another key or secret of the same name.
FINGERPRINT_DIGITS: Final = 32

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What goes into `authorization`. All times are epoch seconds."""

    value: str
    minted_at: float
    #: from here on a new one is wanted, though this one still serves
    refresh_at: float
    expires_at: float


class TokenError(Exception):
    """There is no token, and no message can go; `answer` is what becomes of them."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


class TokenStore(Protocol):
    """Where tokens lie, by name, so that one is enough for all who see the store."""

    async def get(self, name: str) -> Token | None:
        """Return the token of this name, if there is one."""

    async def put(self, name: str, token: Token, *, ttl_seconds: float) -> None:
        """Keep the token, for so long."""

    def lock(self, name: str) -> AbstractAsyncContextManager[None]:
        """Let one at a time mint a token of this name."""


class LocalTokenStore:
    """A store for one process: as many tokens as there are credentials in use."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, name: str) -> Token | None:
        """Return the token of this name, if there is one."""
        return self._tokens.get(name)

    async def put(self, name: str, token: Token, *, ttl_seconds: float) -> None:  # noqa: ARG002 - a token knows its own end
        """Keep the token until another one takes its place."""
        self._tokens[name] = token

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncIterator[None]:
        """Let one at a time mint a token of this name."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            yield


class SharedToken:
    """The one token of a credential: handed out from memory, minted by one caller at a time."""

    def __init__(
        self,
        name: str,
        mint: Callable[[Token | None], Awaitable[Token]],
        *,
        store: TokenStore,
        clock: Clock,
        least_interval_seconds: float = 0.0,
    ) -> None:
        """Make a token for all who use `name`.

        Args:
            name: says whose token it is, the same in every process. It must bind the secret, too
                (`fingerprint`): who only knows the public half must not find the token under it.
            mint: makes a new token, other than the one that was refused if one is given; or
                raises TokenError.
            store: shared by all who use the name.
            clock: the wall clock dates tokens; the monotonic one paces failures.
            least_interval_seconds: a younger token is never replaced, whatever a gateway says.
        """
        self.name = name
        self._mint = mint
        self._store = store
        self._clock = clock
        self._least_interval = least_interval_seconds
        self._token: Token | None = None
        #: where the token lies that the present one has replaced
        self._name_before = f"{name}:before"
        self._obtaining = False
        self._failure: Answer | None = None
        self._quiet_until = 0.0

    async def current(self) -> Token:
        """Return a token that is good now, minting one where the time has come.

        While the old one still serves, nobody waits for a new one, nor fails for want of it.

        Raises:
            TokenError: there is none, and none to be had.
        """
        token, now = self._token, self._now()
        if token is not None and now < token.refresh_at:
            return token
        if token is not None and now < token.expires_at and self._obtaining:
            return token
        self._obtaining = True
        try:
            return await self._obtain(
                fresh=lambda stored: now < stored.refresh_at,
                serves=lambda stored: now < stored.expires_at,
            )
        finally:
            self._obtaining = False

    async def renew(self, stale: Token) -> Token:
        """Return another token than `stale`, which a gateway has refused.

        Returns:
            The token that somebody else has minted meanwhile, or a new one; `stale` itself where
            it is too young to be replaced.

        Raises:
            TokenError: there is none to be had.
        """
        now = self._now()
        if 0 <= now - stale.minted_at < self._least_interval:
            return stale

        def other(stored: Token) -> bool:
            return stored.value != stale.value and now < stored.expires_at

        return await self._obtain(fresh=other, serves=other, stale=stale)

    async def step_back(self, refused: Token, answer: Answer) -> Token:
        """Return the token before `refused`, which came too soon, and mint none for a while.

        Returns:
            The token before, to its end; `refused` itself where there is none.

        Args:
            refused: what the gateway calls one too many.
            answer: what becomes of messages that find no token meanwhile.
        """
        self._failure = answer
        self._quiet_until = self._clock.monotonic() + self._least_interval
        now = self._now()
        async with self._store.lock(self.name):
            for name in (self.name, self._name_before):
                token = await self._store.get(name)
                if token and token.value != refused.value and now < token.expires_at:
                    token = replace(token, refresh_at=token.expires_at)
                    await self._keep(token)
                    return token
        return refused

    async def _obtain(
        self,
        *,
        fresh: Callable[[Token], bool],
        serves: Callable[[Token], bool],
        stale: Token | None = None,
    ) -> Token:
        async with self._store.lock(self.name):
            # A store that lost everything gets back what we still have.
            token = await self._store.get(self.name) or self._token
            if token is None or not fresh(token):
                before = token
                try:
                    token = await self._minted(stale)
                except TokenError:
                    if token is None or not serves(token):
                        raise
                # One that was refused is none to step back to.
                if before is not None and stale is None and before.value != token.value:
                    await self._put(self._name_before, before)
            await self._keep(token)
        return token

    async def _keep(self, token: Token) -> None:
        self._token = token
        await self._put(self.name, token)

    async def _put(self, name: str, token: Token) -> None:
        await self._store.put(name, token, ttl_seconds=token.expires_at - self._now())

    async def _minted(self, stale: Token | None) -> Token:
        if self._failure is not None and self._clock.monotonic() < self._quiet_until:
            raise TokenError(self._failure)
        try:
            token = await self._mint(stale)
        except TokenError as error:
            log.warning("token.failed", credential=self.name, reason=error.answer.reason)
            self._failure = error.answer
            self._quiet_until = self._clock.monotonic() + PAUSE_AFTER_FAILURE_SECONDS
            raise
        self._failure = None
        return token

    def _now(self) -> float:
        return self._clock.now().timestamp()


def fingerprint(secret: str | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """Return a name for a secret: the same for the same one, and of no use without it."""
    if isinstance(secret, str):
        octets = secret.encode()
    else:
        octets = secret.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return sha256(octets).hexdigest()[:FINGERPRINT_DIGITS]


def jwt(
    header: Mapping[str, object], claims: Mapping[str, object], sign: Callable[[bytes], bytes]
) -> str:
    """Make a compact JWT (RFC 7519); `sign` takes the signing input and returns the signature."""
    signing_input = b".".join(_base64url(orjson.dumps(part)) for part in (header, claims))
    return (signing_input + b"." + _base64url(sign(signing_input))).decode()


async def exchange(
    session: aiohttp.ClientSession,
    url: str,
    form: Mapping[str, str],
    *,
    clock: Clock,
    proxy: Proxy | None = None,
) -> Token:
    """Ask an OAuth 2.0 token endpoint for an access token (RFC 6749 4.4 and 5).

    Redirects are not followed: what we send is as good as the secret.

    Raises:
        TokenError: CREDENTIAL where the endpoint refuses, RETRY_BACKOFF where it does not answer.
    """
    timeout = aiohttp.ClientTimeout(total=EXCHANGE_TIMEOUT_SECONDS)
    try:
        async with session.post(
            url, data=form, allow_redirects=False, timeout=timeout, **way.through(proxy)
        ) as response:
            status, after = response.status, response.headers.get("Retry-After")
            body = await read_bounded(response)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = f"token_unavailable: {way.failure(error)}"
        raise TokenError(Answer(OutcomeClass.RETRY_BACKOFF, reason)) from error
    return read_token(status, body, retry_after=after, clock=clock)


def read_token(status: int, body: bytes, *, retry_after: str | None, clock: Clock) -> Token:
    """Read the answer of a token endpoint.

    Raises:
        TokenError: CREDENTIAL where the endpoint refuses, RETRY_BACKOFF where it is out of order.
    """
    content = answers.json_object(body)
    if 400 <= status < 500 and status not in {408, 429}:  # noqa: PLR2004 - RFC 6749 5.2
        said = answers.word(content.get("error")) or answers.http_reason(status)
        raise TokenError(Answer(OutcomeClass.CREDENTIAL, f"token_refused: {said}"))
    now = clock.now()
    value = content.get("access_token")
    if status != 200 or not _is_header_value(value):  # noqa: PLR2004 - RFC 6749 5.1
        reason = f"token_unavailable: {answers.http_reason(status)}"
        after = retry.retry_after_seconds(retry_after, now=now)
        raise TokenError(Answer(OutcomeClass.RETRY_BACKOFF, reason, after))
    life = _life_seconds(content.get("expires_in"))
    start = now.timestamp()
    return Token(
        value=str(value),
        minted_at=start,
        refresh_at=start + max(life - REFRESH_EARLY_SECONDS, life * REFRESH_EARLY_SHARE),
        expires_at=start + life,
    )


async def read_bounded(response: aiohttp.ClientResponse) -> bytes:
    """Read the body, but no more than a gateway's error can be; the rest is left unread."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > answers.BODY_LIMIT_BYTES:
            break
    return bytes(body)


def _life_seconds(expires_in: object) -> float:
    if isinstance(expires_in, str) and expires_in.isascii() and expires_in.isdigit():
        expires_in = float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or expires_in <= 0:
        return DEFAULT_LIFE_SECONDS
    return min(float(expires_in), LONGEST_LIFE_SECONDS)


def _is_header_value(value: object) -> bool:
    """Tell whether this can stand in a header field: a line break would start another field."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= TOKEN_LIMIT_CHARACTERS
        and all("!" <= character <= "~" for character in value)
    )


def _base64url(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")
