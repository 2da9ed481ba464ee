"""The provider token: a JWT we sign, one for each key, whoever sends with it.

Apple counts new tokens of a team, across keys and connections, and refuses them when they come
too often. So all processes of a fleet show the same one. It is made of the key and of a moment,
`iat`, and the signature is deterministic (RFC 6979): who knows the moment signs the same token.
Postgres has the moment, so a Redis that was flushed, or a process that starts anew, costs no other.
https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns
"""

from collections.abc import Awaitable, Callable
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pushsvc.clock import Clock
from pushsvc.delivery.credentials import ProviderKey
from pushsvc.delivery.tokens import SharedToken, Token, TokenError, TokenStore, fingerprint, jwt
from pushsvc.model import Answer, OutcomeClass
from pushsvc.storage.engine import DATABASE_ERRORS

#: "Refresh your token no more than once every 20 minutes and no less than once every 60 minutes."
#: A second more than the first, for `iat` has no fractions.
LEAST_INTERVAL_SECONDS: Final = 20 * 60 + 1
#: Far from both.
REFRESH_SECONDS: Final = 47 * 60
#: A minute less than Apple's hour, for clocks that differ.
LIFE_SECONDS: Final = 59 * 60
#: A process whose clock runs ahead of the database's asks again for a new moment so often.
ASK_SECONDS: Final = 60
#: An ES256 signature is r and s, 32 bytes each (RFC 7518 3.4).
COORDINATE_BYTES: Final = 32

#: Tells the moment of the token of this name, in epoch seconds; another one than the moment that
#: was refused, if one was and its time has come.
Moments = Callable[[str, float | None], Awaitable[int]]


def shared_provider_token(
    key: ProviderKey, *, store: TokenStore, clock: Clock, moments: Moments
) -> SharedToken:
    """Return the one token of this team and key."""
    name = f"apns:{key.team_id}:{key.key_id}:{fingerprint(key.key)}"

    async def mint(stale: Token | None) -> Token:
        try:
            moment = await moments(name, None if stale is None else stale.minted_at)
        except DATABASE_ERRORS as error:
            reason = f"token_unavailable: {type(error).__name__}"
            raise TokenError(Answer(OutcomeClass.RETRY_BACKOFF, reason)) from error
        return mint_provider_token(key, issued_at=moment, now=clock.now().timestamp())

    return SharedToken(
        name, mint, store=store, clock=clock, least_interval_seconds=LEAST_INTERVAL_SECONDS
    )


def mint_provider_token(key: ProviderKey, *, issued_at: int, now: float) -> Token:
    """Sign a provider token whose hour began at `issued_at`; both times are epoch seconds."""
    value = jwt(
        {"alg": "ES256", "kid": key.key_id},
        {"iss": key.team_id, "iat": issued_at},
        lambda signing_input: _es256(key.key, signing_input),
    )
    return Token(
        value=value,
        minted_at=issued_at,
        refresh_at=max(issued_at + REFRESH_SECONDS, now + ASK_SECONDS),
        expires_at=issued_at + LIFE_SECONDS,
    )


class LocalMoments:
    """The moments of one process that has no database."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._present: dict[str, int] = {}

    async def __call__(self, name: str, refused: float | None) -> int:
        """Tell the moment of the token of this name."""
        now, present = int(self._clock.now().timestamp()), self._present.get(name)
        if present is not None:
            least = LEAST_INTERVAL_SECONDS if present == refused else REFRESH_SECONDS
            if now - present < least:
                return present
        self._present[name] = now
        return now


def _es256(key: ec.EllipticCurvePrivateKey, signing_input: bytes) -> bytes:
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(key.sign(signing_input, algorithm))
    return r.to_bytes(COORDINATE_BYTES) + s.to_bytes(COORDINATE_BYTES)
