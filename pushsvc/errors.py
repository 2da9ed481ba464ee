"""Errors a caller can see: each class has a public code, a status and its Parse code.

The docstring is the error's title. `docs/errors.md` lists them all, and a test says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One field at fault, of a request that may have several."""

    #: JSON pointer into the body; `?name` for a query parameter
    pointer: str
    code: str
    detail: str


class CallerError(Exception):
    """The request cannot be taken as it is."""

    #: stable and public: `code` in /v1's problems
    code: ClassVar[str] = "bad_request"
    status: ClassVar[int] = 400
    #: `code` in Parse's error object; None where Parse sends none
    parse_code: ClassVar[int | None] = 1

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        parse_code: int | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        #: JSON pointer of the field at fault
        self.field = field
        self.retry_after_seconds = retry_after_seconds
        #: where one of our errors has several numbers in Parse, the caller gives it
        self.parse_number = self.parse_code if parse_code is None else parse_code


class MalformedJsonError(CallerError):
    """The body is not JSON."""

    code = "malformed_json"
    # Parse answers a body it cannot parse with 400 and no code at all.
    parse_code = None


class UnstorableError(CallerError):
    """The body or a parameter is JSON, but holds what cannot be stored."""

    code = "unstorable"
    parse_code = 107


class InvalidRequestError(CallerError):
    """Fields of the request are missing, unknown, or have values they cannot have."""

    code = "invalid_request"
    parse_code = 107

    def __init__(self, faults: Sequence[Fault]) -> None:
        # Of keys that exclude each other each has the same.
        super().__init__(" ".join(dict.fromkeys(fault.detail for fault in faults)))
        self.faults = tuple(faults)


class UnauthorizedError(CallerError):
    """The key is missing, wrong, revoked, or of another app."""

    code = "unauthorized"
    status = 401
    parse_code = None


class ForbiddenError(CallerError):
    """The key is right but may not do this."""

    code = "forbidden"
    status = 403
    parse_code = 119


class MasterKeyRequiredError(CallerError):
    """Only the master key may do this."""

    code = "master_key_required"
    status = 403
    parse_code = None


class UnknownRouteError(CallerError):
    """There is no such path."""

    code = "unknown_route"
    status = 404
    # 101 would tell a Parse SDK that its object was deleted.
    parse_code = None


class NotFoundError(CallerError):
    """There is no such object."""

    code = "not_found"
    status = 404
    parse_code = 101


class MethodNotAllowedError(CallerError):
    """The path does not take this method."""

    code = "method_not_allowed"
    status = 405
    parse_code = None

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(f"The path takes {', '.join(allowed)}.")
        #: for the `Allow` header (RFC 9110 15.5.6)
        self.allowed = tuple(allowed)


class NotOursError(CallerError):
    """This part of Parse is Parse Server's, and not ours."""

    code = "not_ours"
    # Parse's CommandUnavailable
    parse_code = 108


class MalformedEncodingError(CallerError):
    """The body is not what its Content-Encoding says, or is cut off."""

    code = "malformed_encoding"
    parse_code = 107


class UnsupportedEncodingError(CallerError):
    """The body's Content-Encoding is one that nobody reads here."""

    code = "unsupported_encoding"
    status = 415
    parse_code = 107


class BodyTooLargeError(CallerError):
    """The body is larger than `body_limit_bytes`."""

    code = "body_too_large"
    status = 413
    parse_code = 116


class BodyTooSlowError(CallerError):
    """The body does not come in."""

    code = "body_too_slow"
    status = 408
    parse_code = 100


class IdempotencyMismatchError(CallerError):
    """The idempotency key was used before with another body."""

    code = "idempotency_mismatch"
    status = 422
    parse_code = 159


class InvalidPushError(CallerError):
    """The push misses something or contradicts itself."""

    code = "invalid_push"
    parse_code = 115


class WrongStateError(CallerError):
    """The push is past the point at which this can be done to it."""

    code = "wrong_state"
    status = 409
    parse_code = 119


class InvalidPushTimeError(CallerError):
    """`push_time` lies in the past or too far ahead."""

    code = "invalid_push_time"
    parse_code = 152


class InvalidExpirationError(CallerError):
    """The expiry lies in the past or before the push."""

    code = "invalid_expiration"
    parse_code = 138


class TooManyPushesError(CallerError):
    """The app has as many pushes under way, or waiting for their time, as it may have."""

    code = "too_many_pushes"
    status = 429
    # Parse's RequestLimitExceeded
    parse_code = 155


class InvalidQueryError(CallerError):
    """The where-clause cannot be understood."""

    code = "invalid_query"
    parse_code = 102


class QueryTimeoutError(CallerError):
    """The query takes too long."""

    code = "query_timeout"
    parse_code = 124


class InvalidObjectError(CallerError):
    """The object has a field or a value that it cannot have."""

    code = "invalid_object"
    parse_code = 111


class InvalidInstallationError(InvalidObjectError):
    """The installation misses something or contradicts what is stored."""

    code = "invalid_installation"
    parse_code = 135


class InvalidAudienceError(CallerError):
    """The audience misses something or has a value it cannot have."""

    code = "invalid_audience"
    parse_code = 111


class InvalidTemplateError(CallerError):
    """The template misses something or has a value it cannot have."""

    code = "invalid_template"
    parse_code = 115


class TooManyTemplatesError(CallerError):
    """The app has as many templates as it can have."""

    code = "too_many_templates"
    status = 409
    parse_code = None


class CampaignExistsError(CallerError):
    """The app has a campaign of this name."""

    code = "campaign_exists"
    status = 409
    parse_code = None


class CampaignStateError(CallerError):
    """The campaign is in a state in which this cannot be."""

    code = "campaign_state"
    status = 409
    parse_code = None


class ConfirmationRequiredError(CallerError):
    """The audience is larger than `max_recipients`, and nobody has said yes to that."""

    code = "confirmation_required"
    status = 409
    parse_code = None

    def __init__(
        self, detail: str, *, field: str | None = None, recipients: int | None = None
    ) -> None:
        super().__init__(detail, field=field)
        #: what there is to say yes to
        self.recipients = recipients


class TooManyCampaignsError(CallerError):
    """The app has as many campaigns as it can have."""

    code = "too_many_campaigns"
    status = 409
    parse_code = None


class InvalidEventError(CallerError):
    """The event has a value it cannot have."""

    code = "invalid_event"
    parse_code = 107


class UnavailableError(CallerError):
    """The service cannot reach its database."""

    code = "unavailable"
    status = 503
    parse_code = 100


class OverloadedError(CallerError):
    """The service holds as many requests as it can."""

    code = "overloaded"
    status = 503
    parse_code = 100


class InternalError(CallerError):
    """The service failed; its log has the cause under the request id."""

    code = "internal_error"
    status = 500
    parse_code = 1
