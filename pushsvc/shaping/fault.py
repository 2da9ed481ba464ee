"""What is wrong with content, said to whoever submits it."""


class ContentError(Exception):
    """The content of a push cannot be sent; `message` says why, `field` is a JSON pointer."""

    def __init__(self, *, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
