"""Credentials at rest: AES-256-GCM under the key from the settings."""

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
#: NIST SP 800-38D, section 8.2: 96 bits, random for each sealing
NONCE_BYTES = 12


class SealingError(Exception):
    """The secret key is unusable, or not the one that sealed this credential."""


class Seal:
    """Seals and opens secrets; each is bound to its owner, so that rows cannot be swapped."""

    def __init__(self, key: str) -> None:
        """Take the key in base64.

        Raises:
            SealingError: it is not 32 bytes in base64.
        """
        try:
            raw = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES:
            message = (
                "PUSHSVC_SECRET_KEY must be 32 bytes in base64; make one with "
                "`openssl rand -base64 32`."
            )
            raise SealingError(message)
        self._aead = AESGCM(raw)

    def close(self, secret: str, *, owner: str) -> bytes:
        """Return the sealed secret: nonce, ciphertext, tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, secret.encode(), owner.encode())

    def open(self, sealed: bytes, *, owner: str) -> str:
        """Return the secret.

        Raises:
            SealingError: it was sealed with another key or for another owner.
        """
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._aead.decrypt(nonce, ciphertext, owner.encode()).decode()
        except (InvalidTag, ValueError):
            # A ValueError is of what is too short to have been sealed at all.
            message = "PUSHSVC_SECRET_KEY is not the key that this was sealed with."
            raise SealingError(message) from None


def new_secret_key() -> str:
    """Return a fresh key for the settings."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()
