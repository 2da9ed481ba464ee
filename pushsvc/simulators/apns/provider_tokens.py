"""Provider tokens (JWT): signature, age, and how often a team may bring a new one.

https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pushsvc.simulators import jose
from pushsvc.simulators.registry import ApnsKey

#: A sender's clock may run ahead of ours by this much.
MAX_AHEAD_SECONDS = 60.0
#: Tokens whose signature is remembered; a sender has one at a time.
MAX_REMEMBERED = 1024
#: Teams whose minting is watched.
MAX_TEAMS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderToken:
    """A token whose signature was found good."""

    key: ApnsKey
    issued_at: float


@dataclass(slots=True, kw_only=True)
class _Minting:
    """The tokens of a team, told apart by `iat` as APNs seems to do."""

    known: set[float]
    last_update: float


class ProviderTokens:
    """Checks the `authorization` of requests; each distinct token is verified once."""

    def __init__(
        self, keys: Mapping[str, ApnsKey], *, update_seconds: float, age_seconds: float
    ) -> None:
        self._keys = keys
        self._age_seconds = age_seconds
        self._update_seconds = update_seconds
        self._verified: dict[bytes, ProviderToken | None] = {}
        self._minting: dict[str, _Minting] = {}
        self.distinct = 0

    def verify(self, authorization: bytes) -> ProviderToken | None:
        """The token in `bearer <jwt>` if a registered key signed it."""
        if authorization not in self._verified:
            if len(self._verified) >= MAX_REMEMBERED:
                self._verified.clear()
            self.distinct += 1
            self._verified[authorization] = self._read(authorization)
        return self._verified[authorization]

    def in_time(self, token: ProviderToken, now: float) -> bool:
        """Whether the token is neither too old nor from the future."""
        return -MAX_AHEAD_SECONDS <= now - token.issued_at <= self._age_seconds

    def too_many(self, token: ProviderToken, now: float) -> bool:
        """Whether the team brings a new token too soon after its last new one.

        The token in use stays good: only the one that came too early is refused.
        """
        if not self._update_seconds:
            return False
        team, issued_at = token.key.team_id, token.issued_at
        minting = self._minting.get(team)
        if minting is None:
            if len(self._minting) >= MAX_TEAMS:
                self._minting.clear()
            self._minting[team] = _Minting(known={issued_at}, last_update=now)
            return False
        if issued_at in minting.known:
            return False
        if now - minting.last_update < self._update_seconds:
            return True
        minting.known = {known for known in minting.known if now - known <= self._age_seconds}
        minting.known.add(issued_at)
        minting.last_update = now
        return False

    def forget(self) -> None:
        """Start counting tokens and updates anew."""
        self._minting.clear()
        self.distinct = 0
        self._verified.clear()

    def _read(self, authorization: bytes) -> ProviderToken | None:
        scheme, _, secret = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            jwt = jose.parse(secret)
        except jose.TokenError:
            return None
        key = self._keys.get(str(jwt.header.get("kid")))
        issued_at = jwt.claims.get("iat")
        if key is None or not isinstance(issued_at, (int, float)):
            return None
        if jwt.claims.get("iss") != key.team_id or not jwt.signed_by(key.public_key):
            return None
        return ProviderToken(key=key, issued_at=issued_at)
