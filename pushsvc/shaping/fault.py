"""What is wrong with content, said to whoever submits it, and where."""

from typing import Final

#: A name that nobody would read to its end.
NAME_CHARACTERS: Final = 100


class ContentError(Exception):
    """The content of a push cannot be sent; `message` says why, `field` is a JSON pointer."""

    def __init__(self, *, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def within(place: str, key: str) -> str:
    """Return the JSON pointer of a key (RFC 6901)."""
    return f"{place}/{key[:NAME_CHARACTERS].replace('~', '~0').replace('/', '~1')}"


def dotted(place: str) -> str:
    """Return a JSON pointer as people write it."""
    return place[1:].replace("/", ".").replace("~1", "/").replace("~0", "~")
