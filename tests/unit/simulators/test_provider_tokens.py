"""How often a team may bring a new provider token."""

from cryptography.hazmat.primitives.asymmetric import ec

from pushsvc.simulators.apns.provider_tokens import ProviderToken, ProviderTokens
from pushsvc.simulators.registry import ApnsKey

MINUTE = 60.0


def key(team: str) -> ApnsKey:
    return ApnsKey(
        key_id="K",
        team_id=team,
        topics=frozenset(),
        public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
    )


def test_one_update_in_twenty_minutes() -> None:
    """A new `iat` is refused until 20 minutes after the last good one; teams count apart."""
    tokens = ProviderTokens({}, update_seconds=20 * MINUTE, age_seconds=60 * MINUTE)
    team, other = key("A"), key("B")
    seen = [
        tokens.too_many(ProviderToken(key=whose, issued_at=iat), now)
        for whose, iat, now in [
            (team, 0, 0), (team, 1, 1), (other, 1, 1), (team, 0, 2), (team, 1, 19 * MINUTE),
            (team, 1, 20 * MINUTE), (team, 0, 21 * MINUTE), (team, 2, 39 * MINUTE),
        ]
    ]  # fmt: skip

    assert seen == [False, True, False, False, True, False, False, True]


def test_the_rule_can_be_turned_off() -> None:
    """With 0 seconds any number of updates is fine."""
    tokens = ProviderTokens({}, update_seconds=0, age_seconds=60 * MINUTE)
    team = key("A")

    assert not any(tokens.too_many(ProviderToken(key=team, issued_at=iat), 0) for iat in range(10))
