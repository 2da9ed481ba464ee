"""What an object's ACL lets those do who have no master key. Pure."""

from typing import Final, Literal

from pushsvc.model import Json

#: Everybody; users and roles would need sessions, which are Parse Server's.
PUBLIC: Final = "*"


def may(fields: Json, right: Literal["read", "write"]) -> bool:
    """Tell whether the object's ACL lets everybody read or write it."""
    acl = fields.get("ACL")
    return acl is None or acl.get(PUBLIC, {}).get(right) is True
