"""Just enough of JSON Web Tokens to check what senders sign: ES256 and RS256, never "none"."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

#: Longer tokens are refused unread: Google's are ~1 KB, Apple's ~200 B.
MAX_TOKEN_BYTES = 8192
#: An ES256 signature is r and s, 32 bytes each (RFC 7518, 3.4).
ES256_HALF = 32


class TokenError(ValueError):
    """The token is not a well-formed JWT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwt:
    """A parsed token whose signature is not checked yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    def signed_by(self, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bool:
        """Whether this key made the signature, with the algorithm that the header names."""
        try:
            if isinstance(key, rsa.RSAPublicKey):
                if self.header.get("alg") != "RS256":
                    return False
                key.verify(self.signature, self.signed, padding.PKCS1v15(), hashes.SHA256())
            else:
                if self.header.get("alg") != "ES256" or len(self.signature) != 2 * ES256_HALF:
                    return False
                key.verify(_dss(self.signature), self.signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def parse(token: bytes) -> Jwt:
    """Split and decode a compact JWT (RFC 7519).

    Raises:
        TokenError: if it is not three base64url parts with JSON objects in the first two.
    """
    parts = token.split(b".")
    if len(parts) != 3 or len(token) > MAX_TOKEN_BYTES:  # noqa: PLR2004 - header, claims, signature
        raise TokenError(token[:20])
    try:
        header, claims = (orjson.loads(_decode(part)) for part in parts[:2])
        signature = _decode(parts[2])
    except (ValueError, binascii.Error) as error:
        raise TokenError(token[:20]) from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise TokenError(token[:20])
    return Jwt(header=header, claims=claims, signed=b".".join(parts[:2]), signature=signature)


def _decode(part: bytes) -> bytes:
    return base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _dss(signature: bytes) -> bytes:
    r, s = signature[:ES256_HALF], signature[ES256_HALF:]
    return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
