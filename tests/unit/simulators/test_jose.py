"""JWTs that PyJWT signs are read and verified; anything else is not."""

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, strategies as st

from pushsvc.simulators import jose

ELLIPTIC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def test_both_algorithms() -> None:
    """ES256 and RS256 signatures are good under their own key and no other."""
    elliptic = jose.parse(jwt.encode({"iss": "a"}, ELLIPTIC, "ES256", {"kid": "k"}).encode())
    by_rsa = jose.parse(jwt.encode({"iss": "b"}, RSA, "RS256").encode())

    assert (
        elliptic.header["kid"], elliptic.claims["iss"], by_rsa.claims["iss"],
    ) == ("k", "a", "b")  # fmt: skip
    assert elliptic.signed_by(ELLIPTIC.public_key())
    assert by_rsa.signed_by(RSA.public_key())
    assert not elliptic.signed_by(RSA.public_key())
    assert not by_rsa.signed_by(ELLIPTIC.public_key())
    assert not elliptic.signed_by(ec.generate_private_key(ec.SECP256R1()).public_key())


def test_unsigned_token() -> None:
    """`alg: none` is signed by nobody."""
    unsigned = jose.parse(jwt.encode({}, "", "none").encode())

    assert not unsigned.signed_by(ELLIPTIC.public_key())
    assert not unsigned.signed_by(RSA.public_key())


@given(st.binary(max_size=60) | st.from_regex(rb"[\w-]{0,9}\.[\w-]{0,9}\.[\w-]{0,9}"))
def test_junk_is_no_token(junk: bytes) -> None:
    """Anything but three parts of base64url with two JSON objects is a TokenError."""
    with pytest.raises(jose.TokenError):
        jose.parse(junk)


@pytest.mark.parametrize("token", [b"W10.W10.", b"e30.e30." + b"A" * 9000, b"e30.e30.!"])
def test_near_misses(token: bytes) -> None:
    """Arrays for objects, too long, not base64url."""
    with pytest.raises(jose.TokenError):
        jose.parse(token)
