"""Who broke a rule, and the error codes both sides use (RFC 9113 section 7)."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """The codes of RST_STREAM and GOAWAY (RFC 9113 section 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


def code_name(code: int) -> str:
    """The name of an error code; a code nobody has named is shown as hex."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return hex(code)


class RuleError(Exception):
    """The peer broke a rule; `code` is what we tell it."""

    def __init__(self, code: ErrorCode, why: str) -> None:
        super().__init__(code, why)
        self.code = code
        self.why = why


class PeerError(RuleError):
    """A rule of the connection: GOAWAY, then close (section 5.4.1)."""


class StreamError(RuleError):
    """A rule of one stream: RST_STREAM (section 5.4.2)."""


class HeaderError(ValueError):
    """One of our own request header fields must not be sent; `field` is its name."""

    def __init__(self, field: bytes, why: str) -> None:
        super().__init__(f"header {field.decode('ascii', 'backslashreplace')}: {why}")
        self.field = field
