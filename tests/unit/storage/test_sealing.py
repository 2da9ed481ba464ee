"""Secrets at rest."""

import pytest

from pushsvc.storage.sealing import Seal, SealingError, new_secret_key


def test_a_sealed_secret_opens_with_its_key_and_owner_only() -> None:
    """Another key, another owner or a changed byte open nothing."""
    seal = Seal(new_secret_key())
    sealed = seal.close("-----BEGIN PRIVATE KEY-----", owner="app 1 apns")

    assert b"PRIVATE" not in sealed
    assert seal.open(sealed, owner="app 1 apns") == "-----BEGIN PRIVATE KEY-----"
    for opener, owner, text in [
        (Seal(new_secret_key()), "app 1 apns", sealed),
        (seal, "app 2 apns", sealed),
        (seal, "app 1 apns", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (seal, "app 1 apns", sealed[:5]),
        (seal, "app 1 apns", b""),
    ]:
        with pytest.raises(SealingError, match="PUSHSVC_SECRET_KEY"):
            opener.open(text, owner=owner)


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    """A nonce is never used twice."""
    seal = Seal(new_secret_key())

    assert seal.close("secret", owner="a") != seal.close("secret", owner="a")


@pytest.mark.parametrize("key", ["", "short", "c2hvcnQ=", "not base64!" * 4])
def test_an_unusable_key_says_how_to_make_one(key: str) -> None:
    """The error names the setting and the command."""
    with pytest.raises(SealingError, match="openssl rand -base64 32"):
        Seal(key)
