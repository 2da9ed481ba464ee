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


def _random_word(length: int) -> str:
    """Return random characters of `ALPHABET`, out of one draw: an import needs many."""
    number = secrets.randbelow(len(ALPHABET) ** length)
    word = []
    for _ in range(length):
        number, place = divmod(number, len(ALPHABET))
        word.append(ALPHABET[place])
    return "".join(word)
