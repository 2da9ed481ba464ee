"""What is refused with a sentence of its own: what is Parse Server's, and what is the master's."""

from collections.abc import Mapping
from typing import Final

from pushsvc.errors import ForbiddenError, NotOursError

_LOGINS: Final = "Logins and passwords"
_SESSIONS: Final = "Sessions"
_CLOUD_CODE: Final = "Cloud Code"
_SCHEMAS: Final = "The schema API"

#: path, and whatever is below it -> what of Parse it is
NOT_OURS: Final[Mapping[str, str]] = {
    "login": _LOGINS,
    "loginAs": _LOGINS,
    "logout": _LOGINS,
    "verifyPassword": _LOGINS,
    "requestPasswordReset": _LOGINS,
    "verificationEmailRequest": _LOGINS,
    "challenge": _LOGINS,
    "users/me": _SESSIONS,
    "sessions": _SESSIONS,
    "classes/_Session": _SESSIONS,
    "upgradeToRevocableSession": _SESSIONS,
    "files": "Files",
    "functions": _CLOUD_CODE,
    "jobs": _CLOUD_CODE,
    "hooks": _CLOUD_CODE,
    "cloud_code": _CLOUD_CODE,
    "scriptlog": "Logs",
    "graphql": "GraphQL",
    "schemas": _SCHEMAS,
    "purge": _SCHEMAS,
    "aggregate": "Aggregation",
    "config": "Config",
    "security": "The security check",
}
_SENTENCE: Final = "{}: this part of Parse is Parse Server's. Send the request to a Parse Server."


def refuse_what_is_not_ours(path: str) -> None:
    """Raise NotOursError for a path of the table, or one below it."""
    first, _, rest = path.partition("/")
    for one in (first, f"{first}/{rest.partition('/')[0]}"):
        if one in NOT_OURS:
            raise NotOursError(_SENTENCE.format(NOT_OURS[one]))


def not_for_clients(operation: str, collection: str) -> ForbiddenError:
    """Return the error of what only the master key may do, in Parse Server's words."""
    message = (
        f"Clients aren't allowed to perform the {operation} operation on the {collection} "
        "collection."
    )
    return ForbiddenError(message)
