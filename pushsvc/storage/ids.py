"""Public ids, and the random part of keys."""

import secrets
import string

ALPHABET = string.ascii_letters + string.digits
#: Parse's object ids are ten of `ALPHABET`: 59 bits, unique by constraint.
OBJECT_ID_LENGTH = 10
APPLICATION_ID_LENGTH = 24
KEY_BYTES = 32


def new_object_id() -> str:
    """Return ten random letters and digits, as Parse makes them."""
    return _random_word(OBJECT_ID_LENGTH)


def new_application_id() -> str:
    """Return a random application id."""
    return _random_word(APPLICATION_ID_LENGTH)


def new_key(prefix: str) -> str:
    """Return `prefix_` and 256 random bits."""
    return f"{prefix}_{secrets.token_urlsafe(KEY_BYTES)}"


#: What each random byte is written as.
_WRITTEN = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
#: With these the first letters would come more often than the others.
_LEFT_OUT = bytes(range(256 // len(ALPHABET) * len(ALPHABET), 256))


def _random_word(length: int) -> str:
    """Return random characters of `ALPHABET`, mostly out of one draw: an import needs many."""
    word = b""
    while len(word) < length:
        word += secrets.token_bytes(2 * length).translate(_WRITTEN, _LEFT_OUT)
    return word[:length].decode()
